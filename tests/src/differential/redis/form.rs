//! Forms of commands, read from text: words, places to fill, choices and repetitions.

use super::draw::Drawer;

/// One line of `vectors/redis/forms.txt`.
#[derive(Debug)]
pub struct Form {
    /// How it is written.
    pub text: String,
    /// It makes values that others read.
    pub is_maker: bool,
    /// Nothing may be changed in it.
    pub is_fixed: bool,
    /// It may stand in a transaction.
    pub is_queueable: bool,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    Choice(Vec<Vec<Item>>),
    Maybe(Box<Item>),
    Place(String),
    Repeat(Box<Item>),
    Word(String),
}

/// All forms, and the commands that are not sent with the reason.
#[derive(Debug)]
pub struct Forms {
    /// Those that are sent.
    pub sent: Vec<Form>,
    /// Names in lower case, words with a space between, and why.
    pub unsent: Vec<(String, String)>,
}

impl Forms {
    /// Reads the text of a file of forms.
    ///
    /// # Panics
    /// When a line is broken.
    pub fn parse(text: &str) -> Self {
        let lines = || text.lines().map(str::trim);
        let unsent = lines().filter_map(|line| line.strip_prefix("! ")?.split_once(": "));
        let is_form = |line: &&str| !line.is_empty() && !line.starts_with(['#', '!']);
        Self {
            sent: lines().filter(is_form).map(Form::parse).collect(),
            unsent: unsent
                .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
                .collect(),
        }
    }
}

impl Form {
    fn parse(line: &str) -> Self {
        let mut tokens: Vec<_> = line.split_whitespace().rev().collect();
        let mut take = |sign: &str| tokens.pop_if(|token| *token == sign).is_some();
        let (is_maker, is_fixed) = (take("+"), take("~"));
        let is_queueable = !take("=");
        let mut branches = branches(&mut tokens, None);
        assert_eq!(branches.len(), 1, "{line}");
        Self {
            text: line.to_owned(),
            is_maker,
            is_fixed,
            is_queueable,
            items: branches.remove(0),
        }
    }

    /// The words of a command of this form.
    pub fn fill(&self, drawer: &mut Drawer<'_>) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        fill(&self.items, drawer, &mut words);
        words
    }

    /// The literal words it may begin with, in lower case: its command, and its subcommand if it has one.
    pub fn names(&self) -> Vec<String> {
        let words = self.items.iter().take(2).map_while(|item| match item {
            Item::Word(word) => Some(word.to_lowercase()),
            _ => None,
        });
        let words: Vec<_> = words.collect();
        (1..=words.len())
            .map(|count| words[..count].join(" "))
            .collect()
    }
}

/// Reads alternatives up to `close`, or to the end.
fn branches(tokens: &mut Vec<&str>, close: Option<&str>) -> Vec<Vec<Item>> {
    let mut branches = vec![Vec::new()];
    loop {
        let token = tokens.pop();
        let items = branches.last_mut().expect("there is a first branch");
        match token {
            token if token == close => return branches,
            Some("[") => {
                let choice = Item::Choice(self::branches(tokens, Some("]")));
                items.push(Item::Maybe(Box::new(choice)));
            }
            Some("(") => items.push(Item::Choice(self::branches(tokens, Some(")")))),
            Some("|") => branches.push(Vec::new()),
            Some("...") => {
                let last = items.pop().expect("something stands before the dots");
                items.push(Item::Repeat(Box::new(last)));
            }
            Some(word) => {
                let place = word
                    .strip_prefix('<')
                    .and_then(|rest| rest.strip_suffix('>'));
                items.push(match place {
                    Some(name) => Item::Place(name.to_owned()),
                    None => Item::Word(word.to_owned()),
                });
            }
            None => {
                assert!(close.is_none(), "a bracket is not closed");
                return branches;
            }
        }
    }
}

fn fill(items: &[Item], drawer: &mut Drawer<'_>, words: &mut Vec<Vec<u8>>) {
    for item in items {
        fill_one(item, drawer, words);
    }
}

fn fill_one(item: &Item, drawer: &mut Drawer<'_>, words: &mut Vec<Vec<u8>>) {
    match item {
        Item::Choice(branches) => {
            let chosen = drawer.dice.below(branches.len());
            fill(&branches[chosen], drawer, words);
        }
        Item::Maybe(inner) => {
            if drawer.dice.below(2) == 0 {
                fill_one(inner, drawer, words);
            }
        }
        Item::Place(name) => drawer.draw(name, words),
        Item::Repeat(inner) => {
            for _ in 0..=drawer.dice.below(3) {
                fill_one(inner, drawer, words);
            }
        }
        Item::Word(word) => words.push(word.clone().into_bytes()),
    }
}

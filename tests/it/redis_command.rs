//! COMMAND: what is told of each command is what one server tells, sentences left out.

use std::collections::{BTreeMap, BTreeSet};

use prism_tests::{raw::Raw, redis::Redis};

use crate::pool::Pool;

/// A reply, with what differs by design taken out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    List(Vec<Told>),
    Map(BTreeMap<Told, Told>),
    Set(BTreeSet<Told>),
    Text(String),
}

/// Fields that hold sentences of Redis' own, and words made of them.
const SENTENCES: [&str; 5] = ["complexity", "history", "notes", "replaced_by", "summary"];

impl Told {
    fn read(bytes: &[u8]) -> Self {
        let (told, rest) = Self::read_one(bytes);
        assert!(rest.is_empty(), "one reply");
        told
    }

    fn read_one(bytes: &[u8]) -> (Self, &[u8]) {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n");
        let (line, rest) = bytes.split_at(end.expect("a line"));
        let mut rest = &rest[2..];
        let text = String::from_utf8_lossy(line).into_owned();
        let count: usize = text[1..].parse().unwrap_or(0);
        let mut many = |count: usize| -> Vec<Self> {
            let one = |_| {
                let (told, left) = Self::read_one(rest);
                rest = left;
                told
            };
            (0..count).map(one).collect()
        };
        let told = match line[0] {
            b'*' => Self::List(many(count)),
            b'~' => Self::Set(many(count).into_iter().collect()),
            b'%' => Self::Map(pairs(&many(2 * count))),
            b'$' if text != "$-1" => {
                let (bulk, left) = rest.split_at(count);
                rest = &left[2..];
                Self::Text(format!("${}", String::from_utf8_lossy(bulk)))
            }
            _ => Self::Text(text),
        };
        (told, rest)
    }

    /// The text; empty where there is none.
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text.trim_start_matches('$'),
            _ => "",
        }
    }

    /// The elements; none where there is no list.
    fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// Leaves only the subcommands of `names`, by name.
    fn only(self, names: &BTreeSet<String>) -> Self {
        let name = |told: &Self| match told {
            Self::List(fields) => match fields.as_slice() {
                [Self::Text(name), Self::Text(arity), ..] if arity.starts_with(':') => {
                    Some(name.trim_start_matches('$').to_owned())
                }
                _ => None,
            },
            _ => None,
        };
        let is_kept = |told: &Self| name(told).is_none_or(|name| names.contains(&name));
        match self {
            Self::List(list) => {
                let is_commands = list.iter().all(|one| name(one).is_some());
                let kept = list.into_iter().filter(is_kept).map(|one| one.only(names));
                match is_commands {
                    true => Self::Set(kept.collect()),
                    false => Self::List(kept.collect()),
                }
            }
            Self::Map(map) => {
                let is_command =
                    |name: &Self| !name.text().contains('|') || names.contains(name.text());
                let kept = map.into_iter().filter(|(name, _)| is_command(name));
                Self::Map(kept.map(|(name, one)| (name, one.only(names))).collect())
            }
            Self::Set(set) => Self::Set(set.into_iter().map(|one| one.only(names)).collect()),
            text => text,
        }
    }
}

fn pairs(flat: &[Told]) -> BTreeMap<Told, Told> {
    let pairs = flat
        .chunks(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()));
    pairs
        .filter(|(name, _)| !SENTENCES.contains(&name.text()))
        .collect()
}

fn names(client: &mut Raw, words: &str) -> BTreeSet<String> {
    let words: Vec<_> = words.split(' ').collect();
    let told = Told::read(&client.call(&words));
    told.list()
        .iter()
        .map(|name| name.text().to_owned())
        .collect()
}

/// A proxy and one server, both spoken to in RESP3.
fn pair() -> (Pool, Redis, Raw, Raw) {
    let (pool, server) = (Pool::start(1), Redis::start());
    let (mut proxy, mut truth) = (pool.client(), server.client());
    for client in [&mut proxy, &mut truth] {
        assert!(client.ask("HELLO 3").starts_with('%'));
    }
    (pool, server, proxy, truth)
}

#[test]
fn every_command_is_described_as_by_one_server() {
    let (_pool, _server, mut proxy, mut truth) = pair();
    let served = names(&mut proxy, "COMMAND LIST");
    assert!(served.len() > 200 && served.contains("xgroup|create"));
    for name in &served {
        for verb in ["INFO", "DOCS"] {
            let words = ["COMMAND", verb, name];
            let (told, right) = (proxy.call(&words), truth.call(&words));
            assert_eq!(
                Told::read(&told).only(&served),
                Told::read(&right).only(&served),
                "COMMAND {verb} {name}"
            );
        }
    }
}

#[test]
fn flags_and_categories_come_in_the_order_of_one_server() {
    let (pool, server) = (Pool::start(1), Redis::start());
    let (mut proxy, mut truth) = (pool.client(), server.client());
    for name in names(&mut proxy, "COMMAND LIST") {
        let words = ["COMMAND", "INFO", &name];
        let fields = |client: &mut Raw| {
            let told = Told::read(&client.call(&words));
            told.list()[0].list()[..8].to_vec()
        };
        assert_eq!(fields(&mut proxy), fields(&mut truth), "{name}");
    }
}

#[test]
fn lists_are_those_of_one_server_without_what_is_refused() {
    let (_pool, _server, mut proxy, mut truth) = pair();
    let served = names(&mut proxy, "COMMAND LIST");
    for filter in [
        "",
        " FILTERBY PATTERN x*",
        " FILTERBY PATTERN X*",
        " FILTERBY pattern *set",
        " FILTERBY PATTERN [gm]et",
        " FILTERBY PATTERN *|help",
        " FILTERBY PATTERN get",
        " FILTERBY ACLCAT Stream",
        " FILTERBY ACLCAT @stream",
        " FILTERBY ACLCAT nothing",
        " FILTERBY MODULE none",
    ] {
        let words = format!("COMMAND LIST{filter}");
        let right = names(&mut truth, &words);
        let right: BTreeSet<_> = right.intersection(&served).cloned().collect();
        assert_eq!(names(&mut proxy, &words), right, "{words}");
    }
    let of_all: BTreeSet<_> = served.iter().filter(|name| !name.contains('|')).collect();
    assert_eq!(proxy.ask("COMMAND COUNT"), format!(":{}", of_all.len()));
    for words in [
        "COMMAND LIST FILTERBY",
        "COMMAND LIST FILTERBY ACLCAT",
        "COMMAND LIST x y z",
        "COMMAND INFO nosuch get|x config|get|x",
        "COMMAND DOCS nosuch",
        "COMMAND COUNT x",
        "COMMAND GETKEYS",
        "COMMAND GETKEYS nosuch a",
        "COMMAND GETKEYS config x",
        "COMMAND GETKEYSANDFLAGS LMOVE a b LEFT LEFT",
        "COMMAND nosuch",
    ] {
        assert_eq!(proxy.ask(words), truth.ask(words), "{words}");
    }
}

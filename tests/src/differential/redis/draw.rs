//! What fills the places of a form: keys of each type, values, numbers good and bad.

use crate::dice::Dice;

/// Types of values, each with a few keys of its own name.
pub const TYPES: [&str; 9] = [
    "string", "number", "list", "set", "zset", "hash", "stream", "geo", "hll",
];

/// Keys of sorted sets whose members have one score; nothing else is stored there.
const LEXSET: &str = "lexset";

/// Keys of each type and tag.
const KEYS: usize = 3;

/// Scripts: each reads or writes only the keys it is given.
const SCRIPTS: [&str; 8] = [
    "return {KEYS[1],ARGV[1],#KEYS,#ARGV}",
    "return redis.call('GET',KEYS[1])",
    "return redis.call('SET',KEYS[1],ARGV[1] or 'x')",
    "return redis.status_reply('FINE')",
    "return redis.error_reply('My Err')",
    "return redis.pcall('LPUSH',KEYS[1],'a')",
    "return {1,2.9,'three',false,true,{4}}",
    "this is no script",
];

/// Libraries of one function each.
const LIBRARIES: [&str; 4] = [
    "#!lua name=one\nredis.register_function('f1', function(keys, args) return redis.call('GET', keys[1]) end)",
    "#!lua name=three\nredis.register_function{function_name='f3', callback=function(keys, args) return #keys end, flags={'no-writes'}}",
    "#!lua name=two\nredis.register_function('f2', function(keys, args) return redis.call('SET', keys[1], args[1] or 'x') end)",
    "#!lua name=bad\nnonsense",
];

/// Arguments that are rarely right. None is a number that a server would act on for long.
const JUNK: [&[u8]; 18] = [
    b"",
    b"\0\xff\r\n",
    b"abc",
    b"-1",
    b"0",
    b"5000000",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"1e400",
    b" 1",
    b"+1",
    b"01",
    b"nan",
    b"5000000.5",
    b"WITHSCORES",
    b"COUNT",
    b"KEYS",
];

/// Fills places, by the dice.
#[derive(Debug)]
pub struct Drawer<'a> {
    /// What decides.
    pub dice: &'a mut Dice,
    /// Hash tags that keys may begin with.
    pub tags: &'a [&'static str],
    /// What DUMP has answered.
    pub payloads: &'a [Vec<u8>],
    /// Digests of scripts.
    pub digests: &'a [String],
}

/// Every key of a world with these tags.
pub fn all_keys(tags: &[&str]) -> Vec<Vec<u8>> {
    let keys = tags.iter().flat_map(|tag| {
        TYPES.iter().chain([&LEXSET]).flat_map(move |kind| {
            (0..KEYS).map(move |number| format!("{tag}{kind}{number}").into_bytes())
        })
    });
    keys.collect()
}

/// The scripts that SCRIPT LOAD can be asked to give digests of.
pub fn scripts() -> &'static [&'static str] {
    &SCRIPTS
}

impl Drawer<'_> {
    /// Appends what fills the place called `name`: mostly one word.
    ///
    /// # Panics
    /// When no place is called so.
    pub fn draw(&mut self, name: &str, words: &mut Vec<Vec<u8>>) {
        if let Some(kind) = name.strip_prefix("keys:") {
            return self.counted_keys(kind, words);
        }
        if TYPES.contains(&name) {
            words.push(self.key(name));
            return;
        }
        words.push(match name {
            "lexset" => self.key_named(LEXSET),
            "key" => {
                let kind = *self.dice.pick(&TYPES);
                self.key(kind)
            }
            "value" => self.value(),
            "payload" => match self.payloads {
                [] => b"not a payload".to_vec(),
                payloads => self.dice.pick(payloads).clone(),
            },
            "sha" => match self.digests {
                [] => b"0".repeat(40),
                digests => self.dice.pick(digests).clone().into_bytes(),
            },
            "pattern" => self.pattern(),
            _ => self.plain(name).into_bytes(),
        });
    }

    fn plain(&mut self, name: &str) -> String {
        let choices: &[&str] = match name {
            "at" => &["4102444800", "4102448400"],
            "atms" => &["4102444800000", "4102448400000"],
            "bit" => &["0", "1", "1", "2"],
            "bittype" => &["u8", "i8", "u1", "i16", "u63", "i64", "u64", "x9"],
            "block" => &["10", "20", "-1", "x"],
            "bound" => &["-inf", "+inf", "0", "1", "(1", "2", "(3", "x"],
            "by" => &["#", "nosort", "{a}weight_*", "*"],
            "channel" => &["news", "{a}news", "x"],
            "code" => &LIBRARIES,
            "consumer" => &["c1", "c2"],
            "count" => &["0", "1", "2", "3", "10", "100", "-1"],
            "cursor" => &["0", "0", "0", "0", "x", "-1"],
            "field" => &["a", "b", "c", "d", "1", "2", "", "e\r\n"],
            "float" => &["1", "0.5", "-2.25", "1e3", "3.0e-2", "x", "inf", "nan"],
            "function" => &["f1", "f2", "f3", "nosuch"],
            "group" => &["g1", "g1", "g2"],
            "id" => &["0", "0-0", "1-1", "2", "3-1", "5-5", "x", "-"],
            "idle" => &["0", "0", "0", "100000000", "x"],
            "int" => &["-3", "-2", "-1", "0", "1", "2", "3", "7", "10", "x"],
            "lat" => &["0", "10.5", "38.115556", "-45", "86", "x"],
            "lex" => &["-", "+", "[a", "(b", "[c", "(", "x"],
            "library" => &["one", "two", "three", "nosuch"],
            "lon" => &["0", "13.361389", "15.087269", "-120.5", "181", "x"],
            "member" => &[
                "a",
                "b",
                "c",
                "d",
                "e",
                "1",
                "2",
                "3",
                "10",
                "",
                "f\0g",
                "long member of a set or a list that no small encoding takes in, for it is long",
            ],
            "ms" => &["100000", "5000000", "100000000", "0", "-1", "x"],
            "newid" => &[
                "1-1", "2-1", "3", "4-*", "5-5", "6-*", "7-1", "0-0", "0-*", "x",
            ],
            "offset" => &["0", "1", "7", "8", "20", "100", "#1", "-1", "x"],
            "radius" => &["0", "100", "1000", "20000", "-1", "x"],
            "range" => &["-", "+", "0", "1-1", "(1", "5-5", "x"],
            "score" => &[
                "0", "1", "1", "2", "3.5", "-1", "1e10", "inf", "-inf", "nan", "x",
            ],
            "script" => &SCRIPTS,
            "seconds" => &["100", "5000", "100000"],
            "timeout" => &["0.01", "0.02", "0.01", "-1", "x"],
            "typename" => &["string", "list", "zset", "hash", "nosuch"],
            "unit" => &["m", "km", "ft", "mi", "x"],
            _ => &[],
        };
        assert!(!choices.is_empty(), "no place is called {name}");
        (*self.dice.pick(choices)).to_owned()
    }

    /// A key for values of a type, sometimes one for those of another type.
    fn key(&mut self, kind: &str) -> Vec<u8> {
        let kind = match self.dice.below(10) {
            0 => *self.dice.pick(&TYPES),
            _ => kind,
        };
        self.key_named(kind)
    }

    fn key_named(&mut self, kind: &str) -> Vec<u8> {
        let tag = *self.dice.pick(self.tags);
        format!("{tag}{kind}{}", self.dice.below(KEYS)).into_bytes()
    }

    /// A count and as many keys, sometimes more or fewer.
    fn counted_keys(&mut self, kind: &str, words: &mut Vec<Vec<u8>>) {
        let count = 1 + self.dice.below(3);
        let told = match self.dice.below(12) {
            0 => self.dice.below(6).to_string(),
            1 => "x".to_owned(),
            _ => count.to_string(),
        };
        words.push(told.into_bytes());
        for _ in 0..count {
            words.push(self.key(kind));
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.dice.below(40) {
            0..10 => self.dice.below(100).to_string().into_bytes(),
            10..16 => b"ohmytext".to_vec(),
            16..20 => b"mynewtext".to_vec(),
            20..26 => (*self.dice.pick(&JUNK)).to_vec(),
            26 => {
                let len = self.dice.below(40_000);
                self.dice.bytes(len)
            }
            _ => {
                let len = self.dice.below(12);
                self.dice.bytes(len)
            }
        }
    }

    fn pattern(&mut self) -> Vec<u8> {
        let tag = *self.dice.pick(self.tags);
        let tail = *self
            .dice
            .pick(&["*", "list*", "[sh]*", "?et1", "string1", "\\*"]);
        format!("{tag}{tail}").into_bytes()
    }

    /// Spoils a command: an argument too many, too few, or another than was meant; or only its letters' case.
    pub fn spoil(&mut self, words: &mut Vec<Vec<u8>>) {
        let at = 1 + self.dice.below(words.len());
        let junk = match self.dice.below(3) {
            0 => {
                let kind = *self.dice.pick(&TYPES);
                self.key(kind)
            }
            _ => (*self.dice.pick(&JUNK)).to_vec(),
        };
        match self.dice.below(5) {
            0 => words.truncate(at),
            1 if at < words.len() => words[at] = junk,
            2 if at < words.len() => {
                words.remove(at);
            }
            3 => words.insert(at, junk),
            _ => {
                let word = &mut words[at - 1];
                // A key keeps its name, for it would be another.
                if !word.contains(&b'{') && word.iter().all(u8::is_ascii_uppercase) {
                    word.make_ascii_lowercase();
                }
            }
        }
    }
}

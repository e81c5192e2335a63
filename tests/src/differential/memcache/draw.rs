//! What requests are made of: keys, numbers good and bad, values.

use super::{
    answer::Dialect,
    request::{Form, Piece, Request},
};
use crate::dice::Dice;

/// Longest key.
pub(super) const MAX_KEY: usize = 250;

/// Arguments that are rarely right; none is a length that a server would wait for.
pub(super) const JUNK: [&[u8]; 12] = [
    b"abc",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"1e4",
    b"5x",
    b"noreply",
    b"nan",
    b"\xff\x01",
    b"q",
    b"k",
];

/// A key of a world.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) bytes: Vec<u8>,
    /// It can be written in a line of text.
    pub(super) is_word: bool,
    /// What it holds may be counted, and is not read.
    pub(super) is_counter: bool,
}

impl Key {
    /// In base64.
    pub(super) fn encoded(&self) -> Vec<u8> {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let groups = self.bytes.chunks(3).flat_map(|group| {
            let byte = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let letter = move |at: usize| match at <= group.len() {
                true => LETTERS[bits >> (18 - 6 * at) & 63],
                false => b'=',
            };
            (0..4).map(letter)
        });
        groups.collect()
    }
}

/// Draws requests, by the dice.
#[derive(Debug)]
pub(super) struct Drawer<'a> {
    pub(super) dice: &'a mut Dice,
    pub(super) keys: &'a [Key],
    /// Nobody else sends anything meanwhile.
    pub(super) is_alone: bool,
    /// Comes back with binary answers; the next one's.
    pub(super) opaque: &'a mut u32,
}

/// The keys of a world: `count` of each kind.
pub(super) fn keys(dice: &mut Dice, count: usize) -> Vec<Key> {
    let word = |bytes: Vec<u8>| Key {
        bytes,
        is_word: true,
        is_counter: false,
    };
    let mut keys = Vec::new();
    for number in 0..count {
        let tag = format!("{:x}-{number}", dice.below(1 << 16));
        let padded = |len: usize| {
            let mut bytes = tag.clone().into_bytes();
            bytes.resize(len, b'k');
            bytes
        };
        keys.push(word(tag.clone().into_bytes()));
        keys.push(Key {
            is_counter: true,
            ..word(format!("n{tag}").into_bytes())
        });
        keys.push(word(match dice.below(3) {
            0 => padded(MAX_KEY),
            1 => [tag.as_bytes(), b"\x01\xff\t\x7f\x80"].concat(),
            _ => [b"\xc3\xa4'\"", tag.as_bytes(), b"\rz"].concat(),
        }));
        keys.push(Key {
            bytes: match dice.below(3) {
                0 => [tag.as_bytes(), b" with blanks\r\n"].concat(),
                1 => [b"\0", tag.as_bytes(), b"\0\xff\n"].concat(),
                _ => {
                    let mut bytes = padded(200);
                    bytes[100] = b' ';
                    bytes
                }
            },
            is_word: false,
            is_counter: false,
        });
    }
    keys
}

impl Drawer<'_> {
    /// Whether the dice say so, once in `rarity`.
    pub(super) fn once_in(&mut self, rarity: usize) -> bool {
        self.dice.below(rarity) == 0
    }

    /// One of `choices` as bytes.
    pub(super) fn one_of(&mut self, choices: &[&str]) -> Vec<u8> {
        (*self.dice.pick(choices)).as_bytes().to_vec()
    }

    /// A key, sometimes a favourite one.
    pub(super) fn key(&mut self) -> Key {
        self.dice.pick(self.keys).clone()
    }

    /// A key that a line of text can have.
    pub(super) fn word(&mut self) -> Key {
        let words: Vec<_> = self.keys.iter().filter(|key| key.is_word).collect();
        (*self.dice.pick(&words)).clone()
    }

    /// A key of a line of text, rarely one that is too long.
    pub(super) fn any_word(&mut self) -> Vec<u8> {
        let mut key = self.word().bytes;
        if self.once_in(60) {
            key.resize(MAX_KEY + 1 + self.dice.below(100), b'x');
        }
        key
    }

    /// A CAS number in digits: mostly one that was learned of `key`.
    pub(super) fn token(&mut self, key: &[u8]) -> Piece {
        match self.dice.below(12) {
            0 => Piece::Same(self.one_of(&["0", "1234567890123456", "18446744073709551615"])),
            _ => Piece::Token {
                key: key.to_vec(),
                age: self.dice.below(8) / 7,
                form: Form::Digits,
            },
        }
    }

    /// A time to live that no clock ends while a world lasts.
    pub(super) fn time(&mut self) -> Vec<u8> {
        self.one_of(&[
            "0",
            "0",
            "0",
            "0",
            "1000",
            "100000",
            "2592000",
            "2592001",
            "2000000000",
            "-1",
            "-100",
        ])
    }

    /// A value.
    pub(super) fn value(&mut self) -> Vec<u8> {
        match self.dice.below(60) {
            0..20 => self.number(),
            20..24 => b"a\r\nEND\r\nVALUE x 0 1\r\n".to_vec(),
            24 => {
                let len = self.dice.below(20_000);
                vec![b'm'; len]
            }
            25 if self.once_in(4) => {
                let len = 1_040_000 + self.dice.below(10_000);
                vec![b'l'; len]
            }
            26 if self.once_in(2) => {
                let len = self.dice.below(400_000);
                vec![b'x'; len]
            }
            27..31 => Vec::new(),
            _ => {
                let len = self.dice.below(30);
                let mut bytes = self.dice.bytes(len);
                // Where there are only blanks memcached 1.6.18 looks for a number behind the value.
                if let Some(first) = bytes.first_mut() {
                    *first |= 0x80;
                }
                bytes
            }
        }
    }

    /// Digits, mostly. Beyond 63 bits memcached 1.6.18 looks for a minus sign behind the value, where others may have been;
    /// neither sums nor what is appended make one so large.
    pub(super) fn number(&mut self) -> Vec<u8> {
        self.one_of(&[
            "0",
            "1",
            "5",
            "10",
            "99",
            "100",
            "41",
            "007",
            "1000000",
            "18446744073709551616",
            "-1",
            "5 ",
            "abc",
        ])
    }

    /// Draws a request that is sent alone: with it memcached 1.6.18 forgets answers it has not written yet, be it that it
    /// closes the connection, be it over a bad key behind others.
    pub(super) fn lone(&mut self, dialect: Dialect) -> Request {
        let closing = match dialect {
            Dialect::Binary => self.closing_packet(),
            Dialect::Text => match self.dice.below(3) {
                0 => Request::new("quit", "quit\r\n"),
                1 => Request::new("(long line)", vec![b'z'; 2049]),
                _ => return self.fit(Self::bad_retrieval),
            },
        };
        Request {
            is_last: true,
            ..closing
        }
    }

    /// Draws a request that may be sent with others.
    ///
    /// What is counted is not read before the world ends, nor added to: memcached counts in place and keeps the length, with blanks, unless
    /// an earlier reader, or the thread that notes accesses, still holds on to the value.
    pub(super) fn request(&mut self, dialect: Dialect) -> Request {
        self.fit(match dialect {
            Dialect::Binary => Self::binary,
            Dialect::Text => Self::text,
        })
    }

    fn fit(&mut self, draw: fn(&mut Self) -> Request) -> Request {
        loop {
            let request = draw(self);
            let is_spared = |key: &Key| match key.is_counter {
                true => request.is_read() || request.is_addition(),
                false => request.is_count(),
            };
            let mut keys = self.keys.iter();
            if !keys.any(|key| is_spared(key) && request.keys.contains(&key.bytes)) {
                return request;
            }
        }
    }

    /// Draws a request of a client that speaks text.
    fn text(&mut self) -> Request {
        match self.dice.below(5) {
            0..3 => self.classic(),
            _ => self.meta(),
        }
    }
}

/// Joins words with blanks and ends the line.
pub(super) fn line(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = words.join(&b' ');
    line.extend_from_slice(b"\r\n");
    line
}

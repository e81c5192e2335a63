//! Key specifications, the form in which Redis tells where the keys of a command are, and the search by them.

use std::borrow::Cow;

use super::super::super::super::message::{Span, bytes_of};
use super::super::super::line::strict_integer;

/// What a command does with a key: one of `RO`, `RW`, `OW` and `RM`, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFlags(u16);

/// Reads the key.
pub(super) const RO: u16 = 1;
/// Reads and changes it.
pub(super) const RW: u16 = 1 << 1;
/// Replaces it.
pub(super) const OW: u16 = 1 << 2;
/// Removes it.
pub(super) const RM: u16 = 1 << 3;
/// Tells something of the value.
pub(super) const ACCESS: u16 = 1 << 4;
/// Changes the value.
pub(super) const UPDATE: u16 = 1 << 5;
/// Adds to the value.
pub(super) const INSERT: u16 = 1 << 6;
/// Takes from the value.
pub(super) const DELETE: u16 = 1 << 7;
/// It is a channel, not a key.
pub(super) const NOT_KEY: u16 = 1 << 8;
/// The specification does not find all keys.
pub(super) const INCOMPLETE: u16 = 1 << 9;
/// Other arguments decide what is done with it.
pub(super) const VARIABLE: u16 = 1 << 10;

/// The flags in the order of Redis, and its words for them.
const WORDS: [(u16, &str); 11] = [
    (RO, "RO"),
    (RW, "RW"),
    (OW, "OW"),
    (RM, "RM"),
    (ACCESS, "access"),
    (UPDATE, "update"),
    (INSERT, "insert"),
    (DELETE, "delete"),
    (NOT_KEY, "not_key"),
    (INCOMPLETE, "incomplete"),
    (VARIABLE, "variable_flags"),
];

impl KeyFlags {
    pub(super) const fn new(bits: u16) -> Self {
        Self(bits)
    }

    /// Reads Redis' words; words of newer versions are passed over.
    pub fn of_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        let bits = words.filter_map(|word| {
            let known = WORDS.iter().find(|(_, text)| text.as_bytes() == word)?;
            Some(known.0)
        });
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// Redis' words for the flags.
    pub fn words(self) -> impl Iterator<Item = &'static str> + Clone {
        let words = WORDS.iter().filter(move |(bit, _)| self.has(*bit));
        words.map(|(_, word)| *word)
    }

    /// Whether the command may change the key.
    pub fn is_write(self) -> bool {
        self.has(RW) || self.has(OW) || self.has(RM)
    }

    /// Whether the key itself, or what it holds, is told.
    pub fn is_read(self) -> bool {
        self.has(ACCESS)
    }

    /// Whether the value is changed, as access rules count it.
    pub fn is_change(self) -> bool {
        self.has(UPDATE) || self.has(INSERT) || self.has(DELETE)
    }

    /// Whether it is a channel.
    pub fn is_channel(self) -> bool {
        self.has(NOT_KEY)
    }

    /// Whether there may be more keys than are found.
    pub fn is_incomplete(self) -> bool {
        self.has(INCOMPLETE)
    }

    pub(super) fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

/// Where some of the keys of a command are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What is done with them.
    pub flags: KeyFlags,
    /// Where to begin.
    pub begin: Begin,
    /// What to find from there.
    pub find: Find,
}

/// Where the search for keys begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At a position.
    Index(u16),
    /// Behind a word; it is looked for from a position on, or from the end backwards when that is negative.
    Keyword(Cow<'static, str>, i16),
    /// Only the command itself knows.
    Unknown,
}

/// Which arguments from the beginning on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// As many as an argument says.
    Counted {
        /// Distance of the count from the beginning.
        count: u16,
        /// Distance of the first key from the beginning.
        first: u16,
        /// Distance between keys.
        step: u16,
    },
    /// All of a range.
    Range {
        /// Distance of the last key from the beginning; negative counts from the last argument.
        last: i16,
        /// Distance between keys.
        step: u16,
        /// Where `last` is -1: only the first of this many equal portions is looked at; 0 and 1 are all.
        limit: u16,
    },
    /// Only the command itself knows.
    Unknown,
}

/// What the search by one specification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The request is not in the form the specification describes, or it describes none.
    Amiss,
    /// Keys from one position to another, both included.
    Keys {
        first: usize,
        last: usize,
        step: usize,
    },
    /// The word is not there.
    Nothing,
}

impl KeySpec {
    /// Looks for the keys in a request.
    pub(super) fn search(&self, raw: &[u8], args: &[Span]) -> Found {
        let argc = args.len();
        let begin = match &self.begin {
            Begin::Index(index) => usize::from(*index),
            Begin::Keyword(word, from) => match behind_word(word, *from, raw, args) {
                Some(begin) => begin,
                None => return Found::Nothing,
            },
            Begin::Unknown => return Found::Amiss,
        };
        let bounds = match self.find {
            Find::Counted { count, first, step } => {
                let count = args.get(begin + usize::from(count));
                count
                    .and_then(|span| strict_integer(bytes_of(raw, span)))
                    .and_then(|count| usize::try_from(count).ok())
                    .and_then(|count| {
                        let first = begin + usize::from(first);
                        Some((first, first.checked_add(count)?.checked_sub(1)?, step))
                    })
            }
            Find::Range { last, step, limit } => {
                let last = match (usize::try_from(last), limit) {
                    (Ok(last), _) => Some(begin + last),
                    (Err(_), 0 | 1) => argc.checked_sub(usize::from(last.unsigned_abs())),
                    (Err(_), limit) => (begin + argc.saturating_sub(begin) / usize::from(limit))
                        .checked_sub(usize::from(last.unsigned_abs())),
                };
                last.map(|last| (begin, last, step))
            }
            Find::Unknown => None,
        };
        match bounds {
            Some((first, last, step)) if first <= last && last < argc => Found::Keys {
                first,
                last,
                step: usize::from(step.max(1)),
            },
            _ => Found::Amiss,
        }
    }
}

/// The position behind the first `word` from `from` on; one that is the last argument counts for nothing.
fn behind_word(word: &str, from: i16, raw: &[u8], args: &[Span]) -> Option<usize> {
    let is_word = |at: &usize| {
        let span = args.get(*at);
        span.is_some_and(|span| bytes_of(raw, span).eq_ignore_ascii_case(word.as_bytes()))
    };
    let end = args.len().saturating_sub(1);
    let found = match usize::try_from(from) {
        Ok(from) => (from..end).find(is_word),
        Err(_) => {
            let from = args.len().checked_sub(usize::from(from.unsigned_abs()))?;
            (2..=from).rev().find(is_word)
        }
    };
    found.map(|at| at + 1)
}

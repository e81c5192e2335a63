//! Commands whose keys no specification finds, or not all of them.

use super::super::super::super::message::{Span, bytes_of};
use super::super::Command;
use super::spec::{ACCESS, DELETE, KeyFlags, OW, RO, RW, UPDATE};
use super::{Key, KeyList, Keys, is_word};

/// What the options of `XREAD` and `XREADGROUP` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Position of the first key.
    pub first: usize,
    /// Number of keys, each of which has an identifier behind it.
    pub count: usize,
    /// Position of the time to wait.
    pub block: Option<usize>,
}

/// Reads the options of `XREAD` and `XREADGROUP` as the command does; nothing if it will refuse them.
pub fn streams(raw: &[u8], args: &[Span]) -> Option<Streams> {
    streams_of(raw, args, is_word(raw, args, 0, "xreadgroup"))
}

/// Reads the options; those about groups only where a group may read.
fn streams_of(raw: &[u8], args: &[Span], is_group: bool) -> Option<Streams> {
    let mut block = None;
    let mut at = 1;
    while !is_word(raw, args, at, "streams") {
        let taken = if is_word(raw, args, at, "block") {
            block = Some(at + 1);
            1
        } else if is_word(raw, args, at, "count") {
            1
        } else if is_group && is_word(raw, args, at, "group") {
            2
        } else if is_group && is_word(raw, args, at, "noack") {
            0
        } else {
            return None;
        };
        at += 1 + taken;
    }
    let rest = args.len().checked_sub(at + 1)?;
    (rest > 0 && rest % 2 == 0).then_some(Streams {
        first: at + 1,
        count: rest / 2,
        block,
    })
}

pub(super) fn stream_keys(command: &Command, raw: &[u8], args: &[Span]) -> Keys {
    let Some(streams) = streams(raw, args) else {
        return Keys {
            is_malformed: true,
            ..Keys::default()
        };
    };
    let flags = command.key_specs().first().map(|spec| spec.flags);
    let positions = streams.first..streams.first + streams.count;
    let list = positions.map(|position| Key {
        position,
        flags: flags.unwrap_or_default(),
    });
    Keys {
        list: list.collect(),
        is_malformed: false,
    }
}

/// The options that take arguments, of commands with a key behind one of their words.
fn options(command: &Command) -> (usize, &'static [(&'static str, usize)]) {
    match command.name {
        "georadius" => (6, &[("count", 1), ("store", 1), ("storedist", 1)]),
        "georadiusbymember" => (5, &[("count", 1), ("store", 1), ("storedist", 1)]),
        _ => (2, &[("limit", 2), ("by", 1), ("get", 1), ("store", 1)]),
    }
}

/// The first key and every destination; an option's argument is taken for no word.
pub(super) fn option_keys(command: &Command, raw: &[u8], args: &[Span]) -> Keys {
    let mut list = KeyList::from_slice(&[Key {
        position: 1,
        flags: KeyFlags::new(RO | ACCESS),
    }]);
    let (mut at, options) = options(command);
    let mut is_malformed = false;
    while at < args.len() {
        let option = options
            .iter()
            .find(|(word, _)| is_word(raw, args, at, word));
        let taken = option.map_or(0, |(_, taken)| *taken);
        is_malformed |= at + taken >= args.len();
        let has_key = option.is_some_and(|(word, _)| word.starts_with("store"));
        if has_key && !is_malformed {
            list.push(Key {
                position: at + 1,
                flags: KeyFlags::new(OW | UPDATE),
            });
        }
        at += 1 + taken;
    }
    Keys { list, is_malformed }
}

/// Positions of the patterns by which `SORT` reads other keys.
pub fn sort_patterns<'a>(raw: &'a [u8], args: &'a [Span]) -> impl Iterator<Item = usize> + 'a {
    let mut at = 2;
    std::iter::from_fn(move || {
        while at < args.len() {
            let taken = match () {
                () if is_word(raw, args, at, "limit") => 2,
                () if is_word(raw, args, at, "store") => 1,
                () if is_word(raw, args, at, "by") || is_word(raw, args, at, "get") => {
                    at += 2;
                    return Some(at - 1);
                }
                () => 0,
            };
            at += 1 + taken;
        }
        None
    })
    .filter(|at| {
        args.get(*at)
            .is_some_and(|span| bytes_of(raw, span).contains(&b'*'))
    })
}

/// What `COMMAND GETKEYS` tells where specifications do not.
pub(super) fn told(command: &Command, raw: &[u8], args: &[Span]) -> KeyList {
    match command.name {
        "bitfield" => told_bitfield(raw, args),
        "migrate" => told_migrate(raw, args),
        "set" => told_set(raw, args),
        "sort" => told_sort(raw, args),
        "sort_ro" => one(1, RO | ACCESS),
        "zdiffstore" | "zinterstore" | "zunionstore" => told_counted(2, Some(1), raw, args),
        "blmpop" | "bzmpop" | "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall"
        | "fcall_ro" => told_counted(2, None, raw, args),
        "lmpop" | "sintercard" | "zdiff" | "zinter" | "zintercard" | "zmpop" | "zunion" => {
            told_counted(1, None, raw, args)
        }
        "xread" | "xreadgroup" => told_streams(raw, args),
        _ => KeyList::new(),
    }
}

/// Found where a word behind it misleads the search by specifications.
fn told_streams(raw: &[u8], args: &[Span]) -> KeyList {
    let streams = streams_of(raw, args, true);
    let positions = streams.map(|streams| streams.first..streams.first + streams.count);
    let flags = KeyFlags::default();
    let keys = positions.into_iter().flatten();
    keys.map(|position| Key { position, flags }).collect()
}

fn one(position: usize, bits: u16) -> KeyList {
    KeyList::from_slice(&[Key {
        position,
        flags: KeyFlags::new(bits),
    }])
}

/// The last destination counts, even where the word for it is one itself.
fn told_sort(raw: &[u8], args: &[Span]) -> KeyList {
    let mut keys = one(1, RO | ACCESS);
    let mut at = 2;
    while at < args.len() {
        match () {
            () if is_word(raw, args, at, "limit") => at += 2,
            () if is_word(raw, args, at, "by") || is_word(raw, args, at, "get") => at += 1,
            () if is_word(raw, args, at, "store") && at + 1 < args.len() => {
                keys.truncate(1);
                keys.extend(one(at + 1, OW | UPDATE));
            }
            () => {}
        }
        at += 1;
    }
    keys
}

fn told_set(raw: &[u8], args: &[Span]) -> KeyList {
    let has_get = (3..args.len()).any(|at| is_word(raw, args, at, "get"));
    one(
        1,
        if has_get {
            RW | ACCESS | UPDATE
        } else {
            OW | UPDATE
        },
    )
}

/// Only operations that change nothing leave the key alone.
fn told_bitfield(raw: &[u8], args: &[Span]) -> KeyList {
    let mut at = 2;
    while at < args.len() {
        let is_get = is_word(raw, args, at, "get");
        let taken = match () {
            () if is_get => 2,
            () if is_word(raw, args, at, "overflow") => 1,
            () => return one(1, RW | ACCESS | UPDATE),
        };
        if at + taken >= args.len() {
            return one(1, RW | ACCESS | UPDATE);
        }
        at += 1 + taken;
    }
    one(1, RO | ACCESS)
}

fn told_migrate(raw: &[u8], args: &[Span]) -> KeyList {
    let bits = RW | ACCESS | DELETE;
    let mut at = 6;
    while at < args.len() {
        if is_word(raw, args, at, "keys") {
            if args.get(3).is_some_and(|key| !key.is_empty()) {
                return KeyList::new();
            }
            let flags = KeyFlags::new(bits);
            let positions = at + 1..args.len();
            return positions.map(|position| Key { position, flags }).collect();
        }
        at += 1 + match () {
            () if is_word(raw, args, at, "auth") => 1,
            () if is_word(raw, args, at, "auth2") => 2,
            () => 0,
        };
    }
    one(3, bits)
}

/// Reads the count as loosely as Redis does here; nothing is said of what is done with such keys.
fn told_counted(count: usize, store: Option<usize>, raw: &[u8], args: &[Span]) -> KeyList {
    let number = args
        .get(count)
        .map_or(0, |span| loose_number(bytes_of(raw, span)));
    let first = count + 1;
    if number == 0 || number > args.len().saturating_sub(first) {
        return KeyList::new();
    }
    let flags = KeyFlags::default();
    let positions = (first..first + number).chain(store);
    positions.map(|position| Key { position, flags }).collect()
}

/// The number `text` begins with, behind spaces and a plus; 0 if there is none.
fn loose_number(text: &[u8]) -> usize {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: usize, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    })
}

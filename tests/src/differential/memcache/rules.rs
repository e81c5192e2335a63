//! Where an answer may differ from that of a single memcached: every rule by name, with its reason.

use super::{
    answer::{Dialect, words},
    binary::cas,
    learned::Learned,
    request::Request,
};

/// A way in which answers are compared otherwise than byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called in the summary.
    pub name: &'static str,
    /// Why it must be.
    pub reason: &'static str,
}

const CAS: usize = 0;
const CLOCK: usize = 1;
const ACCOUNT: usize = 2;
const REFUSAL: usize = 3;
const BAD_DATA: usize = 4;
const USAGE: usize = 5;
const LAST_WORDS: usize = 6;
const NUL: usize = 7;
const DATA: usize = 8;

/// All of them.
pub const RULES: [Rule; 9] = [
    Rule {
        name: "cas",
        reason: "each memcached counts changes for itself: one number must always stand for the same other one",
    },
    Rule {
        name: "clock",
        reason: "two servers are asked at two moments, and each notes an access when it has time: seconds may differ",
    },
    Rule {
        name: "own account",
        reason: "the proxy tells of itself: its version, its figures",
    },
    Rule {
        name: "refusal",
        reason: "the proxy refuses what belongs to one endpoint, or would break a line, in words of its own; the server hears an unknown command",
    },
    Rule {
        name: "bad data first",
        reason: "data that do not end where they should are refused before an endpoint looks at flags",
    },
    Rule {
        name: "usage",
        reason: "a key that is too long is refused before other words are looked at, without the usage",
    },
    Rule {
        name: "last words",
        reason: "the proxy says why it closes a connection where a server only closes it",
    },
    Rule {
        name: "NUL",
        reason: "a server reads a line up to a NUL and would see another key than was routed by: the line is refused",
    },
    Rule {
        name: "data of a refused line",
        reason: "the proxy throws them away, so that a value never runs as a command; the server does not hear them",
    },
];

/// The rule that a request itself needs.
pub(super) fn of_request(request: &Request) -> Option<usize> {
    let is_apart = request
        .pieces
        .iter()
        .any(|piece| matches!(piece, super::request::Piece::Apart(_)));
    match request.name.as_str() {
        _ if !is_apart => None,
        "(NUL)" => Some(NUL),
        "set" | "add" | "replace" | "append" | "prepend" | "cas" | "ms" => Some(DATA),
        _ => Some(REFUSAL),
    }
}

/// What the proxy refuses by design ends so.
const REFUSALS: [&str; 2] = [
    " belongs to one endpoint and is always refused\r\n",
    " a key with a line end cannot be named in an answer\r\n",
];

/// How far clocks may be apart: a world lives no longer.
const MOST_SECONDS: u64 = 20;

/// Two answers differ in what no rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unequal;

/// Takes out of the answers to one batch what tells of the side that gives them; says whether there was any.
pub(super) fn without_figures(dialect: Dialect, units: &mut Vec<Vec<u8>>) -> Option<usize> {
    let before = units.len();
    units.retain(|unit| match dialect {
        Dialect::Binary => unit.get(1) != Some(&0x10) || unit[2..4] == [0, 0],
        Dialect::Text => !unit.starts_with(b"STAT "),
    });
    (units.len() < before).then_some(ACCOUNT)
}

/// Takes the reason out of what the proxy says before it closes, where a server closes without a word.
pub(super) fn without_last_words(
    dialect: Dialect,
    proxy: &mut Vec<Vec<u8>>,
    truth: &[Vec<u8>],
) -> Option<usize> {
    let is_reason = match proxy.last()? {
        unit if dialect == Dialect::Binary => unit.get(6..8) == Some(&[0, 4]),
        unit => unit == b"CLIENT_ERROR line too long\r\n",
    };
    let is_more = is_reason && proxy.len() == truth.len() + 1;
    is_more.then(|| {
        proxy.pop();
        LAST_WORDS
    })
}

/// Compares one unit of either side; gives the rules that were needed.
pub(super) fn are_equal(
    dialect: Dialect,
    proxy: &[u8],
    truth: &[u8],
    requests: &[Request],
    learned: &mut Learned,
) -> Result<Option<usize>, Unequal> {
    match dialect {
        Dialect::Binary => are_packets_equal(proxy, truth, requests, learned),
        Dialect::Text => are_lines_equal(proxy, truth, learned),
    }
}

fn are_packets_equal(
    proxy: &[u8],
    truth: &[u8],
    requests: &[Request],
    learned: &mut Learned,
) -> Result<Option<usize>, Unequal> {
    let numbers = (cas(proxy).ok_or(Unequal)?, cas(truth).ok_or(Unequal)?);
    if !learned.agree(numbers.0, numbers.1) {
        return Err(Unequal);
    }
    let opaque = truth.get(12..16);
    let asked = requests
        .iter()
        .find(|request| Some(&request.opaque.to_be_bytes()[..]) == opaque);
    if let Some(request) = asked.filter(|_| numbers.0 > 0) {
        for key in &request.keys {
            learned.note(key, numbers.0, numbers.1);
        }
    }
    let is_version = truth[1] == 0x0b && truth[6..8] == [0, 0];
    if is_version && proxy[..8] == truth[..8] && proxy[12..16] == truth[12..16] {
        return Ok(Some(ACCOUNT));
    }
    let is_same = proxy[..16] == truth[..16] && proxy[24..] == truth[24..];
    match is_same {
        true => Ok((numbers.0 != numbers.1).then_some(CAS)),
        false => Err(Unequal),
    }
}

fn are_lines_equal(
    proxy: &[u8],
    truth: &[u8],
    learned: &mut Learned,
) -> Result<Option<usize>, Unequal> {
    if truth.starts_with(b"VERSION ") && proxy.starts_with(b"VERSION ") {
        return Ok(Some(ACCOUNT));
    }
    let is_refused = |words: &[u8]| {
        proxy.starts_with(b"SERVER_ERROR prism: ")
            && REFUSALS.iter().any(|end| words.ends_with(end.as_bytes()))
    };
    if truth == b"ERROR\r\n" && is_refused(proxy) {
        return Ok(Some(REFUSAL));
    }
    if proxy == b"CLIENT_ERROR bad data chunk\r\n" && truth.starts_with(b"CLIENT_ERROR ") {
        return Ok((proxy != truth).then_some(BAD_DATA));
    }
    let usage = b"CLIENT_ERROR bad command line format.  Usage: delete ";
    if proxy == b"CLIENT_ERROR bad command line format\r\n" && truth.starts_with(usage) {
        return Ok(Some(USAGE));
    }
    let ends = (line_len(proxy), line_len(truth));
    let (left, right): (Vec<_>, Vec<_>) = (words(proxy).collect(), words(truth).collect());
    if left.len() != right.len() || proxy[ends.0..] != truth[ends.1..] {
        return Err(Unequal);
    }
    let mut used = None;
    let mut numbers = None;
    for (at, (left, right)) in left.iter().zip(&right).enumerate() {
        match number(truth, at, left, right) {
            Some(Number::Cas(proxy, truth)) => {
                if !learned.agree(proxy, truth) {
                    return Err(Unequal);
                }
                numbers = Some((proxy, truth));
                used = used.or((proxy != truth).then_some(CAS));
            }
            Some(Number::Clock(proxy, truth)) if proxy.abs_diff(truth) <= MOST_SECONDS => {
                used = used.or((proxy != truth).then_some(CLOCK));
            }
            _ if left == right => {}
            _ => return Err(Unequal),
        }
    }
    if let (Some(key), Some((proxy, truth))) = (key(&right), numbers) {
        learned.note(key, proxy, truth);
    }
    Ok(used)
}

/// A number that each side has of its own: first the proxy's.
enum Number {
    Cas(u64, u64),
    Clock(i64, i64),
}

/// Reads the word at `at` of a line, where it is such a number.
fn number(line: &[u8], at: usize, left: &[u8], right: &[u8]) -> Option<Number> {
    let name = words(line).next()?;
    let prefixes: &[&str] = match name {
        b"VALUE" if at == 4 => &[""],
        b"ME" if at > 1 => &["cas=", "la=", "exp="],
        b"VA" if at > 1 => &["c", "l", "t"],
        b"HD" | b"EN" | b"EX" | b"NF" | b"NS" if at > 0 => &["c", "l", "t"],
        _ => &[],
    };
    let strip = |word: &[u8], prefix: &str| {
        let digits = word.strip_prefix(prefix.as_bytes())?;
        Some(std::str::from_utf8(digits).ok()?.to_owned())
    };
    prefixes.iter().find_map(|prefix| {
        let (left, right) = (strip(left, prefix)?, strip(right, prefix)?);
        Some(match *prefix {
            "" | "c" | "cas=" => Number::Cas(left.parse().ok()?, right.parse().ok()?),
            _ => Number::Clock(left.parse().ok()?, right.parse().ok()?),
        })
    })
}

/// The key that a line tells.
fn key<'a>(words: &[&'a [u8]]) -> Option<&'a [u8]> {
    match *words.first()? {
        b"VALUE" => words.get(1).copied(),
        _ => words
            .iter()
            .skip(1)
            .find_map(|word| word.strip_prefix(b"k")),
    }
}

fn line_len(unit: &[u8]) -> usize {
    let end = unit.iter().position(|byte| *byte == b'\n');
    end.map_or(unit.len(), |end| end + 1)
}

//! Dividing `MGET`, `DEL` and their like over shards, and merging what the shards answer.

use smallvec::SmallVec;

use super::super::message::{Part, PartErrors, Span, bytes_of};
use super::command::SplitKind;
use super::reply::{
    Dialect, array_elements, integer, is_error, write_array_header, write_bulk, write_error,
    write_integer, write_null, write_simple,
};

/// How the replies to the parts of a split request become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// `+OK` if every part was answered so.
    AllOk,
    /// Elements in the order of the request's keys.
    Array,
    /// The sum of integers.
    Sum,
}

impl SplitKind {
    /// The name a part is sent under.
    pub fn name(self) -> &'static str {
        match self {
            Self::Del => "DEL",
            Self::Exists => "EXISTS",
            Self::Mget => "MGET",
            Self::Mset => "MSET",
            Self::Touch => "TOUCH",
            Self::Unlink => "UNLINK",
        }
    }

    /// Arguments a key takes, itself included.
    pub fn width(self) -> usize {
        match self {
            Self::Mset => 2,
            Self::Del | Self::Exists | Self::Mget | Self::Touch | Self::Unlink => 1,
        }
    }

    /// How replies to the parts become one.
    pub fn merge(self) -> Merge {
        match self {
            Self::Del | Self::Exists | Self::Touch | Self::Unlink => Merge::Sum,
            Self::Mget => Merge::Array,
            Self::Mset => Merge::AllOk,
        }
    }

    /// Keys in a request of `argc` arguments; nothing if a key lacks its value.
    pub fn key_count(self, argc: usize) -> Option<usize> {
        let rest = argc.checked_sub(1)?;
        (rest > 0 && rest % self.width() == 0).then_some(rest / self.width())
    }

    /// The position among the arguments of the key at `index` among the keys.
    pub fn argument_of(self, index: usize) -> usize {
        1 + index * self.width()
    }
}

/// Appends the part of a request that carries the keys at `indexes`, with their values.
pub fn append_part(out: &mut Vec<u8>, kind: SplitKind, raw: &[u8], args: &[Span], indexes: &[u32]) {
    write_array_header(out, 1 + indexes.len() * kind.width());
    write_bulk(out, kind.name());
    for index in indexes {
        let first = kind.argument_of(*index as usize);
        for span in args.iter().skip(first).take(kind.width()) {
            write_bulk(out, bytes_of(raw, span));
        }
    }
}

/// What merging needs to know besides the parts.
#[derive(Clone, Copy, Debug)]
pub struct Merging {
    /// What the client understands.
    pub dialect: Dialect,
    /// What the error of a part does to an array; sums and `OK` always fail.
    pub errors: PartErrors,
    /// Keys of the whole request.
    pub keys: usize,
}

/// Appends the one reply the `parts` of a `kind` request make.
///
/// A reply that is neither an error nor what the command promises makes the whole an error.
pub fn merge(out: &mut Vec<u8>, kind: SplitKind, parts: &[Part<'_>], merging: Merging) {
    let is_array = kind.merge() == Merge::Array;
    let is_final = |part: &&Part<'_>| {
        is_error(part.reply)
            && match merging.errors {
                PartErrors::Element if is_array => false,
                PartErrors::Nil if is_array => !is_missing(part.reply),
                _ => true,
            }
    };
    if let Some(part) = parts.iter().find(is_final) {
        out.extend_from_slice(part.reply);
        return;
    }
    let start = out.len();
    let merged = match kind.merge() {
        Merge::AllOk => merge_oks(out, parts),
        Merge::Array => merge_arrays(out, parts, merging),
        Merge::Sum => merge_sums(out, parts),
    };
    if merged.is_none() {
        out.truncate(start);
        write_error(out, UNEXPECTED);
    }
}

/// Whether an error says that the shard is not there, rather than that it refuses.
fn is_missing(error: &[u8]) -> bool {
    let words: [&[u8]; 5] = [
        b"-ERR prism: ",
        b"-CLUSTERDOWN ",
        b"-LOADING ",
        b"-MASTERDOWN ",
        b"-TRYAGAIN ",
    ];
    words.iter().any(|word| error.starts_with(word))
}

const UNEXPECTED: &str =
    "ERR prism: the reply to a part of the request is not of the command's type";

fn merge_oks(out: &mut Vec<u8>, parts: &[Part<'_>]) -> Option<()> {
    let all_ok = parts.iter().all(|part| part.reply == b"+OK\r\n");
    all_ok.then(|| write_simple(out, "OK"))
}

fn merge_sums(out: &mut Vec<u8>, parts: &[Part<'_>]) -> Option<()> {
    let sum: i64 = parts
        .iter()
        .map(|part| integer(part.reply))
        .sum::<Option<i64>>()?;
    write_integer(out, sum);
    Some(())
}

/// Nothing unless the parts answer for every key.
fn merge_arrays(out: &mut Vec<u8>, parts: &[Part<'_>], merging: Merging) -> Option<()> {
    let mut answers: SmallVec<[Option<Answer<'_>>; 32]> = SmallVec::from_elem(None, merging.keys);
    for part in parts {
        let of_part = error_answer(part, merging.errors);
        let mut elements = match of_part {
            Some(_) => None,
            None => Some(array_elements(part.reply)?),
        };
        for index in part.indexes {
            let element = elements.as_mut().and_then(Iterator::next);
            let answer = of_part.or(element.map(Answer::Raw))?;
            *answers.get_mut(*index as usize)? = Some(answer);
        }
    }
    write_array_header(out, merging.keys);
    for answer in answers {
        match answer? {
            Answer::Null => write_null(out, merging.dialect),
            Answer::Raw(element) => out.extend_from_slice(element),
        }
    }
    Some(())
}

/// What stands in the place of one key.
#[derive(Clone, Copy)]
enum Answer<'a> {
    Null,
    Raw(&'a [u8]),
}

/// What stands in the place of each key of a part that failed.
fn error_answer<'a>(part: &Part<'a>, errors: PartErrors) -> Option<Answer<'a>> {
    is_error(part.reply).then_some(match errors {
        PartErrors::Element => Answer::Raw(part.reply),
        PartErrors::Fail | PartErrors::Nil => Answer::Null,
    })
}

#[cfg(test)]
mod tests;

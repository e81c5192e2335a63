//! Dividing `MGET`, `DEL` and their like over shards, and merging what the shards answer.

use smallvec::SmallVec;

use super::super::message::{Part, PartErrors, Span, bytes_of};
use super::command::SplitKind;
use super::reply::{
    Dialect, array_elements, integer, is_error, write_array_header, write_bulk, write_integer,
    write_null, write_simple,
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
pub fn merge(out: &mut Vec<u8>, kind: SplitKind, parts: &[Part<'_>], merging: Merging) {
    let is_array = kind.merge() == Merge::Array;
    let first_error = parts.iter().find(|part| is_error(part.reply));
    match first_error {
        Some(part) if !is_array || merging.errors == PartErrors::Fail => {
            out.extend_from_slice(part.reply);
        }
        _ => match kind.merge() {
            Merge::AllOk => write_simple(out, "OK"),
            Merge::Array => merge_arrays(out, parts, merging),
            Merge::Sum => merge_sums(out, parts),
        },
    }
}

/// The text of a reply that is not of the type its command promises.
const UNEXPECTED: &str = "ERR prism: an endpoint's reply to a part is of an unexpected type";

fn merge_sums(out: &mut Vec<u8>, parts: &[Part<'_>]) {
    let sum: Option<i64> = parts.iter().map(|part| integer(part.reply)).sum();
    match sum {
        Some(sum) => write_integer(out, sum),
        None => super::reply::write_error(out, UNEXPECTED),
    }
}

fn merge_arrays(out: &mut Vec<u8>, parts: &[Part<'_>], merging: Merging) {
    let mut elements: SmallVec<[Option<&[u8]>; 32]> = SmallVec::from_elem(None, merging.keys);
    for part in parts {
        let is_shown = merging.errors == PartErrors::Element && is_error(part.reply);
        let mut values = array_elements(part.reply);
        for index in part.indexes {
            let value = match &mut values {
                Some(values) => values.next(),
                None => is_shown.then_some(part.reply),
            };
            if let Some(element) = elements.get_mut(*index as usize) {
                *element = value;
            }
        }
    }
    write_array_header(out, merging.keys);
    for element in elements {
        match element {
            Some(raw) => out.extend_from_slice(raw),
            None => write_null(out, merging.dialect),
        }
    }
}

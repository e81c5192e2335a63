//! Dividing retrievals over shards, merging what the shards answer, and requests that want no answer.

use smallvec::SmallVec;

use super::super::message::{Part, PartErrors, Span, bytes_of};
use super::reply::{Values, is_error, values};

/// Appends a retrieval: `name`, the time of `gat` and `gats`, and `keys`.
pub fn append_retrieval<'k>(
    out: &mut Vec<u8>,
    name: &str,
    exptime: Option<&'k [u8]>,
    keys: impl IntoIterator<Item = &'k [u8]>,
) {
    out.extend_from_slice(name.as_bytes());
    for word in exptime.into_iter().chain(keys) {
        out.push(b' ');
        out.extend_from_slice(word);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the request without the word `noreply` that ends its `line`; the endpoint will answer.
pub fn without_noreply(out: &mut Vec<u8>, raw: &[u8], line: &Span) {
    let words = bytes_of(raw, line).trim_ascii_end();
    let kept = words.strip_suffix(b"noreply").unwrap_or(words);
    out.extend_from_slice(kept.trim_ascii_end());
    out.extend_from_slice(raw.get(line.end as usize..).unwrap_or_default());
}

/// Appends the one reply the `parts` of a retrieval make: values in the order of its `keys`, then `END`.
///
/// Under [`PartErrors::Nil`] a key whose part failed is as if absent; else the first error is the whole reply.
pub fn merge(out: &mut Vec<u8>, raw: &[u8], keys: &[Span], parts: &[Part<'_>], errors: PartErrors) {
    let start = out.len();
    let mut sources: SmallVec<[Source<'_>; 8]> = SmallVec::new();
    sources.extend(parts.iter().map(Source::new));
    for (index, key) in keys.iter().enumerate() {
        let source = sources.iter_mut().find(|source| source.is_next(index));
        if let Some(block) = source.and_then(|source| source.take(bytes_of(raw, key))) {
            out.extend_from_slice(block);
        }
    }
    let error = sources.iter_mut().find_map(Source::error);
    match error.filter(|_| errors != PartErrors::Nil) {
        Some(error) => {
            out.truncate(start);
            out.extend_from_slice(error);
        }
        None => out.extend_from_slice(b"END\r\n"),
    }
}

/// A part whose keys and values are taken in step.
struct Source<'a> {
    indexes: &'a [u32],
    values: Values<'a>,
}

impl<'a> Source<'a> {
    fn new(part: &Part<'a>) -> Self {
        Self {
            indexes: part.indexes,
            values: values(part.reply),
        }
    }

    fn is_next(&self, index: usize) -> bool {
        self.indexes
            .first()
            .is_some_and(|next| *next as usize == index)
    }

    /// Takes the next key, and its value if it is the next in the reply.
    fn take(&mut self, key: &[u8]) -> Option<&'a [u8]> {
        self.indexes = self.indexes.get(1..).unwrap_or_default();
        let mut ahead = self.values.clone();
        let value = ahead.next().filter(|value| value.key == key)?;
        self.values = ahead;
        Some(value.block)
    }

    fn error(&mut self) -> Option<&'a [u8]> {
        self.values.by_ref().for_each(drop);
        Some(self.values.rest()).filter(|line| is_error(line))
    }
}

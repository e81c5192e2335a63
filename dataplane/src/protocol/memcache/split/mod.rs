//! Dividing retrievals over shards, merging what the shards answer, and requests that want no answer.

use smallvec::SmallVec;

use super::super::message::{Part, PartErrors, Span, bytes_of};
use super::reply::{is_error, values};

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

/// Appends the request without the flag at `span`.
pub fn without_flag(out: &mut Vec<u8>, raw: &[u8], span: &Span) {
    let before = raw.get(..span.start as usize).unwrap_or_default();
    out.extend_from_slice(before.strip_suffix(b" ").unwrap_or(before));
    out.extend_from_slice(raw.get(span.end as usize..).unwrap_or_default());
}

/// Appends the request without the word `noreply` that ends its `line`; the endpoint will answer.
pub fn without_noreply(out: &mut Vec<u8>, raw: &[u8], line: &Span) {
    let words = without_spaces(bytes_of(raw, line));
    let kept = words.strip_suffix(b"noreply").unwrap_or(words);
    out.extend_from_slice(without_spaces(kept));
    out.extend_from_slice(raw.get(line.end as usize..).unwrap_or_default());
}

/// Nothing but spaces stands between words: other blanks are part of them.
fn without_spaces(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b' ');
    line.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}

/// Appends the one reply the `parts` of a retrieval make: values in the order of its `keys`, then `END`.
///
/// Under [`PartErrors::Nil`] a key whose part failed is as if absent; else the first error is the whole reply.
pub fn merge(out: &mut Vec<u8>, raw: &[u8], keys: &[Span], parts: &[Part<'_>], errors: PartErrors) {
    let mut blocks: SmallVec<[&[u8]; 32]> = SmallVec::from_elem(&[][..], keys.len());
    let mut error = None;
    for part in parts {
        let mut found = values(part.reply).peekable();
        for index in part.indexes.iter().map(|index| *index as usize) {
            let key = keys.get(index).map(|span| bytes_of(raw, span));
            let value = found.next_if(|value| Some(value.key) == key);
            if let (Some(value), Some(block)) = (value, blocks.get_mut(index)) {
                *block = value.block;
            }
        }
        error = error.or(error_line(part.reply));
    }
    match error.filter(|_| errors != PartErrors::Nil) {
        Some(error) => out.extend_from_slice(error),
        None => {
            blocks.iter().for_each(|block| out.extend_from_slice(block));
            out.extend_from_slice(b"END\r\n");
        }
    }
}

/// Appends the one answer of a line that every endpoint got: the first that is no `OK`, else `OK`.
pub fn merge_oks(out: &mut Vec<u8>, parts: &[Part<'_>]) {
    let other = parts.iter().find(|part| part.reply != b"OK\r\n");
    out.extend_from_slice(other.map_or(b"OK\r\n", |part| part.reply));
}

/// The error a retrieval ends with, if it does.
fn error_line(reply: &[u8]) -> Option<&[u8]> {
    let mut values = values(reply);
    values.by_ref().for_each(drop);
    Some(values.rest()).filter(|line| is_error(line))
}

#[cfg(test)]
mod tests;

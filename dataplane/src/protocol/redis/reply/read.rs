//! Reading values out of replies that are complete.

use super::super::super::message::{Limits, Progress};
use super::super::line::{plain_length, strict_integer};
use super::ReplyDecoder;

/// The number of an integer reply.
pub fn integer(reply: &[u8]) -> Option<i64> {
    strict_integer(reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?)
}

/// The bytes of a bulk or simple string; nothing for null and every other type.
pub fn bulk_string(reply: &[u8]) -> Option<&[u8]> {
    match reply.split_first()? {
        (b'$', rest) => {
            let (len, taken) = plain_length(rest)?;
            rest.get(taken..taken.checked_add(len)?)
        }
        (b'+', rest) => rest.strip_suffix(b"\r\n"),
        _ => None,
    }
}

/// The raw elements of an array, set or push; of a map keys and values in turn. Nothing for every other type.
pub fn array_elements(reply: &[u8]) -> Option<Elements<'_>> {
    let (kind, rest) = reply.split_first()?;
    let (count, taken) = plain_length(rest)?;
    let left = match kind {
        b'*' | b'~' | b'>' => count,
        b'%' => count.checked_mul(2)?,
        _ => return None,
    };
    Some(Elements {
        rest: rest.get(taken..)?,
        left,
        decoder: ReplyDecoder::new(Limits::default()),
    })
}

/// The raw elements of an aggregate; see [`array_elements`].
#[derive(Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    left: usize,
    decoder: ReplyDecoder,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let Ok(Progress::Complete { len }) = self.decoder.decode(self.rest) else {
            self.left = 0;
            return None;
        };
        let (element, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

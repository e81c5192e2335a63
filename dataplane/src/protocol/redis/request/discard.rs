//! Throwing away the rest of a request that is too large, so that its connection stays in step.

use super::super::line::plain_length;
use super::{MAX_BULK, RequestDecoder, RequestError, Stage};

/// What became of the bytes given to [`RequestDecoder::discard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// Bytes to take off the front of the buffer.
    pub consumed: usize,
    /// Whether the request is over and the next one follows.
    pub is_done: bool,
}

impl RequestDecoder {
    /// Throws away what `buf` has of a request that was refused as [`RequestError::TooLarge`].
    ///
    /// The buffer given first starts at the first byte of the request, then each time at the first byte that was
    /// not consumed.
    ///
    /// # Errors
    /// What is not Redis' protocol; the connection closes.
    pub fn discard(&mut self, buf: &[u8]) -> Result<Discarded, RequestError> {
        let (mut left, mut skip) = match self.stage {
            Stage::Body { left, len } => (left - 1, self.at + len + 2),
            Stage::Discard { left, skip } => (left, skip),
            Stage::Args { .. } | Stage::Done | Stage::Start => (0, 0),
        };
        let mut consumed = 0;
        loop {
            let there = skip.min(buf.len() - consumed);
            (consumed, skip) = (consumed + there, skip - there);
            if skip == 0 && left == 0 {
                self.reset();
                return Ok(Discarded {
                    consumed,
                    is_done: true,
                });
            }
            let rest = buf.get(consumed..).unwrap_or_default();
            let next = if skip == 0 {
                self.argument(rest)?
            } else {
                None
            };
            match next {
                Some(argument) => (left, skip) = (left - 1, argument),
                None => {
                    self.stage = Stage::Discard { left, skip };
                    return Ok(Discarded {
                        consumed,
                        is_done: false,
                    });
                }
            }
        }
    }

    /// Bytes of the argument at the start of `rest`, its line and line ends included, once its line is whole.
    fn argument(&mut self, rest: &[u8]) -> Result<Option<usize>, RequestError> {
        let plain = rest.strip_prefix(b"$").and_then(plain_length);
        let (len, start) = match plain {
            Some((len, taken)) => (len, 1 + taken),
            None => {
                (self.at, self.searched) = (0, 0);
                match self.careful_length(rest)? {
                    Some(declared) => declared,
                    None => return Ok(None),
                }
            }
        };
        if len > MAX_BULK {
            return Err(RequestError::InvalidBulkLength);
        }
        Ok(Some(start + len + 2))
    }
}

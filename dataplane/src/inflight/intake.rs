//! Turns what one read brought into whole messages, keeping only the rest of an incomplete one.
//!
//! Messages that lie whole in the scratch buffer are handed out in place. The one that is cut is kept, grown by just
//! what it needs, and, when large, handed out without another copy.

use bytes::Bytes;

use super::byte_queue::LARGE;
use crate::protocol::message::Progress;

/// One whole message.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// It lies in a buffer that is used again.
    Borrowed(&'a [u8]),
    /// It is large and owns its memory.
    Shared(Bytes),
}

impl<'a> Piece<'a> {
    /// Returns the first `len` bytes of the message.
    pub fn first(self, len: usize) -> Piece<'a> {
        match self {
            Self::Borrowed(bytes) => Self::Borrowed(bytes.get(..len).unwrap_or(bytes)),
            Self::Shared(bytes) => Self::Shared(bytes.slice(..len.min(bytes.len()))),
        }
    }

    /// Returns the `len` bytes of the message from `at` on, in the same memory where they are most of it.
    ///
    /// A part that is kept keeps all of a shared message, and is counted for itself alone.
    pub fn part(&self, at: usize, len: usize) -> Piece<'_> {
        match self {
            Self::Shared(bytes) if len >= LARGE && len >= bytes.len() / 2 => {
                Piece::Shared(bytes.slice(at..at + len))
            }
            _ => Piece::Borrowed(self.bytes().get(at..at + len).unwrap_or_default()),
        }
    }

    /// Returns the message.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The incomplete message of one connection.
#[derive(Debug, Default)]
pub struct Intake {
    rest: Vec<u8>,
    /// Bytes that the message in `rest` has at least.
    needed: usize,
    /// `rest` was handed out and is to be emptied.
    taken: bool,
}

/// Least number of bytes that are added to an incomplete message before it is looked at again.
const GROW: usize = 64;

/// Most memory set aside for a message that has only been announced.
const RESERVE: usize = 1024 * 1024;

impl Intake {
    /// Returns the next whole message of what is kept and `fresh[*position..]`; moves `position` on.
    ///
    /// `None` means that everything was looked at and the rest is kept. `decode` is shown a message from its first
    /// byte and keeps its own place between calls.
    ///
    /// # Errors
    /// What `decode` returns; the intake is of no use after that.
    pub fn next<'a, E>(
        &'a mut self,
        fresh: &'a [u8],
        position: &mut usize,
        mut decode: impl FnMut(&[u8]) -> Result<Progress, E>,
    ) -> Result<Option<Piece<'a>>, E> {
        if self.taken {
            self.taken = false;
            self.rest.clear();
        }
        if self.rest.is_empty() {
            let unread = &fresh[*position..];
            if unread.is_empty() {
                return Ok(None);
            }
            return match decode(unread)? {
                Progress::Complete { len } => {
                    *position += len;
                    Ok(Some(Piece::Borrowed(&unread[..len])))
                }
                Progress::NeedMore { at_least } => {
                    *position = fresh.len();
                    self.keep(unread, at_least);
                    Ok(None)
                }
            };
        }
        self.grow(fresh, position, decode)
    }

    /// Returns whether a message has begun that is not complete.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty() || self.taken
    }

    /// Gives back the memory of a quiet intake.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.rest = Vec::new();
            self.taken = false;
        }
    }

    fn keep(&mut self, unread: &[u8], at_least: usize) {
        let room = at_least.clamp(unread.len(), unread.len() + RESERVE);
        self.rest.reserve(room);
        self.rest.extend_from_slice(unread);
        self.needed = at_least;
    }

    fn grow<'a, E>(
        &'a mut self,
        fresh: &[u8],
        position: &mut usize,
        mut decode: impl FnMut(&[u8]) -> Result<Progress, E>,
    ) -> Result<Option<Piece<'a>>, E> {
        while *position < fresh.len() {
            let unread = &fresh[*position..];
            let wanted = self.needed.saturating_sub(self.rest.len()).max(GROW);
            let take = wanted.min(unread.len());
            self.rest.extend_from_slice(&unread[..take]);
            *position += take;
            if self.rest.len() < self.needed {
                continue;
            }
            match decode(&self.rest)? {
                Progress::NeedMore { at_least } => self.needed = at_least,
                Progress::Complete { len } => {
                    // Bytes behind the message came with the last chunk: they are read again in place.
                    *position -= self.rest.len() - len;
                    self.rest.truncate(len);
                    return Ok(Some(self.take()));
                }
            }
        }
        Ok(None)
    }

    fn take(&mut self) -> Piece<'_> {
        if self.rest.len() >= LARGE {
            return Piece::Shared(Bytes::from(std::mem::take(&mut self.rest)));
        }
        self.taken = true;
        Piece::Borrowed(&self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message is a length byte pair and so many bytes.
    fn decode(bytes: &[u8]) -> Result<Progress, ()> {
        let Some(head) = bytes.get(..2) else {
            return Ok(Progress::NeedMore { at_least: 2 });
        };
        let len = 2 + usize::from(u16::from_be_bytes([head[0], head[1]]));
        Ok(if bytes.len() < len {
            Progress::NeedMore { at_least: len }
        } else {
            Progress::Complete { len }
        })
    }

    fn message(len: u16) -> Vec<u8> {
        let mut message = len.to_be_bytes().to_vec();
        message.extend((0..len).map(|i| i.to_le_bytes()[0]));
        message
    }

    #[test]
    fn messages_cut_anywhere_come_out_whole_and_in_order() {
        let lens = [0, 1, 5, 63, 64, 65, 700, 20_000, 3, 40_000, 1];
        let stream: Vec<u8> = lens.iter().flat_map(|&len| message(len)).collect();
        for cut in [1, 2, 3, 7, 64, 1000, 16_384, 65_536] {
            let mut intake = Intake::default();
            let mut got = Vec::new();
            for fresh in stream.chunks(cut) {
                let mut position = 0;
                while let Some(piece) = intake.next(fresh, &mut position, decode).expect("valid") {
                    got.push(piece.bytes().to_vec());
                }
                assert_eq!(position, fresh.len());
            }
            let expected: Vec<_> = lens.iter().map(|&len| message(len)).collect();
            assert!(got == expected, "cut at {cut}");
            assert!(intake.is_empty());
        }
    }

    #[test]
    fn large_message_owns_its_memory() {
        let stream = message(30_000);
        let mut intake = Intake::default();
        let mut position = 0;
        assert!(
            intake
                .next(&stream[..9], &mut position, decode)
                .expect("valid")
                .is_none()
        );
        let mut position = 0;
        let piece = intake
            .next(&stream[9..], &mut position, decode)
            .expect("valid");
        assert!(matches!(piece, Some(Piece::Shared(bytes)) if bytes == stream));
    }

    #[test]
    fn part_shares_memory_only_with_what_it_is_most_of() {
        let whole = Piece::Shared(Bytes::from(vec![b'x'; 4 * LARGE]));
        assert!(
            matches!(whole.part(LARGE, 2 * LARGE), Piece::Shared(part) if part.len() == 2 * LARGE)
        );
        assert!(matches!(whole.part(LARGE, LARGE), Piece::Borrowed(part) if part.len() == LARGE));
    }
}

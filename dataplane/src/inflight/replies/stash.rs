//! Replies that come before their turn: small ones together in one buffer, large ones shared.

use bytes::Bytes;

use super::{Replies, STASH, Slot, wish::Worded};
use crate::inflight::{LARGE, Piece};

impl Replies {
    /// Keeps the stash from growing with bytes that no slot points to any more.
    pub(super) fn tidy_stash(&mut self) {
        if self.stashed == 0 {
            self.stash.clear();
        } else if self.stash.len() > STASH && self.stashed < self.stash.len() / 2 {
            let old = std::mem::take(&mut self.stash);
            for slot in &mut self.slots {
                if let Slot::Early { start, len } = slot {
                    let (from, count) = (*start as usize, *len as usize);
                    *start = u32::try_from(self.stash.len()).expect("smaller than the old stash");
                    self.stash.extend_from_slice(&old[from..from + count]);
                }
            }
        }
    }

    fn early(&mut self, reply: Piece<'_>) -> Slot {
        let bytes = match reply {
            // An empty answer must not point into a stash that may be gone when its turn comes.
            reply if reply.bytes().is_empty() => return Slot::Nothing,
            Piece::Borrowed(bytes) if bytes.len() < LARGE => {
                let start = u32::try_from(self.stash.len()).expect("a stash is smaller than 4 GiB");
                self.stash.extend_from_slice(bytes);
                self.stashed += bytes.len();
                let len = u32::try_from(bytes.len()).expect("shorter than LARGE");
                return Slot::Early { start, len };
            }
            Piece::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Piece::Shared(bytes) => bytes,
        };
        self.shared += bytes.len();
        Slot::EarlyShared(Box::new(bytes))
    }

    /// Puts out the reply to the request at `index`, or keeps it for its turn.
    pub(super) fn put_whole(&mut self, index: usize, reply: Piece<'_>) {
        if index == 0 {
            self.put(reply);
            return self.pop();
        }
        let ready = self.early(reply);
        self.fill(index, ready);
    }

    /// Does the same with a reply that may come in pieces.
    pub(super) fn put_worded(&mut self, index: usize, worded: Worded<'_>) {
        if worded.is_whole() {
            return self.put_whole(index, worded.body);
        }
        let head = worded.head.as_ref().map_or(&b""[..], |head| head);
        if index == 0 {
            self.out.push(head);
            self.put(worded.body);
            self.out.push(worded.tail);
            return self.pop();
        }
        let start = self.stash.len();
        for bytes in [head, worded.body.bytes(), worded.tail] {
            self.stash.extend_from_slice(bytes);
        }
        let ready = self.stashed_from(start);
        self.fill(index, ready);
    }

    pub(super) fn fill(&mut self, index: usize, ready: Slot) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = ready;
        }
    }

    /// Makes a slot of what was written to the stash from `start` on.
    pub(super) fn stashed_from(&mut self, start: usize) -> Slot {
        let len = self.stash.len() - start;
        if len == 0 {
            return Slot::Nothing;
        }
        if len >= LARGE {
            let bytes = Bytes::copy_from_slice(&self.stash[start..]);
            self.stash.truncate(start);
            self.shared += len;
            return Slot::EarlyShared(Box::new(bytes));
        }
        self.stashed += len;
        Slot::Early {
            start: u32::try_from(start).expect("a stash is smaller than 4 GiB"),
            len: u32::try_from(len).expect("shorter than LARGE"),
        }
    }
}

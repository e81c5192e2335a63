//! Bytes that wait to be written: small pieces copied together, large ones shared.
//!
//! Positions count bytes since the queue was made. The queue keeps bytes until they are released, so that an outbox
//! can be read again for a resend:
//!
//! ```text
//!          start           from (caller's)            end
//!  released │ kept for resend │ still to be written    │
//!           [ copied segment  ][ shared ][ copied ......]
//! ```

use std::{collections::VecDeque, io::IoSlice};

use bytes::Bytes;

/// Pieces from this size on travel as shared slices instead of being copied.
pub const LARGE: usize = 16 * 1024;

/// Slices given to one `writev`.
pub const MAX_SLICES: usize = 64;

/// Size beyond which a copied segment is closed and another begun.
const SEGMENT: usize = 64 * 1024;

/// A queue of bytes, written from the front and appended at the back.
#[derive(Debug, Default)]
pub struct ByteQueue {
    segments: VecDeque<Segment>,
    /// Position of the first segment's first byte.
    start: u64,
    /// Position after the last byte.
    end: u64,
}

#[derive(Debug)]
enum Segment {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl ByteQueue {
    /// Returns the position after the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Returns the number of bytes held, released segments excluded.
    pub fn held(&self) -> usize {
        usize::try_from(self.end - self.start).expect("a queue fits in memory")
    }

    /// Returns the size of the largest piece that lies together in memory.
    pub fn largest(&self) -> usize {
        let sizes = self.segments.iter().map(|segment| segment.bytes().len());
        sizes.max().unwrap_or(0)
    }

    /// Appends a copy of `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.tail(bytes.len()).extend_from_slice(bytes);
        self.end += bytes.len() as u64;
    }

    /// Appends what `write` puts at the end of the buffer it is given.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let tail = self.tail(0);
        let before = tail.len();
        write(tail);
        let added = tail.len() - before;
        self.end += added as u64;
    }

    /// Takes back the last `count` bytes, which one push of a copy must have put there.
    pub fn retract(&mut self, count: usize) {
        if let Some(Segment::Copied(tail)) = self.segments.back_mut() {
            let before = tail.len();
            tail.truncate(before.saturating_sub(count));
            self.end -= (before - tail.len()) as u64;
        }
    }

    /// Appends `bytes` without copying them when they are large.
    pub fn push_shared(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            return self.push(&bytes);
        }
        self.end += bytes.len() as u64;
        self.segments.push_back(Segment::Shared(bytes));
    }

    /// Fills `slices` with the bytes from position `from` on and returns how many slices were filled.
    pub fn slices<'a>(&'a self, from: u64, slices: &mut [IoSlice<'a>]) -> usize {
        let mut position = self.start;
        let mut filled = 0;
        for segment in &self.segments {
            let bytes = segment.bytes();
            let next = position + bytes.len() as u64;
            if next > from {
                let Some(slot) = slices.get_mut(filled) else {
                    break;
                };
                let skip = usize::try_from(from.saturating_sub(position)).unwrap_or(usize::MAX);
                *slot = IoSlice::new(&bytes[skip..]);
                filled += 1;
            }
            position = next;
        }
        filled
    }

    /// Returns the bytes from position `from` on that lie together in memory.
    pub fn chunk(&self, from: u64) -> &[u8] {
        let mut position = self.start;
        for segment in &self.segments {
            let bytes = segment.bytes();
            let next = position + bytes.len() as u64;
            if next > from {
                return &bytes[usize::try_from(from - position).unwrap_or(usize::MAX)..];
            }
            position = next;
        }
        &[]
    }

    /// Returns whether all bytes from `from` on lie together.
    pub fn is_contiguous(&self, from: u64) -> bool {
        self.segments.len() <= 1 || from + self.chunk(from).len() as u64 == self.end
    }

    /// Copies `len` bytes from position `from` on to the end of `target`.
    pub fn copy(&self, from: u64, len: usize, target: &mut Vec<u8>) {
        let mut left = len;
        let mut from = from;
        while left > 0 {
            let chunk = self.chunk(from);
            let take = chunk.len().min(left);
            if take == 0 {
                return;
            }
            target.extend_from_slice(&chunk[..take]);
            left -= take;
            from += take as u64;
        }
    }

    /// Gives back everything before position `to`.
    pub fn release(&mut self, to: u64) {
        if to == self.end {
            return self.clear();
        }
        while let Some(front) = self.segments.front() {
            let next = self.start + front.bytes().len() as u64;
            if next > to {
                return;
            }
            self.start = next;
            self.segments.pop_front();
        }
    }

    /// Gives back the memory of an empty queue.
    pub fn shrink(&mut self) {
        if self.start == self.end {
            self.segments = VecDeque::new();
        }
    }

    /// Returns whether the queue holds no memory beyond itself.
    pub fn is_shrunk(&self) -> bool {
        self.segments.capacity() == 0
    }

    fn clear(&mut self) {
        self.start = self.end;
        self.segments.truncate(1);
        match self.segments.front_mut() {
            Some(Segment::Copied(bytes)) if bytes.capacity() <= 2 * SEGMENT => bytes.clear(),
            Some(_) => self.segments.clear(),
            None => {}
        }
    }

    /// Returns the copied segment at the back that takes `len` more bytes, begun if need be.
    fn tail(&mut self, len: usize) -> &mut Vec<u8> {
        let fits = matches!(self.segments.back(), Some(Segment::Copied(bytes)) if bytes.len() + len <= SEGMENT || bytes.is_empty());
        if !fits {
            self.segments.push_back(Segment::Copied(Vec::new()));
        }
        match self.segments.back_mut() {
            Some(Segment::Copied(bytes)) => bytes,
            _ => unreachable!("the back was made a copied segment above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(queue: &ByteQueue, from: u64) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let filled = queue.slices(from, &mut slices);
        slices[..filled].iter().flat_map(|s| s.to_vec()).collect()
    }

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut queue = ByteQueue::default();
        let large = Bytes::from(vec![b'x'; LARGE]);
        queue.push(b"one");
        queue.push_shared(large.clone());
        queue.push_with(|out| out.extend_from_slice(b"two"));
        let expected = [b"one".as_slice(), &large, b"two"].concat();
        assert_eq!(flat(&queue, 0), expected);
        assert_eq!(flat(&queue, 2), expected[2..]);
        let mut copied = Vec::new();
        queue.copy(1, LARGE + 4, &mut copied);
        assert_eq!(copied, expected[1..LARGE + 5]);
    }

    #[test]
    fn released_bytes_are_given_back_and_positions_stay() {
        let mut queue = ByteQueue::default();
        queue.push(&[b'a'; SEGMENT]);
        queue.push(b"bcd");
        queue.release(SEGMENT as u64 + 1);
        assert_eq!(queue.held(), 3, "only whole segments are given back");
        assert_eq!(flat(&queue, SEGMENT as u64 + 1), b"cd");
        queue.release(queue.end());
        assert_eq!(queue.held(), 0);
        queue.push(b"e");
        assert_eq!(flat(&queue, SEGMENT as u64 + 3), b"e");
    }

    #[test]
    fn empty_queue_gives_its_memory_back() {
        let mut queue = ByteQueue::default();
        queue.push(b"a");
        queue.shrink();
        assert!(!queue.is_shrunk(), "bytes are held");
        queue.release(1);
        queue.shrink();
        assert!(queue.is_shrunk());
    }
}

//! The replies of one session, put back into the order of its requests.
//!
//! ```text
//!   slots:  [ waiting ][ early ][ split 1/3 ][ waiting ]      out: bytes next in order, written by the session
//!              head ↑ its reply goes straight to `out`, and every answered slot behind it follows
//! ```
//!
//! The usual reply is next in order and is copied once, from the read buffer to `out`. One that comes early is kept
//! in the stash until its turn.

use std::{collections::VecDeque, io::IoSlice, rc::Rc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Bell, ByteQueue, Cancel, Merge, Piece, Subscribed};
use crate::protocol::{memcache::binary::Status, message::PartErrors};

mod stash;
mod wish;

pub use wish::Wish;

use wish::Worded;

/// Replies of one session, by sequence number.
#[derive(Debug, Default)]
pub struct Replies {
    /// Sequence number of the first slot.
    head: u32,
    slots: VecDeque<Slot>,
    out: ByteQueue,
    written: u64,
    stash: Vec<u8>,
    /// Bytes of the stash that a slot still points to.
    stashed: usize,
    /// Bytes of early shared replies.
    shared: usize,
    /// Bytes of parts whose requests are not complete.
    merging: usize,
    bell: Bell,
    /// Set when later requests are to wait until all earlier ones are answered.
    is_holding: bool,
    /// Calls off the deferred request, of which there is one at most.
    cancel: Option<oneshot::Sender<Cancel>>,
    /// Number of the kind of connections that requests travel on.
    pub kind: u8,
    /// The cluster's epoch that all requests in flight were sent under.
    epoch: u32,
    /// Sequence number of the last request that may change data.
    last_write: u32,
    /// What the session is subscribed to, once it was subscribed to anything.
    pub subscribed: Option<Rc<Subscribed>>,
    /// Endpoints where the session may have changed data: a bit for each, by number modulo 64.
    changed: u64,
    /// Nobody waits for replies any more.
    is_gone: bool,
    /// What the sweep needs to know.
    pub quiet: Quiet,
    /// Requests begun now are not answered, at the client's own wish.
    is_muted: bool,
}

/// What a session tells the sweep, and the other way round. Times are the worker's.
#[derive(Debug, Default)]
pub struct Quiet {
    /// When the client last sent something.
    pub heard: u64,
    /// When unsent replies last moved; `None` when none wait for the client.
    pub stalled: Option<u64>,
    /// Buffers were given back since the last request.
    pub is_shrunk: bool,
    /// The session is to end: it was silent, or took nothing, for too long.
    pub is_overdue: bool,
    /// The session is to end at once: another client asked for it.
    pub is_killed: bool,
    /// A message was left out because too many bytes wait: the session is to end.
    pub is_overrun: bool,
}

#[derive(Debug)]
enum Slot {
    Early {
        start: u32,
        len: u32,
    },
    EarlyShared(Box<Bytes>),
    Nothing,
    /// Waits for a packet of Memcached's binary protocol; words become one.
    Packet {
        opcode: u8,
        opaque: u32,
        unsaid: Option<Status>,
    },
    Silent,
    Split(Box<Merge>),
    /// Waits for a reply that is dropped if it begins with these bytes.
    Unless([u8; 2]),
    /// Waits for a value of Memcached, or nothing, which get their last line; so do errors that count as nothing.
    Value(PartErrors),
    Waiting,
}

/// Size from which on a stash is tidied, in bytes.
const STASH: usize = 64 * 1024;

impl Replies {
    /// Takes a place in the order and returns its sequence number.
    pub fn begin(&mut self, wish: Wish) -> u32 {
        self.push(match wish {
            Wish::Packet {
                opcode,
                opaque,
                unsaid,
            } => Slot::Packet {
                opcode,
                opaque,
                unsaid,
            },
            Wish::Reply if !self.is_muted => Slot::Waiting,
            Wish::Unless(unsaid) => Slot::Unless(unsaid),
            Wish::Value(errors) => Slot::Value(errors),
            Wish::Reply | Wish::Silence => Slot::Silent,
        })
    }

    /// Takes a place in the order for a request that was split.
    pub fn begin_split(&mut self, mut merge: Merge) -> u32 {
        merge.is_silent = self.is_muted;
        self.push(Slot::Split(Box::new(merge)))
    }

    /// Answers a request that needs nobody else, in its turn.
    pub fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_muted {
            return write(&mut Vec::new());
        }
        if self.slots.is_empty() {
            self.head = self.head.wrapping_add(1);
            return self.out.push_with(write);
        }
        let start = self.stash.len();
        write(&mut self.stash);
        let slot = self.stashed_from(start);
        self.slots.push_back(slot);
    }

    /// Puts out a message, between two replies and without a turn.
    ///
    /// When more than `limit` bytes wait besides one reply of at most `reply` bytes, it is left out and the session
    /// is to end.
    pub fn push_message(&mut self, message: Piece<'_>, limit: usize, reply: usize) {
        if self.quiet.is_overrun || self.is_over(limit, reply) {
            self.quiet.is_overrun = true;
            return;
        }
        // Replies are put out whole, so that what is there ends between two of them.
        self.put(message);
    }

    /// Returns whether the session is subscribed to anything.
    pub fn is_subscribed(&self) -> bool {
        let counts = self.subscribed.as_ref();
        counts.is_some_and(|counts| counts.is_any())
    }

    /// Settles one request, or one part of it, with its reply.
    ///
    /// A sequence number that is not waiting any more is ignored.
    pub fn settle(&mut self, sequence: u32, part: u16, reply: Piece<'_>) {
        let index = sequence.wrapping_sub(self.head) as usize;
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        match slot {
            Slot::Packet {
                opcode,
                opaque,
                unsaid,
            } => match Worded::packet(&reply, (*opcode, *opaque), *unsaid) {
                Some(worded) => self.put_worded(index, worded),
                None => *slot = Slot::Nothing,
            },
            Slot::Unless(unsaid) if reply.bytes().starts_with(unsaid) => *slot = Slot::Nothing,
            Slot::Value(errors) => {
                let worded = Worded::value(reply, *errors);
                self.put_worded(index, worded);
            }
            Slot::Unless(_) | Slot::Waiting => self.put_whole(index, reply),
            Slot::Silent => *slot = Slot::Nothing,
            Slot::Split(merge) => {
                let before = merge.held();
                merge.settle(part, reply.bytes());
                self.merging += merge.held() - before;
                if !merge.is_complete() {
                    return;
                }
                self.merging -= merge.held();
                if merge.is_silent {
                    // Whoever merges may have something to learn from the parts.
                    merge.finish(&mut Vec::new());
                    *slot = Slot::Nothing;
                    if index == 0 {
                        self.advance();
                    }
                    return;
                }
                let start = self.stash.len();
                merge.finish(&mut self.stash);
                let ready = self.stashed_from(start);
                self.fill(index, ready);
            }
            Slot::Early { .. } | Slot::EarlyShared(_) | Slot::Nothing => return,
        }
        if index == 0 {
            self.advance();
        }
    }

    /// Returns the merge of a split request that is not complete.
    pub fn merge(&mut self, sequence: u32) -> Option<&mut Merge> {
        let index = sequence.wrapping_sub(self.head) as usize;
        match self.slots.get_mut(index) {
            Some(Slot::Split(merge)) => Some(merge),
            _ => None,
        }
    }

    /// Turns a request that waits for one reply into a split one.
    pub fn split(&mut self, sequence: u32, merge: Merge) {
        let index = sequence.wrapping_sub(self.head) as usize;
        if let Some(slot @ Slot::Waiting) = self.slots.get_mut(index) {
            *slot = Slot::Split(Box::new(merge));
        }
    }

    /// Returns the number of requests whose replies have not all been put out.
    pub fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of bytes kept for the client: unsent, early, and parts of what is not complete.
    pub fn buffered(&self) -> usize {
        self.unsent() + self.stashed + self.shared + self.merging
    }

    /// Returns whether more than `limit` bytes are kept for the client besides one reply of at most `reply` bytes.
    ///
    /// A reply may be larger than the limit: a client that takes it is to have it.
    pub fn is_over(&self, limit: usize, reply: usize) -> bool {
        let buffered = self.buffered();
        buffered > limit && buffered - self.largest().min(reply).min(buffered) > limit
    }

    fn largest(&self) -> usize {
        let early = self.slots.iter().map(|slot| match slot {
            Slot::EarlyShared(bytes) => bytes.len(),
            _ => 0,
        });
        let merging = match self.slots.front() {
            Some(Slot::Split(merge)) => merge.held(),
            _ => 0,
        };
        early.fold(merging.max(self.out.largest()), usize::max)
    }

    /// Returns the number of bytes that are next in order and not written.
    pub fn unsent(&self) -> usize {
        usize::try_from(self.out.end() - self.written).unwrap_or(usize::MAX)
    }

    /// Returns the unsent bytes that lie together.
    pub fn chunk(&self) -> &[u8] {
        self.out.chunk(self.written)
    }

    /// Returns whether one chunk holds everything unsent.
    pub fn is_contiguous(&self) -> bool {
        self.out.is_contiguous(self.written)
    }

    /// Fills `slices` with unsent bytes and returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.out.slices(self.written, slices)
    }

    /// Notes that `count` bytes were written.
    pub fn wrote(&mut self, count: usize) {
        self.written += count as u64;
        self.out.release(self.written);
    }

    /// Gives back the memory of a quiet session.
    pub fn shrink(&mut self) {
        self.out.shrink();
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
            self.stash = Vec::new();
        }
    }

    /// Lets requests that are begun from now on go unanswered, or answers them again; returns how it was.
    pub fn mute(&mut self, is_muted: bool) -> bool {
        std::mem::replace(&mut self.is_muted, is_muted)
    }

    /// Returns whether a new request must wait until all earlier ones are answered, because keys may have moved.
    pub fn must_hold(&mut self, epoch: u32) -> bool {
        if self.slots.is_empty() {
            self.is_holding = false;
            if self.epoch != epoch {
                self.epoch = epoch;
                self.renumber();
            }
        }
        self.is_holding || self.epoch != epoch
    }

    /// Lets later requests wait until all earlier ones are answered: one was sent elsewhere than first, or will be.
    pub fn hold(&mut self) {
        self.is_holding = true;
    }

    /// Notes how the request that was just begun is called off; it is when the session ends.
    pub fn defer(&mut self, cancel: oneshot::Sender<Cancel>) {
        // Dropped, it calls the request off at once.
        self.cancel = (!self.is_gone).then_some(cancel);
        self.hold();
    }

    /// Calls the deferred request off; returns whether there was one.
    pub fn cancel(&mut self, why: Cancel) -> bool {
        self.is_gone |= why == Cancel::Gone;
        let cancel = self.cancel.take();
        cancel.is_some_and(|cancel| cancel.send(why).is_ok())
    }

    /// Notes that a request may change data at the endpoint with a number.
    pub fn note_write(&mut self, sequence: u32, node: usize) {
        self.last_write = sequence;
        self.changed |= 1 << (node % 64);
    }

    /// Notes that data may have been changed at any endpoint.
    pub fn wrote_anywhere(&mut self) {
        self.changed = u64::MAX;
    }

    /// Returns whether the session may have changed data at the endpoint with a number.
    pub fn has_written(&self, node: usize) -> bool {
        self.changed & 1 << (node % 64) != 0
    }

    /// Returns whether the session may have changed data at all.
    pub fn has_written_anywhere(&self) -> bool {
        self.changed != 0
    }

    /// Endpoints have other numbers from now on.
    fn renumber(&mut self) {
        if self.changed != 0 {
            self.wrote_anywhere();
        }
    }

    /// Returns whether requests were begun after `sequence`.
    pub fn has_later(&self, sequence: u32) -> bool {
        (sequence.wrapping_sub(self.head) as usize) + 1 < self.slots.len()
    }

    /// Returns whether requests that may change data were begun after `sequence`.
    pub fn has_later_write(&self, sequence: u32) -> bool {
        let last = self.last_write.wrapping_sub(self.head) as usize;
        last < self.slots.len() && last > sequence.wrapping_sub(self.head) as usize
    }

    /// Wakes the session.
    pub fn bell(&mut self) -> &mut Bell {
        &mut self.bell
    }

    fn push(&mut self, slot: Slot) -> u32 {
        let sequence = self
            .head
            .wrapping_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        self.slots.push_back(slot);
        sequence
    }

    fn put(&mut self, bytes: Piece<'_>) {
        match bytes {
            Piece::Borrowed(bytes) => self.out.push(bytes),
            Piece::Shared(bytes) => self.out.push_shared(bytes),
        }
    }

    fn pop(&mut self) {
        self.slots.pop_front();
        self.head = self.head.wrapping_add(1);
    }

    fn advance(&mut self) {
        while let Some(slot) = self.slots.front_mut() {
            match slot {
                Slot::Early { start, len } => {
                    let (start, len) = (*start as usize, *len as usize);
                    self.out.push(&self.stash[start..start + len]);
                    self.stashed -= len;
                }
                Slot::EarlyShared(bytes) => {
                    self.shared -= bytes.len();
                    self.out.push_shared(std::mem::take(&mut **bytes));
                }
                Slot::Nothing => {}
                Slot::Packet { .. }
                | Slot::Silent
                | Slot::Split(_)
                | Slot::Unless(_)
                | Slot::Value(_)
                | Slot::Waiting => break,
            }
            self.pop();
        }
        self.tidy_stash();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inflight::LARGE;

    fn drain(replies: &mut Replies) -> Vec<u8> {
        let mut out = Vec::new();
        while replies.unsent() > 0 {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = replies.slices(&mut slices);
            let some: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            replies.wrote(some.len());
            out.extend(some);
        }
        out
    }

    /// The reply to request `number`; some are large.
    fn reply(number: u32) -> Vec<u8> {
        let len = if number % 7 == 3 {
            LARGE + number as usize
        } else {
            number as usize % 50
        };
        let mut text = format!("<{number}>").into_bytes();
        text.resize(text.len() + len, b'.');
        text
    }

    proptest! {
        #[test]
        fn replies_come_out_in_the_order_of_requests(
            order in Just((0..60u32).collect::<Vec<_>>()).prop_shuffle(),
            cut in 0..60usize,
        ) {
            let mut replies = Replies::default();
            let sequences: Vec<u32> = (0..60).map(|_| replies.begin(Wish::Reply)).collect();
            let mut out = Vec::new();
            for (step, number) in order.iter().enumerate() {
                let bytes = reply(*number);
                let piece = match number % 2 {
                    0 => Piece::Borrowed(&bytes),
                    _ => Piece::Shared(Bytes::from(bytes)),
                };
                replies.settle(sequences[*number as usize], 0, piece);
                if step == cut {
                    out.extend(drain(&mut replies));
                }
            }
            out.extend(drain(&mut replies));
            let expected: Vec<u8> = (0..60).flat_map(reply).collect();
            prop_assert!(out == expected);
            prop_assert_eq!((replies.in_flight(), replies.buffered()), (0, 0));
        }
    }

    #[test]
    fn message_is_put_out_between_two_replies() {
        let mut replies = Replies::default();
        let [first, second] = [replies.begin(Wish::Reply), replies.begin(Wish::Reply)];
        replies.push_message(Piece::Borrowed(b"<m1>"), 100, 100);
        replies.settle(second, 0, Piece::Borrowed(b"<2>"));
        replies.push_message(Piece::Borrowed(b"<m2>"), 100, 100);
        replies.settle(first, 0, Piece::Borrowed(b"<1>"));
        replies.push_message(Piece::Borrowed(b"<m3>"), 100, 100);
        assert_eq!(drain(&mut replies), b"<m1><m2><1><2><m3>");
    }

    #[test]
    fn message_too_many_ends_the_session_and_no_message_is_skipped() {
        let mut replies = Replies::default();
        let message = Bytes::from(vec![b'm'; LARGE]);
        for _ in 0..3 {
            replies.push_message(Piece::Shared(message.clone()), LARGE, LARGE);
        }
        assert!(
            !replies.quiet.is_overrun,
            "one is allowed besides the limit"
        );
        let held = replies.unsent();
        replies.push_message(Piece::Borrowed(b"<m>"), LARGE, LARGE);
        assert!(replies.quiet.is_overrun);
        replies.wrote(held);
        replies.push_message(Piece::Borrowed(b"<m>"), LARGE, LARGE);
        assert_eq!(replies.unsent(), 0, "what comes after a gap is not told");
    }

    #[test]
    fn silent_and_local_answers_keep_their_place() {
        let mut replies = Replies::default();
        let first = replies.begin(Wish::Reply);
        let silent = replies.begin(Wish::Silence);
        replies.answer(|out| out.extend_from_slice(b"local "));
        let last = replies.begin(Wish::Reply);
        replies.settle(last, 0, Piece::Borrowed(b"last"));
        replies.settle(silent, 0, Piece::Borrowed(b"never seen"));
        assert_eq!(drain(&mut replies), b"");
        replies.settle(first, 0, Piece::Borrowed(b"first "));
        assert_eq!(drain(&mut replies), b"first local last");
    }

    #[test]
    fn empty_answer_outlives_the_stash_it_was_made_in() {
        let mut replies = Replies::default();
        let first = replies.begin(Wish::Reply);
        replies.answer(|out| out.extend(b"+local\r\n"));
        let second = replies.begin(Wish::Reply);
        let empty = Merge::new([vec![0]], Box::new(|_, _| {}));
        let third = replies.begin_split(empty);
        replies.settle(third, 0, Piece::Borrowed(b"+dropped\r\n"));
        replies.settle(first, 0, Piece::Borrowed(b"+1\r\n"));
        replies.settle(second, 0, Piece::Borrowed(b"+2\r\n"));
        assert_eq!(drain(&mut replies), b"+1\r\n+local\r\n+2\r\n");
        assert_eq!(replies.in_flight(), 0);
    }

    #[test]
    fn quiet_request_answered_by_nothing_outlives_the_stash() {
        let mut replies = Replies::default();
        let sequences: Vec<_> = (0..4).map(|_| replies.begin(Wish::Reply)).collect();
        replies.settle(sequences[1], 0, Piece::Borrowed(b"EN\r\n"));
        replies.settle(sequences[3], 0, Piece::Borrowed(b""));
        replies.settle(sequences[0], 0, Piece::Borrowed(b"HD\r\n"));
        replies.settle(sequences[2], 0, Piece::Borrowed(b"MN\r\n"));
        assert_eq!(drain(&mut replies), b"HD\r\nEN\r\nMN\r\n");
        assert_eq!(replies.in_flight(), 0);
    }

    #[test]
    fn second_reply_to_one_request_is_ignored() {
        let mut replies = Replies::default();
        let sequence = replies.begin(Wish::Reply);
        replies.settle(sequence, 0, Piece::Borrowed(b"once"));
        replies.settle(sequence, 0, Piece::Borrowed(b"twice"));
        replies.settle(sequence.wrapping_add(7), 0, Piece::Borrowed(b"never asked"));
        assert_eq!(drain(&mut replies), b"once");
    }

    #[test]
    fn stash_does_not_grow_with_what_was_written() {
        let mut replies = Replies::default();
        let mut late = replies.begin(Wish::Reply);
        for _ in 0..1000 {
            let next = replies.begin(Wish::Reply);
            let early = replies.begin(Wish::Reply);
            replies.settle(early, 0, Piece::Borrowed(&[b'x'; 1000]));
            replies.settle(late, 0, Piece::Borrowed(b"y"));
            drain(&mut replies);
            late = next;
        }
        assert!(
            replies.stash.capacity() < 4 * STASH,
            "{}",
            replies.stash.capacity()
        );
    }

    #[test]
    fn moved_keys_hold_new_requests_until_earlier_ones_are_answered() {
        let mut replies = Replies::default();
        assert!(!replies.must_hold(1));
        let sequence = replies.begin(Wish::Reply);
        assert!(!replies.must_hold(1), "nothing has moved");
        assert!(replies.must_hold(2), "the cluster's keys moved");
        replies.settle(sequence, 0, Piece::Borrowed(b""));
        assert!(!replies.must_hold(2));
        let sequence = replies.begin(Wish::Reply);
        replies.hold();
        assert!(replies.must_hold(2), "this request was sent elsewhere");
        replies.settle(sequence, 0, Piece::Borrowed(b""));
        assert!(!replies.must_hold(2));
    }

    #[test]
    fn one_reply_may_be_larger_than_the_limit_and_two_may_not() {
        const LIMIT: usize = 4 * LARGE;
        let large = || Piece::Shared(Bytes::from(vec![b'x'; LIMIT + 1]));
        let mut replies = Replies::default();
        replies.answer(|out| out.extend_from_slice(b"before"));
        let sequences = [replies.begin(Wish::Reply), replies.begin(Wish::Reply)];
        replies.settle(sequences[1], 0, large());
        assert!(!replies.is_over(LIMIT, 2 * LIMIT));
        assert!(replies.is_over(LIMIT, 2), "no reply is as large as this");
        replies.settle(sequences[0], 0, large());
        assert!(replies.is_over(LIMIT, 2 * LIMIT));
        replies.wrote(6 + LIMIT + 1);
        assert!(!replies.is_over(LIMIT, 2 * LIMIT));
    }

    #[test]
    fn parts_of_a_split_reply_count_as_buffered() {
        let mut replies = Replies::default();
        let finish: crate::inflight::Finish =
            Box::new(|parts, out| parts.iter().for_each(|part| out.extend(part.reply)));
        let parts = [vec![0], vec![1]];
        let sequence = replies.begin_split(Merge::new(parts, finish));
        replies.settle(sequence, 0, Piece::Borrowed(&[b'x'; 1000]));
        assert_eq!(replies.buffered(), 1000);
        replies.settle(sequence, 1, Piece::Borrowed(b"y"));
        assert_eq!((replies.buffered(), replies.unsent()), (1001, 1001));
        drain(&mut replies);
        assert_eq!(replies.buffered(), 0);
    }
}

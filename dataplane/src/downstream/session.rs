//! One client connection: a batch in, replies out, in order.
//!
//! One task a session. A poll reads until nothing is there (at most 64 KiB), dispatches every complete request, then
//! writes what is next in order: it tries the write first and waits only when the socket is full.

use std::{
    future::Future,
    io::IoSlice,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use tokio::task::yield_now;

use crate::{
    cluster::{Batch, ClusterShared, ClusterWorker},
    inflight::{Cancel, Intake, MAX_SLICES, Piece, Ticket},
    protocol::message::Progress,
    upstream::{Stream, Wire},
};

/// Requests of one session that may be on their way before it stops reading.
const MAX_IN_FLIGHT: usize = 8192;

/// Unsent bytes of one session beyond which it stops reading.
const HIGH_MARK: usize = 1024 * 1024;

/// Held bytes of one session beyond which it stops reading.
const HELD_MARK: usize = 64 * 1024;

/// Unsent bytes from which on nothing is waited for.
const GATHER: usize = 16 * 1024;

/// What a session's protocol does with bytes; chosen when the client connects.
pub trait Protocol {
    /// Looks at the bytes of one request, from its first byte, and keeps its place between calls.
    ///
    /// # Errors
    /// The last words to a client that breaks the protocol.
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>>;

    /// Serves the request that was just decoded; one that has to wait is served again later, from its bytes.
    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next;

    /// Returns whether the client has lost the right to be here, and leaves as soon as it is quiet.
    fn is_dismissed(&mut self, _cluster: &ClusterWorker) -> bool {
        false
    }

    /// Gives back memory while no request is under way.
    fn shrink(&mut self);
}

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It ends once everything begun is answered.
    Close,
    /// It goes on.
    Continue,
    /// The request was not served: it waits until all earlier ones are answered.
    Hold,
}

/// The task of one client; ends when the connection does.
pub struct Session {
    stream: Stream,
    cluster: Rc<ClusterWorker>,
    ticket: Ticket,
    protocol: Box<dyn Protocol>,
    intake: Intake,
    /// Bytes that wait until all earlier requests are answered.
    held: Vec<u8>,
    /// No more requests are taken.
    is_ending: bool,
    /// The client will send no more, or the stream failed.
    is_cut: bool,
    /// Unsent replies wait for one look at the sockets.
    is_gathering: bool,
    /// The stream may hold bytes that nothing will wake this task for.
    has_unread: bool,
    _seat: Seat,
}

/// A client's place among those its cluster admits on this data plane; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<ClusterShared>,
}

impl Seat {
    /// Takes a place, unless `limit` are taken.
    pub fn take(shared: &Arc<ClusterShared>, limit: Option<u64>) -> Option<Self> {
        let taken = shared.clients.fetch_add(1, Ordering::Relaxed);
        let seat = Self {
            shared: Arc::clone(shared),
        };
        limit.is_none_or(|limit| taken < limit).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Makes the session of a client that was admitted.
    pub fn new(stream: Stream, cluster: Rc<ClusterWorker>, seat: Seat) -> Self {
        let ticket = cluster.table.borrow_mut().insert();
        let now = cluster.context.clock.read();
        if let Some(replies) = cluster.table.borrow_mut().get(ticket) {
            replies.quiet.heard = now;
        }
        cluster.metrics.connections_total.inc();
        cluster.metrics.clients.add(1);
        let protocol: Box<dyn Protocol> = match cluster.settings_ref().wire {
            Wire::Memcache | Wire::MemcacheBinary => Box::new(super::detect::Detect::new(&cluster)),
            Wire::Redis => Box::new(super::redis::Redis::new(&cluster, &stream, ticket)),
        };
        Self {
            stream,
            cluster,
            ticket,
            protocol,
            intake: Intake::default(),
            held: Vec::new(),
            is_ending: false,
            is_cut: false,
            is_gathering: false,
            has_unread: false,
            _seat: seat,
        }
    }

    /// Takes requests from the client as long as there are any and it may send more.
    fn read(&mut self, cx: &mut Context<'_>) {
        let cluster = Rc::clone(&self.cluster);
        let mut taken = 0;
        self.has_unread = true;
        while self.may_read() {
            let mut scratch = cluster.context.scratch.borrow_mut();
            match self.stream.poll_read(cx, &mut scratch) {
                Poll::Pending => {
                    self.has_unread = false;
                    return;
                }
                Poll::Ready(Ok(count)) if count > 0 => {
                    let now = cluster.context.clock.read();
                    cluster.metrics.bytes_in_total.add(count as u64);
                    self.with_quiet(|quiet| {
                        quiet.heard = now;
                        quiet.is_shrunk = false;
                        quiet.is_overdue = false;
                    });
                    self.take_in(&scratch[..count]);
                    taken += count;
                    if taken >= scratch.len() {
                        return;
                    }
                }
                Poll::Ready(Ok(_)) => self.hear_no_more(),
                Poll::Ready(Err(_)) => {
                    self.held.clear();
                    self.hear_no_more();
                }
            }
        }
    }

    /// The client will send nothing more: what it sent is still served, but nothing waits for others on its behalf.
    fn hear_no_more(&mut self) {
        self.is_cut = true;
        self.is_ending = self.held.is_empty();
        if let Some(replies) = self.cluster.table.borrow_mut().get(self.ticket) {
            replies.cancel(Cancel::Gone);
        }
    }

    fn may_read(&self) -> bool {
        if self.is_ending || self.is_cut || self.held.len() >= HELD_MARK {
            return false;
        }
        let mut table = self.cluster.table.borrow_mut();
        table.get(self.ticket).is_some_and(|replies| {
            replies.in_flight() < MAX_IN_FLIGHT && replies.buffered() < HIGH_MARK
        })
    }

    /// Serves every complete request of `fresh` and keeps the rest.
    fn take_in(&mut self, fresh: &[u8]) {
        if !self.held.is_empty() {
            return self.held.extend_from_slice(fresh);
        }
        let mut batch = self.cluster.batch(self.ticket);
        let mut position = 0;
        self.is_ending = loop {
            if batch.must_hold() {
                self.held.extend_from_slice(&fresh[position..]);
                break false;
            }
            let protocol = &mut self.protocol;
            match self
                .intake
                .next(fresh, &mut position, |bytes| protocol.decode(bytes))
            {
                Ok(None) => break false,
                Ok(Some(request)) => match self.protocol.serve(request.clone(), &mut batch) {
                    Next::Continue => {}
                    Next::Close => break true,
                    Next::Hold => {
                        batch.replies().hold();
                        self.held.extend_from_slice(request.bytes());
                        self.held.extend_from_slice(&fresh[position..]);
                        break false;
                    }
                },
                Err(last_words) => {
                    batch.answer(|out| out.extend_from_slice(&last_words));
                    break true;
                }
            }
        };
    }

    /// Serves what was held, once it may go on.
    fn resume(&mut self) {
        while !self.held.is_empty() && !self.is_ending {
            let held = std::mem::take(&mut self.held);
            let now = self.cluster.context.clock.read();
            self.with_quiet(|quiet| quiet.heard = now);
            self.take_in(&held);
            if self.held.len() == held.len() {
                return;
            }
        }
        self.is_ending |= self.is_cut && self.held.is_empty();
    }

    /// Writes what is next in order.
    ///
    /// While more replies are due, one look at the sockets comes first: those that arrive in the meantime travel in
    /// the same write.
    fn write(&mut self, cx: &mut Context<'_>) {
        let mut table = self.cluster.table.borrow_mut();
        let Some(replies) = table.get(self.ticket) else {
            return;
        };
        let unsent = replies.unsent();
        self.is_gathering =
            !self.is_gathering && unsent > 0 && unsent < GATHER && replies.in_flight() > 0;
        if self.is_gathering {
            // The runtime wakes this task once it has looked.
            let _ = pin!(yield_now()).poll(cx);
            return;
        }
        while replies.unsent() > 0 {
            let attempt = if replies.is_contiguous() {
                self.stream.poll_write(cx, replies.chunk())
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let filled = replies.slices(&mut slices);
                self.stream.poll_write_vectored(cx, &slices[..filled])
            };
            let now = self.cluster.context.clock.now();
            match attempt {
                Poll::Pending => {
                    replies.quiet.stalled.get_or_insert(now);
                    return;
                }
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.cluster.metrics.bytes_out_total.add(count as u64);
                    replies.wrote(count);
                    replies.quiet.stalled = None;
                    replies.quiet.is_overdue = false;
                }
                Poll::Ready(_) => {
                    self.held.clear();
                    self.is_cut = true;
                    self.is_ending = true;
                    replies.cancel(Cancel::Gone);
                    // Nobody will read what is left.
                    let unsent = replies.unsent();
                    replies.wrote(unsent);
                    return;
                }
            }
        }
    }

    /// Returns whether the session is over.
    fn is_over(&mut self) -> bool {
        let (limit, reply) = {
            let settings = self.cluster.settings_ref();
            (settings.client_buffer, settings.limits.max_reply_bytes)
        };
        let is_closing = self.cluster.is_closing() || self.protocol.is_dismissed(&self.cluster);
        let mut table = self.cluster.table.borrow_mut();
        let Some(replies) = table.get(self.ticket) else {
            return true;
        };
        if replies.quiet.is_overrun
            || replies.is_over(limit, reply)
            || replies.quiet.stalled.is_some() && replies.quiet.is_overdue
        {
            self.cluster.metrics.clients_closed_slow_total.inc();
            return true;
        }
        if replies.quiet.is_overdue || replies.quiet.is_killed {
            return true;
        }
        let is_quiet = replies.in_flight() == 0 && replies.unsent() == 0;
        if replies.quiet.is_shrunk && is_quiet {
            replies.shrink();
            self.intake.shrink();
            self.protocol.shrink();
            self.held.shrink_to_fit();
        }
        let is_between = self.intake.is_empty() && self.held.is_empty() && !self.has_unread;
        is_quiet && (self.is_ending || is_closing && is_between)
    }

    fn with_quiet(&self, change: impl FnOnce(&mut crate::inflight::Quiet)) {
        if let Some(replies) = self.cluster.table.borrow_mut().get(self.ticket) {
            change(&mut replies.quiet);
        }
    }
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(replies) = this.cluster.table.borrow_mut().get(this.ticket) {
            replies.bell().listen(cx.waker());
        }
        this.resume();
        this.read(cx);
        this.write(cx);
        if this.is_over() {
            return Poll::Ready(());
        }
        if this.has_unread && this.may_read() {
            // Written replies made room, or others had their turn: nothing else would come back to the stream.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cluster.table.borrow_mut().remove(self.ticket);
        self.cluster.note_blocked(self.ticket, false);
        self.cluster
            .observer
            .clients
            .borrow_mut()
            .remove(self.ticket);
        self.cluster.metrics.clients.sub(1);
    }
}

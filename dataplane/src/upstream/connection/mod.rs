//! One connection to one endpoint: an outbox, a FIFO of tickets, and the replies as they come.
//!
//! ```text
//!  outbox   [ answered | sent, waiting for replies | not sent ]
//!                      ↑ front of the FIFO          ↑ written
//! ```
//!
//! The outbox keeps a request's bytes until its reply is popped, so that it can be sent elsewhere. There is no loop
//! and no task here: a pump calls [`Connection::poll_open`], [`Connection::poll_fill`] and [`Connection::poll_flush`].

use std::{
    collections::VecDeque,
    future::Future,
    io::IoSlice,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    Backoff, ConnectError, Dial, Expect, Loss, Nanos, Pending, QueueLimits, Stream, Target, Unsent,
    Wire, decoder::Decoder, nanos,
};
use crate::{
    inflight::{Bell, ByteQueue, Intake, MAX_SLICES, Piece},
    protocol::{memcache::reply::without_barrier, message::Limits},
};

mod deadline;
mod joined;
mod queue;

type Opening = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>>>>;

enum State {
    Idle,
    Opening(Opening),
    Open(Stream),
    Waiting { until: Nanos, reason: Rc<str> },
}

/// One connection, from before it is first opened until it is given up.
pub struct Connection {
    target: Rc<Target>,
    dial: Rc<Dial>,
    limits: QueueLimits,
    state: State,
    backoff: Backoff,
    outbox: ByteQueue,
    written: u64,
    fifo: VecDeque<Pending>,
    /// Those of the last get in the outbox.
    keys: joined::Keys,
    intake: Intake,
    decoder: Decoder,
    max_reply: Limits,
    /// When the last byte came.
    heard: Nanos,
    /// When the last byte went, or the outbox was last empty.
    progressed: Nanos,
    /// The connection that is open has answered a request.
    is_proven: bool,
    /// A check may be due before the one the pump knows of.
    is_early: bool,
    bell: Bell,
    retired: bool,
}

impl Connection {
    /// Makes a connection that is opened by its first request.
    pub fn new(
        target: Rc<Target>,
        dial: Rc<Dial>,
        limits: QueueLimits,
        max_reply: Limits,
        wire: Wire,
    ) -> Self {
        Self {
            target,
            dial,
            limits,
            state: State::Idle,
            backoff: Backoff::default(),
            outbox: ByteQueue::default(),
            written: 0,
            fifo: VecDeque::new(),
            keys: joined::Keys::default(),
            intake: Intake::default(),
            decoder: Decoder::new(wire, max_reply),
            max_reply,
            heard: 0,
            progressed: 0,
            is_proven: false,
            is_early: false,
            bell: Bell::default(),
            retired: false,
        }
    }

    /// Opens the connection if need be.
    ///
    /// # Errors
    /// Why it could not be opened; the next attempt waits for the backoff.
    pub fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        now: Nanos,
        random: u64,
    ) -> Poll<Result<(), ConnectError>> {
        loop {
            match &mut self.state {
                State::Open(_) => return Poll::Ready(Ok(())),
                State::Idle if self.fifo.is_empty() => return Poll::Pending,
                State::Waiting { until, .. } if *until > now => return Poll::Pending,
                State::Idle | State::Waiting { .. } => {
                    let dial = Rc::clone(&self.dial);
                    let addr = self.target.addr.clone();
                    self.state = State::Opening(Box::pin(async move { dial.open(addr).await }));
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(stream) => {
                        self.is_proven = false;
                        self.heard = now;
                        self.progressed = now;
                        self.state = State::Open(stream);
                    }
                    Err(error) => {
                        self.back_off(now, random, Rc::from(error.to_string()));
                        return Poll::Ready(Err(error));
                    }
                },
            }
        }
    }

    /// Gives the connection up for a while; requests are refused with `reason` until it is tried again.
    pub fn back_off(&mut self, now: Nanos, random: u64, reason: Rc<str>) {
        let until = now + nanos(self.backoff.next(random));
        self.state = State::Waiting { until, reason };
    }

    /// Reads into `scratch`.
    ///
    /// # Errors
    /// [`Loss`]; the connection is then to be closed.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        now: Nanos,
    ) -> Poll<Result<usize, Loss>> {
        let State::Open(stream) = &mut self.state else {
            return Poll::Pending;
        };
        let count = ready!(stream.poll_read(cx, scratch))?;
        if count == 0 {
            return Poll::Ready(Err(Loss::Closed));
        }
        self.heard = now;
        Poll::Ready(Ok(count))
    }

    /// Gives the replies in what was read to `each`, in order, with their requests and the outbox that still holds the
    /// requests' bytes; the rest of an incomplete one is kept.
    ///
    /// # Errors
    /// [`Loss::Malformed`] when the endpoint breaks the protocol or sends what nobody asked for.
    pub fn take_replies(
        &mut self,
        fresh: &[u8],
        mut each: impl FnMut(&Pending, Piece<'_>, &ByteQueue),
    ) -> Result<(), Loss> {
        let mut position = 0;
        loop {
            let unread = fresh.get(position..).unwrap_or_default();
            let first = self.fifo.front().copied();
            // Not a byte of the request was written: taking this for its reply would shift all that follow.
            let Some(pending) = first.filter(|first| first.start < self.written) else {
                return match unread.is_empty() {
                    true => Ok(()),
                    false => Err(Loss::unasked(unread)),
                };
            };
            let decoder = &mut self.decoder;
            let piece = self.intake.next(fresh, &mut position, |bytes| {
                decoder.decode(bytes, pending.expect)
            })?;
            let Some(piece) = piece else {
                return Ok(());
            };
            if !self.is_proven {
                self.is_proven = true;
                self.backoff.reset();
            }
            let whole = piece.bytes().len();
            let len = match pending.expect {
                Expect::Value(_) => {
                    joined::give_each(&mut self.fifo, &self.outbox, &piece, &mut each)?;
                    continue;
                }
                Expect::Quiet => without_barrier(piece.bytes()),
                _ => whole,
            };
            self.fifo.pop_front();
            each(&pending, piece.first(len), &self.outbox);
        }
    }

    /// Gives back the bytes of requests that were answered.
    pub fn release_answered(&mut self) {
        let answered = self
            .fifo
            .front()
            .map_or(self.outbox.end(), |pending| pending.start);
        self.outbox.release(answered.min(self.written));
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// As the operating system gives them; the connection is then to be closed.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, now: Nanos) -> Poll<Result<usize, Loss>> {
        let State::Open(stream) = &mut self.state else {
            return Poll::Pending;
        };
        let mut total = 0;
        while self.written < self.outbox.end() {
            let attempt = if self.outbox.is_contiguous(self.written) {
                stream.poll_write(cx, self.outbox.chunk(self.written))
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let filled = self.outbox.slices(self.written, &mut slices);
                stream.poll_write_vectored(cx, &slices[..filled])
            };
            let count = match attempt {
                Poll::Pending => {
                    self.is_early = true;
                    return if total > 0 {
                        Poll::Ready(Ok(total))
                    } else {
                        Poll::Pending
                    };
                }
                Poll::Ready(count) => count?,
            };
            self.written += count as u64;
            self.progressed = now;
            total += count;
        }
        Poll::Ready(Ok(total))
    }

    /// Returns the requests that are not answered, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &Pending> {
        self.fifo.iter()
    }

    /// Appends the bytes of a request that was not answered to `target`.
    pub fn copy(&self, pending: &Pending, target: &mut Vec<u8>) {
        self.outbox
            .copy(pending.start, pending.len as usize, target);
    }

    /// Ends the connection and returns the requests that were sent, and those that were not when `keep_unsent` is
    /// false. Kept requests go out on the next connection.
    pub fn close(&mut self, unsent: Unsent) -> Vec<Pending> {
        if !matches!(self.state, State::Waiting { .. }) {
            self.state = State::Idle;
        }
        self.intake = Intake::default();
        self.decoder = Decoder::new(self.decoder.kind(), self.max_reply);
        let written = self.written;
        let kept = match unsent {
            Unsent::Drop => self.fifo.len(),
            Unsent::Keep => self
                .fifo
                .iter()
                .take_while(|pending| pending.start < written)
                .count(),
        };
        let lost = self.fifo.drain(..kept).collect();
        self.written = self
            .fifo
            .front()
            .map_or(self.outbox.end(), |pending| pending.start);
        self.outbox.release(self.written);
        self.bell.ring();
        lost
    }

    /// Wakes the pump.
    pub fn bell(&mut self) -> &mut Bell {
        &mut self.bell
    }

    /// Lets the connection end once its last request is answered.
    pub fn retire(&mut self) {
        self.retired = true;
        self.bell.ring();
    }

    /// Returns whether the connection was retired and has nothing left to do.
    pub fn is_finished(&self) -> bool {
        self.retired && self.fifo.is_empty()
    }

    /// Returns whether the connection that is open, or was last, has answered a request.
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Returns whether the connection is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Returns the number of requests that wait for replies.
    pub fn pending(&self) -> usize {
        self.fifo.len()
    }

    /// Returns whether [`Connection::next_check`] may have become earlier; asked once, it is forgotten.
    pub fn take_early(&mut self) -> bool {
        std::mem::take(&mut self.is_early)
    }

    /// Returns the number of bytes that are queued and not written.
    pub fn unsent(&self) -> u64 {
        self.outbox.end() - self.written
    }

    /// Returns the bytes of requests that wait for replies.
    pub fn outbox(&self) -> &ByteQueue {
        &self.outbox
    }

    /// Returns where the connection leads.
    pub fn target(&self) -> &Rc<Target> {
        &self.target
    }
}

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
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use prism_proto::model::EndpointAddr;

use super::{Backoff, ConnectError, Dial, Nanos, Stream};
use crate::{
    inflight::{ByteQueue, Intake, MAX_SLICES, Piece, Ticket},
    protocol::{
        memcache,
        message::{Limits, Progress},
        redis::reply::ReplyDecoder,
    },
};

/// The endpoint a connection leads to.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub addr: EndpointAddr,
    /// How people are told of it.
    pub label: String,
}

/// What kind of reply a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// One line of Memcached.
    Line,
    /// One Redis reply.
    Redis,
    /// The values of a Memcached retrieval, up to `END`.
    Values,
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Whose it is.
    pub ticket: Ticket,
    /// When it was first queued upstream; its deadline counts from here, resends included.
    pub queued: Nanos,
    /// Where its bytes begin in the outbox.
    pub start: u64,
    /// How many bytes it has.
    pub len: u32,
    /// What its reply looks like.
    pub expect: Expect,
    /// How often it was redirected.
    pub hops: u8,
    /// Whether it may change data.
    pub is_write: bool,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The endpoint cannot be reached; the text says why.
    Down(Rc<str>),
    /// Too many bytes wait already; the limit.
    TooManyBytes(usize),
    /// Too many requests wait already; the limit.
    TooManyRequests(usize),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The endpoint closed it.
    #[error("closed the connection")]
    Closed,
    /// It could not be opened.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// Requests waited and not a byte came.
    #[error("was silent for {0:?}")]
    Dead(Duration),
    /// The operating system said so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The endpoint sent what the protocol does not allow.
    #[error("sent a malformed reply: {0}")]
    Malformed(String),
    /// Pending bytes did not move.
    #[error("took no bytes for {0:?}")]
    Stalled(Duration),
}

/// Bounds of what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Requests.
    pub requests: usize,
    /// Bytes.
    pub bytes: usize,
}

type Opening = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>>>>;

enum State {
    Idle,
    Opening(Opening),
    Open(Stream),
    Waiting { until: Nanos, reason: Rc<str> },
}

enum Decoder {
    Memcache(memcache::reply::ReplyDecoder),
    Redis(ReplyDecoder),
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
    waker: Option<Waker>,
    woken: bool,
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
            intake: Intake::default(),
            decoder: Decoder::new(wire, max_reply),
            max_reply,
            heard: 0,
            progressed: 0,
            is_proven: false,
            is_early: false,
            waker: None,
            woken: false,
            retired: false,
        }
    }

    /// Queues a request and wakes the pump.
    ///
    /// `pending.start` and `pending.len` are filled in here. Cancel safe.
    ///
    /// # Errors
    /// [`Refusal`] at once when the endpoint is down or a bound is reached; nothing is queued then.
    pub fn enqueue(
        &mut self,
        request: Piece<'_>,
        pending: Pending,
        now: Nanos,
    ) -> Result<(), Refusal> {
        self.admit(request.bytes().len(), now)?;
        self.push(request, pending, now);
        Ok(())
    }

    /// Queues a request with another right before it whose reply is dropped, both or none.
    ///
    /// # Errors
    /// As [`Connection::enqueue`].
    pub fn enqueue_behind(
        &mut self,
        first: &[u8],
        request: Piece<'_>,
        pending: Pending,
        now: Nanos,
    ) -> Result<(), Refusal> {
        self.admit(first.len() + request.bytes().len(), now)?;
        let nobody = Pending {
            ticket: Ticket::NOBODY,
            ..pending
        };
        self.push(Piece::Borrowed(first), nobody, now);
        self.push(request, pending, now);
        Ok(())
    }

    fn push(&mut self, request: Piece<'_>, pending: Pending, now: Nanos) {
        let start = self.outbox.end();
        let len = u32::try_from(request.bytes().len()).expect("a request is smaller than 4 GiB");
        match request {
            Piece::Borrowed(bytes) => self.outbox.push(bytes),
            Piece::Shared(bytes) => self.outbox.push_shared(bytes),
        }
        if self.fifo.is_empty() {
            // Nothing was to come or to go before.
            self.progressed = self.progressed.max(now);
            self.heard = self.heard.max(now);
        }
        // One that was sent elsewhere first has less time left than others.
        self.is_early |= pending.hops > 0;
        self.fifo.push_back(Pending {
            start,
            len,
            ..pending
        });
        self.wake();
    }

    fn admit(&self, len: usize, now: Nanos) -> Result<(), Refusal> {
        match &self.state {
            State::Waiting { until, reason } if *until > now => {
                return Err(Refusal::Down(Rc::clone(reason)));
            }
            _ => {}
        }
        if self.fifo.len() >= self.limits.requests {
            return Err(Refusal::TooManyRequests(self.limits.requests));
        }
        let answered = self.fifo.front().map_or(self.written, |front| front.start);
        let held = self.outbox.end() - answered.min(self.written);
        let held = usize::try_from(held).unwrap_or(usize::MAX);
        if held > 0 && held.saturating_add(len) > self.limits.bytes {
            return Err(Refusal::TooManyBytes(self.limits.bytes));
        }
        Ok(())
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

    /// Returns the next reply of what was read, with its request and the outbox that still holds the request's bytes.
    ///
    /// # Errors
    /// [`Loss::Malformed`] when the endpoint breaks the protocol or sends what nobody asked for.
    pub fn next_reply<'a>(
        &'a mut self,
        fresh: &'a [u8],
        position: &mut usize,
    ) -> Result<Option<(Pending, Piece<'a>, &'a ByteQueue)>, Loss> {
        let Some(pending) = self.fifo.front().copied() else {
            if *position < fresh.len() {
                return Err(unasked(&fresh[*position..]));
            }
            return Ok(None);
        };
        if pending.start >= self.written && *position < fresh.len() {
            // Not a byte of the request was written: taking this for its reply would shift all that follow.
            return Err(unasked(&fresh[*position..]));
        }
        let decoder = &mut self.decoder;
        let piece = self.intake.next(fresh, position, |bytes| {
            decoder.decode(bytes, pending.expect)
        })?;
        let Some(piece) = piece else {
            return Ok(None);
        };
        self.fifo.pop_front();
        if !self.is_proven {
            self.is_proven = true;
            self.backoff.reset();
        }
        Ok(Some((pending, piece, &self.outbox)))
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
        self.wake();
        lost
    }

    /// Takes the tickets of requests whose deadline has passed; their replies are dropped when they come.
    pub fn expire(&mut self, now: Nanos, limit: Duration) -> Vec<Pending> {
        let limit = nanos(limit);
        let mut late = Vec::new();
        for pending in &mut self.fifo {
            if !pending.ticket.is_nobody() && pending.queued + limit <= now {
                late.push(*pending);
                pending.ticket = Ticket::NOBODY;
            }
        }
        late
    }

    /// Returns when the connection next needs a look: a deadline, silence, a stall, the end of a backoff.
    pub fn next_check(&self, bounds: &Bounds) -> Option<Nanos> {
        if let State::Waiting { until, .. } = &self.state {
            return (!self.fifo.is_empty()).then_some(*until);
        }
        self.fifo.front()?;
        let deadline = self
            .fifo
            .iter()
            .find(|pending| !pending.ticket.is_nobody())
            .map(|pending| pending.queued + nanos(bounds.read));
        let dead = self.heard + nanos(bounds.dead_after);
        let stalled =
            (self.written < self.outbox.end()).then(|| self.progressed + nanos(bounds.write));
        [deadline, Some(dead), stalled].into_iter().flatten().min()
    }

    /// Returns why the connection is to be given up, if it is.
    pub fn verdict(&self, now: Nanos, bounds: &Bounds) -> Option<Loss> {
        if !matches!(self.state, State::Open(_)) || self.fifo.is_empty() {
            return None;
        }
        if self.heard + nanos(bounds.dead_after) <= now {
            return Some(Loss::Dead(bounds.dead_after));
        }
        let stalled =
            self.written < self.outbox.end() && self.progressed + nanos(bounds.write) <= now;
        stalled.then_some(Loss::Stalled(bounds.write))
    }

    /// Remembers whom to wake; to be called at the start of each poll of the pump.
    pub fn listen(&mut self, waker: &Waker) {
        self.woken = false;
        if !self
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            self.waker = Some(waker.clone());
        }
    }

    /// Wakes the pump, once until it listens again.
    pub fn wake(&mut self) {
        if self.woken {
            return;
        }
        if let Some(waker) = &self.waker {
            self.woken = true;
            waker.wake_by_ref();
        }
    }

    /// Lets the connection end once its last request is answered.
    pub fn retire(&mut self) {
        self.retired = true;
        self.wake();
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

    /// Returns where the connection leads.
    pub fn target(&self) -> &Rc<Target> {
        &self.target
    }
}

/// How long things may take on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From queued to reply complete.
    pub read: Duration,
    /// No progress of pending bytes.
    pub write: Duration,
    /// Requests queued and not a byte received.
    pub dead_after: Duration,
}

/// Which protocol an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Memcached text.
    Memcache,
    /// Redis.
    Redis,
}

/// What becomes of requests that were not sent when a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// They are given up with the rest.
    Drop,
    /// They wait for the next connection.
    Keep,
}

/// Returns `duration` in the unit of the worker's clock.
pub fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos())
        .unwrap_or(Nanos::MAX / 4)
        .min(Nanos::MAX / 4)
}

/// Bytes shown of what an endpoint says unasked.
const SHOWN: usize = 100;

fn unasked(fresh: &[u8]) -> Loss {
    let line = fresh.split(|byte| *byte == b'\r').next().unwrap_or(fresh);
    let shown = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
    Loss::Malformed(format!("a reply to no request: {shown}"))
}

impl Decoder {
    fn new(wire: Wire, limits: Limits) -> Self {
        match wire {
            Wire::Memcache => Self::Memcache(memcache::reply::ReplyDecoder::new(limits)),
            Wire::Redis => Self::Redis(ReplyDecoder::new(limits)),
        }
    }

    fn kind(&self) -> Wire {
        match self {
            Self::Memcache(_) => Wire::Memcache,
            Self::Redis(_) => Wire::Redis,
        }
    }

    fn decode(&mut self, bytes: &[u8], expect: Expect) -> Result<Progress, Loss> {
        match self {
            Self::Redis(decoder) => decoder
                .decode(bytes)
                .map_err(|error| Loss::Malformed(error.to_string())),
            Self::Memcache(decoder) => {
                let expect = match expect {
                    Expect::Values => memcache::reply::Expect::Retrieval,
                    Expect::Line | Expect::Redis => memcache::reply::Expect::Line,
                };
                decoder
                    .decode(expect, bytes)
                    .map_err(|error| Loss::Malformed(error.to_string()))
            }
        }
    }
}

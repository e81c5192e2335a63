//! Taking requests, within bounds.

use std::rc::Rc;

use super::{Connection, State};
use crate::{
    inflight::{Piece, Ticket},
    upstream::{Expect, Nanos, Pending, Refusal},
};

impl Connection {
    /// Queues a request and wakes the pump.
    ///
    /// `pending.start` and `pending.len` are filled in here; those of gets that travel as one begin together. Cancel
    /// safe.
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
        match pending.expect {
            Expect::Value(get) => self.push_get(request.bytes(), get, pending, now),
            _ => self.push(request, pending, now),
        }
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
            expect: Expect::Redis,
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
        self.await_reply(start, len, pending, now);
    }

    /// Notes that a request lies in the outbox.
    pub(super) fn await_reply(&mut self, start: u64, len: u32, pending: Pending, now: Nanos) {
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
        self.bell.ring();
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
}

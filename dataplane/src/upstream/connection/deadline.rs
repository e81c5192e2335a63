//! What time does to a connection: late requests, silence, stalls.

use std::time::Duration;

use super::{Connection, State};
use crate::{
    inflight::Ticket,
    upstream::{Bounds, Loss, Nanos, Pending, nanos},
};

impl Connection {
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
}

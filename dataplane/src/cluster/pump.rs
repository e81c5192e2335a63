//! Drives one connection: replies in, requests out, deadlines kept.
//!
//! One task a connection. It is woken once for all requests that the sessions of one turn append, and runs after them,
//! so that one write carries them all.

use std::{
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::yield_now, time::Sleep};
use tracing::{debug, warn};

use super::{
    CallError, ClusterWorker, Observation, answer, block,
    nodes::SharedConnection,
    redirect::{self, Redirected},
    worker::Settings,
};
use crate::{
    inflight::Piece,
    metrics::EndpointMetrics,
    protocol::redis::reply::is_error,
    upstream::{ConnectError, Connection, Expect, Loss, Nanos, Pending, Unsent},
};

/// Queued bytes from which on nothing is waited for.
const GATHER: u64 = 16 * 1024;

/// Most looks at the sockets before a write.
const MAX_LOOKS: u32 = 4;

/// The task of one connection; ends when the connection was retired and its last request is answered.
pub(super) struct Pump {
    cluster: Rc<ClusterWorker>,
    connection: SharedConnection,
    metrics: Arc<EndpointMetrics>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer fires; `Nanos::MAX` when it is not set.
    armed: Nanos,
    was_open: bool,
    /// Looks at the sockets that queued bytes have waited for, and how many bytes there were at the last.
    looks: u32,
    gathered: u64,
}

impl Pump {
    pub(super) fn new(
        cluster: Rc<ClusterWorker>,
        connection: SharedConnection,
        metrics: Arc<EndpointMetrics>,
    ) -> Self {
        Self {
            cluster,
            connection,
            metrics,
            timer: None,
            armed: Nanos::MAX,
            was_open: false,
            looks: 0,
            gathered: 0,
        }
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let now = this.cluster.context.clock.read();
        let settings = this.cluster.settings();
        let connection = Rc::clone(&this.connection);
        let mut connection = connection.borrow_mut();
        connection.bell().listen(cx.waker());
        let mut redirected = Vec::new();
        if this.open(&mut connection, cx, now, &mut redirected) {
            let read = this.read(&mut connection, cx, now, &mut redirected);
            let result = read.and_then(|()| this.flush(&mut connection, cx, now));
            let result = match connection.verdict(now, &settings.bounds) {
                Some(loss) => result.and(Err(loss)),
                None => result,
            };
            if let Err(loss) = result {
                this.lose(&mut connection, &loss, now);
            }
        }
        this.expire(&mut connection, now, &settings);
        let is_finished = connection.is_finished();
        if !is_finished {
            this.arm(&mut connection, cx, &settings);
        }
        drop(connection);
        for item in redirected {
            redirect::follow(&this.cluster, item);
        }
        if is_finished {
            return this.end();
        }
        Poll::Pending
    }
}

impl Pump {
    /// Returns whether the connection is open.
    fn open(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
        now: Nanos,
        redirected: &mut Vec<Redirected>,
    ) -> bool {
        match connection.poll_open(cx, now, self.cluster.context.random()) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => {
                if !self.was_open {
                    self.was_open = true;
                    self.metrics.connect_total.inc();
                    self.metrics.connections.add(1);
                    let endpoint = connection.target().addr.to_string();
                    self.cluster.observe(Observation::Connected { endpoint });
                }
                true
            }
            Poll::Ready(Err(error)) => {
                self.refuse(connection, &error, redirected);
                false
            }
        }
    }

    fn read(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
        now: Nanos,
        redirected: &mut Vec<Redirected>,
    ) -> Result<(), Loss> {
        let cluster = Rc::clone(&self.cluster);
        let mut scratch = cluster.context.scratch.borrow_mut();
        let mut taken = 0;
        while let Poll::Ready(result) = connection.poll_fill(cx, &mut scratch, now) {
            let count = result?;
            self.metrics.bytes_in_total.add(count as u64);
            self.settle(connection, &scratch[..count], now, redirected)?;
            connection.release_answered();
            taken += count;
            if taken >= scratch.len() {
                cx.waker().wake_by_ref();
                break;
            }
        }
        Ok(())
    }

    fn settle(
        &self,
        connection: &mut Connection,
        fresh: &[u8],
        now: Nanos,
        redirected: &mut Vec<Redirected>,
    ) -> Result<(), Loss> {
        let mut table = self.cluster.table.borrow_mut();
        let target = Rc::clone(connection.target());
        let mut replies = 0;
        let result = connection.take_replies(fresh, |pending, reply, outbox| {
            replies += 1;
            if pending.ticket.is_nobody() {
                return;
            }
            let elapsed = now.saturating_sub(pending.queued);
            self.cluster
                .metrics
                .latency
                .record(Duration::from_nanos(elapsed));
            let error = match pending.expect {
                Expect::Redis => Some(reply.bytes()).filter(|reply| is_error(reply)),
                Expect::Block(_) => block::refusal(reply.bytes()),
                _ => None,
            };
            if let Some(error) = error
                && let Some(item) = Redirected::of(&self.cluster, pending, error, outbox, &target)
            {
                redirected.push(item);
                return;
            }
            if self.cluster.observer.slow.is_slow(elapsed) {
                answer::note_slow(&self.cluster, pending, elapsed, outbox);
            }
            let reply = match pending.expect {
                Expect::Block(_) => block::last(reply),
                _ => reply,
            };
            table.settle(pending.ticket, reply);
        });
        self.metrics.replies_total.add(replies);
        self.cluster.metrics.requests_total.add(replies);
        result
    }

    /// Writes what is queued, once a look at the sockets brings no more.
    ///
    /// Requests of clients that became readable in the meantime travel in the same write, which costs far more than
    /// the look.
    fn flush(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
        now: Nanos,
    ) -> Result<(), Loss> {
        let unsent = connection.unsent();
        let has_grown = unsent > std::mem::replace(&mut self.gathered, unsent);
        if has_grown && unsent < GATHER && self.looks < MAX_LOOKS {
            self.looks += 1;
            // The runtime wakes this task once it has looked.
            let _ = pin!(yield_now()).poll(cx);
            return Ok(());
        }
        (self.looks, self.gathered) = (0, 0);
        match connection.poll_flush(cx, now) {
            Poll::Ready(written) => {
                self.metrics.bytes_out_total.add(written? as u64);
                Ok(())
            }
            Poll::Pending => Ok(()),
        }
    }

    fn lose(&mut self, connection: &mut Connection, loss: &Loss, now: Nanos) {
        self.closed();
        let target = Rc::clone(connection.target());
        let lost = match connection.is_proven() {
            true => connection.close(Unsent::Keep),
            false => {
                // It is of no use to open another at once: this one has answered nothing.
                connection.back_off(
                    now,
                    self.cluster.context.random(),
                    Rc::from(loss.to_string()),
                );
                connection.close(Unsent::Drop)
            }
        };
        if lost.is_empty() {
            debug!(endpoint = %target.label, reason = %loss, "connection lost");
        } else {
            warn!(cluster = %self.cluster.name(), endpoint = %target.label, requests = lost.len(), reason = %loss, "connection lost");
        }
        let endpoint = target.addr.to_string();
        self.cluster.observe(Observation::Lost { endpoint });
        let error = CallError::Lost {
            endpoint: target.label.clone(),
            reason: loss.to_string(),
        };
        self.fail(&lost, &error);
    }

    /// Gives up what waits for a connection that could not be opened: nothing of it was sent, so a Redis Cluster may
    /// have another owner for it in time.
    fn refuse(
        &mut self,
        connection: &mut Connection,
        error: &ConnectError,
        redirected: &mut Vec<Redirected>,
    ) {
        let target = Rc::clone(connection.target());
        self.metrics.connect_failures_total.inc();
        warn!(cluster = %self.cluster.name(), endpoint = %target.label, %error, "connect failed");
        let endpoint = target.addr.to_string();
        self.cluster
            .observe(Observation::ConnectFailed { endpoint });
        let error = CallError::Unreachable {
            endpoint: target.label.clone(),
            reason: error.to_string(),
        };
        if self.cluster.settings_ref().is_cluster {
            redirected.extend(Redirected::unsent(connection, &self.cluster.words(&error)));
            connection.close(Unsent::Drop);
        } else {
            self.fail(&connection.close(Unsent::Drop), &error);
        }
    }

    fn expire(&self, connection: &mut Connection, now: Nanos, settings: &Settings) {
        if now < self.armed {
            return;
        }
        let late = connection.expire(now, settings.bounds.read);
        for pending in &late {
            let elapsed = now.saturating_sub(pending.queued);
            if self.cluster.observer.slow.is_slow(elapsed) {
                answer::note_slow(&self.cluster, pending, elapsed, connection.outbox());
            }
        }
        self.metrics.timeouts_total.add(late.len() as u64);
        let error = CallError::Timeout {
            endpoint: connection.target().label.clone(),
            limit: settings.bounds.read,
        };
        self.fail(&late, &error);
    }

    fn fail(&self, lost: &[Pending], error: &CallError) {
        if lost.is_empty() {
            return;
        }
        let text = self.cluster.words(error);
        let mut table = self.cluster.table.borrow_mut();
        for pending in lost.iter().filter(|pending| !pending.ticket.is_nobody()) {
            self.metrics.errors_total.inc();
            self.cluster.metrics.errors_total.inc();
            table.settle(pending.ticket, Piece::Borrowed(&text));
        }
    }

    /// Sets the timer to the next deadline, unless it fires before that anyway.
    fn arm(&mut self, connection: &mut Connection, cx: &mut Context<'_>, settings: &Settings) {
        loop {
            let now = self.cluster.context.clock.now();
            let has_fired = self.armed <= now;
            if self.armed != Nanos::MAX && !has_fired && !connection.take_early() {
                return;
            }
            let Some(at) = connection.next_check(&settings.bounds) else {
                self.armed = Nanos::MAX;
                return;
            };
            let at = at.max(now + 1_000_000);
            self.armed = at;
            let instant = self.cluster.context.clock.instant(at);
            let timer = match &mut self.timer {
                Some(timer) => {
                    timer.as_mut().reset(instant);
                    timer
                }
                None => self
                    .timer
                    .insert(Box::pin(tokio::time::sleep_until(instant))),
            };
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.cluster.context.clock.read();
        }
    }

    fn closed(&mut self) {
        if std::mem::take(&mut self.was_open) {
            self.metrics.connections.sub(1);
        }
    }

    fn end(&mut self) -> Poll<()> {
        self.closed();
        Poll::Ready(())
    }
}

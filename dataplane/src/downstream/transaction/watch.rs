//! WATCH: a session's own connection, from the first watched key until the transaction, UNWATCH or the client ends it.
//!
//! Whatever may have changed the keys behind the endpoint's back - a slot that moved, a connection that was lost before
//! EXEC was sent - is told as if another client had changed them. A connection that is not given back is closed.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep};

use super::queue::Queue;
use crate::{
    cluster::{ASKING, Batch, CallError, ClusterWorker, Leased, Place, Turn},
    downstream::{redis::refuse, session::Next, together::do_meet},
    inflight::Ticket,
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::Command,
            reply::{Dialect, ErrorKind, error_kind, is_error, write_null_array},
        },
    },
    upstream::Kind,
};

const OK: &[u8] = b"+OK\r\n";
const UNWATCH: &[u8] = b"*1\r\n$7\r\nUNWATCH\r\n";

const OTHER_KIND: &[u8] =
    b"EXECABORT Transaction discarded because the database or the dialect changed after WATCH.";

/// Time between two attempts where the first was put off.
const PAUSE: Duration = Duration::from_millis(20);

/// What a session watches, shared with the task that uses it while the session holds.
#[derive(Default)]
pub(super) struct Watch(Option<Rc<RefCell<State>>>);

enum State {
    /// Nothing can be said of the watched keys any more.
    Broken,
    Held(Box<Held>),
    /// A task has the connection.
    Used,
}

/// Keys watched on a connection.
struct Held {
    lease: Leased,
    kind: Kind,
    /// The first of them.
    key: Vec<u8>,
    /// Where all of them are.
    unit: usize,
    /// The cluster's epoch when the first was watched.
    epoch: u32,
    /// The endpoint does not have the slot yet, and was asked.
    is_asked: bool,
}

impl Watch {
    /// Returns whether keys are watched.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns where the watched keys are.
    pub(super) fn unit(&self) -> Option<usize> {
        match &*self.0.as_ref()?.borrow() {
            State::Held(held) => Some(held.unit),
            State::Broken | State::Used => None,
        }
    }

    /// Closes the connection.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }

    /// Watches nothing any more; the connection is used again.
    pub(super) fn end(&mut self, cluster: &ClusterWorker) {
        let state = self.0.take().map(|state| state.replace(State::Used));
        let Some(State::Held(mut held)) = state else {
            return;
        };
        let cluster = cluster.shared();
        tokio::task::spawn_local(async move {
            let limit = cluster.settings_ref().bounds.read;
            let replies = held.lease.ask_all(UNWATCH, 1, limit).await;
            if replies.is_ok_and(|replies| replies.iter().all(|reply| reply == OK)) {
                cluster.give_back(held.lease);
            }
        });
    }

    /// Serves WATCH outside a transaction.
    pub(super) fn serve(
        &mut self,
        command: &Command,
        (raw, args): (&[u8], &[Span]),
        batch: &mut Batch<'_>,
    ) -> Next {
        let keys = command.key_positions(args.len());
        let keys = keys.filter_map(|at| Some(bytes_of(raw, args.get(at)?)));
        let keys: Vec<_> = keys.collect();
        let mut unit = self.unit();
        if !do_meet(&mut unit, keys.iter().copied(), batch) {
            return Next::Continue;
        }
        if !batch.is_quiet() {
            // What the client itself changed before does not count.
            return Next::Hold;
        }
        let state = self
            .0
            .get_or_insert_with(|| Rc::new(RefCell::new(State::Used)));
        let before = state.replace(State::Used);
        let task = Task {
            cluster: batch.cluster().shared(),
            state: Rc::clone(state),
            ticket: batch.postpone().ticket,
        };
        let held = match before {
            State::Broken => None,
            State::Held(held) if held.kind == batch.kind() => Some(held),
            // The watched keys are in another database: what becomes of them is not told in this one.
            State::Held(_) => None,
            State::Used => {
                let fresh = Fresh {
                    key: keys.first().map_or(&[][..], |key| key).to_vec(),
                    kind: batch.kind(),
                    unit: unit.unwrap_or_default(),
                    epoch: batch.epoch(),
                };
                tokio::task::spawn_local(task.begin(fresh, raw.to_vec()));
                return Next::Continue;
            }
        };
        tokio::task::spawn_local(task.add(held, raw.to_vec()));
        Next::Continue
    }

    /// Runs a transaction on the connection that watches.
    pub(super) fn exec(&mut self, queue: Queue, batch: &mut Batch<'_>) {
        let Some(state) = self.0.take() else {
            return;
        };
        let kind = batch.kind();
        let held = match state.replace(State::Used) {
            State::Held(held) => held,
            State::Broken | State::Used => {
                return batch.answer(|out| write_null_array(out, kind.dialect));
            }
        };
        if held.kind != kind {
            return refuse(batch, OTHER_KIND);
        }
        let ticket = batch.defer().ticket;
        let cluster = batch.cluster().shared();
        tokio::task::spawn_local(async move {
            cluster.metrics.requests_total.inc();
            match held.exec(&cluster, queue).await {
                Ok(reply) => cluster.settle(ticket, &reply),
                Err(error) => cluster.settle_error(ticket, &error),
            }
        });
    }
}

/// What is to be known of the first keys that are watched.
struct Fresh {
    key: Vec<u8>,
    kind: Kind,
    unit: usize,
    epoch: u32,
}

/// One WATCH on its way.
struct Task {
    cluster: Rc<ClusterWorker>,
    state: Rc<RefCell<State>>,
    ticket: Ticket,
}

impl Task {
    /// Watches the first keys, on a connection to whoever has them.
    async fn begin(self, fresh: Fresh, request: Vec<u8>) {
        match self.first(fresh, &request).await {
            Ok((state, reply)) => {
                self.state.replace(state);
                self.cluster.settle(self.ticket, &reply);
            }
            Err(error) => {
                self.state.replace(State::Broken);
                self.cluster.settle_error(self.ticket, &error);
            }
        }
    }

    async fn first(&self, fresh: Fresh, request: &[u8]) -> Result<(State, Vec<u8>), CallError> {
        let cluster = &self.cluster;
        let limit = cluster.settings().bounds.read;
        let start = Instant::now();
        let mut next: Option<(Place, bool)> = None;
        loop {
            let (place, is_asked) = match next.take() {
                Some(next) => next,
                None => (cluster.place_of(&fresh.key)?, false),
            };
            let mut lease = cluster.lease(&place, fresh.kind).await?;
            let asking = if is_asked { ASKING } else { &[] };
            let bytes = [asking, request].concat();
            let replies = lease
                .ask_all(&bytes, 1 + usize::from(is_asked), limit)
                .await?;
            let reply = replies.into_iter().next_back().unwrap_or_default();
            match cluster.turn(&place, &reply)? {
                None if is_error(&reply) => {
                    cluster.give_back(lease);
                    return Ok((State::Broken, reply));
                }
                None => {
                    let held = Held {
                        lease,
                        kind: fresh.kind,
                        key: fresh.key,
                        unit: fresh.unit,
                        epoch: fresh.epoch,
                        is_asked,
                    };
                    return Ok((State::Held(Box::new(held)), reply));
                }
                Some(Turn::Ask(place)) => next = Some((place, true)),
                Some(Turn::Moved(place)) => next = Some((place, false)),
                Some(Turn::Later) => {}
            }
            cluster.give_back(lease);
            if start.elapsed() >= limit {
                return Ok((State::Broken, reply));
            }
            sleep(PAUSE).await;
        }
    }

    /// Watches more keys on the same connection; where that cannot be done, nothing can be said of any of them.
    async fn add(self, held: Option<Box<Held>>, request: Vec<u8>) {
        let limit = self.cluster.settings().bounds.read;
        let mut state = State::Broken;
        if let Some(mut held) = held {
            let asking = if held.is_asked { ASKING } else { &[] };
            let count = 1 + usize::from(held.is_asked);
            let bytes = [asking, &request].concat();
            let replies = held.lease.ask_all(&bytes, count, limit).await;
            if replies.is_ok_and(|replies| replies.iter().all(|reply| reply == OK)) {
                state = State::Held(held);
            }
        }
        self.state.replace(state);
        self.cluster.settle(self.ticket, OK);
    }
}

impl Held {
    /// Runs a transaction, and returns the reply to EXEC.
    async fn exec(
        mut self: Box<Self>,
        cluster: &ClusterWorker,
        queue: Queue,
    ) -> Result<Vec<u8>, CallError> {
        if self.has_moved(cluster) || !self.lease.is_quiet() {
            return Ok(nothing(self.kind.dialect));
        }
        let limit = cluster.settings().bounds.read;
        let asking = if self.is_asked { ASKING } else { &[] };
        let count = queue.replies() as usize + usize::from(self.is_asked);
        let (_, block) = queue.into_block();
        let bytes = [asking, &block].concat();
        let mut replies = self.lease.ask_all(&bytes, count, limit).await?;
        // Whatever EXEC says, it has ended the watch.
        cluster.give_back(self.lease);
        let exec = replies.pop().unwrap_or_default();
        let is_redirect = |reply: &[u8]| {
            matches!(
                error_kind(reply),
                Some(ErrorKind::Ask { .. } | ErrorKind::Moved { .. } | ErrorKind::TryAgain)
            )
        };
        if is_error(&exec) && (is_redirect(&exec) || replies.iter().any(|reply| is_redirect(reply)))
        {
            return Ok(nothing(self.kind.dialect));
        }
        Ok(exec)
    }

    /// Returns whether the keys may have been changed elsewhere.
    fn has_moved(&self, cluster: &ClusterWorker) -> bool {
        if !cluster.settings_ref().is_cluster {
            return cluster.epoch() != self.epoch;
        }
        // Keys that leave an endpoint of a Redis Cluster are deleted there, which the watch sees.
        let now = cluster.place_of(&self.key);
        let is_here = now.is_ok_and(|now| now.target.addr == self.lease.place().target.addr);
        !is_here && !self.is_asked
    }
}

/// Returns what EXEC answers when a watched key was changed.
fn nothing(dialect: Dialect) -> Vec<u8> {
    let mut reply = Vec::new();
    write_null_array(&mut reply, dialect);
    reply
}

//! Looks after quiet sessions: gives their buffers back, and ends those that are silent or stuck for too long.

use std::{rc::Rc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::ClusterWorker;
use crate::{
    inflight::Replies,
    upstream::{Nanos, nanos},
};

/// Time between two sweeps, and so the accuracy of what they watch.
const PERIOD: Duration = Duration::from_millis(250);

/// Time after which the sessions of a cluster that was closed end wherever they are.
const FAREWELL: Duration = Duration::from_secs(30);

/// Silence after which a session's buffers are given back.
const QUIET: Duration = Duration::from_millis(500);

/// Sweeps the sessions of one cluster on one worker; ends with the cluster, whose connections it then retires.
pub(super) async fn run(cluster: Rc<ClusterWorker>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = None;
    while !cluster.is_finished() {
        ticks.tick().await;
        let now = cluster.context.clock.read();
        cluster.adopt();
        cluster.nodes.borrow().prune(now);
        cluster.tend_subscriptions(PERIOD);
        if cluster.is_closing() {
            closing.get_or_insert(now);
        }
        let is_closed = closing.is_some_and(|since| since + nanos(FAREWELL) <= now);
        let runtime = cluster.runtime();
        let timeouts = runtime.cluster.timeouts();
        // In a pause, clients wait for the proxy and not the other way round.
        let is_paused = cluster.observer.pause.kind().is_some();
        let bounds = Bounds {
            idle: timeouts.idle.map(nanos).filter(|_| !is_paused),
            write: nanos(timeouts.write),
        };
        cluster.table.borrow_mut().sweep(|replies| {
            if is_closed {
                replies.quiet.is_overdue = true;
                return true;
            }
            bounds.look(replies, now)
        });
    }
    cluster
        .runtime()
        .shared
        .exchange
        .leave(cluster.context.index);
    cluster.retire_all();
    cluster.reopen_subscriptions();
    cluster.retries.wake();
}

struct Bounds {
    idle: Option<Nanos>,
    write: Nanos,
}

impl Bounds {
    /// Returns whether the session is to be woken.
    fn look(&self, replies: &mut Replies, now: Nanos) -> bool {
        let is_idle = replies.in_flight() == 0 && replies.unsent() == 0;
        // Subscribers have nothing to say.
        let may_end = is_idle && !replies.is_subscribed();
        let quiet = &mut replies.quiet;
        let is_stuck = quiet.stalled.is_some_and(|since| since + self.write <= now);
        let is_silent = may_end && self.idle.is_some_and(|limit| quiet.heard + limit <= now);
        if is_stuck || is_silent {
            quiet.is_overdue = true;
            return true;
        }
        if is_idle && !quiet.is_shrunk && quiet.heard + nanos(QUIET) <= now {
            quiet.is_shrunk = true;
            return true;
        }
        false
    }
}

//! Keeps the lists of data planes that clients of Redis Clusters are told in step with the fleet.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    catalog::Image,
    feed::{PeerLists, lists},
    fleet::Fleet,
};

/// Changes of the fleet within this time make one list.
const COALESCE: Duration = Duration::from_millis(50);
/// Heartbeats within which data planes come back after the control plane started.
const SETTLING: u32 = 3;

/// What the lists follow from.
pub(super) struct Listing {
    pub(super) fleet: Fleet,
    pub(super) images: watch::Receiver<Arc<Image>>,
    pub(super) lists: watch::Sender<Arc<PeerLists>>,
    pub(super) ending: watch::Receiver<bool>,
    /// Time between heartbeats of a stream.
    pub(super) heartbeat: Duration,
}

impl Listing {
    /// Publishes lists until the program ends.
    pub(super) async fn run(mut self) {
        let settled_at = Instant::now() + self.heartbeat * SETTLING;
        let mut changes = self.fleet.watch();
        loop {
            changes.mark_unchanged();
            let next = self.publish(settled_at);
            let wait = tokio::select! {
                Ok(()) = changes.changed() => COALESCE,
                Ok(()) = self.images.changed() => Duration::ZERO,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => Duration::ZERO,
                _ = self.ending.wait_for(|ending| *ending) => return,
            };
            sleep(wait).await;
        }
    }

    /// Publishes what is true now if that is news; returns when it may change by time alone.
    fn publish(&mut self, settled_at: Instant) -> Option<Instant> {
        // A data plane without a stream may come back within a heartbeat; then clients need not know.
        let (serving, next) = self.fleet.serving(self.heartbeat + self.heartbeat / 2);
        let is_settled = Instant::now() >= settled_at;
        let clusters = lists(&self.images.borrow_and_update(), &serving);
        self.lists.send_if_modified(|newest| {
            if newest.clusters == clusters && newest.is_settled == is_settled {
                return false;
            }
            *newest = Arc::new(PeerLists {
                stamp: now_ms().max(newest.stamp + 1),
                is_settled,
                clusters,
            });
            true
        });
        let settling = (!is_settled).then_some(settled_at);
        next.into_iter().chain(settling).min()
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0))
}

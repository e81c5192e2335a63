//! Empties endpoints before they return.

use tokio::time::Instant;

use super::keeper::{Done, Keeper, split};

/// What is said of one whose task failed.
const LOST: &str = "it is not known whether it was";

impl Keeper {
    /// Begins to empty what would return if it were empty.
    pub(super) fn begin_flushes(&mut self) {
        for endpoint in self.judge.to_empty() {
            let watched = self.watched.get(&endpoint.cluster);
            let Some(target) = watched.and_then(|watched| watched.target(&endpoint.addr)) else {
                continue;
            };
            let task = self.flushes.spawn(self.rounds.prober.flush(target));
            self.judge.emptying(&endpoint);
            self.flushing.insert(task.id(), endpoint);
        }
    }

    /// Takes what came of it; the endpoint returns with the next look at everything.
    pub(super) fn flushed(&mut self, done: Done<Result<(), String>>) {
        let (id, result) = split(done);
        let Some(endpoint) = self.flushing.remove(&id) else {
            return;
        };
        let result = result.unwrap_or_else(|| Err(LOST.into()));
        self.judge
            .emptied(&endpoint, result, Instant::now().into_std());
        if let Some(watched) = self.watched.get_mut(&endpoint.cluster) {
            watched.is_stale = true;
        }
    }
}

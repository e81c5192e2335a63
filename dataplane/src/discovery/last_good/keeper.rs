//! Writes the state in service to disk: at once, after a minute, after ten.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tracing::warn;

use super::{Generation, LastGood};
use crate::{discovery::Held, metrics::ControlMetrics};

/// When a state in service is good enough for the next file.
const SERVED: [(Generation, Duration); 2] = [
    (Generation::ServedMinute, Duration::from_secs(60)),
    (Generation::ServedTenMinutes, Duration::from_secs(600)),
];

/// Keeps the folder in step with `states` until their sender is gone.
///
/// The state that the channel was made with counts as newly in service but is not written again. A burst of states costs one write.
pub async fn keep(
    store: Arc<LastGood>,
    mut states: watch::Receiver<Arc<Held>>,
    metrics: &ControlMetrics,
) {
    let mut since = Instant::now();
    let mut served = SERVED.iter();
    let mut next = served.next();
    loop {
        let due = next.map(|(_, time)| since + *time);
        let generation = tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
                since = Instant::now();
                served = SERVED.iter();
                next = served.next();
                Generation::Newest
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let (generation, _) = next.expect("a deadline has a generation");
                next = served.next();
                *generation
            }
        };
        let state = Arc::clone(&states.borrow_and_update());
        if !state.is_empty() {
            write(&store, generation, state, metrics).await;
        }
    }
}

async fn write(
    store: &Arc<LastGood>,
    generation: Generation,
    state: Arc<Held>,
    metrics: &ControlMetrics,
) {
    let store = Arc::clone(store);
    let written = spawn_blocking(move || store.write(generation, &state.snapshot())).await;
    match written {
        Ok(Ok(())) => metrics.snapshots_total.inc(),
        Ok(Err(error)) => {
            metrics.snapshot_failures_total.inc();
            warn!(%error, ?generation, "snapshot not written");
        }
        Err(error) => warn!(%error, "snapshot writer ended"),
    }
}

//! What data planes saw of one endpoint while it is in doubt.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::Passive;

/// How long counts speak for an endpoint.
const WINDOW: Duration = Duration::from_secs(5);
/// Requests in [`WINDOW`] that a veto takes.
const VETO_REQUESTS: u64 = 20;
/// Reports of one data plane that are kept.
const MAX_SAMPLES: usize = 64;
/// How long a failure seen by a data plane supports one that we see later.
const SUPPORT: Duration = Duration::from_secs(10);

/// The reports about one endpoint; nothing is kept of one that is in no doubt.
#[derive(Debug, Default)]
pub(super) struct Reports {
    samples: BTreeMap<Arc<str>, VecDeque<Sample>>,
    failed_at: Option<Instant>,
    succeeded_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    began: Instant,
    requests: u64,
    errors: u64,
    /// A connect failed: whatever got through went over older connections.
    is_refused: bool,
    vetoed: bool,
}

impl Reports {
    /// Takes one; `doubted_since` is when probes began to fail, or none.
    pub(super) fn take(&mut self, passive: &Passive, doubted_since: Option<Instant>) {
        if passive.is_failure() {
            self.failed_at = Some(passive.at);
        }
        let Some(since) = doubted_since else { return };
        if passive.is_success() && passive.began() >= since {
            self.succeeded_at = Some(passive.at);
        }
        let samples = self
            .samples
            .entry(Arc::clone(&passive.dataplane))
            .or_default();
        samples.retain(|sample| passive.at.duration_since(sample.at) < WINDOW);
        if samples.len() == MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(Sample::of(passive));
    }

    /// Forgets what was kept for the time of doubt.
    pub(super) fn settle(&mut self) {
        self.samples.clear();
        self.succeeded_at = None;
    }

    /// Whether a data plane saw failures too, close to `since` or later.
    pub(super) fn support(&self, since: Instant) -> bool {
        self.failed_at.is_some_and(|at| at + SUPPORT >= since)
    }

    /// When a data plane last saw a failure.
    pub(super) fn failed_at(&self) -> Option<Instant> {
        self.failed_at
    }

    /// Whether a data plane got through not long before `now`, after probes had begun to fail.
    pub(super) fn succeeded(&self, now: Instant, within: Duration) -> bool {
        self.succeeded_at
            .is_some_and(|at| now.duration_since(at) < within)
    }

    /// Returns a data plane whose requests get through although probes fail since `since`.
    pub(super) fn veto(&self, now: Instant, since: Instant) -> Option<Arc<str>> {
        let vetoes = |(_, samples): &(&Arc<str>, &VecDeque<Sample>)| {
            let (mut requests, mut errors, mut is_refused) = (0, 0, false);
            for sample in samples.iter().filter(|sample| sample.counts(now, since)) {
                requests += sample.requests;
                errors += sample.errors;
                is_refused |= sample.is_refused;
            }
            requests >= VETO_REQUESTS && errors * 10 < requests && !is_refused
        };
        self.samples
            .iter()
            .find(vetoes)
            .map(|(dataplane, _)| Arc::clone(dataplane))
    }
}

impl Sample {
    /// What counts cover beyond [`WINDOW`] is taken to be spread evenly.
    fn of(passive: &Passive) -> Self {
        let share = |count: u64| match u64::try_from(passive.window.as_millis()) {
            Ok(ms) if passive.window > WINDOW => {
                count.saturating_mul(WINDOW.as_millis() as u64) / ms
            }
            _ => count,
        };
        Self {
            at: passive.at,
            began: passive.began(),
            requests: share(passive.requests),
            errors: share(passive.errors).min(share(passive.requests)),
            is_refused: passive.connect_failures > 0,
            vetoed: passive.vetoed,
        }
    }

    /// What was sent before probes began to fail says nothing, unless the data plane itself says that it still holds.
    fn counts(&self, now: Instant, since: Instant) -> bool {
        now.duration_since(self.at) < WINDOW && (self.vetoed || self.began >= since)
    }
}

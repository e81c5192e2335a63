//! When the topology of one Redis Cluster is looked at, and whom to ask.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prism_proto::model::{EndpointAddr, TopologyPolicy};
use tokio::{task::JoinSet, time::Instant};

use crate::probe::{Learned, Prober, Target, Tracker, View};

/// Time to the next look after one that taught nothing or must be confirmed.
const RETRY: Duration = Duration::from_secs(1);
/// Nodes asked at once.
const AT_ONCE: usize = 8;
/// Nodes asked in one refresh when the first ones do not answer.
const MAX_ASKED: usize = 64;
/// Addresses kept from redirects.
const MAX_HINTS: usize = 16;

/// Follows the topology of one Redis Cluster.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) tracker: Tracker,
    seeds: Vec<EndpointAddr>,
    /// Addresses that redirects named: they know best.
    hints: BTreeSet<EndpointAddr>,
    is_wanted: bool,
    is_settled: bool,
    in_flight: bool,
    started: Option<Instant>,
    turn: usize,
    /// Tells answers to an older definition apart.
    pub(super) generation: u64,
    /// Why the last refresh taught nothing; empty when it did.
    pub(super) error: String,
}

impl Follow {
    pub(super) fn new(seeds: Vec<EndpointAddr>) -> Self {
        Self {
            tracker: Tracker::default(),
            seeds,
            hints: BTreeSet::new(),
            is_wanted: false,
            is_settled: false,
            in_flight: false,
            started: None,
            turn: 0,
            generation: 0,
            error: String::new(),
        }
    }

    /// Takes over other seeds: they may belong to another cluster.
    pub(super) fn define(&mut self, seeds: Vec<EndpointAddr>) {
        if seeds == self.seeds {
            return;
        }
        self.seeds = seeds;
        self.hints.clear();
        self.tracker.restart();
        self.generation += 1;
        self.in_flight = false;
        self.started = None;
    }

    /// Asks for a refresh soon, best from `hint`.
    pub(super) fn want(&mut self, hint: Option<EndpointAddr>) {
        self.is_wanted = true;
        if self.hints.len() < MAX_HINTS {
            self.hints.extend(hint);
        }
    }

    pub(super) fn is_due(&self, policy: &TopologyPolicy, now: Instant) -> bool {
        let Some(started) = self.started else {
            return true;
        };
        let passed = now.duration_since(started);
        let is_soon = self.is_wanted && passed >= policy.fetch_min_interval;
        let is_again = !self.is_settled && passed >= RETRY;
        let is_time = policy
            .fetch_interval
            .is_some_and(|interval| passed >= interval);
        !self.in_flight && (is_soon || is_again || is_time)
    }

    /// Begins a refresh: whom to ask, best first.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<EndpointAddr> {
        self.in_flight = true;
        self.is_wanted = false;
        self.started = Some(now);
        self.turn = self.turn.wrapping_add(1);
        let mut asked: Vec<_> = std::mem::take(&mut self.hints).into_iter().collect();
        if !self.tracker.has_record() {
            asked.extend(self.seeds.iter().cloned());
        }
        if let Some(map) = self.tracker.map().filter(|_| self.tracker.has_record()) {
            let shards = map.shards();
            let addr = |text: &String| text.parse::<EndpointAddr>().ok();
            let from = self.turn % shards.len().max(1);
            let in_turn = shards[from..].iter().chain(&shards[..from]);
            asked.extend(in_turn.filter_map(|shard| addr(&shard.primary)));
            asked.extend(self.seeds.iter().cloned());
            asked.extend(
                shards
                    .iter()
                    .flat_map(|shard| &shard.replicas)
                    .filter_map(addr),
            );
        }
        let mut seen = BTreeSet::new();
        asked.retain(|addr| seen.insert(addr.clone()));
        asked.truncate(MAX_ASKED);
        asked
    }

    /// Takes the answers of a refresh.
    pub(super) fn end(&mut self, answers: Vec<Result<View, String>>) -> Learned {
        self.in_flight = false;
        let mut views = Vec::new();
        let mut error = None;
        for answer in answers {
            match answer {
                Ok(view) => views.push(view),
                Err(text) => error = error.or(Some(text)),
            }
        }
        let learned = self.tracker.learn(&views, unix_millis());
        self.is_settled = !matches!(learned, Learned::Held(_) | Learned::Nothing);
        self.error = match &learned {
            Learned::Nothing => error.unwrap_or_else(|| "no node owns a slot".into()),
            Learned::Held(id) => format!("no node knows the owner {id} any more"),
            Learned::Changed(_) | Learned::Reset(_) | Learned::Same => String::new(),
        };
        learned
    }
}

/// Asks nodes a few at a time until some answered. The first who answer are those who were named first.
pub(super) async fn ask(
    prober: Arc<dyn Prober>,
    targets: Vec<Target>,
) -> Vec<Result<View, String>> {
    let mut answers = Vec::new();
    for targets in targets.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for (place, target) in targets.iter().cloned().enumerate() {
            let view = prober.view(target);
            asked.spawn(async move { (place, view.await) });
        }
        let mut heard = asked.join_all().await;
        heard.sort_by_key(|(place, _)| *place);
        answers.extend(heard.into_iter().map(|(_, answer)| answer));
        if answers.iter().any(Result::is_ok) {
            break;
        }
    }
    answers
}

/// Maps are numbered by the clock, so that those of a later run of the program follow those of an earlier one.
fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

//! The control plane as an observer: whether what it sees may be acted on at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Member, dice::Dice, track::Track};

/// Probe rounds before the first ejection.
const ROUNDS: u32 = 2;
/// How long reports of half of the data planes are waited for once the rounds are done.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing is ejected after the prober stood still.
const ABSTENTION: Duration = Duration::from_secs(30);
/// Share of a zone that fails for one observer before the observer is the suspect.
const SUSPECT_PERCENT: usize = 55;

/// What is known of ourselves.
#[derive(Debug, Default)]
pub(super) struct Observer {
    warm: bool,
    rounds_done: Option<Instant>,
    connected: BTreeSet<Arc<str>>,
    reported: BTreeSet<Arc<str>>,
    abstains_until: Option<Instant>,
}

impl Observer {
    pub(super) fn connected(&mut self, dataplanes: BTreeSet<Arc<str>>) {
        if !self.warm {
            self.connected = dataplanes;
        }
    }

    pub(super) fn heard(&mut self, dataplane: &Arc<str>) {
        if !self.warm {
            self.reported.insert(Arc::clone(dataplane));
        }
    }

    pub(super) fn slipped(&mut self, now: Instant) {
        self.abstains_until = Some(now + ABSTENTION);
    }

    /// Returns whether it is warm from now on and was not before.
    pub(super) fn warm_up<'a>(
        &mut self,
        mut tracks: impl Iterator<Item = &'a Track>,
        now: Instant,
    ) -> bool {
        if self.warm || !tracks.all(|track| track.rounds >= ROUNDS) {
            return false;
        }
        let done = *self.rounds_done.get_or_insert(now);
        let reported = self.connected.intersection(&self.reported).count();
        let is_heard = reported * 2 >= self.connected.len();
        self.warm = is_heard || now.duration_since(done) >= PATIENCE;
        if self.warm {
            self.connected.clear();
            self.reported.clear();
        }
        self.warm
    }

    pub(super) fn is_warm(&self) -> bool {
        self.warm
    }

    pub(super) fn is_abstaining(&self, now: Instant) -> bool {
        !self.warm || self.abstains_until.is_some_and(|until| now < until)
    }
}

/// What an ejection needs beside the cluster's own evidence.
#[derive(Debug)]
pub(super) struct Clearance<'a> {
    pub(super) now: Instant,
    pub(super) is_abstaining: bool,
    pub(super) zones: &'a Zones,
    pub(super) dice: &'a mut Dice,
}

/// The endpoints of all clusters by zone; those that stand in no zone are not here.
#[derive(Debug, Default)]
pub(super) struct Zones(BTreeMap<Arc<str>, Zone>);

#[derive(Debug, Default)]
struct Zone {
    endpoints: BTreeSet<Arc<str>>,
    failing: BTreeSet<Arc<str>>,
    doubted_since: Option<Instant>,
    /// When the one that answered was asked whose answer is oldest.
    heard: Option<Instant>,
    has_unheard: bool,
}

impl Zones {
    pub(super) fn count(&mut self, member: &Member, track: &Track, doubted_since: Option<Instant>) {
        let zone = self.0.entry(Arc::clone(&member.zone)).or_default();
        zone.endpoints.insert(Arc::clone(&member.addr));
        zone.doubted_since = zone.doubted_since.max(doubted_since);
        if track.failures > 0 {
            zone.failing.insert(Arc::clone(&member.addr));
        } else if let Some(heard) = track.heard {
            zone.heard = Some(zone.heard.map_or(heard, |oldest| oldest.min(heard)));
        } else {
            zone.has_unheard = true;
        }
    }

    /// Since when an endpoint of a zone fails on which nothing is decided.
    pub(super) fn doubted_since(&self, zone: &str) -> Option<Instant> {
        self.0.get(zone)?.doubted_since
    }

    /// Whether so much of a zone fails that it is rather us. One endpoint alone is no share of a zone: it can fail for itself.
    pub(super) fn is_suspect(&self, zone: &str) -> bool {
        self.0.get(zone).is_some_and(|zone| {
            let (failing, all) = (zone.failing.len(), zone.endpoints.len());
            failing > 1 && failing * 100 >= all * SUSPECT_PERCENT
        })
    }

    /// Whether all endpoints of a zone that do not fail were asked after `since`.
    pub(super) fn is_fresh(&self, zone: &str, since: Instant) -> bool {
        self.0
            .get(zone)
            .is_none_or(|zone| !zone.has_unheard && zone.heard.is_none_or(|heard| heard >= since))
    }
}

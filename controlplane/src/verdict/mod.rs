//! Evidence to verdicts: which endpoints are in use; pure, every time is given.
//!
//! A [`Judge`] holds one case for each cluster. It is told of probes ([`Probe`]) and of what data planes saw ([`Passive`]), says which
//! probes are due, and decides when [`Judge::judge`] is called: an endpoint is down after consecutive failures, but is ejected only
//! when we may trust our eyes (warm-up, slips, whole zones), when enough others are left (percent, panic), and when no data plane
//! gets through to it. It does not know how probes are made nor where verdicts go. An endpoint that must be empty to return
//! ([`Judge::to_empty`]) stays out until that was done.

mod case;
mod dice;
mod emptying;
mod event;
mod evidence;
mod observer;
mod passive;
#[cfg(test)]
mod tests;
mod track;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use prism_proto::model::Probing;

use self::{
    case::Case,
    dice::Dice,
    observer::{Clearance, Observer, Zones},
    track::Track,
};
pub use self::{
    event::Event,
    evidence::{Outcome, Passive, Probe},
    track::Shown,
};

/// One endpoint of a cluster, as far as verdicts need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address; one that is there twice is judged once.
    pub addr: Arc<str>,
    /// Where it stands; empty: in no zone.
    pub zone: Arc<str>,
    /// The shard it is a replica of; none for a primary and for a shard of a pool.
    pub replica_of: Option<Arc<str>>,
}

/// Names an endpoint of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointName {
    /// The cluster.
    pub cluster: Arc<str>,
    /// The address.
    pub addr: Arc<str>,
}

/// What is judged of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What data planes are told.
    pub shown: Shown,
    /// What the last probe said; none when there was none yet.
    pub outcome: Option<Outcome>,
    /// Consecutive failed probes.
    pub failures: u32,
    /// What the last probe said against it; empty when nothing.
    pub error: String,
    /// The earliest time it can return; none when it is not ejected.
    pub ejected_until: Option<Instant>,
}

/// Decides which endpoints of all clusters are in use.
#[derive(Debug)]
pub struct Judge {
    cases: BTreeMap<Arc<str>, Case>,
    observer: Observer,
    dice: Dice,
    events: Vec<Event>,
}

impl Judge {
    /// Knows of no cluster yet; `seed` is for jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            cases: BTreeMap::new(),
            observer: Observer::default(),
            dice: Dice::new(seed),
            events: Vec::new(),
        }
    }

    /// Takes over a cluster's definition; what is known of addresses that stay is kept.
    pub fn define(&mut self, cluster: &Arc<str>, probing: &Probing, members: Vec<Member>) {
        let case = self.cases.entry(Arc::clone(cluster));
        case.or_insert_with(|| Case::new(Arc::clone(cluster), probing))
            .define(probing, members);
    }

    /// Forgets all clusters but those that `keep` names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.cases.retain(|name, _| keep(name));
    }

    /// Returns the endpoints to probe at `now`.
    pub fn due(&self, now: Instant) -> Vec<EndpointName> {
        let zones = self.zones();
        let mut due = Vec::new();
        for (name, case) in &self.cases {
            let doubted_since = case.doubted_since();
            let mut asked = BTreeSet::new();
            for member in &case.members {
                let Some(track) = case.tracks.get(&member.addr) else {
                    continue;
                };
                let doubt = doubted_since.max(zones.doubted_since(&member.zone));
                let is_due =
                    track.is_new() || track.due(&case.probing, doubt).is_some_and(|at| at <= now);
                if is_due && asked.insert(&member.addr) {
                    due.push(EndpointName {
                        cluster: Arc::clone(name),
                        addr: Arc::clone(&member.addr),
                    });
                }
            }
        }
        due
    }

    /// Notes that a probe of an endpoint was begun.
    pub fn started(&mut self, endpoint: &EndpointName, now: Instant) {
        self.change(endpoint, |track| track.started(now));
    }

    /// Notes that a begun probe will not be finished.
    pub fn abandoned(&mut self, endpoint: &EndpointName) {
        self.change(endpoint, Track::abandoned);
    }

    /// Takes a finished probe.
    pub fn probed(&mut self, endpoint: &EndpointName, probe: Probe) {
        self.change(endpoint, |track| track.probed(probe));
    }

    /// Returns the endpoints to empty: they would return if they were.
    pub fn to_empty(&self) -> Vec<EndpointName> {
        let mut wanted = Vec::new();
        for (name, case) in &self.cases {
            let tracks = case.tracks.iter();
            let of_case = tracks.filter(|(_, track)| track.emptying.is_wanted());
            wanted.extend(of_case.map(|(addr, _)| EndpointName {
                cluster: Arc::clone(name),
                addr: Arc::clone(addr),
            }));
        }
        wanted
    }

    /// Notes that the emptying of an endpoint was begun.
    pub fn emptying(&mut self, endpoint: &EndpointName) {
        self.change(endpoint, |track| track.emptying.began(track.heard));
    }

    /// Takes what came of the emptying of an endpoint, or why nobody knows.
    pub fn emptied(&mut self, endpoint: &EndpointName, result: Result<(), String>, now: Instant) {
        let mut failure = None;
        self.change(endpoint, |track| {
            if track.ejection.is_some() {
                failure = track.emptying.ended(result, now);
            }
        });
        if let Some(error) = failure {
            self.events.push(Event::NotEmptied {
                cluster: Arc::clone(&endpoint.cluster),
                endpoint: Arc::clone(&endpoint.addr),
                error,
            });
        }
    }

    /// Takes what a data plane saw of an endpoint.
    pub fn reported(&mut self, endpoint: &EndpointName, passive: &Passive) {
        self.change(endpoint, |track| track.reported(passive));
    }

    /// Returns how often in a row probes of an endpoint failed.
    pub fn failures(&self, endpoint: &EndpointName) -> u32 {
        let case = self.cases.get(&endpoint.cluster);
        let track = case.and_then(|case| case.tracks.get(&endpoint.addr));
        track.map_or(0, |track| track.failures)
    }

    /// Notes which data planes are connected.
    pub fn connected(&mut self, dataplanes: BTreeSet<Arc<str>>) {
        self.observer.connected(dataplanes);
    }

    /// Notes that a report came from a data plane, whatever it said.
    pub fn heard(&mut self, dataplane: &Arc<str>) {
        self.observer.heard(dataplane);
    }

    /// Notes that probing stood still.
    pub fn slipped(&mut self, now: Instant) {
        self.observer.slipped(now);
        self.events.push(Event::Slipped);
    }

    /// Decides about everything; returns what happened since the last call.
    pub fn judge(&mut self, now: Instant) -> Vec<Event> {
        let tracks = self.cases.values().flat_map(|case| case.tracks.values());
        if self.observer.warm_up(tracks, now) {
            self.events.push(Event::WarmedUp);
        }
        let zones = self.zones();
        let mut clearance = Clearance {
            now,
            is_abstaining: self.observer.is_abstaining(now),
            zones: &zones,
            dice: &mut self.dice,
        };
        for case in self.cases.values_mut() {
            case.judge(&mut clearance, &mut self.events);
        }
        std::mem::take(&mut self.events)
    }

    /// Returns what is judged of a cluster's endpoints, in the order they were defined in.
    pub fn findings(&self, cluster: &str) -> Vec<(Member, Finding)> {
        let Some(case) = self.cases.get(cluster) else {
            return Vec::new();
        };
        let find =
            |member: &Member| Some((member.clone(), finding(case.tracks.get(&member.addr)?)));
        case.members.iter().filter_map(find).collect()
    }

    /// Returns what data planes are told of a cluster's endpoints, in the order they were defined in.
    pub fn shown<'a>(&'a self, cluster: &str) -> impl Iterator<Item = Shown> + 'a {
        let case = self.cases.get(cluster).into_iter();
        case.flat_map(|case| {
            let track = |member: &Member| case.tracks.get(&member.addr);
            case.members
                .iter()
                .map(move |member| track(member).map(|track| track.shown).unwrap_or_default())
        })
    }

    /// Whether enough is known to eject.
    pub fn is_warm(&self) -> bool {
        self.observer.is_warm()
    }

    /// Returns what someone should look at now, by name: where it is so.
    pub fn alarms(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut alarms: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, case) in &self.cases {
            if case.partitioned {
                alarms
                    .entry("CONTROL_PLANE_PARTITIONED")
                    .or_default()
                    .push(name.to_string());
            } else if case.suspect {
                alarms
                    .entry("OBSERVER_SUSPECT")
                    .or_default()
                    .push(name.to_string());
            }
            if case.in_panic {
                alarms.entry("PANIC").or_default().push(name.to_string());
            }
            for (addr, track) in &case.tracks {
                if let Some(Outcome::Misconfigured(error)) = &track.outcome {
                    let misconfigured = alarms.entry("MISCONFIGURED").or_default();
                    misconfigured.push(format!("{name}/{addr} ({error})"));
                }
                if !track.emptying.error.is_empty() {
                    let unemptied = alarms.entry("FLUSH_FAILED").or_default();
                    unemptied.push(format!("{name}/{addr} ({})", track.emptying.error));
                }
            }
        }
        alarms
    }

    fn zones(&self) -> Zones {
        let mut zones = Zones::default();
        self.cases.values().for_each(|case| case.survey(&mut zones));
        zones
    }

    fn change(&mut self, endpoint: &EndpointName, change: impl FnOnce(&mut Track)) {
        let case = self.cases.get_mut(&endpoint.cluster);
        if let Some(track) = case.and_then(|case| case.tracks.get_mut(&endpoint.addr)) {
            change(track);
        }
    }
}

fn finding(track: &Track) -> Finding {
    Finding {
        shown: track.shown,
        outcome: track.outcome.clone(),
        failures: track.failures,
        error: track.error(),
        ejected_until: track.ejection.as_ref().map(|ejection| ejection.until),
    }
}

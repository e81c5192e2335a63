//! One cluster: which of its endpoints are ejected, weighing all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use prism_proto::model::{OnEjection, OnReadmit, Probing};

use super::{
    Event, Member,
    observer::{Clearance, Zones},
    track::Track,
};

/// How long a data plane's success speaks against our failures.
const SUCCESS_HOLDS: Duration = Duration::from_secs(30);

/// The case of one cluster.
#[derive(Debug)]
pub(super) struct Case {
    name: Arc<str>,
    pub(super) probing: Probing,
    pub(super) members: Vec<Member>,
    pub(super) tracks: BTreeMap<Arc<str>, Track>,
    pub(super) in_panic: bool,
    pub(super) suspect: bool,
    pub(super) partitioned: bool,
}

impl Case {
    pub(super) fn new(name: Arc<str>, probing: &Probing) -> Self {
        Self {
            name,
            probing: probing.clone(),
            members: Vec::new(),
            tracks: BTreeMap::new(),
            in_panic: false,
            suspect: false,
            partitioned: false,
        }
    }

    /// Takes over a definition; what is known of addresses that stay is kept.
    pub(super) fn define(&mut self, probing: &Probing, members: Vec<Member>) {
        self.probing = probing.clone();
        let named: BTreeSet<_> = members.iter().map(|member| &member.addr).collect();
        self.tracks.retain(|addr, _| named.contains(addr));
        for addr in named {
            self.tracks.entry(Arc::clone(addr)).or_default();
        }
        self.members = members;
    }

    /// Since when an endpoint fails on which nothing is decided; its siblings are asked again before that.
    pub(super) fn doubted_since(&self) -> Option<Instant> {
        let tracks = self.tracks.values();
        tracks
            .filter_map(|track| track.doubted_since(&self.probing))
            .max()
    }

    /// Decides about all endpoints.
    pub(super) fn judge(&mut self, clearance: &mut Clearance<'_>, events: &mut Vec<Event>) {
        let now = clearance.now;
        self.readmit(now, events);
        self.hear_vetoes(now, events);
        self.suspect_observer(now, events);
        self.watch_panic(events);
        if !clearance.is_abstaining && !self.suspect && !self.in_panic {
            self.eject(clearance, events);
        }
        // Panic takes no ejection back where that takes an empty endpoint.
        let is_suspended = self.in_panic && !self.is_emptied();
        for track in self.tracks.values_mut() {
            track.show(is_suspended, now);
        }
    }

    /// Whether endpoints are emptied before they return.
    fn is_emptied(&self) -> bool {
        self.probing.on_readmit == OnReadmit::Flush
    }

    fn readmit(&mut self, now: Instant, events: &mut Vec<Event>) {
        let emptied = self.is_emptied();
        for (addr, track) in &mut self.tracks {
            if !track.may_return(&self.probing, now) {
                continue;
            }
            if emptied && !track.emptying.is_done(now) {
                track.emptying.want(track.heard);
                continue;
            }
            track.readmit(now);
            let (cluster, endpoint) = (Arc::clone(&self.name), Arc::clone(addr));
            events.push(Event::Readmitted {
                cluster,
                endpoint,
                emptied,
            });
        }
    }

    /// A data plane that gets through withdraws an ejection everywhere where keys would move; elsewhere it decides for itself.
    fn hear_vetoes(&mut self, now: Instant, events: &mut Vec<Event>) {
        let withdrawn = self.probing.on_ejection == OnEjection::Rehash;
        let is_emptied = self.is_emptied();
        for (addr, track) in &mut self.tracks {
            let can_change = track.may_change(now);
            let Some(ejection) = &mut track.ejection else {
                continue;
            };
            let since = track.failing_since.unwrap_or(ejection.at);
            let Some(dataplane) = track.reports.veto(now, since) else {
                continue;
            };
            let is_told = ejection
                .refused_by
                .replace(Arc::clone(&dataplane))
                .is_some();
            let may_withdraw = withdrawn && can_change;
            let must_wait = is_emptied && !track.emptying.is_done(now);
            if may_withdraw && must_wait {
                track.emptying.want(track.heard);
            }
            let takes_effect = may_withdraw && !must_wait;
            if takes_effect {
                track.withdraw(now);
            }
            if takes_effect || !is_told {
                let (cluster, endpoint) = (Arc::clone(&self.name), Arc::clone(addr));
                events.push(Event::Vetoed {
                    cluster,
                    endpoint,
                    dataplane,
                    withdrawn: takes_effect,
                });
            }
        }
    }

    /// When everything fails at once, it is rather us.
    fn suspect_observer(&mut self, now: Instant, events: &mut Vec<Event>) {
        let all_fail =
            !self.tracks.is_empty() && self.tracks.values().all(|track| track.failures > 0);
        if all_fail != self.suspect {
            self.suspect = all_fail;
            let cluster = Arc::clone(&self.name);
            events.push(Event::ObserverSuspect {
                cluster,
                began: all_fail,
            });
        }
        let reached = |track: &Track| track.reports.succeeded(now, SUCCESS_HOLDS);
        let partitioned = all_fail && self.tracks.values().any(reached);
        if partitioned != self.partitioned {
            self.partitioned = partitioned;
            let cluster = Arc::clone(&self.name);
            events.push(Event::Partitioned {
                cluster,
                began: partitioned,
            });
        }
    }

    fn watch_panic(&mut self, events: &mut Vec<Event>) {
        let unhealthy = |track: &&Track| track.is_unhealthy(&self.probing);
        let unhealthy = self.tracks.values().filter(unhealthy).count();
        let healthy = self.tracks.len() - unhealthy;
        let in_panic = !self.probing.no_panic && healthy * 2 < self.tracks.len();
        if in_panic != self.in_panic {
            self.in_panic = in_panic;
            let cluster = Arc::clone(&self.name);
            events.push(Event::Panic {
                cluster,
                began: in_panic,
            });
        }
    }

    /// Ejects what is down, the longest first, as far as the limits go; the last endpoint always stays.
    fn eject(&mut self, clearance: &mut Clearance<'_>, events: &mut Vec<Event>) {
        for addr in self.candidates(clearance) {
            let out = self
                .tracks
                .values()
                .filter(|track| track.ejection.is_some())
                .count();
            if out + 1 >= self.tracks.len() || !self.has_room(&addr) {
                continue;
            }
            let Some(track) = self.tracks.get_mut(&addr) else {
                continue;
            };
            let error = track.error();
            let failures = track.failures;
            let time = track.eject(clearance.now, clearance.dice.roll());
            let (cluster, endpoint) = (Arc::clone(&self.name), addr);
            events.push(Event::Ejected {
                cluster,
                endpoint,
                failures,
                time,
                error,
            });
        }
    }

    fn candidates(&self, clearance: &Clearance<'_>) -> Vec<Arc<str>> {
        let now = clearance.now;
        let mut down: Vec<_> = self
            .members
            .iter()
            .filter_map(|member| {
                let track = self.tracks.get(&member.addr)?;
                let since = track.failing_since?;
                let is_open = track.ejection.is_none() && track.is_down(&self.probing);
                let is_free =
                    track.may_change(now) && !track.is_held(now) && !self.is_vetoed(track, now);
                let is_believed =
                    !clearance.zones.is_suspect(&member.zone) || track.reports.support(since);
                let is_checked =
                    self.is_fresh(since) && clearance.zones.is_fresh(&member.zone, since);
                let is_candidate = is_open && is_free && is_believed && is_checked;
                is_candidate.then(|| (since, Arc::clone(&member.addr)))
            })
            .collect();
        down.sort();
        down.dedup();
        down.into_iter().map(|(_, addr)| addr).collect()
    }

    fn is_vetoed(&self, track: &Track, now: Instant) -> bool {
        let rehashes = self.probing.on_ejection == OnEjection::Rehash;
        let since = track.failing_since.unwrap_or(now);
        rehashes && track.reports.veto(now, since).is_some()
    }

    /// Whether all endpoints that do not fail were asked again after `since`.
    fn is_fresh(&self, since: Instant) -> bool {
        self.tracks.values().all(|track| is_fresh(track, since))
    }

    /// Whether one more endpoint of this one's group may be ejected: the primaries are one group, each shard's replicas another.
    fn has_room(&self, addr: &Arc<str>) -> bool {
        let group_of = |member: &Member| member.replica_of.clone();
        let Some(own) = self
            .members
            .iter()
            .find(|member| member.addr == *addr)
            .map(group_of)
        else {
            return false;
        };
        let group: BTreeSet<_> = self
            .members
            .iter()
            .filter(|member| member.replica_of == own)
            .map(|member| &member.addr)
            .collect();
        let is_out = |addr: &&&Arc<str>| {
            self.tracks
                .get(**addr)
                .is_some_and(|track| track.ejection.is_some())
        };
        let out = group.iter().filter(is_out).count();
        let percent = usize::try_from(self.probing.max_ejection_percent).unwrap_or(100);
        let allowed = (group.len() * percent).div_ceil(100).max(1);
        out < allowed
    }

    /// Counts its endpoints into the zones they stand in.
    pub(super) fn survey(&self, zones: &mut Zones) {
        for member in self.members.iter().filter(|member| !member.zone.is_empty()) {
            if let Some(track) = self.tracks.get(&member.addr) {
                zones.count(member, track, track.doubted_since(&self.probing));
            }
        }
    }
}

/// Whether what is known of an endpoint is newer than `since`, or speaks against it anyway.
fn is_fresh(track: &Track, since: Instant) -> bool {
    track.failures > 0 || track.heard.is_some_and(|heard| heard >= since)
}

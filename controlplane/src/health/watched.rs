//! One watched cluster: its definition, and what is shown of its endpoints beside the verdicts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use prism_proto::{
    model::{CacheType, Cluster, EndpointAddr},
    pb::{
        admin::v1::EndpointState,
        discovery::v1::{EndpointHealth, EndpointReport},
    },
    placement::SlotMap,
};

use super::{ClusterVerdict, EndpointStatus, Traffic, follow::Follow};
use crate::{
    catalog::StoredCluster,
    probe::{About, Checked, Role, Target},
    verdict::{Finding, Member, Outcome, Shown},
};

/// One watched cluster.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stored: Arc<StoredCluster>,
    /// The topology of a Redis Cluster.
    pub(super) follow: Option<Follow>,
    known: BTreeMap<Arc<str>, Known>,
    /// Names that data planes report under, and the address they stand for.
    names: BTreeMap<String, Arc<str>>,
    /// Whether what is shown may have changed.
    pub(super) is_stale: bool,
}

#[derive(Debug, Default)]
struct Known {
    addr: Option<EndpointAddr>,
    alias: String,
    /// What the topology says it is.
    role: Option<Role>,
    latency: Option<Duration>,
    about: About,
    state: Option<(EndpointState, SystemTime)>,
    traffic: Traffic,
}

/// Two readings of the clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    pub(super) at: Instant,
    pub(super) time: SystemTime,
}

impl Wall {
    fn time_of(self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.at) {
            Some(later) => self.time + later,
            None => self.time,
        }
    }
}

impl Watched {
    pub(super) fn new(stored: Arc<StoredCluster>) -> Self {
        let is_followed = stored.spec.cluster().cache_type() == CacheType::RedisCluster;
        let seeds = addrs(stored.spec.cluster());
        Self {
            stored,
            follow: is_followed.then(|| Follow::new(seeds)),
            known: BTreeMap::new(),
            names: BTreeMap::new(),
            is_stale: true,
        }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        self.stored.spec.cluster()
    }

    /// Takes over a changed definition; returns whether anything of it is kept.
    pub(super) fn define(&mut self, stored: Arc<StoredCluster>) {
        let is_same = self.stored.uid == stored.uid
            && self.cluster().cache_type() == stored.spec.cluster().cache_type();
        if !is_same {
            *self = Self::new(stored);
            return;
        }
        if let Some(follow) = &mut self.follow {
            follow.define(addrs(stored.spec.cluster()));
        }
        self.stored = stored;
        self.is_stale = true;
    }

    pub(super) fn map(&self) -> Option<&Arc<SlotMap>> {
        self.follow.as_ref()?.tracker.map()
    }

    /// Returns the endpoints to judge: as defined, or of a Redis Cluster in slot map order once there is a map.
    pub(super) fn members(&mut self) -> Vec<Member> {
        let listed = match self.map() {
            Some(map) => of_map(map),
            None => of_definition(self.cluster()),
        };
        let mut before = std::mem::take(&mut self.known);
        self.names.clear();
        let mut members = Vec::new();
        for listed in listed {
            let text: Arc<str> = listed.addr.to_string().into();
            let known = before.remove(&text).unwrap_or_default();
            self.names.insert(text.to_string(), Arc::clone(&text));
            self.names.insert(listed.label, Arc::clone(&text));
            let shown = Known {
                addr: Some(listed.addr),
                alias: listed.alias,
                role: listed.role,
                ..known
            };
            self.known.insert(Arc::clone(&text), shown);
            members.push(Member {
                addr: text,
                zone: listed.zone,
                replica_of: listed.replica_of,
            });
        }
        self.is_stale = true;
        members
    }

    /// The address that a data plane reports under `name`.
    pub(super) fn addr_of(&self, name: &str) -> Option<&Arc<str>> {
        self.names.get(name)
    }

    /// How to ask one endpoint of it.
    pub(super) fn target(&self, addr: &str) -> Option<Target> {
        self.known
            .get(addr)?
            .addr
            .as_ref()
            .map(|addr| self.target_at(addr.clone()))
    }

    pub(super) fn target_at(&self, addr: EndpointAddr) -> Target {
        Target::of(self.cluster(), addr)
    }

    /// Takes what a probe said beside its outcome; returns whether the endpoint is not what the topology says it is.
    pub(super) fn checked(&mut self, addr: &str, checked: Checked) -> bool {
        self.is_stale = true;
        let Some(known) = self.known.get_mut(addr) else {
            return false;
        };
        known.latency = checked.latency.or(known.latency);
        let about = checked.about;
        known.about.software = about.software.or(known.about.software.take());
        known.about.lag = about.lag;
        known.about.role = about.role.or(known.about.role);
        known
            .role
            .is_some_and(|role| about.role.is_some_and(|said| said != role))
    }

    /// Adds what a data plane sent to an endpoint since it last said so.
    pub(super) fn add_traffic(&mut self, seen: &EndpointReport) {
        let addr = self.names.get(&seen.addr);
        if let Some(known) = addr.and_then(|addr| self.known.get_mut(addr)) {
            known.traffic.add(seen);
            self.is_stale = true;
        }
    }

    /// The resource revision that the order of the endpoints comes from.
    fn revision(&self) -> u64 {
        match (&self.follow, self.map()) {
            (Some(_), map) => map.map_or(0, |map| map.sequence()),
            (None, _) => self.stored.revision.number,
        }
    }

    /// Whether data planes were told the same: these states in this order.
    pub(super) fn is_as_told(
        &self,
        told: &ClusterVerdict,
        states: impl Iterator<Item = EndpointHealth>,
    ) -> bool {
        let is_mapped = self.follow.is_none() || self.map().is_some();
        told.revision == self.revision() && (!is_mapped || states.eq(told.states.iter().copied()))
    }

    /// Makes what is published of it.
    pub(super) fn verdict(
        &mut self,
        findings: Vec<(Member, Finding)>,
        wall: Wall,
        now: Instant,
    ) -> ClusterVerdict {
        self.is_stale = false;
        let revision = self.revision();
        let mut verdict = ClusterVerdict {
            revision,
            ..ClusterVerdict::default()
        };
        let is_mapped = self.follow.is_none() || self.map().is_some();
        let unmapped = self
            .follow
            .as_ref()
            .filter(|_| !is_mapped)
            .map(|follow| follow.error.clone());
        for (member, finding) in findings {
            if is_mapped {
                verdict.states.push(health(finding.shown));
            }
            let known = self.known.entry(Arc::clone(&member.addr)).or_default();
            let mut status = status(&member, &finding, known, wall, now);
            if let Some(error) = unmapped.as_ref().filter(|_| status.last_error.is_empty()) {
                status.last_error = error.clone();
            }
            verdict.endpoints.push(status);
        }
        verdict
    }
}

pub(super) fn health(shown: Shown) -> EndpointHealth {
    match shown {
        Shown::Ejected => EndpointHealth::Ejected,
        Shown::Healthy => EndpointHealth::Healthy,
        Shown::Unknown => EndpointHealth::Unspecified,
        Shown::Warming => EndpointHealth::Warming,
    }
}

fn state(finding: &Finding) -> EndpointState {
    match (finding.shown, &finding.outcome) {
        (Shown::Ejected, _) => EndpointState::Ejected,
        (_, None) => EndpointState::Unknown,
        (_, Some(Outcome::Failed(_))) => EndpointState::Suspect,
        (_, Some(Outcome::Misconfigured(_))) => EndpointState::Misconfigured,
        (_, Some(Outcome::Ok | Outcome::RoleChanged(_))) => EndpointState::Healthy,
        (_, Some(Outcome::Warming)) => EndpointState::Warming,
    }
}

fn status(
    member: &Member,
    finding: &Finding,
    known: &mut Known,
    wall: Wall,
    now: Instant,
) -> EndpointStatus {
    let state = state(finding);
    let since = match known.state {
        Some((before, since)) if before == state => since,
        _ => wall.time_of(now),
    };
    known.state = Some((state, since));
    let role = known.about.role.or(known.role);
    EndpointStatus {
        addr: member.addr.to_string(),
        alias: known.alias.clone(),
        state,
        since,
        failures: finding.failures,
        last_error: finding.error.clone(),
        latency: known.latency,
        role: role.map(Role::name).unwrap_or_default().into(),
        ejected_until: finding.ejected_until.map(|at| wall.time_of(at)),
        server_version: known.about.software.clone().unwrap_or_default(),
        traffic: known.traffic,
    }
}

/// One endpoint as listed by a definition or a slot map.
struct Listed {
    addr: EndpointAddr,
    label: String,
    alias: String,
    zone: Arc<str>,
    role: Option<Role>,
    replica_of: Option<Arc<str>>,
}

fn of_definition(cluster: &Cluster) -> Vec<Listed> {
    let listed = |endpoint: &prism_proto::model::Endpoint| Listed {
        addr: endpoint.addr().clone(),
        label: endpoint.label(),
        alias: endpoint.alias().unwrap_or_default().into(),
        zone: endpoint.zone().unwrap_or_default().into(),
        role: None,
        replica_of: endpoint.replica_of().map(Into::into),
    };
    cluster.endpoints().iter().map(listed).collect()
}

/// Lists all shards, each primary before its replicas.
fn of_map(map: &SlotMap) -> Vec<Listed> {
    let mut all = Vec::new();
    let mut list = |text: &str, role, replica_of| {
        if let Ok(addr) = text.parse() {
            let (label, alias, zone) = (String::from(text), String::new(), Arc::from(""));
            all.push(Listed {
                addr,
                label,
                alias,
                zone,
                role: Some(role),
                replica_of,
            });
        }
    };
    for shard in map.shards() {
        list(&shard.primary, Role::Primary, None);
        let shard_id: Arc<str> = shard.primary_id.as_str().into();
        for replica in &shard.replicas {
            list(replica, Role::Replica, Some(Arc::clone(&shard_id)));
        }
    }
    all
}

fn addrs(cluster: &Cluster) -> Vec<EndpointAddr> {
    let mut seen = BTreeSet::new();
    let addrs = cluster
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.addr().clone());
    addrs.filter(|addr| seen.insert(addr.clone())).collect()
}

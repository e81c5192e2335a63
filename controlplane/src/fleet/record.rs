//! One data plane: identity, standing, nacks, and what follows from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use prism_proto::{
    model::Selector,
    pb::{
        admin::v1::{Dataplane, FieldViolation, FleetRevision, ResourceNack, SyncState},
        discovery::v1::{ClusterReport, Nack, Report},
    },
};
use tokio::{sync::watch, time::Instant};

use super::{ClusterCounts, ConnectError, Identity, Serving, Standing, link::Ticket};
use crate::store::Revision;

/// How long a push may be on its way before its data plane counts as stale.
const PENDING_LIMIT: Duration = Duration::from_secs(15);
/// Ejected endpoints kept of one data plane's reports.
const MAX_EJECTED: usize = 4096;
/// Clusters kept of one data plane's reports.
const MAX_REPORTED: usize = 4096;

/// What is known of one data plane.
#[derive(Debug)]
pub(super) struct Record {
    identity: Identity,
    /// Counts its streams; the live one has this number.
    stream: u64,
    /// Dropped to tell a live stream that it was replaced; `None` when there is none.
    holder: Option<watch::Sender<()>>,
    foreign: Option<String>,
    standing: Standing,
    nacks: BTreeMap<(String, String), (Nack, SystemTime)>,
    state: SyncState,
    since: (SystemTime, Instant),
    connected_since: Option<SystemTime>,
    last_seen: (SystemTime, Instant),
    from_snapshot: bool,
    clients: BTreeMap<String, u64>,
    ejected: BTreeSet<(String, String)>,
    /// It said that it is about to end.
    is_draining: bool,
    /// The newest error text about it.
    pub(super) last_error: String,
}

impl Default for Record {
    fn default() -> Self {
        let now = (SystemTime::now(), Instant::now());
        Self {
            identity: Identity::default(),
            stream: 0,
            holder: None,
            foreign: None,
            standing: Standing::default(),
            nacks: BTreeMap::new(),
            state: SyncState::Unspecified,
            since: now,
            connected_since: None,
            last_seen: now,
            from_snapshot: false,
            clients: BTreeMap::new(),
            ejected: BTreeSet::new(),
            is_draining: false,
            last_error: String::new(),
        }
    }
}

impl Record {
    pub(super) fn connect(&mut self, identity: Identity) -> Result<Ticket, ConnectError> {
        let is_same_run = self.identity.instance == identity.instance;
        if self.holder.is_some() && !is_same_run {
            let held = ConnectError::Held {
                id: identity.id,
                instance: self.identity.instance.clone(),
                peer: self.identity.peer.clone(),
            };
            let (other, peer) = (identity.instance, identity.peer);
            self.last_error = format!("instance {other} from {peer} was refused: the id is in use");
            return Err(held);
        }
        if !is_same_run {
            self.nacks.clear();
            self.clients.clear();
            self.ejected.clear();
            self.last_error.clear();
            self.standing.serves = None;
            self.is_draining = false;
        }
        let (sender, holder) = watch::channel(());
        self.identity = identity;
        self.stream += 1;
        self.holder = Some(sender);
        self.foreign = None;
        // The same run goes on serving what it served, or ending, until it says where it stands.
        self.standing = Standing {
            serves: self.standing.serves.take(),
            ..Standing::default()
        };
        self.connected_since = Some(SystemTime::now());
        self.seen();
        self.settle();
        let stream = self.stream;
        Ok(Ticket { stream, holder })
    }

    pub(super) fn disconnect(&mut self) {
        self.holder = None;
        self.connected_since = None;
        self.clients.clear();
    }

    pub(super) fn is_stream(&self, stream: u64) -> bool {
        self.stream == stream && self.holder.is_some()
    }

    pub(super) fn seen(&mut self) {
        self.last_seen = (SystemTime::now(), Instant::now());
    }

    pub(super) fn set_foreign(&mut self, fleet_id: &str) {
        self.last_error = format!("it belongs to fleet {fleet_id}");
        self.foreign = Some(fleet_id.into());
    }

    pub(super) fn resumed(&mut self, from_snapshot: bool) {
        self.from_snapshot = from_snapshot;
    }

    /// Notes whether it is about to end; returns whether that is news.
    pub(super) fn set_draining(&mut self, is_draining: bool) -> bool {
        std::mem::replace(&mut self.is_draining, is_draining) != is_draining
    }

    /// Returns what its clients are to know of it; `None` while it serves no Redis Cluster.
    pub(super) fn serving(&self) -> Option<Serving> {
        let clusters = self.standing.serves.as_ref()?;
        if self.foreign.is_some() || self.is_draining || clusters.is_empty() {
            return None;
        }
        Some(Serving {
            id: self.identity.id.clone(),
            advertise: self.identity.advertise.clone(),
            bind_ip: self.identity.bind_ip.clone(),
            peer: self.identity.peer.clone(),
            clusters: Arc::clone(clusters),
        })
    }

    /// Returns whether anything that is shown changed.
    pub(super) fn stands(&mut self, mut standing: Standing, nacks: Vec<Nack>) -> bool {
        if standing.serves.is_none() {
            standing.serves.clone_from(&self.standing.serves);
        }
        let nacks_changed = self.set_nacks(nacks);
        if !nacks_changed && self.standing == standing {
            return false;
        }
        self.standing = standing;
        if self.standing.is_synced() {
            self.from_snapshot = false;
        }
        self.settle();
        true
    }

    fn set_nacks(&mut self, nacks: Vec<Nack>) -> bool {
        let key = |nack: &Nack| (nack.kind.clone(), nack.name.clone());
        let is_known = |nack: &Nack| {
            self.nacks
                .get(&key(nack))
                .is_some_and(|(old, _)| old == nack)
        };
        if nacks.len() == self.nacks.len() && nacks.iter().all(is_known) {
            return false;
        }
        let now = SystemTime::now();
        let mut old = std::mem::take(&mut self.nacks);
        for nack in nacks {
            let kept = old.remove(&key(&nack)).filter(|(known, _)| *known == nack);
            if kept.is_none() {
                self.last_error = describe(&nack);
            }
            let since = kept.map_or(now, |(_, since)| since);
            self.nacks.insert(key(&nack), (nack, since));
        }
        true
    }

    /// Returns whether what is shown of it changed.
    pub(super) fn report(&mut self, report: &Report) -> bool {
        let before = (self.client_count(), self.ejected.len());
        for cluster in &report.clusters {
            self.report_cluster(cluster);
        }
        before != (self.client_count(), self.ejected.len())
    }

    fn report_cluster(&mut self, report: &ClusterReport) {
        if self.clients.len() < MAX_REPORTED || self.clients.contains_key(&report.cluster) {
            self.clients.insert(report.cluster.clone(), report.clients);
        }
        for endpoint in &report.endpoints {
            let key = (report.cluster.clone(), endpoint.addr.clone());
            if !endpoint.ejected {
                self.ejected.remove(&key);
            } else if self.ejected.len() < MAX_EJECTED {
                self.ejected.insert(key);
            }
        }
    }

    pub(super) fn nacks(&self) -> Vec<Nack> {
        self.nacks.values().map(|(nack, _)| nack.clone()).collect()
    }

    /// Returns how long it has had no stream; `None` while it has one.
    pub(super) fn away(&self, now: Instant) -> Option<Duration> {
        let is_away = self.holder.is_none();
        is_away.then(|| now.saturating_duration_since(self.last_seen.1))
    }

    pub(super) fn foreign_alarm(&self) -> Option<String> {
        let foreign = self.foreign.as_ref().filter(|_| self.holder.is_some())?;
        let id = &self.identity.id;
        Some(format!(
            "FOREIGN_FLEET: data plane {id} belongs to fleet {foreign}"
        ))
    }

    pub(super) fn count(
        &self,
        name: &str,
        selector: &Selector,
        revision: u64,
        counts: &mut ClusterCounts,
    ) {
        let is_here = self.holder.is_some() && self.foreign.is_none();
        if !is_here || !selector.selects(&self.identity.id, &self.identity.labels) {
            return;
        }
        counts.selected += 1;
        let nack = self.nacks.get(&("clusters".to_owned(), name.to_owned()));
        if nack.is_some_and(|(nack, _)| nack.revision == revision) {
            counts.nacked += 1;
            return;
        }
        let has_resumed = self.standing.reported_digest.is_some();
        let was_compared = self.standing.desired.number >= revision;
        if has_resumed && was_compared && !self.standing.behind.contains(name) {
            counts.synced += 1;
        }
    }

    /// Takes over the state that follows from everything else, and when it began.
    pub(super) fn settle(&mut self) {
        let state = self.base_state();
        if state != self.state {
            self.state = state;
            self.since = (SystemTime::now(), Instant::now());
        }
    }

    fn base_state(&self) -> SyncState {
        if self.holder.is_none() {
            SyncState::Disconnected
        } else if self.foreign.is_some() {
            SyncState::ForeignFleet
        } else if !self.nacks.is_empty() {
            SyncState::Nacked
        } else if self.standing.is_synced() {
            SyncState::Synced
        } else {
            SyncState::Pending
        }
    }

    /// The state and when it began. What was not compared with the head yet is on its way, and after a while it is stale.
    fn shown_state(&self, head: Revision, now: Instant) -> (SyncState, SystemTime) {
        let (since, began) = self.since;
        let late = now.saturating_duration_since(began) > PENDING_LIMIT;
        match self.state {
            SyncState::Synced if self.standing.desired < head => (SyncState::Pending, since),
            SyncState::Pending if late => (SyncState::Stale, since + PENDING_LIMIT),
            state => (state, since),
        }
    }

    pub(super) fn describe(&self, head: Revision, now: Instant) -> Dataplane {
        let (state, since) = self.shown_state(head, now);
        let identity = self.identity.clone();
        let ejected = self.ejected.iter();
        Dataplane {
            id: identity.id,
            instance: identity.instance,
            zone: identity.zone,
            labels: identity.labels,
            advertise: identity.advertise,
            build: identity.build,
            peer: identity.peer,
            state: state.into(),
            since: Some(since.into()),
            acked: Some(place(self.standing.acked)),
            desired: Some(place(self.standing.desired)),
            nacks: self.nacks.values().map(shown_nack).collect(),
            last_error: self.last_error.clone(),
            connected_since: self.connected_since.map(Into::into),
            last_seen: Some(self.last_seen.0.into()),
            clusters: u32::try_from(self.standing.clusters).unwrap_or(u32::MAX),
            clients: self.client_count(),
            ejected: ejected
                .map(|(cluster, addr)| format!("{cluster}/{addr}"))
                .collect(),
            started_from_snapshot: self.from_snapshot,
        }
    }

    fn client_count(&self) -> u64 {
        self.clients.values().sum()
    }
}

fn place(revision: Revision) -> FleetRevision {
    FleetRevision {
        epoch: revision.epoch,
        revision: revision.number,
    }
}

fn shown_nack((nack, time): &(Nack, SystemTime)) -> ResourceNack {
    let violations = nack.violations.iter().cloned();
    ResourceNack {
        kind: nack.kind.clone(),
        name: nack.name.clone(),
        revision: nack.revision,
        violations: violations
            .map(|violation| FieldViolation {
                field: violation.field,
                description: violation.description,
            })
            .collect(),
        time: Some((*time).into()),
    }
}

fn describe(nack: &Nack) -> String {
    let (kind, name) = (&nack.kind, &nack.name);
    match nack.violations.first() {
        Some(first) if first.field.is_empty() => format!("{kind}/{name}: {}", first.description),
        Some(first) => format!("{kind}/{name}: {}: {}", first.field, first.description),
        None => format!("{kind}/{name} was rejected"),
    }
}

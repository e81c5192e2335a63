//! The one writer of a cluster's topology; runs on the control thread.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use prism_proto::{
    model::{CacheType, Cluster, Endpoint, EndpointAddr, SecretError},
    placement::SlotMap,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use super::{
    Topology,
    handle::{Observed, Order, TopologyHandle},
    health::{Health, Probed, Traffic},
    refresh::{RefreshError, refresh},
    slots,
};
use crate::{
    cluster::{ClusterShared, Observation, runtime::handshake},
    metrics::Registry,
    upstream::{Dial, FlushError, Kind, Wire, flush, probe},
};

/// Redirects kept for the next report.
const MAX_MOVED: usize = 1024;

/// How long a control plane has to push what a redirect announced, before the cluster is asked here.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time that a veto looks back.
const TRAFFIC_WINDOW: Duration = Duration::from_secs(5);

/// What work of the task's own comes to.
enum Done {
    Probed(EndpointAddr, Probed, Option<FlushError>),
    Refreshed(Result<SlotMap, RefreshError>),
}

/// The task of one cluster.
pub(super) struct Task {
    shared: Arc<ClusterShared>,
    cluster: Arc<Cluster>,
    dial: Result<Dial, SecretError>,
    registry: Arc<Registry>,
    health: Health,
    slot_map: Option<Arc<SlotMap>>,
    generation: u64,
    start: Instant,
    /// When the cluster is to be asked for its slots.
    refresh_at: Option<Instant>,
    refreshed: Option<Instant>,
    /// A refresh is under way; there is one at a time.
    is_refreshing: bool,
    /// The definition names other seeds than before, and they have not answered yet.
    has_new_seeds: bool,
    /// Refreshes so far: each begins with another endpoint, so that one that is stuck does not delay them all.
    turn: usize,
    /// Who waits for the first slot map.
    waiting: Vec<oneshot::Sender<()>>,
    probe_at: Option<Instant>,
    /// Why endpoints that answer could not be emptied.
    unemptied: BTreeMap<EndpointAddr, String>,
    /// Totals by endpoint label when the last window began, and when that was.
    traffic: BTreeMap<String, (Instant, Traffic)>,
    observed: Rc<RefCell<Observed>>,
    urgent: Rc<Notify>,
    work: JoinSet<Done>,
}

impl Task {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        registry: Arc<Registry>,
        shared: Arc<ClusterShared>,
        handle: &TopologyHandle,
    ) -> Self {
        Self {
            shared,
            health: Health::new(&cluster),
            dial: dial(&cluster),
            cluster,
            registry,
            observed: Rc::clone(&handle.observed),
            urgent: Rc::clone(&handle.urgent),
            slot_map: None,
            generation: 0,
            start: Instant::now(),
            refresh_at: None,
            refreshed: None,
            is_refreshing: false,
            has_new_seeds: false,
            turn: 0,
            waiting: Vec::new(),
            probe_at: None,
            unemptied: BTreeMap::new(),
            traffic: BTreeMap::new(),
            work: JoinSet::new(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Order>,
        mut seen: mpsc::Receiver<Observation>,
    ) {
        if self.is_cluster() {
            self.refresh_at = Some(Instant::now());
        }
        self.publish();
        loop {
            let next = self.next_look();
            tokio::select! {
                order = inbox.recv() => match order {
                    None => return,
                    Some(order) => self.take(order),
                },
                Some(observation) = seen.recv() => self.observe(observation),
                Some(Ok(done)) = self.work.join_next() => self.finish(done),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            self.look();
        }
    }

    fn is_cluster(&self) -> bool {
        self.cluster.cache_type() == CacheType::RedisCluster
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Health(states, lease) => {
                let until = self.start.elapsed() + lease;
                let traffic = self.recent_traffic();
                let of = |addr: &EndpointAddr| traffic.get(addr).copied().unwrap_or_default();
                self.health.central(&states, until, of);
                if !self.health.to_probe().is_empty() {
                    self.probe_at.get_or_insert_with(Instant::now);
                }
            }
            Order::NewStream => return self.health.new_stream(),
            Order::Ready(done)
                if self.is_cluster() && self.slot_map.is_none() && self.refreshed.is_none() =>
            {
                return self.waiting.push(done);
            }
            Order::Ready(done) => {
                // Nobody waits any more when this fails.
                let _ = done.send(());
                return;
            }
            Order::SlotMap(map) => {
                self.slot_map = Some(map);
                self.refresh_at = None;
                self.has_new_seeds = false;
            }
            Order::Update(cluster) => {
                self.health.update(&cluster);
                self.dial = dial(&cluster);
                if self.is_cluster() && self.cluster.endpoints() != cluster.endpoints() {
                    self.has_new_seeds = true;
                    self.refresh_at = Some(Instant::now());
                }
                self.cluster = cluster;
            }
        }
        self.publish();
    }

    fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Connected { .. } => return,
            Observation::ConnectFailed { endpoint } | Observation::Lost { endpoint } => {
                self.health.suspect(&endpoint);
                self.probe_at.get_or_insert_with(Instant::now);
                self.publish();
            }
            Observation::Doubt => {}
            Observation::Moved { slot, endpoint } => {
                let mut observed = self.observed.borrow_mut();
                if observed.moved.len() < MAX_MOVED {
                    observed.moved.insert(slot, endpoint);
                }
            }
        }
        if self.is_cluster() {
            self.observed.borrow_mut().refresh_wanted = true;
            self.want_refresh();
        }
        self.urgent.notify_one();
    }

    /// Asks the cluster soon; later if a control plane is there to push what it learns.
    fn want_refresh(&mut self) {
        let now = Instant::now();
        let least = self.cluster.topology().fetch_min_interval;
        let wait = match self.health.lease() {
            Some(_) => PATIENCE.max(least),
            None => Duration::ZERO,
        };
        let earliest = self.refreshed.map_or(now, |last| last + least);
        self.refresh_at.get_or_insert(earliest.max(now + wait));
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Probed(addr, probed, error) => {
                self.tell_unemptied(&addr, error);
                self.health.probed(&addr, probed, self.start.elapsed());
                self.publish();
            }
            Done::Refreshed(result) => {
                let now = Instant::now();
                self.refreshed = Some(now);
                self.is_refreshing = false;
                let least = now + self.cluster.topology().fetch_min_interval;
                self.refresh_at = self.refresh_at.map(|at| at.max(least));
                match result {
                    Ok(map) => {
                        self.has_new_seeds = false;
                        debug!(cluster = %self.shared.name, slots = map.covered(), "slot map read");
                        self.slot_map = Some(Arc::new(map));
                        self.publish();
                    }
                    Err(error) => {
                        warn!(cluster = %self.shared.name, %error, "slot map not read");
                        if self.slot_map.is_none() || self.has_new_seeds {
                            self.refresh_at = Some(now + PATIENCE);
                        }
                    }
                }
                for waiting in self.waiting.drain(..) {
                    // Nobody waits any more when this fails.
                    let _ = waiting.send(());
                }
            }
        }
    }

    /// Returns when there is something to do besides answering.
    fn next_look(&self) -> Option<Instant> {
        let lease = self.health.lease().map(|until| self.start + until);
        let periodic = self
            .refreshed
            .filter(|_| self.is_cluster() && self.health.lease().is_none());
        let periodic = periodic
            .zip(self.cluster.topology().fetch_interval)
            .map(|(last, interval)| last + interval);
        let refresh = self.refresh_at.filter(|_| !self.is_refreshing);
        [refresh, self.probe_at, lease, periodic]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let had_lease = self.health.lease().is_some();
        self.health.expire(self.start.elapsed());
        if had_lease && self.health.lease().is_none() {
            warn!(cluster = %self.shared.name, "no word from the control plane: ejections are decided here");
            self.probe_at = Some(now);
            self.publish();
        }
        let periodic = self.refreshed.zip(self.cluster.topology().fetch_interval);
        if self.is_cluster()
            && self.health.lease().is_none()
            && periodic.is_some_and(|(last, interval)| last + interval <= now)
        {
            self.refresh_at.get_or_insert(now);
            self.refreshed = Some(now);
        }
        if !self.is_refreshing && self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = None;
            self.start_refresh();
        }
        if self.probe_at.is_some_and(|at| at <= now) {
            self.start_probes(now);
        }
    }

    fn start_refresh(&mut self) {
        let Ok(dial) = self.dial.as_ref().map(Dial::clone) else {
            return;
        };
        let limit = dial.timeout + self.cluster.probing().timeout;
        let candidates = self.candidates();
        self.turn = self.turn.wrapping_add(1);
        self.is_refreshing = true;
        self.work
            .spawn_local(async move { Done::Refreshed(refresh(&dial, &candidates, limit).await) });
    }

    /// Returns whom to ask for the slots: endpoints in service, then seeds; only seeds when those have changed, as
    /// the endpoints may belong to another cluster.
    fn candidates(&self) -> Vec<EndpointAddr> {
        let known = self.shared.topology.load();
        let mut candidates: Vec<EndpointAddr> = Vec::new();
        if !self.has_new_seeds {
            candidates.extend(known.endpoints.iter().map(|endpoint| endpoint.addr.clone()));
            let first = self.turn % candidates.len().max(1);
            candidates.rotate_left(first);
        }
        for seed in self.cluster.endpoints() {
            if !candidates.contains(seed.addr()) {
                candidates.push(seed.addr().clone());
            }
        }
        candidates
    }

    /// Probes what is in doubt or ejected, once a `ping_succ_interval`, unless the control plane does.
    fn start_probes(&mut self, now: Instant) {
        let wanting = if self.is_cluster() {
            Vec::new()
        } else {
            self.health.to_probe()
        };
        self.probe_at = (!wanting.is_empty()).then(|| now + self.cluster.probing().succ_interval);
        let Ok(dial) = self.dial.as_ref().map(Dial::clone) else {
            return;
        };
        let limit = self.cluster.probing().timeout;
        let wire = match self.cluster.cache_type() {
            CacheType::Memcache => Wire::Memcache,
            CacheType::Redis | CacheType::RedisCluster => Wire::Redis,
        };
        for addr in wanting {
            let dial = dial.clone();
            let is_emptied = self.health.is_to_be_emptied(&addr, self.start.elapsed());
            self.work.spawn_local(async move {
                if probe(&dial, wire, addr.clone(), limit).await.is_err() {
                    return Done::Probed(addr, Probed::Silent, None);
                }
                if !is_emptied {
                    return Done::Probed(addr, Probed::There, None);
                }
                match flush(&dial, wire, addr.clone(), limit).await {
                    Ok(()) => Done::Probed(addr, Probed::Emptied, None),
                    Err(error) => Done::Probed(addr, Probed::There, Some(error)),
                }
            });
        }
    }

    /// Says once why an endpoint that answers stays out of use.
    fn tell_unemptied(&mut self, addr: &EndpointAddr, error: Option<FlushError>) {
        let Some(error) = error.map(|error| error.to_string()) else {
            self.unemptied.remove(addr);
            return;
        };
        if self.unemptied.get(addr) != Some(&error) {
            warn!(cluster = %self.shared.name, endpoint = %addr, %error, "endpoint stays out of use: it could not be emptied");
            self.unemptied.insert(addr.clone(), error);
        }
    }

    /// Returns what was asked of each endpoint within the last seconds.
    fn recent_traffic(&self) -> BTreeMap<EndpointAddr, Traffic> {
        let totals = self.totals();
        let recent = |endpoint: &Endpoint| {
            let label = endpoint.label();
            let now = totals.get(&label).copied().unwrap_or_default();
            let before = self.traffic.get(&label).map(|(_, traffic)| *traffic);
            let traffic = before.map_or_else(Traffic::default, |before| Traffic {
                requests: now.requests.saturating_sub(before.requests),
                errors: now.errors.saturating_sub(before.errors),
            });
            (endpoint.addr().clone(), traffic)
        };
        self.cluster.endpoints().iter().map(recent).collect()
    }

    fn totals(&self) -> BTreeMap<String, Traffic> {
        let totals = self.registry.totals();
        let mine = totals
            .into_iter()
            .find(|totals| totals.cluster == self.shared.name);
        let endpoints = mine.map(|totals| totals.endpoints).unwrap_or_default();
        let traffic = |(label, sums): (String, crate::metrics::EndpointSums)| {
            let traffic = Traffic {
                requests: sums.requests_total,
                errors: sums.errors_total + sums.connect_failures_total,
            };
            (label, traffic)
        };
        endpoints.into_iter().map(traffic).collect()
    }

    /// Puts what is known in service, if it differs from what is.
    fn publish(&mut self) {
        let now = Instant::now();
        if self
            .traffic
            .values()
            .all(|(since, _)| *since + TRAFFIC_WINDOW <= now)
        {
            self.traffic = self
                .totals()
                .into_iter()
                .map(|(label, traffic)| (label, (now, traffic)))
                .collect();
        }
        let next = match self.cluster.cache_type() {
            CacheType::RedisCluster => slots(self.generation + 1, self.slot_map.as_deref()),
            CacheType::Memcache | CacheType::Redis => {
                Topology::pool(self.generation + 1, &self.cluster, &self.health.states())
            }
        };
        let ejected: BTreeSet<String> = self.health.ejected().collect();
        let mut observed = self.observed.borrow_mut();
        if observed.ejected != ejected {
            info!(cluster = %self.shared.name, ?ejected, "endpoints out of use");
            self.urgent.notify_one();
        }
        observed.ejected = ejected;
        observed.vetoed = self.health.vetoed().collect();
        drop(observed);
        if !next.is_same(&self.shared.topology.load()) || self.generation == 0 {
            self.generation += 1;
            self.shared.topology.store(Arc::new(next));
        }
    }
}

fn dial(cluster: &Cluster) -> Result<Dial, SecretError> {
    Ok(Dial {
        timeout: cluster.timeouts().dial,
        keepalive: None,
        handshake: handshake(cluster)?,
        kind: Kind::default(),
    })
}

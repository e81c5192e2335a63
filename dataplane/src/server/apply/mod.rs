//! Definitions into service: keeps what is equal, builds the rest, swaps once, and waits for every worker.
//!
//! Make before break: new listeners are bound and new endpoints known before the swap; what leaves is closed after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prism_proto::model::{Cluster, ListenAddr, Violations};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use tracing::{error, info, warn};

use super::{
    addresses::Addresses,
    service::Service,
    sockets::{self, Bound, Sockets},
    worker::WorkerMessage,
};
use crate::{
    access::Access,
    cluster::{ClusterRuntime, Runtime, TopologyHandle},
    metrics::Registry,
};

/// How long all workers may take to serve a new generation.
const WORKER_LIMIT: Duration = Duration::from_secs(10);
/// How long new endpoints may take beyond their `dial_timeout`.
const READY_SLACK: Duration = Duration::from_millis(100);

/// A definition to put in service.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// Its own revision; 0 without a control plane.
    pub(super) revision: u64,
    /// Hash of it as pushed; 0 without a control plane.
    pub(super) hash: u64,
    /// What it says.
    pub(super) cluster: Arc<Cluster>,
}

/// What is to change.
#[derive(Debug)]
pub(super) struct Delta {
    /// Definitions by cluster name.
    pub(super) upserts: BTreeMap<String, Definition>,
    /// Clusters to take out of service.
    pub(super) removals: BTreeSet<String>,
    /// The longest wait for new endpoints, should their `dial_timeout` be longer.
    pub(super) patience: Duration,
}

/// What a definition asks for, next to the one in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing but its revision, if that.
    Keep,
    /// It speaks another protocol: nothing of the old one can stay.
    Replace,
    /// It is new.
    Start,
    /// Everything that stays the same stays.
    Update,
}

/// The only writer of the [`Runtime`].
#[derive(Debug)]
pub(super) struct Applier {
    /// Mailboxes by worker.
    pub(super) workers: Vec<mpsc::Sender<WorkerMessage>>,
    /// What is in service.
    pub(super) service: Service,
    /// Replaces the host part of every listen address.
    pub(super) bind_ip: Option<std::net::IpAddr>,
    /// What is counted.
    pub(super) registry: Arc<Registry>,
    /// Binds and keeps what is shared.
    pub(super) sockets: Sockets,
}

impl Applier {
    /// Puts `delta` in service and returns which definitions could not be; those keep their previous state.
    pub(super) async fn apply(&mut self, delta: Delta) -> BTreeMap<String, Violations> {
        let current = self.service.runtime.load_full();
        let replaced = replaced(&current, &delta);
        let mut addresses = self.plan(&current, &delta).anew(replaced.iter().cloned());
        for (name, definition) in &delta.upserts {
            if let Err(violations) = check_access(&definition.cluster) {
                addresses.reject(name, violations);
            }
        }
        let bound = self.sockets.bind(&mut addresses, self.workers.len()).await;
        let accepted = delta
            .upserts
            .iter()
            .filter(|(name, _)| !addresses.is_rejected(name));
        let accepted: BTreeMap<_, _> = accepted.collect();
        let is_accepted = |name: &String| accepted.contains_key(name);
        let replaced: BTreeSet<_> = replaced.into_iter().filter(is_accepted).collect();
        self.retire(&current, &replaced).await;
        let mut clusters = current.clusters.clone();
        clusters.retain(|name, _| !delta.removals.contains(name) && !replaced.contains(name));
        let started = self.build(&mut clusters, &accepted).await;
        self.wait_for_endpoints(&started, delta.patience).await;
        let changed = clusters_differ(&current.clusters, &clusters);
        self.swap(clusters, bound).await;
        for name in &delta.removals {
            self.service.remove(name);
        }
        self.sockets.remove_unused(&self.service.runtime.load());
        self.count(changed);
        addresses.into_rejected()
    }

    fn plan(&self, current: &Runtime, delta: &Delta) -> Addresses {
        let open = current.clusters.iter();
        let open = open.map(|(name, cluster)| (name.clone(), cluster.listen.clone()));
        let wanted = delta.upserts.iter();
        let wanted = wanted.map(|(name, new)| (name.clone(), self.listen(&new.cluster)));
        Addresses::plan(open.collect(), wanted, &delta.removals)
    }

    fn listen(&self, cluster: &Cluster) -> ListenAddr {
        match self.bind_ip {
            Some(ip) => cluster.listen().with_host(ip),
            None => cluster.listen().clone(),
        }
    }

    /// Takes clusters out of service whose successor under the same name shares nothing with them.
    async fn retire(&self, current: &Runtime, replaced: &BTreeSet<String>) {
        if replaced.is_empty() {
            return;
        }
        let mut rest = current.clusters.clone();
        rest.retain(|name, _| !replaced.contains(name));
        self.swap(rest, BTreeMap::new()).await;
    }

    /// Puts the accepted definitions into `clusters` and tells their topologies; returns those with new endpoints.
    async fn build<'a>(
        &self,
        clusters: &mut BTreeMap<String, Arc<ClusterRuntime>>,
        accepted: &BTreeMap<&'a String, &'a Definition>,
    ) -> Vec<&'a Definition> {
        let mut started = Vec::new();
        for (name, new) in accepted {
            let old = clusters.get(*name);
            let shared = match (step(old, new), old) {
                (Step::Keep, Some(old)) if (old.revision, old.hash) == (new.revision, new.hash) => {
                    continue;
                }
                (Step::Keep, Some(old)) => Arc::clone(&old.shared),
                (Step::Update, Some(old)) => {
                    if let Some(topology) = self.service.topology(name) {
                        topology.update(Arc::clone(&new.cluster)).await;
                    }
                    started.push(*new);
                    Arc::clone(&old.shared)
                }
                _ => {
                    let (shared, topology) =
                        TopologyHandle::start(Arc::clone(&new.cluster), Arc::clone(&self.registry));
                    self.service.introduce(&shared);
                    self.service.insert(name, topology).await;
                    started.push(*new);
                    shared
                }
            };
            let cluster = Arc::clone(&new.cluster);
            match ClusterRuntime::new(cluster, new.revision, new.hash, shared) {
                Ok(mut runtime) => {
                    runtime.listen = self.listen(&new.cluster);
                    clusters.insert((*name).clone(), Arc::new(runtime));
                }
                // It could be read a moment ago: the cluster stays as it was until its next change.
                Err(error) => error!(cluster = %name, %error, "definition not put in service"),
            }
        }
        started
    }

    /// Waits until new endpoints were tried, each cluster within its `dial_timeout`.
    async fn wait_for_endpoints(&self, started: &[&Definition], patience: Duration) {
        let start = Instant::now();
        for definition in started {
            let cluster = &definition.cluster;
            let limit = patience.min(cluster.timeouts().dial + READY_SLACK);
            if let Some(topology) = self.service.topology(cluster.name())
                && timeout_at(start + limit, topology.ready()).await.is_err()
            {
                warn!(
                    cluster = cluster.name(),
                    ?limit,
                    "endpoints not tried in time"
                );
            }
        }
    }

    /// Makes `clusters` the runtime and waits until every worker serves it.
    async fn swap(
        &self,
        clusters: BTreeMap<String, Arc<ClusterRuntime>>,
        bound: BTreeMap<String, Bound>,
    ) {
        let generation = self.service.runtime.load().generation + 1;
        let runtime = Arc::new(Runtime {
            generation,
            clusters,
        });
        self.service.runtime.store(Arc::clone(&runtime));
        let mut waiting = Vec::with_capacity(self.workers.len());
        let shares = sockets::split(bound, self.workers.len());
        for (index, (mailbox, listeners)) in self.workers.iter().zip(shares).enumerate() {
            let (done, is_done) = oneshot::channel();
            let message = WorkerMessage::Apply {
                runtime: Arc::clone(&runtime),
                listeners,
                done,
            };
            match timeout(WORKER_LIMIT, mailbox.send(message)).await {
                Ok(Ok(())) => waiting.push((index, is_done)),
                _ => error!(worker = index, "worker takes no messages"),
            }
        }
        for (worker, is_done) in waiting {
            if !matches!(timeout(WORKER_LIMIT, is_done).await, Ok(Ok(()))) {
                error!(
                    worker,
                    generation, "worker does not serve the new generation"
                );
            }
        }
    }

    fn count(&self, changed: bool) {
        let runtime = self.service.runtime.load();
        let metrics = self.registry.control();
        metrics.generation.set(runtime.generation);
        metrics.clusters.set(runtime.clusters.len() as u64);
        if changed {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            metrics.applies_total.inc();
            metrics.last_apply_seconds.set(now.as_secs());
            info!(
                generation = runtime.generation,
                clusters = runtime.clusters.len(),
                "definitions applied"
            );
        }
    }
}

fn step(old: Option<&Arc<ClusterRuntime>>, new: &Definition) -> Step {
    let Some(old) = old else {
        return Step::Start;
    };
    if *old.cluster == *new.cluster {
        return Step::Keep;
    }
    if old.cluster.cache_type() != new.cluster.cache_type() {
        return Step::Replace;
    }
    Step::Update
}

/// Returns the names under which another protocol is to be spoken.
fn replaced(current: &Runtime, delta: &Delta) -> BTreeSet<String> {
    let upserts = delta.upserts.iter();
    upserts
        .filter(|(name, new)| step(current.clusters.get(*name), new) == Step::Replace)
        .map(|(name, _)| name.clone())
        .collect()
}

fn clusters_differ(
    old: &BTreeMap<String, Arc<ClusterRuntime>>,
    new: &BTreeMap<String, Arc<ClusterRuntime>>,
) -> bool {
    let same = |(a, b): (&Arc<ClusterRuntime>, &Arc<ClusterRuntime>)| Arc::ptr_eq(a, b);
    !(old.keys().eq(new.keys()) && old.values().zip(new.values()).all(same))
}

/// Makes sure that secrets given by reference can be read on this machine, and that rules name what is known here.
fn check_access(cluster: &Cluster) -> Result<(), Violations> {
    let mut violations = Access::of(cluster).err().unwrap_or_default();
    let backend = cluster.backend().map(|backend| backend.password.reveal());
    if let Some(Err(error)) = backend {
        violations.push("backend_auth.password", error.to_string());
    }
    violations.into_result(())
}

#[cfg(test)]
mod tests;

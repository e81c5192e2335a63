//! Definitions into service: keeps what is equal, builds the rest, swaps once, and waits for every worker.
//!
//! Make before break: new listeners are bound and new endpoints known before the swap; what leaves is closed after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prism_proto::model::{Cluster, ListenAddr, Violations};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use tracing::{error, info, warn};

use super::{
    addresses::Addresses,
    listeners::{self, BindError, Probe},
    service::Service,
    worker::{NewListener, WorkerMessage},
};
use crate::{
    cluster::{ClusterRuntime, Runtime, TopologyHandle},
    downstream::ListenSocket,
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
    /// Unix sockets in service; the file goes with them.
    pub(super) unix: BTreeMap<PathBuf, UnixListener>,
}

impl Applier {
    /// Puts `delta` in service and returns which definitions could not be; those keep their previous state.
    pub(super) async fn apply(&mut self, delta: Delta) -> BTreeMap<String, Violations> {
        let current = self.service.runtime.load_full();
        let replaced = replaced(&current, &delta);
        let mut addresses = self.plan(&current, &delta).anew(replaced.iter().cloned());
        for (name, definition) in &delta.upserts {
            if let Err(violations) = check_secrets(&definition.cluster) {
                addresses.reject(name, violations);
            }
        }
        let sockets = self.bind(&mut addresses).await;
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
        self.swap(clusters, sockets).await;
        for name in &delta.removals {
            self.service.remove(name);
        }
        self.remove_unix();
        self.count(changed);
        addresses.into_rejected()
    }

    /// Closes what is left after the workers are gone.
    pub(super) fn close(&mut self) {
        for path in std::mem::take(&mut self.unix).into_keys() {
            fs::remove_file(path).ok();
        }
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

    /// Binds what is new; what cannot be bound is rejected, and with it whoever counted on its address.
    async fn bind(&mut self, addresses: &mut Addresses) -> BTreeMap<String, Bound> {
        let mut sockets = BTreeMap::new();
        for (name, addr) in addresses.to_bind() {
            if addresses.is_rejected(&name) {
                continue;
            }
            match self.bind_one(&addr, addresses).await {
                Ok(bound) => {
                    sockets.insert(
                        name,
                        Bound {
                            addr,
                            sockets: bound,
                        },
                    );
                }
                Err(error) => {
                    warn!(cluster = %name, %error, "listener not bound");
                    addresses.reject(&name, Violations::one("listen_addr", error.to_string()));
                }
            }
        }
        sockets.retain(|name, _| !addresses.is_rejected(name));
        sockets
    }

    async fn bind_one(
        &mut self,
        addr: &ListenAddr,
        addresses: &Addresses,
    ) -> Result<Vec<ListenSocket>, BindError> {
        let workers = self.workers.len();
        let refused = |source| BindError::Refused {
            addr: addr.clone(),
            source,
        };
        if let ListenAddr::Unix { path, mode } = addr
            && let Some(held) = self.unix.get(path)
        {
            if let Some(mode) = mode {
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).map_err(refused)?;
            }
            return listeners::share(held, workers).map_err(refused);
        }
        let probe = match addresses.is_ours(addr) {
            true => Probe::Skip,
            false => Probe::Try,
        };
        let wanted = addr.clone();
        let bound = spawn_blocking(move || listeners::bind(&wanted, workers, probe)).await;
        let bound = bound.map_err(|error| refused(std::io::Error::other(error)))??;
        if let (ListenAddr::Unix { path, .. }, Some(ListenSocket::Unix(first))) =
            (addr, bound.first())
        {
            let held = first.try_clone().map_err(refused)?;
            self.unix.insert(path.clone(), held);
        }
        Ok(bound)
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
                Err(error) => error!(cluster = %name, %error, "secret not read"),
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
        sockets: BTreeMap<String, Bound>,
    ) {
        let generation = self.service.runtime.load().generation + 1;
        let runtime = Arc::new(Runtime {
            generation,
            clusters,
        });
        self.service.runtime.store(Arc::clone(&runtime));
        let mut waiting = Vec::with_capacity(self.workers.len());
        let shares = split(sockets, self.workers.len());
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

    /// Removes the files of unix sockets that no cluster listens on any more.
    fn remove_unix(&mut self) {
        let runtime = self.service.runtime.load_full();
        self.unix.retain(|held, _| {
            let mut listeners = runtime.clusters.values().map(|cluster| &cluster.listen);
            let is_used =
                |addr: &ListenAddr| matches!(addr, ListenAddr::Unix { path, .. } if path == held);
            let stays = listeners.any(is_used);
            if !stays && let Err(error) = fs::remove_file(held) {
                warn!(path = %held.display(), %error, "socket file not removed");
            }
            stays
        });
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

/// New sockets of one cluster, one a worker.
#[derive(Debug)]
struct Bound {
    addr: ListenAddr,
    sockets: Vec<ListenSocket>,
}

/// Deals the sockets out to the workers.
fn split(bound: BTreeMap<String, Bound>, workers: usize) -> Vec<Vec<NewListener>> {
    let mut shares: Vec<Vec<NewListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (cluster, Bound { addr, sockets }) in bound {
        for (share, socket) in shares.iter_mut().zip(sockets) {
            share.push(NewListener {
                cluster: cluster.clone(),
                addr: addr.clone(),
                socket,
            });
        }
    }
    shares
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

/// Makes sure that secrets given by reference can be read on this machine.
fn check_secrets(cluster: &Cluster) -> Result<(), Violations> {
    let mut violations = Violations::new();
    let secrets = [
        ("auth.password", cluster.password()),
        (
            "backend_auth.password",
            cluster.backend().map(|backend| &backend.password),
        ),
    ];
    for (field, secret) in secrets {
        if let Some(Err(error)) = secret.map(|secret| secret.reveal()) {
            violations.push(field, error.to_string());
        }
    }
    violations.into_result(())
}

//! What is in service on the control thread: topologies by cluster, slot maps, and the runtime the workers read.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use prism_proto::{
    model::{CacheType, Peer},
    placement::SlotMap,
};
use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_local},
};

use crate::{
    cluster::{ClusterShared, Observed, Own, Peers, Runtime, TopologyHandle},
    discovery::{Health, HeldResource},
};

/// Shared by the tasks of the control thread; never leaves it.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    /// What the workers serve; written by `apply` only.
    pub(super) runtime: Arc<ArcSwap<Runtime>>,
    topologies: Rc<RefCell<BTreeMap<String, InService>>>,
    slot_maps: Rc<RefCell<BTreeMap<String, Pushed>>>,
    /// What clusters are told of this data plane and the others; the base of each cluster's own list.
    peers: Rc<RefCell<PeerLists>>,
    /// Rung when a list changes.
    listed: Rc<Notify>,
    urgent: Rc<Notify>,
}

/// The data planes that serve each cluster.
#[derive(Debug, Default)]
struct PeerLists {
    own: Arc<Own>,
    listed: BTreeMap<String, Arc<Vec<Peer>>>,
    is_leaving: bool,
}

/// A slot map, and the revision it was pushed as.
#[derive(Clone, Debug)]
struct Pushed {
    revision: u64,
    map: Arc<SlotMap>,
}

/// The topology of one cluster, and the task that passes its urgent word on.
#[derive(Debug)]
struct InService {
    topology: Rc<TopologyHandle>,
    listening: JoinHandle<()>,
}

impl Drop for InService {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl PeerLists {
    /// Returns whether any list names this data plane.
    fn has_own(&self) -> bool {
        let mut listed = self.listed.values().flat_map(|list| list.iter());
        listed.any(|peer| peer.id == self.own.id)
    }

    fn of(&self, cluster: &str) -> Arc<Peers> {
        Arc::new(Peers {
            own: Arc::clone(&self.own),
            listed: self.listed.get(cluster).cloned().unwrap_or_default(),
            is_leaving: self.is_leaving,
        })
    }
}

impl Service {
    /// Serves nothing yet, as the data plane `own`.
    pub(super) fn new(own: Own) -> Self {
        let service = Self::default();
        service.peers.borrow_mut().own = Arc::new(own);
        service
    }

    /// Tells a cluster that comes into service which data planes serve it.
    pub(super) fn introduce(&self, cluster: &ClusterShared) {
        cluster.peers.store(self.peers.borrow().of(&cluster.name));
    }

    /// Takes over which data planes serve a cluster; an empty list stands for this one alone.
    pub(super) fn list_peers(&self, cluster: &str, list: Arc<Vec<Peer>>) {
        let mut peers = self.peers.borrow_mut();
        match list.is_empty() {
            true => peers.listed.remove(cluster),
            false => peers.listed.insert(cluster.to_owned(), list),
        };
        drop(peers);
        if let Some(in_service) = self.runtime.load().clusters.get(cluster) {
            self.introduce(&in_service.shared);
        }
        self.listed.notify_one();
    }

    /// Sends the clients of all clusters to the other data planes from now on, where there are any.
    pub(super) fn start_leaving(&self) {
        self.peers.borrow_mut().is_leaving = true;
        for in_service in self.runtime.load().clusters.values() {
            self.introduce(&in_service.shared);
        }
    }

    /// Waits until no list names this data plane any more. Cancel safe.
    pub(super) async fn left(&self) {
        while self.peers.borrow().has_own() {
            self.listed.notified().await;
        }
    }

    /// Returns the topology of a cluster in service.
    pub(super) fn topology(&self, cluster: &str) -> Option<Rc<TopologyHandle>> {
        let topologies = self.topologies.borrow();
        Some(Rc::clone(&topologies.get(cluster)?.topology))
    }

    /// Puts a topology in service and gives it the slot map that is known.
    pub(super) async fn insert(&self, cluster: &str, topology: TopologyHandle) {
        let topology = Rc::new(topology);
        let pushed = self.slot_maps.borrow().get(cluster).cloned();
        if let Some(pushed) = pushed {
            topology.slot_map(pushed.map).await;
        }
        let (heard, urgent) = (Rc::clone(&topology), Rc::clone(&self.urgent));
        let listening = spawn_local(async move {
            loop {
                heard.urgent().await;
                urgent.notify_one();
            }
        });
        let in_service = InService {
            topology,
            listening,
        };
        let mut topologies = self.topologies.borrow_mut();
        topologies.insert(cluster.to_owned(), in_service);
    }

    /// Takes a topology out of service.
    pub(super) fn remove(&self, cluster: &str) {
        self.topologies.borrow_mut().remove(cluster);
    }

    /// Takes over a slot map; of a cluster that is not in service it waits for it.
    pub(super) async fn slot_map(&self, cluster: &str, held: &HeldResource<SlotMap>) {
        let pushed = Pushed {
            revision: held.revision,
            map: Arc::clone(&held.value),
        };
        self.slot_maps
            .borrow_mut()
            .insert(cluster.to_owned(), pushed);
        if let Some(topology) = self.topology(cluster) {
            topology.slot_map(Arc::clone(&held.value)).await;
        }
    }

    /// Forgets a slot map.
    pub(super) fn forget_slot_map(&self, cluster: &str) {
        self.slot_maps.borrow_mut().remove(cluster);
    }

    /// Takes over the health of a cluster's endpoints. Returns whether it is of the revision in service.
    pub(super) async fn health(&self, health: Health) -> bool {
        let matches = self.revision_of_order(&health.cluster) == Some(health.revision);
        let topology = self.topology(&health.cluster).filter(|_| matches);
        let Some(topology) = topology else {
            return false;
        };
        topology.health(health.states, health.lease).await;
        true
    }

    /// Notes that the control plane, or another one, speaks on a new stream.
    pub(super) async fn new_stream(&self) {
        for topology in self.in_service() {
            topology.new_stream().await;
        }
    }

    fn in_service(&self) -> Vec<Rc<TopologyHandle>> {
        let topologies = self.topologies.borrow();
        let topology = |in_service: &InService| Rc::clone(&in_service.topology);
        topologies.values().map(topology).collect()
    }

    /// Returns the revision that the order of a cluster's endpoints comes from: of a Redis Cluster, its slot map's.
    fn revision_of_order(&self, cluster: &str) -> Option<u64> {
        let runtime = self.runtime.load();
        let in_service = runtime.clusters.get(cluster)?;
        if in_service.cluster.cache_type() != CacheType::RedisCluster {
            return Some(in_service.revision);
        }
        Some(self.slot_maps.borrow().get(cluster)?.revision)
    }

    /// Waits until a topology saw something that the control plane should hear of at once. Cancel safe.
    pub(super) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Takes what topologies saw since the last time.
    pub(super) fn take_observed(&self) -> BTreeMap<String, Observed> {
        let topologies = self.topologies.borrow();
        let observed = topologies.iter();
        observed
            .map(|(name, in_service)| (name.clone(), in_service.topology.take_observed()))
            .collect()
    }
}

//! What is in service on the control thread: topologies by cluster, slot maps, and the runtime the workers read.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use prism_proto::placement::SlotMap;

use crate::{
    cluster::{Runtime, TopologyHandle},
    discovery::{Health, Seen},
};

/// Shared by the tasks of the control thread; never leaves it.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    /// What the workers serve; written by `apply` only.
    pub(super) runtime: Arc<ArcSwap<Runtime>>,
    topologies: Rc<RefCell<BTreeMap<String, Rc<TopologyHandle>>>>,
    slot_maps: Rc<RefCell<BTreeMap<String, Arc<SlotMap>>>>,
}

impl Service {
    /// Returns the topology of a cluster in service.
    pub(super) fn topology(&self, cluster: &str) -> Option<Rc<TopologyHandle>> {
        self.topologies.borrow().get(cluster).cloned()
    }

    /// Puts a topology in service and gives it the slot map that is known.
    pub(super) async fn insert(&self, cluster: &str, topology: TopologyHandle) {
        let topology = Rc::new(topology);
        let slot_map = self.slot_maps.borrow().get(cluster).cloned();
        if let Some(slot_map) = slot_map {
            topology.slot_map(slot_map).await;
        }
        self.topologies
            .borrow_mut()
            .insert(cluster.to_owned(), topology);
    }

    /// Takes a topology out of service.
    pub(super) fn remove(&self, cluster: &str) {
        self.topologies.borrow_mut().remove(cluster);
    }

    /// Takes over a slot map; of a cluster that is not in service it waits for it.
    pub(super) async fn slot_map(&self, cluster: &str, map: Arc<SlotMap>) {
        self.slot_maps
            .borrow_mut()
            .insert(cluster.to_owned(), Arc::clone(&map));
        if let Some(topology) = self.topology(cluster) {
            topology.slot_map(map).await;
        }
    }

    /// Forgets a slot map.
    pub(super) fn forget_slot_map(&self, cluster: &str) {
        self.slot_maps.borrow_mut().remove(cluster);
    }

    /// Takes over the health of a cluster's endpoints. Returns whether it is of the revision in service.
    pub(super) async fn health(&self, health: Health) -> bool {
        let runtime = self.runtime.load_full();
        let in_service = runtime.clusters.get(&health.cluster);
        let matches = in_service.is_some_and(|cluster| cluster.revision == health.revision);
        let topology = self.topology(&health.cluster).filter(|_| matches);
        let Some(topology) = topology else {
            return false;
        };
        topology.health(health.states, health.lease).await;
        true
    }

    /// Tells every topology whether a control plane decides about ejections and slots.
    pub(super) async fn set_connected(&self, _is_connected: bool) {}

    /// Takes what topologies saw since the last time.
    pub(super) fn take_seen(&self) -> BTreeMap<String, Seen> {
        BTreeMap::new()
    }
}

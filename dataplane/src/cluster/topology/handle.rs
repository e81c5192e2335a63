//! The control thread's hold on the topology of one cluster.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use prism_proto::{
    model::{CacheType, Cluster},
    placement::SlotMap,
};
use tokio::sync::{Notify, mpsc, oneshot};

use super::{EndpointHealth, Topology, slots, task::Task};
use crate::{cluster::ClusterShared, metrics::Registry, observe::Exchange};

/// Observations that may wait for the task.
const OBSERVATIONS: usize = 4096;

/// Orders that may wait for the task.
const ORDERS: usize = 64;

/// The control thread's hold on one cluster's topology; the task ends when it is dropped.
#[derive(Debug)]
pub struct TopologyHandle {
    orders: mpsc::Sender<Order>,
    pub(super) observed: Rc<RefCell<Observed>>,
    pub(super) urgent: Rc<Notify>,
}

/// What was seen of a cluster since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Addresses of endpoints that are out of use now.
    pub ejected: BTreeSet<String>,
    /// The new owner's address by slot that moved.
    pub moved: BTreeMap<u16, String>,
    /// Whether the topology should be looked at again.
    pub refresh_wanted: bool,
    /// Addresses of endpoints kept in use against the control plane's word.
    pub vetoed: BTreeSet<String>,
}

/// What the control thread tells the task.
#[derive(Debug)]
pub(super) enum Order {
    Health(Vec<EndpointHealth>, Duration),
    NewStream,
    Ready(oneshot::Sender<()>),
    SlotMap(Arc<SlotMap>),
    Update(Arc<Cluster>),
}

impl TopologyHandle {
    /// Starts the task of one cluster. Must be called within the control thread's runtime.
    pub fn start(cluster: Arc<Cluster>, registry: Arc<Registry>) -> (Arc<ClusterShared>, Self) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (observations, seen) = mpsc::channel(OBSERVATIONS);
        let first = match cluster.cache_type() {
            CacheType::RedisCluster => slots(0, None),
            CacheType::Memcache | CacheType::Redis => Topology::pool(0, &cluster, &[]),
        };
        let shared = Arc::new(ClusterShared {
            name: cluster.name().to_owned(),
            topology: Arc::new(ArcSwap::from_pointee(first)),
            clients: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            peers: ArcSwap::default(),
            observations,
            exchange: Exchange::default(),
        });
        let handle = Self {
            orders,
            observed: Rc::default(),
            urgent: Rc::default(),
        };
        let task = Task::new(cluster, registry, Arc::clone(&shared), &handle);
        tokio::task::spawn_local(task.run(inbox, seen));
        (shared, handle)
    }

    /// Takes over a changed definition.
    pub async fn update(&self, cluster: Arc<Cluster>) {
        self.order(Order::Update(cluster)).await;
    }

    /// Takes over what the control plane says of the endpoints, in definition order, for the time of `lease`.
    pub async fn health(&self, states: Vec<EndpointHealth>, lease: Duration) {
        self.order(Order::Health(states, lease)).await;
    }

    /// Notes that what the control plane says from now on comes on a new stream.
    pub async fn new_stream(&self) {
        self.order(Order::NewStream).await;
    }

    /// Takes over the owners of slots.
    pub async fn slot_map(&self, map: Arc<SlotMap>) {
        self.order(Order::SlotMap(map)).await;
    }

    /// Waits until everything ordered so far is in the topology, and a slot map, where one is needed, was asked for.
    pub async fn ready(&self) {
        let (done, is_done) = oneshot::channel();
        self.order(Order::Ready(done)).await;
        // An error means that the task has ended, and with it the cluster.
        let _ = is_done.await;
    }

    /// Returns what was seen since the last call.
    pub fn take_observed(&self) -> Observed {
        let mut observed = self.observed.borrow_mut();
        let kept = Observed {
            ejected: observed.ejected.clone(),
            vetoed: observed.vetoed.clone(),
            ..Observed::default()
        };
        std::mem::replace(&mut observed, kept)
    }

    /// Waits until something was seen that the control plane should hear of at once. Cancel safe.
    pub async fn urgent(&self) {
        self.urgent.notified().await;
    }

    async fn order(&self, order: Order) {
        // The task outlives its handle, unless the thread is ending.
        let _ = self.orders.send(order).await;
    }
}

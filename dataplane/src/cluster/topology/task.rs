//! The one writer of a cluster's topology; runs on the control thread.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use prism_proto::{
    model::{CacheType, Cluster, EndpointAddr},
    placement::{SLOTS, SlotMap},
};
use tokio::sync::{mpsc, oneshot};

use super::{EndpointHealth, NO_OWNER, Topology, TopologyEndpoint};
use crate::cluster::{ClusterShared, Observation};

/// Observations that may wait for the task.
const OBSERVATIONS: usize = 4096;

/// Orders that may wait for the task.
const ORDERS: usize = 64;

/// The control thread's hold on one cluster's topology; the task ends when it is dropped.
#[derive(Debug)]
pub struct TopologyHandle {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
enum Order {
    Health(Vec<EndpointHealth>),
    Ready(oneshot::Sender<()>),
    SlotMap(Arc<SlotMap>),
    Update(Arc<Cluster>),
}

impl TopologyHandle {
    /// Starts the task of one cluster. Must be called within the control thread's runtime.
    pub fn start(cluster: Arc<Cluster>) -> (Arc<ClusterShared>, Self) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (observations, seen) = mpsc::channel(OBSERVATIONS);
        let topology = Topology::pool(0, &cluster, &[]);
        let shared = Arc::new(ClusterShared {
            name: cluster.name().to_owned(),
            topology: Arc::new(ArcSwap::from_pointee(topology)),
            clients: AtomicU64::new(0),
            observations,
        });
        let task = Task {
            shared: Arc::clone(&shared),
            cluster,
            health: Vec::new(),
            slot_map: None,
            generation: 0,
        };
        tokio::task::spawn_local(task.run(inbox, seen));
        (shared, Self { orders })
    }

    /// Takes over a changed definition.
    pub async fn update(&self, cluster: Arc<Cluster>) {
        self.order(Order::Update(cluster)).await;
    }

    /// Takes over what the control plane says of the endpoints, in definition order, for the time of `lease`.
    pub async fn health(&self, states: Vec<EndpointHealth>, _lease: Duration) {
        self.order(Order::Health(states)).await;
    }

    /// Takes over the owners of slots.
    pub async fn slot_map(&self, map: Arc<SlotMap>) {
        self.order(Order::SlotMap(map)).await;
    }

    /// Waits until everything ordered so far is in the topology.
    pub async fn ready(&self) {
        let (done, is_done) = oneshot::channel();
        self.order(Order::Ready(done)).await;
        // An error means that the task has ended, and with it the cluster.
        let _ = is_done.await;
    }

    async fn order(&self, order: Order) {
        // The task outlives its handle, unless the thread is ending.
        let _ = self.orders.send(order).await;
    }
}

struct Task {
    shared: Arc<ClusterShared>,
    cluster: Arc<Cluster>,
    health: Vec<EndpointHealth>,
    slot_map: Option<Arc<SlotMap>>,
    generation: u64,
}

impl Task {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Order>,
        mut seen: mpsc::Receiver<Observation>,
    ) {
        self.publish();
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    None => return,
                    Some(Order::Ready(done)) => drop(done.send(())),
                    Some(order) => {
                        self.take(order);
                        self.publish();
                    }
                },
                Some(_) = seen.recv() => {}
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Health(states) => self.health = states,
            Order::SlotMap(map) => self.slot_map = Some(map),
            Order::Update(cluster) => self.cluster = cluster,
            Order::Ready(_) => {}
        }
    }

    fn publish(&mut self) {
        self.generation += 1;
        let topology = match self.cluster.cache_type() {
            CacheType::RedisCluster => self.slots(),
            CacheType::Memcache | CacheType::Redis => {
                Topology::pool(self.generation, &self.cluster, &self.health)
            }
        };
        self.shared.topology.store(Arc::new(topology));
    }

    fn slots(&self) -> Topology {
        let mut endpoints: Vec<TopologyEndpoint> = Vec::new();
        let mut owners = vec![NO_OWNER; SLOTS].into_boxed_slice();
        let Some(map) = &self.slot_map else {
            return Topology::slots(self.generation, endpoints, owners);
        };
        let mut known = BTreeSet::new();
        for shard in map.shards() {
            if let Ok(addr) = shard.primary.parse::<EndpointAddr>()
                && known.insert(addr.clone())
            {
                endpoints.push(TopologyEndpoint {
                    label: addr.to_string(),
                    addr,
                    health: EndpointHealth::Healthy,
                });
            }
        }
        let number = |shard: u16| {
            let primary = &map.shards().get(usize::from(shard))?.primary;
            let place = endpoints
                .iter()
                .position(|endpoint| endpoint.label == *primary)?;
            u16::try_from(place).ok()
        };
        for (owner, shard) in owners.iter_mut().zip(map.owners()) {
            *owner = shard.and_then(number).unwrap_or(NO_OWNER);
        }
        Topology::slots(self.generation, endpoints, owners)
    }
}

//! Who is there: endpoints with dense numbers, their health, and the placement of keys on them.

mod task;

use prism_proto::{
    model::{Cluster, EndpointAddr, OnEjection},
    placement::{Ring, SLOTS, Shard},
};

pub use task::TopologyHandle;

/// A slot without an owner.
pub const NO_OWNER: u16 = u16::MAX;

/// One generation of a cluster's endpoints; immutable and shared by all workers.
#[derive(Debug)]
pub struct Topology {
    /// Grows with every change; numbers of endpoints mean something within one generation only.
    pub generation: u64,
    /// Endpoints by number.
    pub endpoints: Vec<TopologyEndpoint>,
    /// Which endpoint a key belongs to.
    pub placement: Placement,
}

/// One endpoint of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyEndpoint {
    /// Where it is.
    pub addr: EndpointAddr,
    /// How people are told of it.
    pub label: String,
    /// Whether it is used.
    pub health: EndpointHealth,
}

/// Whether an endpoint is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointHealth {
    /// Its keys go elsewhere or fail.
    Ejected,
    /// It is used.
    #[default]
    Healthy,
    /// It is loading: used, but not for reads that could go elsewhere.
    Warming,
}

/// Which endpoint a key belongs to.
#[derive(Debug)]
pub enum Placement {
    /// A pool: the ring gives the endpoint's number.
    Ring(Box<Ring>),
    /// A Redis Cluster: the endpoint's number for each slot, or [`NO_OWNER`].
    Slots(Box<[u16]>),
}

impl Topology {
    /// Builds a pool's topology from its definition and the health of its endpoints, in definition order.
    ///
    /// Endpoints beyond the end of `health` are healthy. With `on_ejection = "rehash"` the keys of ejected endpoints
    /// go to the others; else they stay and fail.
    pub fn pool(generation: u64, cluster: &Cluster, health: &[EndpointHealth]) -> Self {
        let endpoints: Vec<_> = cluster
            .endpoints()
            .iter()
            .enumerate()
            .map(|(number, endpoint)| TopologyEndpoint {
                addr: endpoint.addr().clone(),
                label: endpoint.label(),
                health: health.get(number).copied().unwrap_or_default(),
            })
            .collect();
        let rehash = cluster.probing().on_ejection == OnEjection::Rehash;
        let shards: Vec<_> = cluster
            .endpoints()
            .iter()
            .zip(&endpoints)
            .map(|(endpoint, state)| Shard {
                host: endpoint.addr().to_string(),
                alias: endpoint.alias().map(str::to_owned),
                weight: endpoint.weight(),
                live: !(rehash && state.health == EndpointHealth::Ejected),
            })
            .collect();
        Self {
            generation,
            endpoints,
            placement: Placement::Ring(Box::new(Ring::new(cluster.sharding(), &shards))),
        }
    }

    /// Builds a Redis Cluster's topology; `owners` gives the number of the endpoint that owns each slot.
    pub fn slots(generation: u64, endpoints: Vec<TopologyEndpoint>, owners: Box<[u16]>) -> Self {
        debug_assert_eq!(owners.len(), SLOTS, "every slot has an entry");
        Self {
            generation,
            endpoints,
            placement: Placement::Slots(owners),
        }
    }
}

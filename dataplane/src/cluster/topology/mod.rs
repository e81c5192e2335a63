//! Who is there: endpoints with dense numbers, their health, and the placement of keys on them.

mod handle;
mod health;
mod refresh;
mod task;

use std::collections::BTreeSet;

use prism_proto::{
    model::{Cluster, EndpointAddr, OnEjection},
    placement::{Ring, SLOTS, Shard, SlotMap},
};

pub use handle::{Observed, TopologyHandle};

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
    /// A pool: the ring gives the endpoint's number. The shards are what the ring was built from.
    Ring(Box<Ring>, Vec<Shard>),
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
            placement: Placement::Ring(Box::new(Ring::new(cluster.sharding(), &shards)), shards),
        }
    }

    /// Returns whether both place keys alike, generations aside.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_placed_alike = match (&self.placement, &other.placement) {
            (Placement::Ring(ring, shards), Placement::Ring(other_ring, other_shards)) => {
                ring.sharding() == other_ring.sharding() && shards == other_shards
            }
            (Placement::Slots(owners), Placement::Slots(other_owners)) => owners == other_owners,
            _ => false,
        };
        is_placed_alike && self.endpoints == other.endpoints
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

/// Builds a Redis Cluster's topology from its slot map; without one no slot has an owner.
pub(super) fn slots(generation: u64, map: Option<&SlotMap>) -> Topology {
    let mut endpoints: Vec<TopologyEndpoint> = Vec::new();
    let mut owners = vec![NO_OWNER; SLOTS].into_boxed_slice();
    let Some(map) = map else {
        return Topology::slots(generation, endpoints, owners);
    };
    let mut known = BTreeSet::new();
    for shard in map.shards() {
        if let Ok(addr) = shard.primary.parse::<EndpointAddr>()
            && known.insert(shard.primary.as_str())
        {
            endpoints.push(TopologyEndpoint {
                label: addr.to_string(),
                addr,
                health: EndpointHealth::Healthy,
            });
        }
    }
    let number = |shard: u16| {
        let primary = map.shards().get(usize::from(shard))?.primary.parse().ok()?;
        let place = endpoints
            .iter()
            .position(|endpoint| endpoint.addr == primary)?;
        u16::try_from(place).ok()
    };
    let numbers: Vec<_> = (0..map.shards().len())
        .map(|shard| number(u16::try_from(shard).ok()?))
        .collect();
    for (owner, shard) in owners.iter_mut().zip(map.owners()) {
        let number = shard.and_then(|shard| numbers.get(usize::from(shard)).copied().flatten());
        *owner = number.unwrap_or(NO_OWNER);
    }
    Topology::slots(generation, endpoints, owners)
}

#[cfg(test)]
mod tests;

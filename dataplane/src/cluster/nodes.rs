//! One worker's endpoints: its connections, and its own copy of the slot map.
//!
//! A generation of the topology replaces everything but the connections to endpoints that stay. Between generations a
//! redirect patches the copy in place.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use arc_swap::{ArcSwap, Cache};
use prism_proto::{model::EndpointAddr, placement};

use super::{CallError, EndpointHealth, Placement, Topology, spares::Spares, topology::NO_OWNER};
use crate::{
    metrics::EndpointMetrics,
    upstream::{Connection, Nanos, Target},
};

/// A connection shared by the sessions that append to it and the pump that drives it.
pub(super) type SharedConnection = Rc<RefCell<Connection>>;

/// Endpoints that redirects may add to those of a topology.
const MAX_LEARNED: usize = 1024;

/// The endpoints of one cluster as one worker uses them.
pub(super) struct Nodes {
    cache: Cache<Arc<ArcSwap<Topology>>, Arc<Topology>>,
    topology: Arc<Topology>,
    list: Vec<Node>,
    /// Number of the owner of each slot, patched by redirects; empty for a pool.
    pub(super) slots: Vec<u16>,
}

/// One endpoint.
pub(super) struct Node {
    pub(super) target: Rc<Target>,
    pub(super) health: EndpointHealth,
    pub(super) metrics: Arc<EndpointMetrics>,
    /// By number of the kind, then of the connection; opened when first needed.
    pub(super) connections: Vec<Option<SharedConnection>>,
    /// Private connections in use.
    pub(super) leases: Rc<Cell<usize>>,
    /// Private connections that wait for their next use.
    pub(super) spares: Rc<RefCell<Spares>>,
}

/// Where a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Number of the endpoint.
    pub(super) node: usize,
    /// Keys of one unit may travel in one command: the endpoint of a pool, the slot of a Redis Cluster.
    pub(super) unit: usize,
}

impl Nodes {
    /// Makes the endpoints of the topology that `source` holds; `register` gives each its counters.
    pub(super) fn new(
        source: Arc<ArcSwap<Topology>>,
        register: impl Fn(&Target) -> Arc<EndpointMetrics>,
    ) -> Self {
        let mut cache = Cache::new(source);
        let topology = Arc::clone(cache.load());
        let mut nodes = Self {
            cache,
            topology: Arc::clone(&topology),
            list: Vec::new(),
            slots: Vec::new(),
        };
        nodes.adopt(topology, register);
        nodes
    }

    /// Returns the newest topology when it is not the one in use.
    pub(super) fn newer(&mut self) -> Option<Arc<Topology>> {
        let newest = self.cache.load();
        (newest.generation != self.topology.generation).then(|| Arc::clone(newest))
    }

    /// Puts a topology in use and returns the connections to endpoints that are no longer there.
    pub(super) fn adopt(
        &mut self,
        topology: Arc<Topology>,
        register: impl Fn(&Target) -> Arc<EndpointMetrics>,
    ) -> Vec<SharedConnection> {
        let mut old = std::mem::take(&mut self.list);
        for endpoint in &topology.endpoints {
            let target = Target {
                addr: endpoint.addr.clone(),
                label: endpoint.label.clone(),
            };
            let known = old.iter().position(|node| *node.target == target);
            let mut node = match known {
                Some(index) => old.swap_remove(index),
                None => Node::new(target, &register),
            };
            node.health = endpoint.health;
            self.list.push(node);
        }
        match &topology.placement {
            Placement::Ring(..) => self.slots.clear(),
            Placement::Slots(owners) => {
                self.slots.clear();
                self.slots.extend_from_slice(owners);
            }
        }
        self.topology = topology;
        old.into_iter().flat_map(Node::into_connections).collect()
    }

    /// Returns where `key` goes.
    ///
    /// # Errors
    /// When nobody is there to take it.
    pub(super) fn route(&self, key: &[u8], cluster: &str) -> Result<Route, CallError> {
        let route = match &self.topology.placement {
            Placement::Ring(ring, _) => {
                let node = ring.locate(key).ok_or_else(|| CallError::NoEndpoint {
                    cluster: cluster.to_owned(),
                })?;
                Route { node, unit: node }
            }
            Placement::Slots(_) => {
                let slot = placement::slot(key);
                return self.owner(slot, cluster);
            }
        };
        let node = &self.list[route.node];
        if node.health == EndpointHealth::Ejected {
            return Err(CallError::Ejected {
                endpoint: node.target.label.clone(),
            });
        }
        Ok(route)
    }

    /// Returns whether two keys can be at different endpoints of a pool.
    pub(super) fn is_spread(&self) -> bool {
        matches!(&self.topology.placement, Placement::Ring(_, shards) if shards.len() > 1)
    }

    /// Returns who owns `slot`.
    ///
    /// # Errors
    /// When nobody is known to.
    pub(super) fn owner(&self, slot: u16, cluster: &str) -> Result<Route, CallError> {
        match self.slots.get(usize::from(slot)) {
            Some(&node) if node != NO_OWNER => Ok(Route {
                node: usize::from(node),
                unit: usize::from(slot),
            }),
            _ => Err(CallError::NoOwner {
                cluster: cluster.to_owned(),
                slot,
            }),
        }
    }

    /// Returns an endpoint that is in use.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn any(&self, cluster: &str) -> Result<usize, CallError> {
        let is_in_use = |node: &Node| node.health != EndpointHealth::Ejected;
        let first = match &self.topology.placement {
            Placement::Ring(..) => self.list.iter().position(is_in_use),
            Placement::Slots(_) => self
                .slots
                .iter()
                .map(|node| usize::from(*node))
                .find(|node| {
                    let node = self.list.get(*node);
                    node.is_some_and(is_in_use)
                }),
        };
        first.ok_or_else(|| CallError::NoEndpoint {
            cluster: cluster.to_owned(),
        })
    }

    /// Returns the endpoints that together have all keys, each once.
    ///
    /// # Errors
    /// When one of them is ejected or not known: an answer without it would be wrong.
    pub(super) fn shards(&self, cluster: &str) -> Result<Vec<usize>, CallError> {
        let shards = self.owners(cluster)?;
        self.check_live(&shards)?;
        Ok(shards)
    }

    /// Returns the endpoints that together have all keys, in use or not.
    ///
    /// # Errors
    /// When one of them is not known.
    pub(super) fn owners(&self, cluster: &str) -> Result<Vec<usize>, CallError> {
        let mut shards = match &self.topology.placement {
            Placement::Ring(..) => (0..self.topology.endpoints.len()).collect(),
            Placement::Slots(_) => {
                let unowned = self.slots.iter().position(|node| *node == NO_OWNER);
                if let Some(slot) = unowned.and_then(|slot| u16::try_from(slot).ok()) {
                    self.owner(slot, cluster)?;
                }
                self.slots
                    .iter()
                    .copied()
                    .map(usize::from)
                    .collect::<Vec<_>>()
            }
        };
        shards.sort_unstable();
        shards.dedup();
        if shards.is_empty() {
            return Err(CallError::NoEndpoint {
                cluster: cluster.to_owned(),
            });
        }
        Ok(shards)
    }

    /// Checks that no endpoint of some is ejected.
    pub(super) fn check_live(&self, shards: &[usize]) -> Result<(), CallError> {
        for shard in shards {
            if let Some(node) = self
                .list
                .get(*shard)
                .filter(|node| node.health == EndpointHealth::Ejected)
            {
                let endpoint = node.target.label.clone();
                return Err(CallError::Ejected { endpoint });
            }
        }
        Ok(())
    }

    /// Returns the endpoints that have keys, whether or not they are in use.
    pub(super) fn holders(&self) -> Vec<Rc<Target>> {
        let mut holders: Vec<usize> = match &self.topology.placement {
            Placement::Ring(_, shards) => (0..shards.len())
                .filter(|number| shards.get(*number).is_some_and(|shard| shard.live))
                .collect(),
            Placement::Slots(_) => {
                let owners = self.slots.iter().filter(|owner| **owner != NO_OWNER);
                owners.map(|owner| usize::from(*owner)).collect()
            }
        };
        holders.sort_unstable();
        holders.dedup();
        let nodes = holders.iter().filter_map(|holder| self.list.get(*holder));
        nodes.map(|node| Rc::clone(&node.target)).collect()
    }

    /// Returns the endpoint that has `key`, whether or not it is in use.
    pub(super) fn holder(&self, key: &[u8]) -> Option<Rc<Target>> {
        let number = match &self.topology.placement {
            Placement::Ring(ring, _) => ring.locate(key)?,
            Placement::Slots(_) => {
                let owner = self.slots.get(usize::from(placement::slot(key)))?;
                usize::from(*owner)
            }
        };
        self.list.get(number).map(|node| Rc::clone(&node.target))
    }

    /// Notes that `node` owns `slot`; returns whether that is news.
    pub(super) fn learn(&mut self, slot: u16, node: usize) -> bool {
        let node = u16::try_from(node).unwrap_or(NO_OWNER);
        match self.slots.get_mut(usize::from(slot)) {
            Some(owner) if *owner != node => {
                *owner = node;
                true
            }
            _ => false,
        }
    }

    /// Returns the number of the endpoint at `addr`, added if it is new; `None` when redirects named too many.
    pub(super) fn find(
        &mut self,
        addr: &EndpointAddr,
        register: impl Fn(&Target) -> Arc<EndpointMetrics>,
    ) -> Option<usize> {
        let known = self.list.iter().position(|node| node.target.addr == *addr);
        if known.is_some() {
            return known;
        }
        if self.list.len() >= self.topology.endpoints.len() + MAX_LEARNED {
            return None;
        }
        let target = Target {
            addr: addr.clone(),
            label: addr.to_string(),
        };
        self.list.push(Node::new(target, register));
        Some(self.list.len() - 1)
    }

    /// Returns an endpoint.
    pub(super) fn node(&mut self, index: usize) -> &mut Node {
        &mut self.list[index]
    }

    /// Returns what the definition calls an endpoint.
    pub(super) fn label(&self, index: usize) -> String {
        let node = self.list.get(index);
        node.map_or_else(String::new, |node| node.target.label.clone())
    }

    /// Closes private connections that have waited for too long.
    pub(super) fn prune(&self, now: Nanos) {
        for node in &self.list {
            node.spares.borrow_mut().prune(now);
        }
    }

    /// Takes all connections away.
    pub(super) fn take_connections(&mut self) -> Vec<SharedConnection> {
        self.list
            .iter_mut()
            .flat_map(|node| std::mem::take(&mut node.connections))
            .flatten()
            .collect()
    }
}

impl Node {
    fn new(target: Target, register: impl Fn(&Target) -> Arc<EndpointMetrics>) -> Self {
        let metrics = register(&target);
        Self {
            target: Rc::new(target),
            health: EndpointHealth::Healthy,
            metrics,
            connections: Vec::new(),
            leases: Rc::default(),
            spares: Rc::default(),
        }
    }

    fn into_connections(self) -> impl Iterator<Item = SharedConnection> {
        self.connections.into_iter().flatten()
    }
}

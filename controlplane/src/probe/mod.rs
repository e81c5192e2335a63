//! Asking endpoints how they are, and Redis Clusters who owns which slot.
//!
//! [`Prober`] is how the rest of the control plane asks; [`Network`] asks over real connections, one for each question. What a
//! cluster's nodes say is put together by a [`Tracker`], which is pure.

mod check;
mod figures;
mod flush;
mod memcached;
mod nodes;
mod reply;
mod topology;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use prism_proto::{
    model::{CacheType, Cluster, Credentials, EndpointAddr},
    placement::SlotMap,
};

use crate::verdict::Outcome;

pub use self::{
    check::Network,
    nodes::{Node, NodesError, View, read_nodes},
    topology::{Learned, Tracker},
};

/// The newest slot maps of all Redis Clusters; published whole, the latest wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotMaps {
    /// Maps by cluster name. A cluster that was not probed yet is not here: what data planes hold of it stays.
    pub clusters: BTreeMap<String, Arc<SlotMap>>,
}

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub addr: EndpointAddr,
    /// What it speaks.
    pub cache_type: CacheType,
    /// What is presented to it.
    pub credentials: Option<Credentials>,
    /// How long the answer may take, connecting included.
    pub timeout: Duration,
}

impl Target {
    /// One endpoint of a cluster, asked as its definition says.
    pub fn of(cluster: &Cluster, addr: EndpointAddr) -> Self {
        Self {
            addr,
            cache_type: cluster.cache_type(),
            credentials: cluster.backend().cloned(),
            timeout: cluster.probing().timeout,
        }
    }
}

/// What one probe found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How the endpoint is.
    pub outcome: Outcome,
    /// How long it took to answer, connecting included; none when it did not.
    pub latency: Option<Duration>,
    /// What else it said of itself.
    pub about: About,
}

/// What an endpoint says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Whether it is a primary or a replica.
    pub role: Option<Role>,
    /// How far a replica is behind its primary, as far as it knows.
    pub lag: Option<Duration>,
    /// What it runs, as it spells it.
    pub software: Option<String>,
}

/// What an endpoint counts of itself; what it does not tell is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How long it has run.
    pub uptime: Option<Duration>,
    /// Keys it holds, in all databases.
    pub items: Option<u64>,
    /// Memory that it counts against its limit.
    pub used_bytes: Option<u64>,
    /// That limit; none when it has none.
    pub limit_bytes: Option<u64>,
    /// Reads that found their key.
    pub hits: Option<u64>,
    /// Reads that did not.
    pub misses: Option<u64>,
    /// Keys given up for memory.
    pub evictions: Option<u64>,
    /// Its clients now.
    pub connections: Option<u64>,
}

/// What a Redis endpoint is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows a primary.
    Replica,
}

impl Role {
    /// Its name, as shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// An answer on its way.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Asks endpoints; tests bring their own.
pub trait Prober: Send + Sync {
    /// Asks an endpoint how it is; always answers within the target's timeout.
    fn check(&self, target: Target) -> Answer<Checked>;

    /// Asks an endpoint for its figures; always answers within the target's timeout.
    fn figures(&self, target: Target) -> Answer<Result<Figures, String>>;

    /// Empties an endpoint; always answers within the target's timeout, with what went wrong unless the endpoint said that it was done.
    fn flush(&self, target: Target) -> Answer<Result<(), String>>;

    /// Asks a node of a Redis Cluster for its view; always answers within the target's timeout.
    fn view(&self, target: Target) -> Answer<Result<View, String>>;
}

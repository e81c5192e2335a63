//! One cluster with every default filled in: what a data plane serves.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{
    CacheType, CommandClass, Credentials, EndpointAddr, ListenAddr, MultiKeyPolicy, OnEjection,
    OnReadmit, ReadPolicy, RolloutMode, Secret, Selector, Sharding, User,
};

/// One address of a cluster: a shard of a pool, or a seed of a Redis Cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub(super) addr: EndpointAddr,
    pub(super) weight: u32,
    pub(super) alias: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) replica_of: Option<String>,
}

impl Endpoint {
    /// Where it is.
    pub fn addr(&self) -> &EndpointAddr {
        &self.addr
    }

    /// Its share of the ring, at least 1.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Its name on the ring.
    pub fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    /// Where it stands.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The alias of the shard it replicates.
    pub fn replica_of(&self) -> Option<&str> {
        self.replica_of.as_deref()
    }

    /// How people are told of it: `redis-2 (10.0.0.2:6379)`, or the address alone.
    pub fn label(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{alias} ({})", self.addr),
            None => self.addr.to_string(),
        }
    }
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From queued upstream to reply complete.
    pub read: Duration,
    /// No progress of pending bytes, either side.
    pub write: Duration,
    /// Requests queued and not a byte received.
    pub dead_after: Duration,
    /// One connect.
    pub dial: Duration,
    /// Client silence before closing; `None` is never.
    pub idle: Option<Duration>,
    /// TCP keepalive of both sides; `None` is off.
    pub tcp_keepalive: Option<Duration>,
}

/// How much there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Upstream connections per endpoint and worker.
    pub node_connections: usize,
    /// Clients of this cluster per data plane; `None` is no limit.
    pub max_clients: Option<u64>,
    /// Requests queued on one upstream connection.
    pub max_pending: usize,
    /// Bytes queued on one upstream connection.
    pub max_pending_bytes: usize,
    /// Unsent replies of one client.
    pub client_buffer_bytes: usize,
    /// Private connections per endpoint and worker.
    pub max_leases: usize,
    /// Retries as a share of requests.
    pub retry_budget_percent: u32,
    /// One request.
    pub max_request_bytes: usize,
    /// One reply.
    pub max_reply_bytes: usize,
}

/// How endpoints are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Consecutive failures before ejection; 0 never ejects.
    pub fail_limit: u32,
    /// Between probes.
    pub interval: Duration,
    /// Between probes of an endpoint in doubt or ejected.
    pub succ_interval: Duration,
    /// Deadline of one probe.
    pub timeout: Duration,
    /// Successes in a row before an endpoint returns.
    pub succ_limit: u32,
    /// Over how long those must stretch.
    pub succ_window: Duration,
    /// What the keys of an ejected shard do; always `Fail` in a Redis Cluster, which never rehashes.
    pub on_ejection: OnEjection,
    /// What happens to the content of a shard that returns.
    pub on_readmit: OnReadmit,
    /// Share of the endpoints that may be ejected.
    pub max_ejection_percent: u32,
    /// Lets ejections go on below half of the endpoints healthy.
    pub no_panic: bool,
}

/// How a Redis Cluster's topology is followed, and who answers reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyPolicy {
    /// Periodic refresh; `None` is off.
    pub fetch_interval: Option<Duration>,
    /// Least time between refreshes caused by events.
    pub fetch_min_interval: Duration,
    /// Which endpoints of a shard answer reads.
    pub read_policy: ReadPolicy,
    /// Replicas further behind are not read.
    pub max_replica_lag: Duration,
}

/// The slow log of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slowlog {
    /// What takes longer is slow; `None` is off.
    pub slower_than: Option<Duration>,
    /// Entries kept.
    pub max_len: u32,
}

/// The sketch that finds hot keys.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKeys {
    /// One request of so many is counted.
    pub sample_every: u32,
    /// Counters a row.
    pub sketch_width: u32,
    /// Rows.
    pub sketch_depth: u32,
    /// Keys kept.
    pub capacity: u32,
    /// Multiplies counts each window.
    pub decay: f64,
}

/// One cluster, checked and complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub(super) name: String,
    pub(super) listen: ListenAddr,
    pub(super) cache_type: CacheType,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) sharding: Sharding,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) probing: Probing,
    pub(super) topology: TopologyPolicy,
    pub(super) password: Option<Secret>,
    pub(super) backend: Option<Credentials>,
    pub(super) users: Vec<User>,
    pub(super) allow: Vec<CommandClass>,
    pub(super) deny: Vec<CommandClass>,
    pub(super) multi_key_policy: MultiKeyPolicy,
    pub(super) selector: Selector,
    pub(super) rollout: RolloutMode,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) slowlog: Slowlog,
    pub(super) hot_keys: HotKeys,
    pub(super) join_gets: bool,
}

impl Cluster {
    /// Its unique name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients connect.
    pub fn listen(&self) -> &ListenAddr {
        &self.listen
    }

    /// Protocol and placement.
    pub fn cache_type(&self) -> CacheType {
        self.cache_type
    }

    /// The shards, or the seeds of a Redis Cluster; never empty.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How keys choose shards; without meaning in a Redis Cluster.
    pub fn sharding(&self) -> Sharding {
        self.sharding
    }

    /// How long things may take.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// How much there may be.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How endpoints are watched.
    pub fn probing(&self) -> &Probing {
        &self.probing
    }

    /// How topology is followed, and who answers reads.
    pub fn topology(&self) -> &TopologyPolicy {
        &self.topology
    }

    /// What clients of the default user must present.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// What the proxy presents upstream.
    pub fn backend(&self) -> Option<&Credentials> {
        self.backend.as_ref()
    }

    /// Named users.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// What clients may run; empty is everything.
    pub fn allow(&self) -> &[CommandClass] {
        &self.allow
    }

    /// What clients may not run.
    pub fn deny(&self) -> &[CommandClass] {
        &self.deny
    }

    /// What a multi-key read answers for a shard that is missing.
    pub fn multi_key_policy(&self) -> MultiKeyPolicy {
        self.multi_key_policy
    }

    /// Which data planes serve it.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// How changes reach the fleet.
    pub fn rollout(&self) -> RolloutMode {
        self.rollout
    }

    /// Free texts for people and scripts.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The slow log.
    pub fn slowlog(&self) -> &Slowlog {
        &self.slowlog
    }

    /// The hot key sketch.
    pub fn hot_keys(&self) -> &HotKeys {
        &self.hot_keys
    }

    /// Lets neighbouring Memcached gets travel as one.
    pub fn join_gets(&self) -> bool {
        self.join_gets
    }
}

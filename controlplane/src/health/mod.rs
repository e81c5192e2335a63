//! What probes and reports have been judged to say of every endpoint, ready for frames and lists.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use prism_proto::pb::{admin::v1::EndpointState, discovery::v1::EndpointHealth};

/// The newest verdicts of all clusters; published whole, the latest wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Verdicts by cluster name.
    pub clusters: BTreeMap<String, ClusterVerdict>,
}

/// The verdict over one cluster's endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterVerdict {
    /// The resource revision that the order of `states` comes from: the cluster's, or the slot map's of a Redis Cluster.
    pub revision: u64,
    /// One state an endpoint, in definition order; in slot map order for a Redis Cluster.
    pub states: Vec<EndpointHealth>,
    /// What is shown to people, in the order of `states`.
    pub endpoints: Vec<EndpointStatus>,
}

/// One endpoint as shown to people.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointStatus {
    /// The endpoint's address.
    pub addr: String,
    /// Its name; empty when none.
    pub alias: String,
    /// What probes say.
    pub state: EndpointState,
    /// When that state began.
    pub since: SystemTime,
    /// Consecutive failed probes.
    pub failures: u32,
    /// The last probe's error; empty when it succeeded.
    pub last_error: String,
    /// How long the last successful probe took.
    pub latency: Option<Duration>,
    /// `primary`, `replica` or empty.
    pub role: String,
    /// The earliest time it can return.
    pub ejected_until: Option<SystemTime>,
    /// What it says it runs; empty when not known.
    pub server_version: String,
}

//! Why a request was not answered by an endpoint, and how a client is told.

use std::time::Duration;

use crate::{protocol::redis::reply::write_error, upstream::Wire};

/// A failure of the proxy's side of one request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The endpoint is ejected and its keys do not move.
    #[error("endpoint {endpoint} is ejected")]
    Ejected {
        /// The endpoint.
        endpoint: String,
    },
    /// The connection was lost after the request was sent.
    #[error("endpoint {endpoint} {reason} before it answered")]
    Lost {
        /// The endpoint.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// A pool's endpoint answered as a member of a Redis Cluster.
    #[error(
        "endpoint {endpoint} answered with a redirect: it belongs to a Redis Cluster, which needs cache_type = \"redis_cluster\""
    )]
    NotAPool {
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint wants a password, which is the proxy's affair and not the client's.
    #[error("endpoint {endpoint} wants a password: backend_password or backend_auth is missing")]
    NoAuth {
        /// The endpoint.
        endpoint: String,
    },
    /// No endpoint of the cluster is in use.
    #[error("cluster {cluster} has no live endpoint")]
    NoEndpoint {
        /// The cluster.
        cluster: String,
    },
    /// No endpoint is known to own the slot.
    #[error("cluster {cluster} has no owner for slot {slot}")]
    NoOwner {
        /// The cluster.
        cluster: String,
        /// The slot.
        slot: u16,
    },
    /// The queue of the connection is full.
    #[error("endpoint {endpoint} has {limit} {unit} waiting already")]
    QueueFull {
        /// The endpoint.
        endpoint: String,
        /// The bound that was reached.
        limit: usize,
        /// `requests` or `bytes`.
        unit: &'static str,
    },
    /// The reply did not come in time.
    #[error("endpoint {endpoint} did not answer within {} ms", limit.as_millis())]
    Timeout {
        /// The endpoint.
        endpoint: String,
        /// The cluster's `read_timeout`.
        limit: Duration,
    },
    /// Sessions asked for more databases and dialects than a data plane keeps connections for.
    #[error("cluster {cluster} has {limit} kinds of connections already")]
    TooManyKinds {
        /// The cluster.
        cluster: String,
        /// The bound.
        limit: usize,
    },
    /// All private connections to the endpoint are in use.
    #[error("endpoint {endpoint} has {limit} private connections in use already")]
    TooManyLeases {
        /// The endpoint.
        endpoint: String,
        /// The cluster's `max_leases`.
        limit: usize,
    },
    /// Sessions are subscribed to more than a worker keeps.
    #[error("cluster {cluster} has too many subscriptions already")]
    TooManySubscriptions {
        /// The cluster.
        cluster: String,
    },
    /// The endpoint cannot be reached.
    #[error("endpoint {endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// The last attempt's error.
        reason: String,
    },
}

impl CallError {
    /// Returns what a client is told, as its protocol has it.
    pub fn text(&self, wire: Wire) -> Vec<u8> {
        match wire {
            Wire::Redis => {
                let mut out = Vec::new();
                write_error(&mut out, format!("ERR prism: {self}"));
                out
            }
            Wire::Memcache | Wire::MemcacheBinary => {
                format!("SERVER_ERROR prism: {self}\r\n").into_bytes()
            }
        }
    }
}

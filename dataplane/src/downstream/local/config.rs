//! CONFIG GET: the parameters of the proxy under the names of Redis that client libraries ask for.

use prism_proto::model::{CacheType, ListenAddr};

use super::{Asked, Client, Handler, Words};
use crate::{
    access::matches,
    cluster::ClusterRuntime,
    protocol::redis::reply::{write_bulk, write_map_header},
};

/// Gives the value of a parameter.
type Value = fn(&ClusterRuntime) -> String;

/// The parameters, in the order of names.
const PARAMETERS: [(&str, Value); 20] = [
    ("appendonly", |_| "no".into()),
    ("bind", |runtime| match &runtime.listen {
        ListenAddr::Tcp { host, .. } => host.to_string(),
        ListenAddr::Unix { .. } => String::new(),
    }),
    ("cluster-enabled", |runtime| match is_cluster(runtime) {
        true => "yes".into(),
        false => "no".into(),
    }),
    // What endpoints have unless told otherwise; SELECT asks them.
    ("databases", |runtime| match is_cluster(runtime) {
        true => "1".into(),
        false => "16".into(),
    }),
    ("latency-monitor-threshold", |_| "0".into()),
    ("latency-tracking", |_| "no".into()),
    ("maxclients", |runtime| {
        let limit = runtime.cluster.limits().max_clients;
        limit.unwrap_or(0).to_string()
    }),
    ("maxmemory", |_| "0".into()),
    ("maxmemory-policy", |_| "noeviction".into()),
    ("notify-keyspace-events", |_| String::new()),
    ("port", |runtime| match &runtime.listen {
        ListenAddr::Tcp { port, .. } => port.to_string(),
        ListenAddr::Unix { .. } => "0".into(),
    }),
    ("proto-max-bulk-len", |runtime| {
        runtime.cluster.limits().max_request_bytes.to_string()
    }),
    ("protected-mode", |_| "no".into()),
    ("save", |_| String::new()),
    ("slowlog-log-slower-than", |runtime| {
        let threshold = runtime.cluster.slowlog().slower_than;
        threshold.map_or("-1".into(), |limit| limit.as_micros().to_string())
    }),
    ("slowlog-max-len", |runtime| {
        runtime.cluster.slowlog().max_len.to_string()
    }),
    ("tcp-keepalive", |runtime| {
        let keepalive = runtime.cluster.timeouts().tcp_keepalive;
        keepalive.map_or(0, |time| time.as_secs()).to_string()
    }),
    ("timeout", |runtime| {
        let idle = runtime.cluster.timeouts().idle;
        idle.map_or(0, |time| time.as_secs()).to_string()
    }),
    ("tracking-table-max-keys", |_| "0".into()),
    ("unixsocket", |runtime| match &runtime.listen {
        ListenAddr::Tcp { .. } => String::new(),
        ListenAddr::Unix { path, .. } => path.display().to_string(),
    }),
];

pub(super) fn handler(name: &str) -> Option<Handler> {
    (name == "config|get").then_some(get as Handler)
}

fn get(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let runtime = asked.cluster.runtime();
    let is_wanted = |name: &str| {
        let mut patterns = asked.words(2);
        patterns.any(|pattern| matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let wanted = PARAMETERS.iter().filter(|(name, _)| is_wanted(name));
    let wanted: Vec<_> = wanted.collect();
    write_map_header(out, wanted.len(), asked.kind.dialect);
    for (name, value) in wanted {
        write_bulk(out, name);
        write_bulk(out, value(&runtime));
    }
    Ok(())
}

fn is_cluster(runtime: &ClusterRuntime) -> bool {
    runtime.cluster.cache_type() == CacheType::RedisCluster
}

//! What a data plane insists on: definitions in which nothing is left to a default.

use crate::{
    convert::spec_in::spec_from_pb,
    model::{ClusterSpec, Draft, Violations},
    pb::config::v1 as pb,
};

/// A path, and whether the field behind it is written.
type Row = (&'static str, fn(&Draft) -> bool);

/// Every field that has a default.
const FILLED_IN: &[Row] = &[
    ("rollout", |d| d.rollout.is_some()),
    ("hash", |d| d.hash.is_some()),
    ("distribution", |d| d.distribution.is_some()),
    ("hash_tag", |d| d.hash_tag.is_some()),
    ("hash_bytes", |d| d.hash_bytes.is_some()),
    ("ketama_float", |d| d.ketama_float.is_some()),
    ("read_timeout", |d| d.read_timeout.is_some()),
    ("write_timeout", |d| d.write_timeout.is_some()),
    ("dead_after", |d| d.dead_after.is_some()),
    ("dial_timeout", |d| d.dial_timeout.is_some()),
    ("idle_timeout", |d| d.idle_timeout.is_some()),
    ("tcp_keepalive", |d| d.tcp_keepalive.is_some()),
    ("node_connections", |d| d.node_connections.is_some()),
    ("max_clients", |d| d.max_clients.is_some()),
    ("max_pending", |d| d.max_pending.is_some()),
    ("max_pending_bytes", |d| d.max_pending_bytes.is_some()),
    ("client_buffer_bytes", |d| d.client_buffer_bytes.is_some()),
    ("max_leases", |d| d.max_leases.is_some()),
    ("retry_budget_percent", |d| d.retry_budget_percent.is_some()),
    ("max_request_bytes", |d| d.max_request_bytes.is_some()),
    ("max_reply_bytes", |d| d.max_reply_bytes.is_some()),
    ("fetch_interval", |d| d.fetch_interval.is_some()),
    ("fetch_min_interval", |d| d.fetch_min_interval.is_some()),
    ("read_policy", |d| d.read_policy.is_some()),
    ("max_replica_lag", |d| d.max_replica_lag.is_some()),
    ("multi_key_policy", |d| d.multi_key_policy.is_some()),
    ("ping_fail_limit", |d| d.ping_fail_limit.is_some()),
    ("ping_interval", |d| d.ping_interval.is_some()),
    ("ping_succ_interval", |d| d.ping_succ_interval.is_some()),
    ("ping_timeout", |d| d.ping_timeout.is_some()),
    ("ping_succ_limit", |d| d.ping_succ_limit.is_some()),
    ("ping_succ_window", |d| d.ping_succ_window.is_some()),
    ("on_ejection", |d| d.on_ejection.is_some()),
    ("on_readmit", |d| d.on_readmit.is_some()),
    ("max_ejection_percent", |d| d.max_ejection_percent.is_some()),
    ("no_panic", |d| d.no_panic.is_some()),
    ("redis_db", |d| d.redis_db.is_some()),
    ("slowlog_slower_than", |d| d.slowlog_slower_than.is_some()),
    ("slowlog_max_len", |d| d.slowlog_max_len.is_some()),
    ("hot_keys.sample_every", |d| {
        d.hot_keys.sample_every.is_some()
    }),
    ("hot_keys.sketch_width", |d| {
        d.hot_keys.sketch_width.is_some()
    }),
    ("hot_keys.sketch_depth", |d| {
        d.hot_keys.sketch_depth.is_some()
    }),
    ("hot_keys.capacity", |d| d.hot_keys.capacity.is_some()),
    ("hot_keys.decay", |d| d.hot_keys.decay.is_some()),
    ("join_gets", |d| d.join_gets.is_some()),
];

/// Reads a definition as it is pushed: every default filled in, every secret at hand.
///
/// # Errors
/// Everything that is wrong with it; a field left to a default is wrong here, because two builds may differ in it.
pub fn resolved_from_pb(message: &pb::ClusterSpec) -> Result<ClusterSpec, Violations> {
    let spec = spec_from_pb(message)?;
    let mut violations = spec.unrestored_secrets();
    for (field, is_written) in FILLED_IN {
        if !is_written(spec.draft()) {
            violations.push(*field, "is absent");
        }
    }
    for (index, endpoint) in spec.draft().endpoints.iter().enumerate() {
        if endpoint.weight.is_none() {
            violations.push(format!("endpoints[{index}].weight"), "is absent");
        }
    }
    violations.into_result(spec)
}

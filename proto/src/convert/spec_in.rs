//! Definitions out of messages.

use crate::{
    convert::reader::{Reader, some_text},
    model::{
        AuthDraft, BackendAuthDraft, BackendTlsDraft, BackupRequestDraft, ClientCacheDraft,
        ClusterSpec, Draft, EndpointDraft, HotKeysDraft, Selector, SlowlogThreshold, TlsDraft,
        UserDraft, Violations,
    },
    pb::config::v1 as pb,
};

/// Reads and checks a definition.
///
/// # Errors
/// Everything that is wrong with it, each with the path of its field.
pub fn spec_from_pb(message: &pb::ClusterSpec) -> Result<ClusterSpec, Violations> {
    let (draft, mut violations) = read(message);
    match ClusterSpec::new(draft) {
        Ok(spec) => violations.into_result(spec),
        Err(others) => {
            // A choice that was not understood is read as not written: told once.
            let fresh: Violations = others
                .into_iter()
                .filter(|other| violations.iter().all(|known| known.field != other.field))
                .collect();
            violations.extend_under("", fresh);
            Err(violations)
        }
    }
}

/// Reads a definition without checking more than that its values can be read.
///
/// # Errors
/// Unknown choices, durations below zero and secrets without a source.
pub fn draft_from_pb(message: &pb::ClusterSpec) -> Result<Draft, Violations> {
    let (draft, violations) = read(message);
    violations.into_result(draft)
}

fn read(message: &pb::ClusterSpec) -> (Draft, Violations) {
    let mut reader = Reader::default();
    let mut draft = Draft {
        name: message.name.clone(),
        listen_addr: message.listen_addr.clone(),
        cache_type: reader.choice("cache_type", message.cache_type),
        endpoints: message.endpoints.iter().map(endpoint).collect(),
        selector: message.selector.as_ref().map(selector).unwrap_or_default(),
        labels: message.labels.clone(),
        annotations: message.annotations.clone(),
        rollout: reader.choice("rollout", message.rollout),
        hash: reader.choice("hash", message.hash),
        distribution: reader.choice("distribution", message.distribution),
        hash_tag: message.hash_tag.clone(),
        hash_bytes: reader.choice("hash_bytes", message.hash_bytes),
        ketama_float: reader.choice("ketama_float", message.ketama_float),
        ..Draft::default()
    };
    read_times(&mut draft, message, &mut reader);
    read_limits(&mut draft, message);
    read_policies(&mut draft, message, &mut reader);
    read_access(&mut draft, message, &mut reader);
    read_tuning(&mut draft, message, &mut reader);
    (draft, reader.violations)
}

fn endpoint(message: &pb::Endpoint) -> EndpointDraft {
    EndpointDraft {
        addr: message.addr.clone(),
        weight: message.weight,
        alias: some_text(&message.alias),
        zone: some_text(&message.zone),
        replica_of: some_text(&message.replica_of),
    }
}

fn selector(message: &pb::Selector) -> Selector {
    Selector {
        dataplanes: message.dataplanes.clone(),
        labels: message.labels.clone(),
    }
}

fn read_times(draft: &mut Draft, message: &pb::ClusterSpec, reader: &mut Reader) {
    draft.read_timeout = reader.duration("read_timeout", message.read_timeout);
    draft.write_timeout = reader.duration("write_timeout", message.write_timeout);
    draft.dead_after = reader.duration("dead_after", message.dead_after);
    draft.dial_timeout = reader.duration("dial_timeout", message.dial_timeout);
    draft.idle_timeout = reader.duration("idle_timeout", message.idle_timeout);
    draft.tcp_keepalive = reader.duration("tcp_keepalive", message.tcp_keepalive);
    draft.fetch_interval = reader.duration("fetch_interval", message.fetch_interval);
    draft.fetch_min_interval = reader.duration("fetch_min_interval", message.fetch_min_interval);
    draft.max_replica_lag = reader.duration("max_replica_lag", message.max_replica_lag);
    draft.ping_interval = reader.duration("ping_interval", message.ping_interval);
    draft.ping_succ_interval = reader.duration("ping_succ_interval", message.ping_succ_interval);
    draft.ping_timeout = reader.duration("ping_timeout", message.ping_timeout);
    draft.ping_succ_window = reader.duration("ping_succ_window", message.ping_succ_window);
}

fn read_limits(draft: &mut Draft, message: &pb::ClusterSpec) {
    draft.node_connections = message.node_connections;
    draft.max_clients = message.max_clients;
    draft.max_pending = message.max_pending;
    draft.max_pending_bytes = message.max_pending_bytes;
    draft.client_buffer_bytes = message.client_buffer_bytes;
    draft.max_leases = message.max_leases;
    draft.retry_budget_percent = message.retry_budget_percent;
    draft.max_request_bytes = message.max_request_bytes;
    draft.max_reply_bytes = message.max_reply_bytes;
}

fn read_policies(draft: &mut Draft, message: &pb::ClusterSpec, reader: &mut Reader) {
    draft.read_policy = reader.choice("read_policy", message.read_policy);
    draft.multi_key_policy = reader.choice("multi_key_policy", message.multi_key_policy);
    draft.ping_fail_limit = message.ping_fail_limit;
    draft.ping_succ_limit = message.ping_succ_limit;
    draft.on_ejection = reader.choice("on_ejection", message.on_ejection);
    draft.on_readmit = reader.choice("on_readmit", message.on_readmit);
    draft.max_ejection_percent = message.max_ejection_percent;
    draft.no_panic = message.no_panic;
}

fn read_access(draft: &mut Draft, message: &pb::ClusterSpec, reader: &mut Reader) {
    draft.auth = message.auth.as_ref().map(|auth| AuthDraft {
        password: reader.secret("auth.password", auth.password.as_ref()),
        users: read_users(&auth.users, reader),
    });
    draft.backend_auth = message.backend_auth.as_ref().map(|auth| BackendAuthDraft {
        username: some_text(&auth.username),
        password: reader.secret("backend_auth.password", auth.password.as_ref()),
    });
    draft.redis_db = message.redis_db;
    draft.allow = message.allow.clone();
    draft.deny = message.deny.clone();
    draft.tls = message.tls.as_ref().map(|tls| TlsDraft {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
    });
    draft.backend_tls = message.backend_tls.as_ref().map(|tls| BackendTlsDraft {
        ca: tls.ca.clone(),
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        server_name: tls.server_name.clone(),
    });
}

fn read_users(users: &[pb::AuthUser], reader: &mut Reader) -> Vec<UserDraft> {
    let mut read = Vec::with_capacity(users.len());
    for (index, user) in users.iter().enumerate() {
        let field = format!("auth.users[{index}].password");
        read.push(UserDraft {
            username: user.username.clone(),
            password: reader.secret(&field, user.password.as_ref()),
            commands: user.commands.clone(),
            keys: user.keys.clone(),
        });
    }
    read
}

fn read_tuning(draft: &mut Draft, message: &pb::ClusterSpec, reader: &mut Reader) {
    draft.slowlog_slower_than = message
        .slowlog_slower_than
        .and_then(|threshold| slowlog_threshold(threshold, reader));
    draft.slowlog_max_len = message.slowlog_max_len;
    let hot_keys = message.hot_keys.unwrap_or_default();
    draft.hot_keys = HotKeysDraft {
        sample_every: hot_keys.sample_every,
        sketch_width: hot_keys.sketch_width,
        sketch_depth: hot_keys.sketch_depth,
        capacity: hot_keys.capacity,
        decay: hot_keys.decay,
    };
    draft.client_cache = message.client_cache.map(|cache| ClientCacheDraft {
        enabled: cache.enabled,
        max_entries: cache.max_entries,
        max_value_bytes: cache.max_value_bytes,
    });
    draft.backup_request = message.backup_request.map(|backup| BackupRequestDraft {
        enabled: backup.enabled,
        trigger_slow: reader.duration("backup_request.trigger_slow", backup.trigger_slow),
        multiplier: backup.multiplier,
    });
    draft.join_gets = message.join_gets;
}

fn slowlog_threshold(
    threshold: prost_types::Duration,
    reader: &mut Reader,
) -> Option<SlowlogThreshold> {
    if threshold.seconds < 0 || threshold.nanos < 0 {
        return Some(SlowlogThreshold::Off);
    }
    let threshold = reader.duration("slowlog_slower_than", Some(threshold))?;
    Some(SlowlogThreshold::SlowerThan(threshold))
}

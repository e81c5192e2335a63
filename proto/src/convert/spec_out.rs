//! Definitions into messages.

use std::time::Duration;

use prost_types::Duration as PbDuration;

use crate::{
    convert::choice::Numbered,
    model::{
        AuthDraft, BackendAuthDraft, BackupRequestDraft, ClusterSpec, Draft, EndpointDraft,
        HotKeysDraft, Secret, Selector, SlowlogThreshold, UserDraft,
    },
    pb::config::v1 as pb,
};

/// Writes a definition as its author wrote it.
pub fn spec_to_pb(spec: &ClusterSpec) -> pb::ClusterSpec {
    draft_to_pb(spec.draft())
}

/// Writes a definition with every default filled in: what data planes are given.
pub fn resolved_to_pb(spec: &ClusterSpec) -> pb::ClusterSpec {
    draft_to_pb(&spec.resolved_draft())
}

/// Writes a definition that need not be checked, such as one with its secrets redacted.
pub fn draft_to_pb(draft: &Draft) -> pb::ClusterSpec {
    let mut message = pb::ClusterSpec {
        name: draft.name.clone(),
        listen_addr: draft.listen_addr.clone(),
        cache_type: Numbered::number(draft.cache_type),
        endpoints: draft.endpoints.iter().map(endpoint).collect(),
        selector: selector(&draft.selector),
        labels: draft.labels.clone(),
        annotations: draft.annotations.clone(),
        rollout: Numbered::number(draft.rollout),
        hash: Numbered::number(draft.hash),
        distribution: Numbered::number(draft.distribution),
        hash_tag: draft.hash_tag.clone(),
        hash_bytes: Numbered::number(draft.hash_bytes),
        ketama_float: Numbered::number(draft.ketama_float),
        ..pb::ClusterSpec::default()
    };
    write_times(&mut message, draft);
    write_limits(&mut message, draft);
    write_policies(&mut message, draft);
    write_access(&mut message, draft);
    write_tuning(&mut message, draft);
    message
}

fn endpoint(draft: &EndpointDraft) -> pb::Endpoint {
    pb::Endpoint {
        addr: draft.addr.clone(),
        weight: draft.weight,
        alias: draft.alias.clone().unwrap_or_default(),
        zone: draft.zone.clone().unwrap_or_default(),
        replica_of: draft.replica_of.clone().unwrap_or_default(),
    }
}

fn selector(selector: &Selector) -> Option<pb::Selector> {
    (!selector.is_empty()).then(|| pb::Selector {
        dataplanes: selector.dataplanes.clone(),
        labels: selector.labels.clone(),
    })
}

fn duration(written: Option<Duration>) -> Option<PbDuration> {
    // What is checked is below protobuf's 10 000 years; a draft beyond it stays as long as can be.
    let longest = PbDuration {
        seconds: i64::MAX,
        nanos: 0,
    };
    written.map(|written| PbDuration::try_from(written).unwrap_or(longest))
}

fn secret(written: Option<&Secret>) -> Option<pb::Secret> {
    use pb::secret::Source;
    let source = match written? {
        Secret::Env(name) => Source::Env(name.clone()),
        Secret::File(path) => Source::File(path.display().to_string()),
        Secret::Plain(text) => Source::Plain(text.clone()),
        Secret::Unchanged(shown) => Source::Unchanged(shown.clone()),
    };
    Some(pb::Secret {
        source: Some(source),
    })
}

fn write_times(message: &mut pb::ClusterSpec, draft: &Draft) {
    message.read_timeout = duration(draft.read_timeout);
    message.write_timeout = duration(draft.write_timeout);
    message.dead_after = duration(draft.dead_after);
    message.dial_timeout = duration(draft.dial_timeout);
    message.idle_timeout = duration(draft.idle_timeout);
    message.tcp_keepalive = duration(draft.tcp_keepalive);
    message.fetch_interval = duration(draft.fetch_interval);
    message.fetch_min_interval = duration(draft.fetch_min_interval);
    message.max_replica_lag = duration(draft.max_replica_lag);
    message.ping_interval = duration(draft.ping_interval);
    message.ping_succ_interval = duration(draft.ping_succ_interval);
    message.ping_timeout = duration(draft.ping_timeout);
    message.ping_succ_window = duration(draft.ping_succ_window);
}

fn write_limits(message: &mut pb::ClusterSpec, draft: &Draft) {
    message.node_connections = draft.node_connections;
    message.max_clients = draft.max_clients;
    message.max_pending = draft.max_pending;
    message.max_pending_bytes = draft.max_pending_bytes;
    message.client_buffer_bytes = draft.client_buffer_bytes;
    message.max_leases = draft.max_leases;
    message.retry_budget_percent = draft.retry_budget_percent;
    message.max_request_bytes = draft.max_request_bytes;
    message.max_reply_bytes = draft.max_reply_bytes;
}

fn write_policies(message: &mut pb::ClusterSpec, draft: &Draft) {
    message.read_policy = Numbered::number(draft.read_policy);
    message.multi_key_policy = Numbered::number(draft.multi_key_policy);
    message.ping_fail_limit = draft.ping_fail_limit;
    message.ping_succ_limit = draft.ping_succ_limit;
    message.on_ejection = Numbered::number(draft.on_ejection);
    message.on_readmit = Numbered::number(draft.on_readmit);
    message.max_ejection_percent = draft.max_ejection_percent;
    message.no_panic = draft.no_panic;
}

fn write_access(message: &mut pb::ClusterSpec, draft: &Draft) {
    message.auth = draft.auth.as_ref().map(auth);
    message.backend_auth = draft.backend_auth.as_ref().map(backend_auth);
    message.redis_db = draft.redis_db;
    message.allow = draft.allow.clone();
    message.deny = draft.deny.clone();
    message.tls = draft.tls.as_ref().map(|tls| pb::Tls {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
    });
    message.backend_tls = draft.backend_tls.as_ref().map(|tls| pb::BackendTls {
        ca: tls.ca.clone(),
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        server_name: tls.server_name.clone(),
    });
}

fn auth(auth: &AuthDraft) -> pb::Auth {
    let user = |user: &UserDraft| pb::AuthUser {
        username: user.username.clone(),
        password: secret(user.password.as_ref()),
        commands: user.commands.clone(),
        keys: user.keys.clone(),
    };
    pb::Auth {
        password: secret(auth.password.as_ref()),
        users: auth.users.iter().map(user).collect(),
    }
}

fn backend_auth(auth: &BackendAuthDraft) -> pb::BackendAuth {
    pb::BackendAuth {
        username: auth.username.clone().unwrap_or_default(),
        password: secret(auth.password.as_ref()),
    }
}

fn write_tuning(message: &mut pb::ClusterSpec, draft: &Draft) {
    message.slowlog_slower_than = match draft.slowlog_slower_than {
        None => None,
        Some(SlowlogThreshold::Off) => Some(PbDuration {
            seconds: -1,
            nanos: 0,
        }),
        Some(SlowlogThreshold::SlowerThan(threshold)) => duration(Some(threshold)),
    };
    message.slowlog_max_len = draft.slowlog_max_len;
    message.hot_keys = hot_keys(&draft.hot_keys);
    message.client_cache = draft.client_cache.map(|cache| pb::ClientCache {
        enabled: cache.enabled,
        max_entries: cache.max_entries,
        max_value_bytes: cache.max_value_bytes,
    });
    message.backup_request = draft.backup_request.as_ref().map(backup_request);
    message.join_gets = draft.join_gets;
}

fn hot_keys(draft: &HotKeysDraft) -> Option<pb::HotKeys> {
    (*draft != HotKeysDraft::default()).then_some(pb::HotKeys {
        sample_every: draft.sample_every,
        sketch_width: draft.sketch_width,
        sketch_depth: draft.sketch_depth,
        capacity: draft.capacity,
        decay: draft.decay,
    })
}

fn backup_request(draft: &BackupRequestDraft) -> pb::BackupRequest {
    pb::BackupRequest {
        enabled: draft.enabled,
        trigger_slow: duration(draft.trigger_slow),
        multiplier: draft.multiplier,
    }
}

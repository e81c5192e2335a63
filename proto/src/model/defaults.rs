//! Every default of a definition, and the two ways of filling them in.

use std::time::Duration;

use crate::model::{
    CacheType, Cluster, Credentials, Draft, Endpoint, EndpointDraft, HotKeys, HotKeysDraft, Limits,
    ListenAddr, OnEjection, Probing, RolloutMode, Sharding, Slowlog, SlowlogThreshold, Timeouts,
    TopologyPolicy, access,
};

const MIB: u64 = 1024 * 1024;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The parts of a draft that checking has already read.
pub(super) struct Parts {
    pub(super) listen: ListenAddr,
    pub(super) cache_type: CacheType,
    pub(super) endpoints: Vec<Endpoint>,
}

/// Fills in every default of a checked draft.
pub(super) fn resolve(draft: &Draft, parts: Parts) -> Cluster {
    let cache_type = parts.cache_type;
    let auth = draft.auth.as_ref();
    Cluster {
        name: draft.name.clone(),
        listen: parts.listen,
        cache_type,
        endpoints: parts.endpoints,
        sharding: sharding(draft),
        timeouts: timeouts(draft),
        limits: limits(draft),
        probing: probing(draft, cache_type),
        topology: topology(draft),
        password: auth.and_then(|auth| auth.password.clone()),
        backend: backend(draft),
        users: access::users(draft),
        allow: access::classes(draft, &draft.allow),
        deny: access::classes(draft, &draft.deny),
        multi_key_policy: draft.multi_key_policy.unwrap_or_default(),
        selector: draft.selector.clone(),
        rollout: draft.rollout.unwrap_or(RolloutMode::Staged),
        labels: draft.labels.clone(),
        slowlog: slowlog(draft),
        hot_keys: hot_keys(&draft.hot_keys),
        join_gets: draft.join_gets.unwrap_or(true),
    }
}

fn sharding(draft: &Draft) -> Sharding {
    let tag = draft.hash_tag.as_deref().map(str::as_bytes);
    Sharding {
        hash: draft.hash.unwrap_or_default(),
        distribution: draft.distribution.unwrap_or_default(),
        hash_tag: tag.and_then(|tag| tag.try_into().ok()),
        hash_bytes: draft.hash_bytes.unwrap_or_default(),
        ketama_float: draft.ketama_float.unwrap_or_default(),
    }
}

fn timeouts(draft: &Draft) -> Timeouts {
    let read = draft.read_timeout.unwrap_or(ms(2000));
    let keepalive = draft.tcp_keepalive.unwrap_or(ms(60_000));
    Timeouts {
        read,
        write: draft.write_timeout.unwrap_or(ms(2000)),
        dead_after: draft.dead_after.unwrap_or(read * 2),
        dial: draft.dial_timeout.unwrap_or(ms(500)),
        idle: draft.idle_timeout.filter(|idle| !idle.is_zero()),
        tcp_keepalive: Some(keepalive).filter(|keepalive| !keepalive.is_zero()),
    }
}

fn limits(draft: &Draft) -> Limits {
    let size = |written: Option<u64>, default: u64| {
        usize::try_from(written.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    Limits {
        node_connections: size(draft.node_connections.map(u64::from), 1),
        max_clients: draft.max_clients.filter(|&limit| limit != 0),
        max_pending: size(draft.max_pending, 65_536),
        max_pending_bytes: size(draft.max_pending_bytes, 64 * MIB),
        client_buffer_bytes: size(draft.client_buffer_bytes, 64 * MIB),
        max_leases: size(draft.max_leases, 256),
        retry_budget_percent: draft.retry_budget_percent.unwrap_or(20),
        max_request_bytes: size(draft.max_request_bytes, 512 * MIB),
        max_reply_bytes: size(draft.max_reply_bytes, 512 * MIB),
    }
}

fn probing(draft: &Draft, cache_type: CacheType) -> Probing {
    let on_ejection = match cache_type {
        CacheType::RedisCluster => OnEjection::Fail,
        CacheType::Memcache | CacheType::Redis => draft.on_ejection.unwrap_or_default(),
    };
    Probing {
        fail_limit: draft.ping_fail_limit.unwrap_or(3),
        interval: draft.ping_interval.unwrap_or(ms(10_000)),
        succ_interval: draft.ping_succ_interval.unwrap_or(ms(1000)),
        timeout: draft.ping_timeout.unwrap_or(ms(500)),
        succ_limit: draft.ping_succ_limit.unwrap_or(5),
        succ_window: draft.ping_succ_window.unwrap_or(ms(10_000)),
        on_ejection,
        on_readmit: draft.on_readmit.unwrap_or_default(),
        max_ejection_percent: draft.max_ejection_percent.unwrap_or(10),
        no_panic: draft.no_panic.unwrap_or(false),
    }
}

fn topology(draft: &Draft) -> TopologyPolicy {
    let fetch = draft.fetch_interval.unwrap_or(ms(600_000));
    TopologyPolicy {
        fetch_interval: Some(fetch).filter(|fetch| !fetch.is_zero()),
        fetch_min_interval: draft.fetch_min_interval.unwrap_or(ms(100)),
        read_policy: draft.read_policy.unwrap_or_default(),
        max_replica_lag: draft.max_replica_lag.unwrap_or(ms(10_000)),
    }
}

fn backend(draft: &Draft) -> Option<Credentials> {
    let auth = draft.backend_auth.as_ref()?;
    Some(Credentials {
        username: auth.username.clone(),
        password: auth.password.clone()?,
    })
}

fn slowlog(draft: &Draft) -> Slowlog {
    let threshold = draft
        .slowlog_slower_than
        .unwrap_or(SlowlogThreshold::SlowerThan(ms(10)));
    Slowlog {
        slower_than: match threshold {
            SlowlogThreshold::Off => None,
            SlowlogThreshold::SlowerThan(threshold) => Some(threshold),
        },
        max_len: draft.slowlog_max_len.unwrap_or(128),
    }
}

fn hot_keys(draft: &HotKeysDraft) -> HotKeys {
    HotKeys {
        sample_every: draft.sample_every.unwrap_or(32),
        sketch_width: draft.sketch_width.unwrap_or(4096),
        sketch_depth: draft.sketch_depth.unwrap_or(4),
        capacity: draft.capacity.unwrap_or(512),
        decay: draft.decay.unwrap_or(0.925),
    }
}

/// Writes a cluster's values into its draft, so that nothing is left to a default.
pub(super) fn write_out(draft: &Draft, cluster: &Cluster) -> Draft {
    let mut full = draft.clone();
    let weigh = |endpoint: &mut EndpointDraft| endpoint.weight = endpoint.weight.or(Some(1));
    full.endpoints.iter_mut().for_each(weigh);
    full.rollout = Some(cluster.rollout);
    write_sharding(&mut full, &cluster.sharding);
    write_timeouts(&mut full, &cluster.timeouts);
    write_limits(&mut full, &cluster.limits);
    write_probing(&mut full, &cluster.probing);
    write_topology(&mut full, &cluster.topology);
    full.multi_key_policy = Some(cluster.multi_key_policy);
    full.redis_db = full.redis_db.or(Some(0));
    full.slowlog_slower_than = Some(match cluster.slowlog.slower_than {
        None => SlowlogThreshold::Off,
        Some(threshold) => SlowlogThreshold::SlowerThan(threshold),
    });
    full.slowlog_max_len = Some(cluster.slowlog.max_len);
    full.hot_keys = HotKeysDraft {
        sample_every: Some(cluster.hot_keys.sample_every),
        sketch_width: Some(cluster.hot_keys.sketch_width),
        sketch_depth: Some(cluster.hot_keys.sketch_depth),
        capacity: Some(cluster.hot_keys.capacity),
        decay: Some(cluster.hot_keys.decay),
    };
    full.join_gets = Some(cluster.join_gets);
    full
}

fn write_sharding(full: &mut Draft, sharding: &Sharding) {
    full.hash = Some(sharding.hash);
    full.distribution = Some(sharding.distribution);
    full.hash_tag = Some(full.hash_tag.take().unwrap_or_default());
    full.hash_bytes = Some(sharding.hash_bytes);
    full.ketama_float = Some(sharding.ketama_float);
}

fn write_timeouts(full: &mut Draft, timeouts: &Timeouts) {
    full.read_timeout = Some(timeouts.read);
    full.write_timeout = Some(timeouts.write);
    full.dead_after = Some(timeouts.dead_after);
    full.dial_timeout = Some(timeouts.dial);
    full.idle_timeout = Some(timeouts.idle.unwrap_or_default());
    full.tcp_keepalive = Some(timeouts.tcp_keepalive.unwrap_or_default());
}

fn write_limits(full: &mut Draft, limits: &Limits) {
    let wide = |size: usize| Some(size as u64);
    full.node_connections = Some(full.node_connections.unwrap_or(1));
    full.max_clients = Some(limits.max_clients.unwrap_or(0));
    full.max_pending = wide(limits.max_pending);
    full.max_pending_bytes = wide(limits.max_pending_bytes);
    full.client_buffer_bytes = wide(limits.client_buffer_bytes);
    full.max_leases = wide(limits.max_leases);
    full.retry_budget_percent = Some(limits.retry_budget_percent);
    full.max_request_bytes = wide(limits.max_request_bytes);
    full.max_reply_bytes = wide(limits.max_reply_bytes);
}

fn write_probing(full: &mut Draft, probing: &Probing) {
    full.ping_fail_limit = Some(probing.fail_limit);
    full.ping_interval = Some(probing.interval);
    full.ping_succ_interval = Some(probing.succ_interval);
    full.ping_timeout = Some(probing.timeout);
    full.ping_succ_limit = Some(probing.succ_limit);
    full.ping_succ_window = Some(probing.succ_window);
    full.on_ejection = Some(probing.on_ejection);
    full.on_readmit = Some(probing.on_readmit);
    full.max_ejection_percent = Some(probing.max_ejection_percent);
    full.no_panic = Some(probing.no_panic);
}

fn write_topology(full: &mut Draft, topology: &TopologyPolicy) {
    full.fetch_interval = Some(topology.fetch_interval.unwrap_or_default());
    full.fetch_min_interval = Some(topology.fetch_min_interval);
    full.read_policy = Some(topology.read_policy);
    full.max_replica_lag = Some(topology.max_replica_lag);
}

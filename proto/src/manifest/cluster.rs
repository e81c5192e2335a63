//! The keys of one cluster.

use crate::{
    manifest::{
        access, endpoint,
        findings::Findings,
        legacy,
        table::{Table, Value},
        unit::Unit,
    },
    model::{
        BackupRequestDraft, ClientCacheDraft, Draft, EndpointDraft, HotKeysDraft, Selector,
        SlowlogThreshold,
    },
};

use toml::de::DeValue;

/// Reads one `[[clusters]]`, whose fields are below `path`.
pub(super) fn read<'t>(
    findings: &mut Findings,
    value: &'t Value<'t>,
    path: String,
) -> Option<Draft> {
    let mut table = Table::open(findings, value, path)?;
    let mut draft = Draft {
        name: table.text("name", &[]).unwrap_or_default(),
        listen_addr: table.text("listen_addr", &[]).unwrap_or_default(),
        cache_type: table.word("cache_type", &[]),
        endpoints: read_endpoints(&mut table),
        selector: Selector {
            dataplanes: table.texts("selector.dataplanes", &["dataplanes"]),
            labels: table.map("selector.labels", &["labels"]),
        },
        labels: table.map("labels", &["meta_labels"]),
        annotations: table.map("annotations", &[]),
        rollout: table.word("rollout", &[]),
        hash: table.word("hash", &["hash", "key_hash_type"]),
        distribution: table.word("distribution", &[]),
        hash_tag: table.text("hash_tag", &[]),
        hash_bytes: table.word("hash_bytes", &[]),
        ketama_float: table.word("ketama_float", &[]),
        ..Draft::default()
    };
    read_times(&mut table, &mut draft);
    read_limits(&mut table, &mut draft);
    read_policies(&mut table, &mut draft);
    access::read(&mut table, &mut draft);
    read_tuning(&mut table, &mut draft);
    legacy::read(&mut table, &mut draft);
    table.close();
    Some(draft)
}

fn read_endpoints(table: &mut Table<'_, '_>) -> Vec<EndpointDraft> {
    let servers = table.array("endpoints", &["servers"]).unwrap_or_default();
    let mut endpoints = Vec::with_capacity(servers.len());
    for (index, value) in servers.into_iter().enumerate() {
        let path = table.path(&format!("endpoints[{index}]"));
        // One that cannot be read keeps its place, so that the others keep theirs.
        endpoints.push(endpoint::read(table.findings, value, path).unwrap_or_default());
    }
    endpoints
}

fn read_times(table: &mut Table<'_, '_>, draft: &mut Draft) {
    let ms = Unit::Milliseconds;
    let dial = ["dial_timeout", "connect_timeout", "dial_timeout_ms"];
    let (read, write) = (
        ["read_timeout", "read_timeout_ms"],
        ["write_timeout", "write_timeout_ms"],
    );
    draft.read_timeout = table.duration("read_timeout", &read, ms);
    draft.write_timeout = table.duration("write_timeout", &write, ms);
    draft.dead_after = table.duration("dead_after", &[], ms);
    draft.dial_timeout = table.duration("dial_timeout", &dial, ms);
    draft.idle_timeout = table.duration("idle_timeout", &[], ms);
    draft.tcp_keepalive = table.duration("tcp_keepalive", &["tcp_keepalive_secs"], Unit::Seconds);
    let fetch = table.duration("fetch_interval", &[], ms);
    let fetch_seconds = table.duration("fetch_interval", &["fetch"], Unit::Seconds);
    draft.fetch_interval = fetch.or(fetch_seconds);
    draft.fetch_min_interval =
        table.duration("fetch_min_interval", &["fetch_since_latest_cmd"], ms);
    draft.max_replica_lag = table.duration("max_replica_lag", &[], ms);
    draft.ping_interval = table.duration("ping_interval", &[], ms);
    draft.ping_succ_interval = table.duration("ping_succ_interval", &[], ms);
    draft.ping_timeout = table.duration("ping_timeout", &[], ms);
    draft.ping_succ_window = table.duration("ping_succ_window", &[], ms);
}

fn read_limits(table: &mut Table<'_, '_>, draft: &mut Draft) {
    let connections = ["node_connections", "server_connections", "pool_size"];
    draft.node_connections = table.integer("node_connections", &connections);
    draft.max_clients = table.integer("max_clients", &[]);
    draft.max_pending = table.integer("max_pending", &[]);
    draft.max_pending_bytes = table.size("max_pending_bytes");
    draft.client_buffer_bytes = table.size("client_buffer_bytes");
    draft.max_leases = table.integer("max_leases", &[]);
    draft.retry_budget_percent = table.integer("retry_budget_percent", &[]);
    draft.max_request_bytes = table.size("max_request_bytes");
    draft.max_reply_bytes = table.size("max_reply_bytes");
}

fn read_policies(table: &mut Table<'_, '_>, draft: &mut Draft) {
    let fail_limit = ["ping_fail_limit", "server_failure_limit"];
    draft.read_policy = table.word("read_policy", &[]);
    draft.multi_key_policy = table.word("multi_key_policy", &[]);
    draft.ping_fail_limit = table.integer("ping_fail_limit", &fail_limit);
    draft.ping_succ_limit = table.integer("ping_succ_limit", &[]);
    draft.on_ejection = table.word("on_ejection", &[]);
    draft.on_readmit = table.word("on_readmit", &[]);
    draft.max_ejection_percent = table.integer("max_ejection_percent", &[]);
    draft.no_panic = table.boolean("no_panic", &[]);
}

fn read_tuning(table: &mut Table<'_, '_>, draft: &mut Draft) {
    draft.slowlog_slower_than = read_slowlog_threshold(table);
    draft.slowlog_max_len = table.integer("slowlog_max_len", &[]);
    draft.hot_keys = HotKeysDraft {
        sample_every: table.integer("hot_keys.sample_every", &["hotkey_sample_every"]),
        sketch_width: table.integer("hot_keys.sketch_width", &["hotkey_sketch_width"]),
        sketch_depth: table.integer("hot_keys.sketch_depth", &["hotkey_sketch_depth"]),
        capacity: table.integer("hot_keys.capacity", &["hotkey_capacity"]),
        decay: table.float("hot_keys.decay", &["hotkey_decay"]),
    };
    draft.client_cache = read_client_cache(table);
    draft.backup_request = read_backup_request(table);
    draft.join_gets = table.boolean("join_gets", &[]);
}

/// Negative is off, as in Redis.
fn read_slowlog_threshold(table: &mut Table<'_, '_>) -> Option<SlowlogThreshold> {
    let (field, keys) = ("slowlog_slower_than", ["slowlog_log_slower_than"]);
    let value = table.value(field, &keys)?;
    if matches!(value.get_ref(), DeValue::Integer(number) if number.as_str().starts_with('-')) {
        return Some(SlowlogThreshold::Off);
    }
    let threshold = table.duration(field, &keys, Unit::Microseconds)?;
    Some(SlowlogThreshold::SlowerThan(threshold))
}

fn read_client_cache(table: &mut Table<'_, '_>) -> Option<ClientCacheDraft> {
    let mut cache = table.table("client_cache")?;
    let draft = ClientCacheDraft {
        enabled: cache.boolean("enabled", &[]).unwrap_or(false),
        max_entries: cache.integer("max_entries", &[]),
        max_value_bytes: cache.size("max_value_bytes"),
    };
    for key in ["shard_count", "drain_batch", "drain_interval_ms"] {
        cache.ignore(key, "is ignored: the near cache tunes itself");
    }
    cache.close();
    Some(draft)
}

fn read_backup_request(table: &mut Table<'_, '_>) -> Option<BackupRequestDraft> {
    let mut backup = table.table("backup_request")?;
    let (field, keys) = ("trigger_slow", ["trigger_slow_ms"]);
    let written = backup.value(field, &keys);
    // aster writes "default" for none.
    let none = written.is_none_or(|value| value.get_ref().as_str() == Some("default"));
    let draft = BackupRequestDraft {
        enabled: backup.boolean("enabled", &[]).unwrap_or(false),
        trigger_slow: (!none)
            .then(|| backup.duration(field, &keys, Unit::Milliseconds))
            .flatten(),
        multiplier: backup.float("multiplier", &[]),
    };
    backup.close();
    Some(draft)
}

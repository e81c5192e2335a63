//! What a definition must hold to: ranges, names, addresses, and what goes with what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Debug, Display},
    ops::RangeInclusive,
    time::Duration,
};

use crate::model::{
    BackendAuthDraft, CacheType, Draft, Endpoint, EndpointAddr, EndpointDraft, MultiKeyPolicy,
    OnReadmit, Secret, SlowlogThreshold, Violations, access, defaults::Parts, limits, unsupported,
};

/// Collects everything wrong with `draft`; returns what was read of it unless that failed.
pub(super) fn check(draft: &Draft, violations: &mut Violations) -> Option<Parts> {
    check_name("name", &draft.name, violations);
    let listen = match draft.listen_addr.parse() {
        Ok(listen) => Some(listen),
        Err(error) => {
            violations.push("listen_addr", describe_missing(&draft.listen_addr, &error));
            None
        }
    };
    if draft.cache_type.is_none() {
        violations.push(
            "cache_type",
            "is missing; expected redis, memcache or redis_cluster",
        );
    }
    let endpoints = check_endpoints(draft, violations);
    check_hash_tag(draft, violations);
    check_selector(draft, violations);
    check_durations(draft, violations);
    check_counts(draft, violations);
    check_tuning(draft, violations);
    check_answers(draft, violations);
    check_secrets(draft, violations);
    access::check(draft, violations);
    unsupported::check(draft, violations);
    Some(Parts {
        listen: listen?,
        cache_type: draft.cache_type?,
        endpoints: endpoints?,
    })
}

fn describe_missing(text: &str, error: &dyn Display) -> String {
    if text.is_empty() {
        return "is missing".to_owned();
    }
    error.to_string()
}

/// Names go into paths, labels of metrics and command lines.
fn check_name(field: &str, name: &str, violations: &mut Violations) {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        violations.push(field, "is missing");
    } else if name.len() > limits::MAX_NAME_BYTES || !name.bytes().all(known) {
        violations.push(
            field,
            format!("`{name}` is not 1 to 128 of A-Z a-z 0-9 . _ -"),
        );
    }
}

fn check_endpoints(draft: &Draft, violations: &mut Violations) -> Option<Vec<Endpoint>> {
    let count = draft.endpoints.len();
    if count == 0 {
        violations.push("endpoints", "is empty; at least one is needed");
    } else if count > limits::MAX_ENDPOINTS {
        let most = limits::MAX_ENDPOINTS;
        violations.push("endpoints", format!("{count} are more than {most}"));
    }
    let mut aliases = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let mut endpoints = Vec::with_capacity(count);
    for (index, written) in draft.endpoints.iter().enumerate() {
        let mut wrong = Violations::new();
        let endpoint = check_endpoint(written, &mut wrong);
        if let Some(first) = written
            .alias
            .as_ref()
            .and_then(|alias| aliases.insert(alias, index))
        {
            let alias = written.alias.as_deref().unwrap_or_default();
            wrong.push(
                "alias",
                format!("`{alias}` is already the alias of endpoints[{first}]"),
            );
        }
        if let Some(endpoint) = endpoint {
            if let Some(first) = addresses.insert(endpoint.addr.clone(), index) {
                let addr = &endpoint.addr;
                wrong.push(
                    "addr",
                    format!("{addr} is already the address of endpoints[{first}]"),
                );
            }
            let unix = matches!(endpoint.addr, EndpointAddr::Unix(_));
            if unix && draft.cache_type == Some(CacheType::RedisCluster) {
                wrong.push("addr", "a Redis Cluster is not reached over a unix socket");
            }
            endpoints.push(endpoint);
        }
        violations.extend_under(&format!("endpoints[{index}]"), wrong);
    }
    (endpoints.len() == count && count > 0).then_some(endpoints)
}

fn check_endpoint(written: &EndpointDraft, violations: &mut Violations) -> Option<Endpoint> {
    check_range(
        "weight",
        written.weight.map(u64::from),
        &limits::WEIGHT,
        violations,
    );
    for (field, text) in [
        ("alias", &written.alias),
        ("zone", &written.zone),
        ("replica_of", &written.replica_of),
    ] {
        let Some(text) = text else { continue };
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > limits::MAX_NAME_BYTES || text.contains(blank) {
            violations.push(
                field,
                format!("`{text}` is not 1 to 128 bytes without blanks"),
            );
        }
    }
    match written.addr.parse() {
        Ok(addr) => Some(Endpoint {
            addr,
            weight: written.weight.unwrap_or(1),
            alias: written.alias.clone(),
            zone: written.zone.clone(),
            replica_of: written.replica_of.clone(),
        }),
        Err(error) => {
            violations.push("addr", describe_missing(&written.addr, &error));
            None
        }
    }
}

fn check_hash_tag(draft: &Draft, violations: &mut Violations) {
    let Some(tag) = &draft.hash_tag else { return };
    if !matches!(tag.len(), 0 | 2) || !tag.is_ascii() {
        violations.push(
            "hash_tag",
            format!("`{tag}` is not two ASCII characters such as {{}}"),
        );
    }
}

fn check_selector(draft: &Draft, violations: &mut Violations) {
    let mut ids = BTreeSet::new();
    for (index, id) in draft.selector.dataplanes.iter().enumerate() {
        let field = format!("selector.dataplanes[{index}]");
        check_name(&field, id, violations);
        if !ids.insert(id) {
            violations.push(field, format!("`{id}` is named twice"));
        }
    }
    let maps = [
        ("selector.labels", &draft.selector.labels),
        ("labels", &draft.labels),
        ("annotations", &draft.annotations),
    ];
    check_size(
        "selector.dataplanes",
        draft.selector.dataplanes.len(),
        violations,
    );
    for (field, map) in maps {
        check_size(field, map.len(), violations);
        for (key, value) in map {
            if key.is_empty() || key.len() > limits::MAX_NAME_BYTES {
                violations.push(field, format!("key `{key}` is not 1 to 128 bytes long"));
            }
            if value.len() > limits::MAX_TEXT_BYTES {
                violations.push(field, format!("value of `{key}` is over 4096 bytes long"));
            }
        }
    }
}

fn check_size(field: &str, count: usize, violations: &mut Violations) {
    if count > limits::MAX_ENTRIES {
        let most = limits::MAX_ENTRIES;
        violations.push(field, format!("{count} entries are more than {most}"));
    }
}

fn check_durations(draft: &Draft, violations: &mut Violations) {
    let end = limits::TIMEOUT;
    let never = limits::TIMEOUT_OR_NEVER;
    let checks = [
        ("read_timeout", draft.read_timeout, &end),
        ("write_timeout", draft.write_timeout, &end),
        ("dead_after", draft.dead_after, &end),
        ("dial_timeout", draft.dial_timeout, &end),
        ("idle_timeout", draft.idle_timeout, &never),
        ("tcp_keepalive", draft.tcp_keepalive, &never),
        ("fetch_interval", draft.fetch_interval, &never),
        ("fetch_min_interval", draft.fetch_min_interval, &end),
        ("max_replica_lag", draft.max_replica_lag, &end),
        ("ping_interval", draft.ping_interval, &end),
        ("ping_succ_interval", draft.ping_succ_interval, &end),
        ("ping_timeout", draft.ping_timeout, &end),
        ("ping_succ_window", draft.ping_succ_window, &never),
    ];
    for (field, written, range) in checks {
        check_range(field, written, range, violations);
    }
    let keepalive = draft.tcp_keepalive.unwrap_or_default();
    if !keepalive.is_zero() && keepalive < Duration::from_secs(1) {
        violations.push("tcp_keepalive", format!("{keepalive:?} is below 1s"));
    }
    if let Some(SlowlogThreshold::SlowerThan(threshold)) = draft.slowlog_slower_than {
        check_range("slowlog_slower_than", Some(threshold), &never, violations);
    }
}

fn check_counts(draft: &Draft, violations: &mut Violations) {
    let wide = |written: Option<u32>| written.map(u64::from);
    let (bytes, count, none) = (limits::BYTES, limits::COUNT, limits::COUNT_OR_NONE);
    let (percent, nodes) = (limits::PERCENT, limits::NODE_CONNECTIONS);
    let hot = &draft.hot_keys;
    let checks = [
        ("node_connections", wide(draft.node_connections), &nodes),
        ("max_clients", draft.max_clients, &none),
        ("max_pending", draft.max_pending, &count),
        ("max_pending_bytes", draft.max_pending_bytes, &bytes),
        ("client_buffer_bytes", draft.client_buffer_bytes, &bytes),
        ("max_leases", draft.max_leases, &count),
        (
            "retry_budget_percent",
            wide(draft.retry_budget_percent),
            &percent,
        ),
        ("max_request_bytes", draft.max_request_bytes, &bytes),
        ("max_reply_bytes", draft.max_reply_bytes, &bytes),
        ("ping_fail_limit", wide(draft.ping_fail_limit), &none),
        ("ping_succ_limit", wide(draft.ping_succ_limit), &count),
        (
            "max_ejection_percent",
            wide(draft.max_ejection_percent),
            &percent,
        ),
        ("slowlog_max_len", wide(draft.slowlog_max_len), &none),
        ("hot_keys.sample_every", wide(hot.sample_every), &count),
        ("hot_keys.sketch_width", wide(hot.sketch_width), &count),
        ("hot_keys.sketch_depth", wide(hot.sketch_depth), &nodes),
        ("hot_keys.capacity", wide(hot.capacity), &count),
    ];
    for (field, written, range) in checks {
        check_range(field, written, range, violations);
    }
}

fn check_range<T: PartialOrd + Debug>(
    field: &str,
    written: Option<T>,
    range: &RangeInclusive<T>,
    violations: &mut Violations,
) {
    let Some(written) = written.filter(|written| !range.contains(written)) else {
        return;
    };
    let (least, most) = (range.start(), range.end());
    violations.push(
        field,
        format!("{written:?} is out of range {least:?} to {most:?}"),
    );
}

fn check_answers(draft: &Draft, violations: &mut Violations) {
    let memcache = draft.cache_type == Some(CacheType::Memcache);
    if memcache && draft.multi_key_policy == Some(MultiKeyPolicy::Error) {
        let words =
            "error needs cache_type redis or redis_cluster: Memcached has no error for one key";
        violations.push("multi_key_policy", words);
    }
    let cluster = draft.cache_type == Some(CacheType::RedisCluster);
    if cluster && draft.on_readmit == Some(OnReadmit::Flush) {
        let words = "flush needs a pool: a Redis Cluster never rehashes, and its nodes are not to be emptied";
        violations.push("on_readmit", words);
    }
}

fn check_tuning(draft: &Draft, violations: &mut Violations) {
    if let Some(decay) = draft.hot_keys.decay
        && !(0.0..=1.0).contains(&decay)
    {
        violations.push("hot_keys.decay", format!("{decay} is out of range 0 to 1"));
    }
}

/// Empty secrets protect nothing.
fn check_secrets(draft: &Draft, violations: &mut Violations) {
    for (field, secret) in draft.secrets() {
        let text = match secret {
            Secret::Plain(text) | Secret::Env(text) | Secret::Unchanged(text) => text.as_str(),
            Secret::File(path) => path.to_str().unwrap_or("not utf-8"),
        };
        if text.is_empty() {
            violations.push(field, "is empty; leave the key out for none");
        } else if text.len() > limits::MAX_TEXT_BYTES {
            violations.push(field, "is over 4096 bytes long");
        }
    }
    let without_password =
        |auth: &BackendAuthDraft| auth.password.is_none() && auth.username.is_some();
    if draft.backend_auth.as_ref().is_some_and(without_password) {
        violations.push("backend_auth.password", "is missing beside the username");
    }
}

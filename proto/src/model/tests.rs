//! Claims about definitions, and the drafts that tests elsewhere start from.

use std::{collections::BTreeMap, time::Duration};

use super::*;

/// The least that a definition must say.
pub(crate) fn least() -> Draft {
    Draft {
        name: "sessions".to_owned(),
        listen_addr: "127.0.0.1:9001".to_owned(),
        cache_type: Some(CacheType::Redis),
        endpoints: vec![endpoint("10.0.0.1:6379"), endpoint("10.0.0.2:6379")],
        ..Draft::default()
    }
}

pub(crate) fn endpoint(addr: &str) -> EndpointDraft {
    EndpointDraft {
        addr: addr.to_owned(),
        ..EndpointDraft::default()
    }
}

/// A definition in which everything is written that this version supports, nothing at its default.
pub(crate) fn full() -> Draft {
    let seconds = |count| Some(Duration::from_secs(count));
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Draft {
        name: "sessions-2.eu_1".to_owned(),
        listen_addr: "unix:/run/prism/s.sock?mode=0660".to_owned(),
        cache_type: Some(CacheType::Redis),
        endpoints: vec![
            EndpointDraft {
                addr: "10.0.0.1:6379".to_owned(),
                weight: Some(10),
                alias: Some("redis-1".to_owned()),
                zone: Some("a".to_owned()),
                replica_of: None,
            },
            endpoint("[fd00::1]:6379"),
            endpoint("unix:/run/redis.sock"),
        ],
        selector: Selector {
            dataplanes: vec!["dp-1".to_owned(), "dp-2".to_owned()],
            labels: pair("tier", "edge"),
        },
        labels: pair("team", "web"),
        annotations: pair("ticket", "say \"hi\"\n\\ 1"),
        rollout: Some(RolloutMode::Instant),
        hash: Some(Hash::Murmur),
        distribution: Some(Distribution::Modula),
        hash_tag: Some("{}".to_owned()),
        hash_bytes: Some(HashBytes::Unsigned),
        ketama_float: Some(KetamaFloat::F64),
        read_timeout: Some(Duration::from_millis(1500)),
        write_timeout: seconds(3),
        dead_after: seconds(7),
        dial_timeout: Some(Duration::from_millis(250)),
        idle_timeout: seconds(300),
        tcp_keepalive: seconds(30),
        node_connections: Some(2),
        max_clients: Some(1000),
        max_pending: Some(1024),
        max_pending_bytes: Some(1 << 20),
        client_buffer_bytes: Some(2 << 20),
        max_leases: Some(16),
        retry_budget_percent: Some(5),
        max_request_bytes: Some(3 << 20),
        max_reply_bytes: Some(4 << 20),
        fetch_interval: seconds(60),
        fetch_min_interval: Some(Duration::from_millis(250)),
        read_policy: Some(ReadPolicy::Primary),
        max_replica_lag: seconds(4),
        multi_key_policy: Some(MultiKeyPolicy::Fail),
        ping_fail_limit: Some(4),
        ping_interval: seconds(5),
        ping_succ_interval: seconds(2),
        ping_timeout: Some(Duration::from_millis(300)),
        ping_succ_limit: Some(2),
        ping_succ_window: seconds(20),
        on_ejection: Some(OnEjection::Fail),
        on_readmit: Some(OnReadmit::Trust),
        max_ejection_percent: Some(50),
        no_panic: Some(true),
        auth: Some(AuthDraft {
            password: Some(Secret::Plain("hunter2".to_owned())),
            users: vec![UserDraft {
                username: "app".to_owned(),
                password: Some(Secret::File("/run/secrets/app".into())),
                commands: vec!["+@all".to_owned(), "-@dangerous".to_owned()],
                keys: vec!["~app:*".to_owned(), "%R~shared:*".to_owned()],
            }],
        }),
        backend_auth: Some(BackendAuthDraft {
            username: Some("prism".to_owned()),
            password: Some(Secret::Env("REDIS_PASSWORD".to_owned())),
        }),
        redis_db: Some(0),
        allow: vec!["@all".to_owned()],
        deny: vec!["flushall".to_owned(), "config|set".to_owned()],
        slowlog_slower_than: Some(SlowlogThreshold::SlowerThan(Duration::from_micros(500))),
        slowlog_max_len: Some(64),
        hot_keys: HotKeysDraft {
            sample_every: Some(16),
            sketch_width: Some(2048),
            sketch_depth: Some(3),
            capacity: Some(100),
            decay: Some(0.5),
        },
        client_cache: Some(ClientCacheDraft {
            enabled: false,
            max_entries: Some(10),
            max_value_bytes: Some(1000),
        }),
        backup_request: Some(BackupRequestDraft {
            enabled: false,
            trigger_slow: Some(Duration::from_millis(5)),
            multiplier: Some(2.5),
        }),
        join_gets: Some(false),
        ..Draft::default()
    }
}

fn violations_of(change: impl FnOnce(&mut Draft)) -> Vec<String> {
    let mut draft = least();
    change(&mut draft);
    match ClusterSpec::new(draft) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_is_not_written_has_the_defaults_of_the_contract() {
    let cluster = ClusterSpec::new(least()).unwrap().resolve();
    let (seconds, ms) = (Duration::from_secs, Duration::from_millis);
    assert_eq!(
        *cluster.timeouts(),
        Timeouts {
            read: seconds(2),
            write: seconds(2),
            dead_after: seconds(4),
            dial: ms(500),
            idle: None,
            tcp_keepalive: Some(seconds(60)),
        }
    );
    assert_eq!(
        *cluster.limits(),
        Limits {
            node_connections: 1,
            max_clients: None,
            max_pending: 65_536,
            max_pending_bytes: 64 << 20,
            client_buffer_bytes: 64 << 20,
            max_leases: 256,
            retry_budget_percent: 20,
            max_request_bytes: 512 << 20,
            max_reply_bytes: 512 << 20,
        }
    );
    assert_eq!(
        *cluster.probing(),
        Probing {
            fail_limit: 3,
            interval: seconds(10),
            succ_interval: seconds(1),
            timeout: ms(500),
            succ_limit: 5,
            succ_window: seconds(10),
            on_ejection: OnEjection::Rehash,
            on_readmit: OnReadmit::Trust,
            max_ejection_percent: 10,
            no_panic: false,
        }
    );
    assert_eq!(
        *cluster.topology(),
        TopologyPolicy {
            fetch_interval: Some(seconds(600)),
            fetch_min_interval: ms(100),
            read_policy: ReadPolicy::Primary,
            max_replica_lag: seconds(10),
        }
    );
    assert_eq!(cluster.sharding(), Sharding::default());
    assert_eq!(cluster.slowlog().slower_than, Some(ms(10)));
    assert_eq!(cluster.slowlog().max_len, 128);
    assert_eq!(cluster.hot_keys().decay, 0.925);
    assert_eq!(cluster.endpoints()[0].weight(), 1);
    assert!(cluster.join_gets() && cluster.password().is_none() && cluster.backend().is_none());
}

#[test]
fn dead_after_follows_a_written_read_timeout() {
    let draft = Draft {
        read_timeout: Some(Duration::from_secs(10)),
        ..least()
    };
    let cluster = ClusterSpec::new(draft).unwrap().resolve();
    assert_eq!(cluster.timeouts().dead_after, Duration::from_secs(20));
}

#[test]
fn what_is_written_is_what_is_resolved() {
    let spec = ClusterSpec::new(full()).unwrap();
    assert_eq!(spec.resolved_draft(), {
        let mut expected = full();
        for endpoint in &mut expected.endpoints {
            endpoint.weight = endpoint.weight.or(Some(1));
        }
        expected
    });
}

#[test]
fn a_resolved_draft_resolves_to_the_same_cluster() {
    for draft in [least(), full()] {
        let spec = ClusterSpec::new(draft).unwrap();
        let again = ClusterSpec::new(spec.resolved_draft()).unwrap();
        assert_eq!(again.cluster(), spec.cluster());
        assert_eq!(again.resolved_draft(), spec.resolved_draft());
    }
}

#[test]
fn all_violations_are_reported_at_once() {
    let violations = ClusterSpec::new(Draft::default()).unwrap_err();
    let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["name", "listen_addr", "cache_type", "endpoints"]);
}

#[test]
fn nonsense_is_refused_with_its_value_and_limit() {
    type Case = (&'static str, fn(&mut Draft));
    let day = Duration::from_secs(86_400);
    assert!(violations_of(|d| d.read_timeout = Some(day)).is_empty());
    let cases: &[Case] = &[
        ("name: `a b`", |d| d.name = "a b".into()),
        ("name: `é`", |d| d.name = "é".into()),
        ("listen_addr: port `0`", |d| {
            d.listen_addr = "1.1.1.1:0".into()
        }),
        ("endpoints[0].addr: port `0`", |d| {
            d.endpoints[0].addr = "1.1.1.1:0".into()
        }),
        ("endpoints[1].addr: is missing", |d| {
            d.endpoints[1].addr.clear()
        }),
        ("endpoints[1].addr: 10.0.0.1:6379 is already", |d| {
            d.endpoints[1].addr = "10.0.0.1:6379".into()
        }),
        ("endpoints[0].weight: 0 is out of range 1 to 1000", |d| {
            d.endpoints[0].weight = Some(0)
        }),
        ("endpoints[0].weight: 1001", |d| {
            d.endpoints[0].weight = Some(1001)
        }),
        (
            "endpoints[1].alias: `a` is already the alias of endpoints[0]",
            |d| {
                d.endpoints[0].alias = Some("a".into());
                d.endpoints[1].alias = Some("a".into());
            },
        ),
        ("endpoints[0].alias: `a b`", |d| {
            d.endpoints[0].alias = Some("a b".into())
        }),
        ("endpoints: is empty", |d| d.endpoints.clear()),
        ("endpoints: 1001 are more than 1000", |d| {
            d.endpoints = (0..1001)
                .map(|i| endpoint(&format!("10.0.{}.{}:1", i / 256, i % 256)))
                .collect();
        }),
        ("hash_tag: `{`", |d| d.hash_tag = Some("{".into())),
        ("hash_tag: `é`", |d| d.hash_tag = Some("é".into())),
        ("node_connections: 0 is out of range 1 to 64", |d| {
            d.node_connections = Some(0)
        }),
        ("node_connections: 65", |d| d.node_connections = Some(65)),
        ("read_timeout: 0ns is out of range 1ms to 86400s", |d| {
            d.read_timeout = Some(Duration::ZERO)
        }),
        ("dial_timeout: 86401s", |d| {
            d.dial_timeout = Some(Duration::from_secs(86_401))
        }),
        ("tcp_keepalive: 1ms is below 1s", |d| {
            d.tcp_keepalive = Some(Duration::from_millis(1))
        }),
        ("max_pending: 0", |d| d.max_pending = Some(0)),
        ("max_request_bytes: 1 is", |d| d.max_request_bytes = Some(1)),
        ("retry_budget_percent: 101", |d| {
            d.retry_budget_percent = Some(101)
        }),
        ("max_ejection_percent: 101", |d| {
            d.max_ejection_percent = Some(101)
        }),
        ("ping_succ_limit: 0", |d| d.ping_succ_limit = Some(0)),
        ("hot_keys.decay: NaN", |d| d.hot_keys.decay = Some(f64::NAN)),
        ("selector.dataplanes[1]: `dp-1` is named twice", |d| {
            d.selector.dataplanes = vec!["dp-1".into(), "dp-1".into()];
        }),
        ("auth.password: is empty", |d| {
            d.auth = Some(AuthDraft {
                password: Some(Secret::Plain(String::new())),
                users: vec![],
            });
        }),
        ("backend_auth.password: is missing beside", |d| {
            d.backend_auth = Some(BackendAuthDraft {
                username: Some("u".into()),
                password: None,
            });
        }),
    ];
    for (expected, change) in cases {
        let found = violations_of(change);
        assert_eq!(found.len(), 1, "{expected}: {found:?}");
        assert!(found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

#[test]
fn keys_that_are_not_done_yet_are_refused_by_name() {
    type Case = (&'static str, fn(&mut Draft));
    let cases: &[Case] = &[
        ("tls", |d| d.tls = Some(TlsDraft::default())),
        ("backend_tls", |d| {
            d.backend_tls = Some(BackendTlsDraft::default())
        }),
        ("redis_db", |d| d.redis_db = Some(1)),
        ("read_policy", |d| d.read_policy = Some(ReadPolicy::Nearest)),
        ("client_cache.enabled", |d| {
            d.client_cache = Some(ClientCacheDraft {
                enabled: true,
                ..Default::default()
            });
        }),
        ("backup_request.enabled", |d| {
            d.backup_request = Some(BackupRequestDraft {
                enabled: true,
                ..Default::default()
            });
        }),
        ("endpoints[1].replica_of", |d| {
            d.endpoints[1].replica_of = Some("a".into())
        }),
    ];
    for (field, change) in cases {
        let expected = format!("{field}: not supported by this version");
        assert_eq!(violations_of(change), [expected]);
    }
}

#[test]
fn only_pools_are_emptied() {
    let of = |cache_type| {
        violations_of(move |draft| {
            draft.cache_type = Some(cache_type);
            draft.on_readmit = Some(OnReadmit::Flush);
        })
    };
    for cache_type in [CacheType::Memcache, CacheType::Redis] {
        assert_eq!(of(cache_type), [""; 0]);
    }
    let found = of(CacheType::RedisCluster);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("on_readmit: flush needs a pool"),
        "{found:?}"
    );
}

#[test]
fn memcached_takes_credentials_both_ways() {
    let mut draft = full();
    draft.cache_type = Some(CacheType::Memcache);
    draft.allow = vec!["@read".into(), "Set".into()];
    draft.deny = vec!["flush_all".into()];
    draft.auth.as_mut().unwrap().users[0].commands = vec!["+@read".into(), "+gats".into()];
    let spec = ClusterSpec::new(draft).unwrap();
    let cluster = spec.cluster();
    assert!(cluster.password().is_some() && cluster.backend().is_some());
    assert_eq!(cluster.users()[0].rules[1].to_string(), "+gats");
    let shown = |classes: &[CommandClass]| classes.iter().map(ToString::to_string).collect();
    let (allow, deny): (Vec<_>, Vec<_>) = (shown(cluster.allow()), shown(cluster.deny()));
    assert_eq!(
        (allow.join(" "), deny.join(" ")),
        ("@read set".into(), "flush_all".into())
    );
}

#[test]
fn a_redis_cluster_warns_of_what_it_ignores_and_never_rehashes() {
    let mut draft = full();
    draft.cache_type = Some(CacheType::RedisCluster);
    draft.endpoints.pop();
    draft.on_ejection = Some(OnEjection::Rehash);
    draft.rollout = Some(RolloutMode::Staged);
    let spec = ClusterSpec::new(draft).unwrap();
    let warnings = spec.warnings();
    let fields: Vec<_> = warnings.iter().map(|w| w.field.as_str()).collect();
    let expected = [
        "rollout",
        "hash",
        "distribution",
        "hash_tag",
        "hash_bytes",
        "ketama_float",
        "endpoints[0].weight",
        "on_ejection",
    ];
    assert_eq!(fields, expected);
    assert_eq!(spec.cluster().probing().on_ejection, OnEjection::Fail);
    assert!(ClusterSpec::new(least()).unwrap().warnings().is_empty());
}

#[test]
fn a_digest_is_a_secret_that_must_be_restored_first() {
    let shown = ClusterSpec::new(full().redacted(b"key")).unwrap();
    let fields = shown.unrestored_secrets();
    assert_eq!(fields.iter().next().unwrap().field, "auth.password");
    assert!(
        ClusterSpec::new(full())
            .unwrap()
            .unrestored_secrets()
            .is_empty()
    );
}

#[test]
fn clusters_of_a_fleet_do_not_collide() {
    let spec = |name: &str, listen: &str, id: &str| {
        let mut draft = least();
        draft.name = name.to_owned();
        draft.listen_addr = listen.to_owned();
        draft
            .selector
            .dataplanes
            .extend((!id.is_empty()).then(|| id.to_owned()));
        ClusterSpec::new(draft).unwrap()
    };
    let specs = [
        spec("a", "127.0.0.1:1", ""),
        spec("b", "127.0.0.1:2", "dp-1"),
        spec("c", "0.0.0.0:2", "dp-2"),
        spec("d", "0.0.0.0:1", "dp-1"),
        spec("a", "127.0.0.1:9", ""),
        spec("e", "unix:/x", ""),
        spec("f", "unix:/x?mode=0600", "dp-1"),
    ];
    let found = check_fleet(&specs);
    let fields: Vec<_> = found.iter().map(|v| v.field.as_str()).collect();
    let expected = [
        "clusters[3].listen_addr",
        "clusters[4].name",
        "clusters[6].listen_addr",
    ];
    assert_eq!(fields, expected);
    assert!(found.to_string().contains("of cluster `a`"), "{found}");
}

#[test]
fn a_password_shows_nowhere_in_debug() {
    let spec = ClusterSpec::new(full()).unwrap();
    assert!(!format!("{spec:?} {:?}", spec.resolve()).contains("hunter2"));
}

#[test]
fn a_default_that_moves_the_keys_of_a_stored_pool_is_warned_about() {
    let mut draft = least();
    draft.hash_bytes = Some(HashBytes::Unsigned);
    draft.hash_tag = Some("{}".to_owned());
    let stored = ClusterSpec::new(draft.clone()).unwrap();
    let bare = ClusterSpec::new(least()).unwrap();
    let expected = "hash_tag: is not written: the default none replaces {} and moves keys\n\
        hash_bytes: is not written: the default signed replaces unsigned and moves keys";
    assert_eq!(bare.warnings_against(&stored).to_string(), expected);
    assert!(stored.warnings_against(&bare).is_empty());
    assert!(bare.warnings_against(&bare).is_empty());
}

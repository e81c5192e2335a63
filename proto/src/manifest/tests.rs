//! Claims about definitions files.

use std::time::Duration;

use super::*;
use crate::model::{
    CacheType, Draft, Hash, OnEjection, ReadPolicy, RolloutMode, Secret, SlowlogThreshold,
    tests as drafts,
};

/// A cluster that is complete but for `keys`.
fn with(keys: &str) -> String {
    let least = "name = \"a\"\nlisten_addr = \"127.0.0.1:1\"\ncache_type = \"redis\"\nservers = [\"10.0.0.1:6379\"]";
    format!("[[clusters]]\n{least}\n{keys}\n")
}

fn read(keys: &str) -> (Draft, Vec<String>) {
    let manifest = parse("f", &with(keys)).unwrap_or_else(|errors| panic!("{keys}: {errors}"));
    let warnings = manifest.warnings.iter().map(ToString::to_string).collect();
    (manifest.clusters[0].draft().clone(), warnings)
}

fn errors(text: &str) -> Vec<String> {
    let errors = parse("f.toml", text).expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn every_key_of_the_contract_is_read() {
    type Case = (&'static str, fn(&Draft) -> bool);
    let cases: &[Case] = &[
        ("read_timeout = 1", |d| d.read_timeout == Some(ms(1))),
        ("write_timeout = \"2s\"", |d| {
            d.write_timeout == Some(ms(2000))
        }),
        ("dead_after = 3", |d| d.dead_after == Some(ms(3))),
        ("dial_timeout = 4", |d| d.dial_timeout == Some(ms(4))),
        ("connect_timeout = 4", |d| d.dial_timeout == Some(ms(4))),
        ("idle_timeout = 0", |d| d.idle_timeout == Some(ms(0))),
        ("node_connections = 2", |d| d.node_connections == Some(2)),
        ("server_connections = 2", |d| d.node_connections == Some(2)),
        ("listen_proto = \"tcp\"", |_| true),
        ("tcp_keepalive_secs = 5", |d| {
            d.tcp_keepalive == Some(ms(5000))
        }),
        ("max_clients = 0x10", |d| d.max_clients == Some(16)),
        ("max_clients = 1_000", |d| d.max_clients == Some(1000)),
        ("max_pending = 10", |d| d.max_pending == Some(10)),
        ("max_pending_bytes = \"1MiB\"", |d| {
            d.max_pending_bytes == Some(1 << 20)
        }),
        ("client_buffer_bytes = 4096", |d| {
            d.client_buffer_bytes == Some(4096)
        }),
        ("max_leases = 7", |d| d.max_leases == Some(7)),
        ("retry_budget_percent = 8", |d| {
            d.retry_budget_percent == Some(8)
        }),
        ("max_request_bytes = \"2KiB\"", |d| {
            d.max_request_bytes == Some(2048)
        }),
        ("max_reply_bytes = \"2kB\"", |d| {
            d.max_reply_bytes == Some(2000)
        }),
        ("hash = \"xxh3\"", |d| d.hash == Some(Hash::Xxh3)),
        ("distribution = \"modula\"", |d| d.distribution.is_some()),
        ("hash_tag = \"{}\"", |d| d.hash_tag.as_deref() == Some("{}")),
        ("hash_bytes = \"unsigned\"", |d| d.hash_bytes.is_some()),
        ("ketama_float = \"f64\"", |d| d.ketama_float.is_some()),
        ("fetch = 600", |d| d.fetch_interval == Some(ms(600_000))),
        ("fetch_interval = 600", |d| {
            d.fetch_interval == Some(ms(600))
        }),
        ("fetch_since_latest_cmd = 9", |d| {
            d.fetch_min_interval == Some(ms(9))
        }),
        ("read_from_slave = false", |d| d.read_policy.is_none()),
        ("read_policy = \"primary\"", |d| {
            d.read_policy == Some(ReadPolicy::Primary)
        }),
        ("ping_fail_limit = 0", |d| d.ping_fail_limit == Some(0)),
        ("ping_interval = 1000", |d| {
            d.ping_interval == Some(ms(1000))
        }),
        ("ping_succ_interval = 1000", |d| {
            d.ping_succ_interval == Some(ms(1000))
        }),
        ("ping_timeout = 1000", |d| d.ping_timeout == Some(ms(1000))),
        ("ping_succ_limit = 2", |d| d.ping_succ_limit == Some(2)),
        ("ping_succ_window = 1000", |d| {
            d.ping_succ_window == Some(ms(1000))
        }),
        ("on_ejection = \"fail\"", |d| {
            d.on_ejection == Some(OnEjection::Fail)
        }),
        ("on_readmit = \"trust\"", |d| d.on_readmit.is_some()),
        ("max_ejection_percent = 50", |d| {
            d.max_ejection_percent == Some(50)
        }),
        ("password = \"x\"", |d| auth(d) == plain("x")),
        ("auth = \"x\"", |d| auth(d) == plain("x")),
        ("auth = { password = \"x\" }", |d| auth(d) == plain("x")),
        ("password = \"env:X\"", |d| {
            auth(d) == Some(Secret::Env("X".into()))
        }),
        ("password = { plain = \"env:X\" }", |d| {
            auth(d) == plain("env:X")
        }),
        ("password = { file = \"/x\" }", |d| {
            auth(d) == Some(Secret::File("/x".into()))
        }),
        ("password = \"secret:00\"", |d| {
            auth(d) == Some(Secret::Unchanged("secret:00".into()))
        }),
        ("backend_password = \"x\"", |d| {
            backend(d) == (None, plain("x"))
        }),
        ("redis_auth = \"x\"", |d| backend(d) == (None, plain("x"))),
        ("backend_auth = \"x\"", |d| backend(d) == (None, plain("x"))),
        (
            "backend_auth = { username = \"u\", password = \"x\" }",
            |d| backend(d) == (Some("u".into()), plain("x")),
        ),
        ("redis_db = 0", |d| d.redis_db == Some(0)),
        ("multi_key_policy = \"fail\"", |d| {
            d.multi_key_policy.is_some()
        }),
        ("allow = []\ndeny = []", |d| d.allow.is_empty()),
        ("slowlog_log_slower_than = 20", |d| {
            d.slowlog_slower_than == Some(SlowlogThreshold::SlowerThan(Duration::from_micros(20)))
        }),
        ("slowlog_log_slower_than = -1", |d| {
            d.slowlog_slower_than == Some(SlowlogThreshold::Off)
        }),
        ("slowlog_max_len = 5", |d| d.slowlog_max_len == Some(5)),
        ("hotkey_sample_every = 5", |d| {
            d.hot_keys.sample_every == Some(5)
        }),
        ("hotkey_sketch_width = 5", |d| {
            d.hot_keys.sketch_width == Some(5)
        }),
        ("hotkey_sketch_depth = 5", |d| {
            d.hot_keys.sketch_depth == Some(5)
        }),
        ("hotkey_capacity = 5", |d| d.hot_keys.capacity == Some(5)),
        ("hotkey_decay = 1", |d| d.hot_keys.decay == Some(1.0)),
        ("client_cache = { enabled = false, max_entries = 5 }", |d| {
            d.client_cache.is_some()
        }),
        (
            "backup_request = { enabled = false, trigger_slow_ms = \"default\", multiplier = 2.0 }",
            |d| {
                d.backup_request
                    .is_some_and(|b| b.trigger_slow.is_none() && b.multiplier == Some(2.0))
            },
        ),
        ("join_gets = false", |d| d.join_gets == Some(false)),
        ("max_replica_lag = \"10s\"", |d| {
            d.max_replica_lag == Some(ms(10_000))
        }),
        ("dataplanes = [\"dp-1\"]", |d| {
            d.selector.dataplanes == ["dp-1"]
        }),
        ("labels = { tier = \"edge\" }", |d| {
            d.selector.labels["tier"] == "edge"
        }),
        ("rollout = \"instant\"", |d| {
            d.rollout == Some(RolloutMode::Instant)
        }),
    ];
    for (keys, is_read) in cases {
        let (draft, warnings) = read(keys);
        assert!(is_read(&draft), "{keys}: {draft:?}");
        assert!(warnings.is_empty(), "{keys}: {warnings:?}");
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn plain(text: &str) -> Option<Secret> {
    Some(Secret::Plain(text.to_owned()))
}

fn auth(draft: &Draft) -> Option<Secret> {
    draft.auth.clone()?.password
}

fn backend(draft: &Draft) -> (Option<String>, Option<Secret>) {
    let auth = draft.backend_auth.clone().unwrap_or_default();
    (auth.username, auth.password)
}

#[test]
fn keys_of_old_are_mapped_or_accepted_with_a_word_on_what_replaces_them() {
    let (draft, warnings) = read(
        "thread = 4\nbackend_resp_version = \"resp3\"\nredis_ping_interval_secs = 3\npreconnect = true",
    );
    assert_eq!(draft, read("").0);
    let expected = [
        "f:7:1: backend_resp_version: is ignored: the dialect upstream follows the client",
        "f:9:1: preconnect: is ignored: connections are opened when first needed",
        "f:8:1: redis_ping_interval_secs: is ignored: endpoints are probed every ping_interval",
        "f:6:1: thread: is ignored: workers are per data plane, see --workers",
    ];
    assert_eq!(warnings, expected);

    let (draft, warnings) =
        read("auto_eject_hosts = true\nserver_failure_limit = 2\nserver_retry_timeout = 30000");
    assert_eq!(
        (draft.max_ejection_percent, draft.no_panic),
        (Some(100), Some(true))
    );
    assert_eq!(draft.ping_fail_limit, Some(2));
    assert_eq!(draft.ping_succ_window, Some(ms(30_000)));
    assert_eq!(warnings.len(), 3, "{warnings:?}");

    let (draft, _) = read("auto_eject_hosts = false\nserver_failure_limit = 2");
    assert_eq!(draft.ping_fail_limit, Some(0));

    let (draft, warnings) = read("dial_timeout = 1\nconnect_timeout = 2");
    assert_eq!(draft.dial_timeout, Some(ms(1)));
    assert_eq!(
        warnings,
        ["f:7:1: connect_timeout: is ignored: dial_timeout says the same"]
    );

    let (draft, warnings) =
        read("redis_auth = \"\"\nread_slaves = []\nrequire_master_auth = false");
    assert_eq!(draft.backend_auth, None);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_file_of_aster_applies_unchanged() {
    let text = r#"
[[clusters]]
    name="test-mc-proxy"
    listen_addr="0.0.0.0:9003"
    cache_type="memcache_binary"
    servers = ["127.0.0.1:11211:10 mc-1", "127.0.0.1:11212:10 mc-2"]
    thread = 1

[[clusters]]
    name = "test-redis-standalone"
    listen_addr = "0.0.0.0:7787"
    hash_tag = "{}"
    cache_type = "redis"
    servers = ["127.0.0.1:6379:10 redis-1"]
    thread = 1
    fetch_interval = 3600000
    read_from_slave = false
    ping_fail_limit = 10
    ping_interval = 30000
    read_timeout = 1000
    write_timeout = 1000
    dial_timeout = 500
    listen_proto = "tcp"
    node_connections = 1
    password = "front"
    backend_auth = { username = "proxy", password = "back" }
    slowlog_log_slower_than = 10000
    slowlog_max_len = 128
    hotkey_sample_every = 32
    hotkey_sketch_width = 4096
    hotkey_sketch_depth = 4
    hotkey_capacity = 512
    hotkey_decay = 0.925
    client_cache = { enabled = false, max_entries = 100000, max_value_bytes = 524288, shard_count = 32, drain_batch = 1024, drain_interval_ms = 50 }

[[clusters]]
    name="test-redis-cluster"
    listen_addr="0.0.0.0:9001"
    cache_type="redis_cluster"
    servers = ["127.0.0.1:7000", "127.0.0.1:7001"]
    fetch = 600
    fetch_since_latest_cmd = 1000
    backup_request = { enabled = false, trigger_slow_ms = 5, multiplier = 2.0 }
"#;
    let manifest = parse("as.toml", text).unwrap();
    let types: Vec<_> = manifest
        .clusters
        .iter()
        .map(|c| c.cluster().cache_type())
        .collect();
    assert_eq!(
        types,
        [
            CacheType::Memcache,
            CacheType::Redis,
            CacheType::RedisCluster
        ]
    );
    let endpoint = &manifest.clusters[0].cluster().endpoints()[1];
    assert_eq!(
        (endpoint.label().as_str(), endpoint.weight()),
        ("mc-2 (127.0.0.1:11212)", 10)
    );
    assert_eq!(manifest.warnings.len(), 5, "{:?}", manifest.warnings);
}

#[test]
fn all_errors_are_told_at_once_each_at_its_place() {
    let text = r#"tilte = 1
[[clusters]]
name = "a"
listen_addr = "127.0.0.1:1"
cache_type = "radis"
servers = ["10.0.0.1:6379:0", "10.0.0.1:6379", { addr = "x", wieght = 2 }]
raed_timeout = 5
read_timeout = "soon"
node_connections = 65
password = 5
tls = { cert = "a", key = "b" }

[[clusters]]
name = "b"
listen_addr = "127.0.0.1:1"
cache_type = "redis"
servers = ["10.0.0.3:6379 a b"]
max_pending = -1

[[clusters]]
listen_addr = "127.0.0.1:2"
cache_type = "memcache"
servers = "10.0.0.1:11211"
deny = ["flushall"]
"#;
    let expected = [
        "f.toml:1:1: unknown key `tilte`",
        "f.toml:5:14: cache_type: unknown value `radis`; expected one of redis, memcache, redis_cluster, memcache_binary (did you mean \"redis\"?)",
        "f.toml:6:12: servers[0].weight: 0 is out of range 1 to 1000",
        "f.toml:6:31: servers[1].addr: 10.0.0.1:6379 is already the address of servers[0]",
        "f.toml:6:57: servers[2].addr: `x` has no port; expected host:port, [v6]:port or unix:/path",
        "f.toml:6:62: unknown key `wieght` (did you mean \"weight\"?)",
        "f.toml:7:1: unknown key `raed_timeout` (did you mean \"read_timeout\"?)",
        "f.toml:8:16: read_timeout: expected milliseconds from 0, or a time such as \"2s\" or \"500ms\"",
        "f.toml:9:20: node_connections: 65 is out of range 1 to 64",
        "f.toml:10:12: auth.password: expected a string, or one of { plain }, { file }, { env }",
        "f.toml:11:7: tls: not supported by this version",
        "f.toml:17:12: servers: `10.0.0.3:6379 a b` is not `addr[:weight] [alias]`",
        "f.toml:18:15: max_pending: -1 is out of range",
        "f.toml:20:1: name: is missing",
        "f.toml:23:11: endpoints: expected an array, found string",
        "f.toml:24:9: deny[0]: unknown command `flushall` (did you mean \"flush_all\"?)",
    ];
    let found = errors(text);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn clusters_that_collide_are_refused_within_and_between_files() {
    let other = with("")
        .replace("name = \"a\"", "name = \"b\"")
        .replace("127.0.0.1:1", "0.0.0.0:1");
    let collision =
        "listen_addr: 0.0.0.0:1 overlaps 127.0.0.1:1 of cluster `a` on data planes that serve both";
    assert_eq!(
        errors(&(with("") + &other)),
        [format!("f.toml:9:15: {collision}")]
    );
    let between = parse_all([("a.toml", with("").as_str()), ("b.toml", &other)]).unwrap_err();
    assert_eq!(between.to_string(), format!("b.toml:3:15: {collision}"));

    let twice = with("") + &with("").replace("127.0.0.1:1", "127.0.0.1:2");
    assert_eq!(
        errors(&twice),
        ["f.toml:8:8: name: `a` is already the name of clusters[0]"]
    );

    let apart = with("dataplanes = [\"x\"]")
        + &other.replace("cache_type", "dataplanes = [\"y\"]\ncache_type");
    assert_eq!(parse("f", &apart).unwrap().clusters.len(), 2);
}

#[test]
fn text_that_is_no_toml_is_told_at_its_place() {
    let found = errors("[[clusters]]\nname = \nx = [\n");
    assert!(found[0].starts_with("f.toml:2:"), "{found:?}");
    let found = errors("clusters = 5\n");
    assert_eq!(
        found,
        ["f.toml:1:12: clusters: expected an array, found integer"]
    );
    let found = errors("[cluster]\nname = \"x\"\n");
    assert_eq!(
        found,
        ["f.toml:1:2: unknown key `cluster` (did you mean \"clusters\"?)"]
    );
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let text = with("") + &"#".repeat(MAX_MANIFEST_BYTES);
    assert!(errors(&text)[0].contains("more than 4194304"));
}

#[test]
fn keys_that_change_answers_are_refused_at_their_place() {
    for (keys, field, col) in [
        ("read_from_slave = true", "read_policy", 19),
        ("read_policy = \"nearest\"", "read_policy", 15),
        ("redis_db = 3", "redis_db", 12),
        ("backend_tls = { ca = \"x\" }", "backend_tls", 15),
        (
            "client_cache = { enabled = true }",
            "client_cache.enabled",
            28,
        ),
        (
            "backup_request = { enabled = true }",
            "backup_request.enabled",
            30,
        ),
        ("command_rename = { flushall = \"\" }", "command_rename", 18),
        ("read_slaves = [\"10.0.0.9:1\"]", "read_slaves", 15),
        ("read_pref = \"slave\"", "read_pref", 13),
    ] {
        let expected = format!("f.toml:6:{col}: {field}: not supported by this version");
        assert_eq!(errors(&with(keys)), [expected]);
    }
}

#[test]
fn rules_of_users_are_wrong_at_their_place() {
    let keys = r#"deny = ["keys", "@dangeros"]
auth = { users = [{ username = "app", password = "p", commands = ["+@all", "+gte"], keys = ["~a"] }] }"#;
    assert_eq!(
        errors(&with(keys)),
        [
            "f.toml:6:17: deny[1]: unknown category `dangeros` (did you mean \"dangerous\"?)",
            "f.toml:7:76: auth.users[0].commands[1]: unknown command `gte` (did you mean \"get\"?)",
        ]
    );
}

#[test]
fn one_secret_is_written_once() {
    for keys in [
        "password = \"a\"\nauth = { password = \"b\" }",
        "password = \"a\"\nauth = \"b\"",
        "backend_password = \"a\"\nbackend_auth = { password = \"b\" }",
    ] {
        let found = errors(&with(keys));
        assert!(
            found[0].ends_with("is written twice; write one of them"),
            "{found:?}"
        );
    }
}

#[test]
fn a_unix_listener_may_be_said_either_way() {
    for keys in [
        "listen_addr = \"/run/a\"\nlisten_proto = \"unix\"",
        "listen_addr = \"unix:/run/a\"",
    ] {
        let text = with(keys).replace("listen_addr = \"127.0.0.1:1\"\n", "");
        let manifest = parse("f", &text).unwrap();
        assert_eq!(manifest.clusters[0].draft().listen_addr, "unix:/run/a");
    }
    let found = errors(&with("listen_proto = \"unix\""));
    assert_eq!(
        found,
        ["f.toml:6:16: listen_proto: does not fit listen_addr `127.0.0.1:1`"]
    );
}

#[test]
fn paths_of_the_control_plane_are_found_in_the_file() {
    let text = with("")
        + &with("password = \"x\"")
            .replace("\"a\"", "\"b\"")
            .replace(":1\"", ":2\"");
    let manifest = parse("f", &text).unwrap();
    for (path, line, col) in [
        ("clusters[1].endpoints[0].weight", 11, 12),
        ("clusters[1].endpoints[7]", 11, 11),
        ("clusters[1].auth.password", 12, 12),
        ("clusters[1].read_timeout", 7, 1),
        ("clusters[0].name", 2, 8),
    ] {
        assert_eq!(
            manifest.locate(path),
            Some(("f".to_owned(), line, col)),
            "{path}"
        );
    }
    assert_eq!(manifest.locate("elsewhere"), None);
}

#[test]
fn what_is_rendered_is_read_as_the_same() {
    let full = drafts::full();
    let odd = Draft {
        name: "odd".to_owned(),
        listen_addr: "127.0.0.1:9002".to_owned(),
        auth: Some(crate::model::AuthDraft {
            password: plain("env:not a reference"),
            users: Vec::new(),
        }),
        read_timeout: Some(Duration::from_micros(1500)),
        annotations: [("a \"key\"\n".to_owned(), "\r\n\t\u{7f}".to_owned())].into(),
        slowlog_slower_than: Some(SlowlogThreshold::Off),
        ..drafts::least()
    };
    let drafts = [
        drafts::least(),
        full.clone(),
        odd,
        Draft {
            name: "shown".to_owned(),
            listen_addr: "unix:/run/prism/t.sock".to_owned(),
            ..full.redacted(b"key")
        },
    ];
    let text = render_drafts(&drafts);
    let manifest = parse("f", &text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    let read: Vec<_> = manifest.clusters.iter().map(ClusterSpec::draft).collect();
    assert_eq!(read, drafts.iter().collect::<Vec<_>>(), "{text}");
    assert_eq!(render(&manifest.clusters), text);
    assert!(text.contains("\"10.0.0.1:6379\""), "{text}");
}

#[test]
fn staged_delivery_is_warned_about_only_when_written() {
    let (_, warnings) = read("rollout = \"staged\"");
    assert_eq!(
        warnings,
        ["f:6:11: rollout: staged delivery is not supported by this version: changes go at once"]
    );
    assert!(read("").1.is_empty());
}

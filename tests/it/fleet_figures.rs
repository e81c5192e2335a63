//! What endpoints say of themselves, and what data planes sent to them, in `prismctl get endpoints`.

use std::time::{Duration, Instant};

use prism_tests::{definitions, fleet::Fleet, memcached::Memcached, redis::Redis, wait};
use serde_json::Value;

use crate::fleet_pool::{PATIENCE, Pool};

/// Probes that eject nothing while the test looks.
const PROBES: &str = "ping_fail_limit = 0\nread_timeout = 500";

fn rows(fleet: &Fleet, cluster: &str) -> Vec<Value> {
    let listed = fleet.json(&format!("get endpoints --cluster {cluster}"));
    listed["endpoints"].as_array().cloned().unwrap_or_default()
}

fn number(row: &Value, field: &str) -> u64 {
    row["figures"][field].as_u64().expect(field)
}

fn sum(rows: &[Value], field: &str) -> u64 {
    rows.iter().map(|row| number(row, field)).sum()
}

#[test]
fn endpoints_are_listed_with_their_own_figures_and_those_of_data_planes() {
    let fleet = Fleet::start(2);
    let memcached = Pool::<Memcached>::start(&fleet, "objects", PROBES);
    let mut redis = Pool::<Redis>::start(&fleet, "pages", PROBES);
    let keys = memcached.keys.len() as u64;
    for cluster in ["objects", "pages"] {
        let rows = rows(&fleet, cluster);
        assert_eq!(rows.len(), 3);
        assert_eq!(sum(&rows, "items"), keys, "{cluster}");
        // The keys were looked for on the shards until found: each was read there once.
        assert_eq!(sum(&rows, "hits"), keys, "{cluster}");
        assert_eq!(sum(&rows, "evictions"), 0);
        for row in &rows {
            assert!(number(row, "uptime_seconds") < 60, "{row}");
            assert!(number(row, "used_bytes") > 0, "{row}");
            assert!(number(row, "connections") > 0, "{row}");
            assert!(row["figures"]["read_time"].is_string(), "{row}");
        }
    }
    let limits = rows(&fleet, "objects");
    assert_eq!(number(&limits[0], "limit_bytes"), 64 << 20);
    let unlimited = &rows(&fleet, "pages")[0];
    assert!(unlimited["figures"]["limit_bytes"].is_null(), "{unlimited}");

    // Data planes report with their heartbeat.
    wait::until("requests are reported", PATIENCE, || {
        let requests = rows(&fleet, "objects");
        let requests = requests.iter().filter_map(|row| row["requests"].as_u64());
        requests.sum::<u64>() == keys
    });

    let addr = redis.endpoints[0].addr();
    redis.endpoints[0].process().kill();
    wait::until("the dead one has none", PATIENCE, || {
        let rows = rows(&fleet, "pages");
        assert!(number(&rows[1], "items") > 0, "the others have theirs");
        let error = rows[0]["figures_error"].as_str().unwrap_or_default();
        rows[0]["figures"].is_null() && error.contains("refused")
    });
    let wide = fleet.control.ctl(&["get", "endpoints", "-o", "wide"]);
    assert_eq!(wide.code, 0, "{wide:?}");
    let of = |text: &str| {
        let mut lines = wide.stdout.lines();
        lines.find(|line| line.contains(text)).unwrap_or_default()
    };
    let heading = of("CLUSTER");
    let column = heading.find("UPTIME").expect("a column");
    assert!(
        heading.contains("MEMORY") && heading.contains("HITS"),
        "{heading}"
    );
    assert!(of(&addr)[column..].starts_with("-  "), "{}", wide.stdout);
    assert!(of(&addr).contains("unknown"), "{}", wide.stdout);
    let live = of(&memcached.endpoints[0].addr());
    assert!(live.contains("/64.0MiB"), "{}", wide.stdout);
}

/// One that accepts and says nothing costs a bounded time, and only its own figures.
#[test]
fn silent_endpoint_does_not_hold_up_the_list() {
    let fleet = Fleet::start(1);
    let mut pool = Pool::<Memcached>::start(&fleet, "objects", PROBES);
    pool.endpoints[1].process().suspend();
    let began = Instant::now();
    let rows = rows(&fleet, "objects");
    assert!(began.elapsed() < Duration::from_secs(5));
    pool.endpoints[1].process().resume();
    assert_eq!(rows[1]["figures_error"], "no answer within 1s");
    assert!(number(&rows[0], "items") > 0 && number(&rows[2], "items") > 0);
}

#[test]
fn endpoints_that_want_a_password_tell_those_who_have_it() {
    const USERS: [(&str, &str); 1] = [("proxy", "inner-word")];
    const LOGIN: &str = "backend_auth = { username = \"proxy\", password = \"inner-word\" }";
    let fleet = Fleet::start(1);
    let text = Memcached::with_text_users(&USERS);
    let sasl = Memcached::with_sasl_users(&USERS);
    let pools = [
        ("locked", &text, PROBES.to_owned()),
        ("sasl", &sasl, format!("{PROBES}\n{LOGIN}")),
        ("text", &text, format!("{PROBES}\n{LOGIN}")),
    ];
    let definitions = pools.map(|(name, shard, lines)| {
        let (listen, _) = fleet.listener();
        let servers = [format!("{}:1", shard.addr())];
        definitions::cluster(name, "memcache", &listen, &servers, &lines)
    });
    fleet.apply(&definitions.concat());
    for name in ["sasl", "text"] {
        let rows = rows(&fleet, name);
        assert_eq!(number(&rows[0], "limit_bytes"), 64 << 20, "{name}");
        assert!(number(&rows[0], "connections") > 0, "{name}");
    }
    let locked = &rows(&fleet, "locked")[0];
    let error = locked["figures_error"].as_str().unwrap_or_default();
    assert!(
        locked["figures"].is_null() && error.contains("backend_password"),
        "{locked}"
    );
}

//! The control plane may die, forget everything or be away: clients notice nothing.

use std::time::{Duration, Instant};

use prism_tests::{
    definitions,
    fleet::Fleet,
    is_long,
    load::{Dialect, Load},
    memcached::Memcached,
    raw::Raw,
    redis::Redis,
    wait,
};

use rustix::process::Signal;

use crate::pool::servers;

/// A fleet of two with a Redis pool and a Memcached pool.
struct Loaded {
    fleet: Fleet,
    listeners: Vec<(Dialect, String)>,
    text: String,
    _redis: Vec<Redis>,
    _memcached: Vec<Memcached>,
}

impl Loaded {
    fn start() -> Self {
        let fleet = Fleet::start(2);
        let (redis, memcached) = (Redis::start_many(2), Memcached::start_many(2));
        let (redis_listen, redis_at) = fleet.listener();
        let (memcached_listen, memcached_at) = fleet.listener();
        let objects: Vec<_> = memcached
            .iter()
            .map(|one| format!("{}:1", one.addr()))
            .collect();
        let text = [
            definitions::redis("pages", &redis_listen, &servers(&redis), ""),
            definitions::cluster("objects", "memcache", &memcached_listen, &objects, ""),
        ]
        .concat();
        fleet.apply(&text);
        let listeners = redis_at
            .into_iter()
            .map(|listen| (Dialect::Redis, listen))
            .chain(
                memcached_at
                    .into_iter()
                    .map(|listen| (Dialect::Memcache, listen)),
            )
            .collect();
        Self {
            fleet,
            listeners,
            text,
            _redis: redis,
            _memcached: memcached,
        }
    }

    /// The listeners of one data plane.
    fn of(&self, number: usize) -> Vec<(Dialect, String)> {
        let bind = format!("127.0.0.{number}:");
        self.listeners
            .iter()
            .filter(|(_, listen)| listen.starts_with(&bind))
            .cloned()
            .collect()
    }
}

#[test]
fn killed_control_plane_fails_no_request_and_a_restarted_data_plane_serves_at_once() {
    let mut loaded = Loaded::start();
    // dp-1 stays, so its clients must not fail; dp-2 is restarted meanwhile.
    let load = Load::start(&loaded.of(1), 4);
    load.wait_answered(500);
    loaded.fleet.control.process().kill();
    let killed = Instant::now();
    for restart in 0..3 {
        // The first end is sudden; a second sudden one so early would cast doubt on the definitions.
        let data_plane = &mut loaded.fleet.data_planes[1];
        if restart > 0 {
            data_plane.process().signal(Signal::TERM);
            data_plane.process().wait_exit(wait::LIMIT);
        }
        let begun = Instant::now();
        data_plane.respawn();
        for (dialect, listen) in loaded.of(2) {
            let mut client = Raw::connect(&listen);
            let (request, answer) = match dialect {
                Dialect::Memcache => ("version\r\n", "VERSION"),
                Dialect::Redis => ("PING\r\n", "+PONG"),
            };
            client.send(request.as_bytes());
            assert!(client.line().starts_with(answer));
        }
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(
            Raw::connect(&loaded.of(2)[0].1).ask("SET from-snapshot 1"),
            "+OK"
        );
    }
    let away = Duration::from_secs(if is_long() { 60 } else { 6 });
    while killed.elapsed() < away {
        load.wait_answered(200);
    }
    loaded.fleet.control.restart();
    wait::until("both data planes are back", Duration::from_secs(40), || {
        loaded.fleet.state("dp-1") == "synced" && loaded.fleet.state("dp-2") == "synced"
    });
    load.wait_answered(500);
    load.finish_clean();
    let output = loaded.fleet.apply(&loaded.text);
    assert_eq!(output.code, 0, "the store was kept: {output:#?}");
    let names = loaded
        .fleet
        .control
        .ctl(&["get", "clusters", "-o", "name"])
        .stdout;
    assert_eq!(names.lines().count(), 2, "{names}");
}

#[test]
fn wiped_control_plane_removes_no_cluster() {
    let mut loaded = Loaded::start();
    let load = Load::start(&loaded.listeners, 2);
    load.wait_answered(500);
    loaded.fleet.control.wipe();
    loaded.fleet.control.restart();
    wait::until(
        "the foreign fleet is shown",
        Duration::from_secs(40),
        || {
            loaded.fleet.state("dp-1") == "foreign_fleet"
                && loaded.fleet.state("dp-2") == "foreign_fleet"
        },
    );
    // What a new control plane defines is not pushed over another fleet's definitions.
    let redis = Redis::start_many(1);
    let (listen, _) = loaded.fleet.listener();
    let other = definitions::redis("other", &listen, &servers(&redis), "");
    let output = loaded.fleet.control.ctl_with(&["apply", "-f", "-"], &other);
    assert_eq!(output.code, 0, "{output:#?}");
    let settled = Instant::now();
    while settled.elapsed() < Duration::from_secs(3) {
        load.wait_answered(200);
    }
    load.finish_clean();
    for (_, listen) in &loaded.listeners {
        assert!(Raw::open(listen).is_ok(), "{listen} is still served");
    }
}

#[test]
fn data_plane_that_ends_is_shown_and_synced_when_it_is_back() {
    let mut loaded = Loaded::start();
    loaded.fleet.data_planes[1].process().kill();
    wait::until("dp-2 is shown as gone", Duration::from_secs(40), || {
        loaded.fleet.state("dp-2") == "disconnected"
    });
    let redis = Redis::start_many(1);
    let (listen, at) = loaded.fleet.listener();
    loaded.fleet.apply(&definitions::redis(
        "meanwhile",
        &listen,
        &servers(&redis),
        "",
    ));
    loaded.fleet.data_planes[1].respawn();
    wait::until("dp-2 is synced", Duration::from_secs(40), || {
        loaded.fleet.state("dp-2") == "synced"
    });
    assert_eq!(Raw::connect(&at[1]).ask("PING"), "+PONG");
}

#[test]
fn control_plane_restarts_keep_revisions_and_definitions() {
    let mut loaded = Loaded::start();
    let before = loaded.fleet.json("status");
    for _ in 0..3 {
        loaded.fleet.control.restart();
    }
    let after = loaded.fleet.json("status");
    assert_eq!(after["fleet_id"], before["fleet_id"]);
    assert_eq!(after["revision"], before["revision"], "nothing was changed");
    assert_eq!(after["clusters"], before["clusters"]);
}

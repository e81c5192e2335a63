//! What is applied is served by every selected data plane, and changes lose no request.

use std::{
    thread,
    time::{Duration, Instant},
};

use prism_tests::{
    cluster::Cluster,
    definitions,
    fleet::Fleet,
    is_long,
    load::{Dialect, Load},
    memcached::Memcached,
    programs::{ControlPlane, http_get},
    raw::Raw,
    redis::Redis,
    wait,
};

use crate::pool::servers;

/// Memcached endpoints as a definitions file names them.
fn memcached_servers(endpoints: &[Memcached]) -> Vec<String> {
    endpoints
        .iter()
        .map(|one| format!("{}:1", one.addr()))
        .collect()
}

#[test]
fn applied_clusters_are_served_by_every_data_plane() {
    let fleet = Fleet::start(2);
    let (redis, memcached, cluster) = (
        Redis::start_many(3),
        Memcached::start_many(2),
        Cluster::start(3),
    );
    let (redis_listen, redis_at) = fleet.listener();
    let (memcached_listen, memcached_at) = fleet.listener();
    let (slots_listen, slots_at) = fleet.listener();
    let text = [
        definitions::redis("pages", &redis_listen, &servers(&redis), ""),
        definitions::cluster(
            "objects",
            "memcache",
            &memcached_listen,
            &memcached_servers(&memcached),
            "",
        ),
        definitions::cluster(
            "slots",
            "redis_cluster",
            &slots_listen,
            &cluster.seeds(),
            "",
        ),
    ];
    let output = fleet.apply(&text.concat());
    assert!(output.stdout.contains("pages"), "{output:#?}");
    for listen in redis_at.iter().chain(&slots_at) {
        let mut client = Raw::connect(listen);
        for index in 0..30 {
            assert_eq!(
                client.ask(&format!("SET key-{index} {index}")),
                "+OK",
                "{listen}"
            );
        }
    }
    for listen in redis_at.iter().chain(&slots_at) {
        assert_eq!(Raw::connect(listen).ask("GET key-7"), "$1\r\n7");
    }
    for listen in &memcached_at {
        let mut client = Raw::connect(listen);
        client.send(b"set a 0 0 1\r\nx\r\nget a\r\n");
        assert_eq!(client.line(), "STORED\r\n");
        assert_eq!(client.line(), "VALUE a 0 1\r\n");
    }
    let status = fleet.json("status");
    assert_eq!(status["healthy"], true, "{status:#}");
    assert_eq!(status["dataplanes"].as_array().map(Vec::len), Some(2));
}

/// A machine that is busy with other tests may be slow to answer; what is claimed is that nothing is lost.
const PATIENT: &str = "read_timeout = 20000";

#[test]
fn endpoints_come_and_go_every_second_without_a_failed_request() {
    let fleet = Fleet::start(2);
    let (redis, memcached, cluster) = (
        Redis::start_many(3),
        Memcached::start_many(3),
        Cluster::start(3),
    );
    let (redis_listen, redis_at) = fleet.listener();
    let (memcached_listen, memcached_at) = fleet.listener();
    let (slots_listen, slots_at) = fleet.listener();
    let definitions = |count: usize| {
        [
            definitions::redis("pages", &redis_listen, &servers(&redis[..count]), PATIENT),
            definitions::cluster(
                "objects",
                "memcache",
                &memcached_listen,
                &memcached_servers(&memcached[..count]),
                PATIENT,
            ),
            definitions::cluster(
                "slots",
                "redis_cluster",
                &slots_listen,
                &cluster.seeds()[..count],
                PATIENT,
            ),
        ]
        .concat()
    };
    fleet.apply(&definitions(3));
    let listeners: Vec<_> = redis_at
        .iter()
        .chain(&slots_at)
        .map(|listen| (Dialect::Redis, listen.clone()))
        .chain(
            memcached_at
                .iter()
                .map(|listen| (Dialect::Memcache, listen.clone())),
        )
        .collect();
    let load = Load::start(&listeners, 1);
    for round in 0..if is_long() { 60 } else { 8 } {
        let begun = Instant::now();
        fleet.apply(&definitions(2 + round % 2));
        thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
    load.wait_answered(1_000);
    load.finish_clean();
}

#[test]
fn clusters_come_change_and_go_without_touching_others() {
    let fleet = Fleet::start(2);
    let redis = Redis::start_many(2);
    let (kept_listen, kept_at) = fleet.listener();
    let (other_listen, other_at) = fleet.listener();
    let (moved_listen, moved_at) = fleet.listener();
    let kept = definitions::redis("kept", &kept_listen, &servers(&redis), "");
    let other = |listen: &str, more| definitions::redis("other", listen, &servers(&redis), more);
    fleet.apply(&kept);
    let listeners: Vec<_> = kept_at
        .iter()
        .map(|listen| (Dialect::Redis, listen.clone()))
        .collect();
    let load = Load::start(&listeners, 4);
    for _ in 0..3 {
        fleet.apply(&other(&other_listen, ""));
        assert_eq!(Raw::connect(&other_at[1]).ask("PING"), "+PONG");
        fleet.apply(&other(
            &other_listen,
            "node_connections = 2\nmax_clients = 100",
        ));
        assert_eq!(Raw::connect(&other_at[0]).ask("PING"), "+PONG");
        fleet.apply(&other(&moved_listen, ""));
        assert_eq!(Raw::connect(&moved_at[1]).ask("PING"), "+PONG");
        wait::until("the old listener is closed", wait::LIMIT, || {
            Raw::open(&other_at[0]).is_err()
        });
        let deleted = fleet
            .control
            .ctl(&["delete", "clusters", "other", "--wait"]);
        assert_eq!(deleted.code, 0, "{deleted:#?}");
        wait::until("the listener is closed", wait::LIMIT, || {
            Raw::open(&moved_at[0]).is_err()
        });
    }
    load.wait_answered(1_000);
    load.finish_clean();
}

#[test]
fn data_plane_that_cannot_listen_is_shown_as_nacked_and_serves_the_rest() {
    let fleet = Fleet::start(2);
    let redis = Redis::start_many(1);
    let (good_listen, good_at) = fleet.listener();
    let (busy_listen, busy_at) = fleet.listener();
    fleet.apply(&definitions::redis(
        "good",
        &good_listen,
        &servers(&redis),
        "",
    ));
    let holder = std::net::TcpListener::bind(&busy_at[1]).expect("the port is free");
    let busy = definitions::redis("busy", &busy_listen, &servers(&redis), "");
    let output = fleet
        .control
        .ctl_with(&["apply", "-f", "-", "--wait"], &busy);
    assert_eq!(output.code, 5, "{output:#?}");
    wait::until("the nack is shown", Duration::from_secs(1), || {
        fleet.state("dp-2") == "nacked"
    });
    let status = fleet.json("status").to_string();
    assert!(
        status.contains("listen_addr") && status.contains("busy"),
        "{status}"
    );
    assert_eq!(fleet.state("dp-1"), "synced");
    assert_eq!(Raw::connect(&busy_at[0]).ask("PING"), "+PONG");
    assert_eq!(Raw::connect(&good_at[1]).ask("PING"), "+PONG");
    drop(holder);
    fleet.apply(&format!("{busy}max_clients = 7\n"));
    assert_eq!(Raw::connect(&busy_at[1]).ask("PING"), "+PONG");
    wait::until("the nack is gone", Duration::from_secs(2), || {
        fleet.state("dp-2") == "synced"
    });
}

#[test]
fn unselected_cluster_never_reaches_a_data_plane() {
    let control = ControlPlane::start();
    let data_planes = vec![
        Fleet::data_plane(&control, 1, &["--label", "tier=front"]),
        Fleet::data_plane(&control, 2, &["--label", "tier=rear"]),
    ];
    let fleet = Fleet {
        data_planes,
        control,
    };
    let redis = Redis::start_many(1);
    let (named_listen, named_at) = fleet.listener();
    let (labelled_listen, labelled_at) = fleet.listener();
    let text = [
        definitions::redis(
            "by-name",
            &named_listen,
            &servers(&redis),
            "dataplanes = [\"dp-1\"]",
        ),
        definitions::redis(
            "by-label",
            &labelled_listen,
            &servers(&redis),
            "labels = { tier = \"rear\" }",
        ),
    ];
    fleet.apply(&text.concat());
    assert_eq!(Raw::connect(&named_at[0]).ask("PING"), "+PONG");
    assert_eq!(Raw::connect(&labelled_at[1]).ask("PING"), "+PONG");
    assert!(Raw::open(&named_at[1]).is_err() && Raw::open(&labelled_at[0]).is_err());
    for (at, unselected) in [(0, "by-label"), (1, "by-name")] {
        let (_, config) =
            http_get(fleet.data_planes[at].admin(), "/config").expect("admin answers");
        assert!(!config.contains(unselected), "{config}");
    }
    assert!(fleet.json("status")["healthy"] == true);
}

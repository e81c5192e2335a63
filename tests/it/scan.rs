//! SCAN over all shards: every key is told, whoever serves the next step and whatever changes meanwhile.

use std::collections::BTreeMap;

use prism_tests::{
    cluster::Cluster, definitions, oracle::Oracle, ports, programs::DataPlane, raw::Raw,
    redis::Redis, wait,
};

use crate::{
    pool::{Pool, servers},
    redis_cluster::Front,
};

/// One step of a scan: the next cursor and the keys.
fn step(client: &mut Raw, cursor: &str, options: &str) -> (String, Vec<String>) {
    let reply = client.ask(&format!("SCAN {cursor} {options}"));
    let lines: Vec<_> = reply.lines().collect();
    assert_eq!(lines[0], "*2", "{reply}");
    let next = lines[2].to_owned();
    next.parse::<u64>().expect("a cursor of 64 bits");
    let keys = lines[4..].iter().skip(1).step_by(2);
    (next, keys.map(|&key| key.to_owned()).collect())
}

/// Goes on with a scan, each step over a new connection to the next of `addrs`; tells how often each key came.
fn scan_from(cursor: &str, addrs: &[&str], options: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut cursor = cursor.to_owned();
    for addr in addrs.iter().cycle() {
        let (next, keys) = step(&mut Raw::connect(addr), &cursor, options);
        for key in keys {
            *found.entry(key).or_default() += 1;
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    found
}

fn fill(client: &mut Raw, count: usize) -> Vec<String> {
    let keys: Vec<_> = (0..count)
        .map(|index| format!("{}:{index}", index * 7919))
        .collect();
    for key in &keys {
        assert_eq!(client.ask(&format!("SET {key} 1")), "+OK");
    }
    keys
}

fn check_once(found: &BTreeMap<String, usize>, keys: &[String]) {
    for key in keys {
        assert_eq!(found.get(key), Some(&1), "{key}");
    }
    assert_eq!(found.len(), keys.len());
}

#[test]
fn every_key_of_a_pool_is_told_once_by_two_data_planes_in_turn() {
    for shards in [1, 3] {
        let pool = Pool::start(shards);
        let listen = ports::free_addr();
        let text = definitions::redis("pool", &listen, &servers(&pool.endpoints), "");
        let _other = DataPlane::bootstrap(&text);
        let keys = fill(&mut pool.client(), 400);
        for options in ["", "COUNT 7", "COUNT 1000"] {
            check_once(&scan_from("0", &[&pool.listen, &listen], options), &keys);
        }
    }
}

#[test]
fn every_key_of_a_redis_cluster_is_told_once_by_two_data_planes_in_turn() {
    let front = Front::start(Cluster::start(3), "");
    let listen = ports::free_addr();
    let seeds = front.cluster.seeds();
    let _other = DataPlane::bootstrap(&definitions::cluster(
        "slots",
        "redis_cluster",
        &listen,
        &seeds,
        "",
    ));
    wait::until("all slots are served", wait::LIMIT, || {
        Raw::connect(&listen).ask("DBSIZE") == ":0"
    });
    let keys = fill(&mut front.client(), 400);
    check_once(
        &scan_from("0", &[&front.listen, &listen], "COUNT 13"),
        &keys,
    );
}

#[test]
fn options_go_to_every_shard() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    let keys = fill(&mut client, 60);
    for index in 0..20 {
        client.ask(&format!("SADD set-{index} m"));
    }
    let sets = scan_from("0", &[&pool.listen], "TYPE set COUNT 9");
    assert_eq!(sets.len(), 20);
    let matched = scan_from("0", &[&pool.listen], "MATCH *:1* COUNT 9");
    assert_eq!(
        matched.len(),
        keys.iter().filter(|key| key.contains(":1")).count()
    );
    assert!(scan_from("0", &[&pool.listen], "MATCH none TYPE string").is_empty());
}

#[test]
fn wrong_requests_are_refused_as_by_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    for words in [
        "SCAN",
        "SCAN x",
        "SCAN 0x10",
        "SCAN 18446744073709551616",
        "SCAN 99999999999999999999 COUNT",
        "SCAN 0 COUNT",
        "SCAN 0 COUNT 0",
        "SCAN 0 COUNT x",
        "SCAN 0 FOO 1",
        "SCAN x COUNT 0",
    ] {
        oracle.check_words(words);
    }
}

#[test]
fn scan_misses_nothing_when_endpoints_change_meanwhile() {
    let mut endpoints = Redis::start_many(4);
    let late = endpoints.split_off(2);
    let pool = Pool::start_with(endpoints, "");
    let mut keys = fill(&mut pool.client(), 200);
    for (index, redis) in late.iter().enumerate() {
        for number in 0..50 {
            let key = format!("late-{index}-{number}");
            redis.ask(&format!("SET {key} 1"));
            keys.push(key);
        }
    }
    let (mut cursor, mut seen) = ("0".to_owned(), 0);
    while seen < 130 {
        let (next, told) = step(&mut pool.client(), &cursor, "COUNT 10");
        (cursor, seen) = (next, seen + told.len());
    }
    let all: Vec<_> = servers(&pool.endpoints)
        .into_iter()
        .chain(late.iter().map(|redis| format!("{}:1", redis.addr())))
        .collect();
    pool.data_plane
        .rewrite(&definitions::redis("pool", &pool.listen, &all, ""));
    wait::until("all workers serve the new endpoints", wait::LIMIT, || {
        (0..10).all(|_| pool.client().ask("DBSIZE") == ":300")
    });
    let found = scan_from(&cursor, &[&pool.listen], "COUNT 10");
    let missed: Vec<_> = keys
        .iter()
        .filter(|key| !found.contains_key(*key))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
    check_once(&scan_from("0", &[&pool.listen], "COUNT 10"), &keys);
}

#[test]
fn scan_misses_nothing_when_a_slot_has_moved_to_a_shard_already_seen() {
    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    let mut keys = fill(&mut client, 200);
    let by_address = |node: &usize| front.cluster.nodes[*node].addr();
    let from = (0..3).max_by_key(by_address).expect("three nodes");
    let to = (0..3).min_by_key(by_address).expect("three nodes");
    let mut tags = (0..).map(|number| format!("t{number}"));
    let tag = tags.find(|tag| front.cluster.first_owner(Cluster::slot(tag)) == from);
    let tag = tag.expect("some tag is there");
    for index in 0..30 {
        let key = format!("{{{tag}}}{index}");
        client.ask(&format!("SET {key} 1"));
        keys.push(key);
    }
    let tagged = format!("{{{tag}}}");
    let owner = |key: &String| match key.starts_with(&tagged) {
        true => from,
        false => front.cluster.first_owner(Cluster::slot(key)),
    };
    let (mut cursor, mut told) = ("0".to_owned(), Vec::new());
    // Once a key of another shard comes, the first in the order of addresses is through.
    while told.iter().all(|key| owner(key) == to) {
        let (next, keys) = step(&mut client, &cursor, "COUNT 10");
        cursor = next;
        told.extend(keys);
    }
    front.cluster.move_slot(Cluster::slot(&tag), from, to);
    assert_eq!(client.ask(&format!("GET {{{tag}}}0")), "$1\r\n1");
    let mut found: Vec<_> = told;
    while cursor != "0" {
        let (next, keys) = step(&mut client, &cursor, "COUNT 10");
        cursor = next;
        found.extend(keys);
    }
    let missed: Vec<_> = keys.iter().filter(|key| !found.contains(key)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn dead_shard_is_named() {
    let mut pool = Pool::start(2);
    let mut client = pool.client();
    fill(&mut client, 50);
    pool.endpoints[1].process().kill();
    let mut cursor = "0".to_owned();
    let error = loop {
        let reply = client.ask(&format!("SCAN {cursor} COUNT 10"));
        if reply.starts_with('-') {
            break reply;
        }
        cursor = reply.lines().nth(2).expect("a cursor").to_owned();
        assert_ne!(cursor, "0", "half of the keys are not all");
    };
    assert!(
        error.starts_with("-ERR prism: endpoint redis-2 "),
        "{error}"
    );
}

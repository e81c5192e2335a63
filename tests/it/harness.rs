//! The harness itself: servers start, answer and end with their owner.

use std::time::Duration;

use prism_tests::{
    cluster::Cluster, definitions::transcript, memcached::Memcached, nutcracker::Nutcracker,
    oracle::Oracle, raw::Raw, redis::Redis,
};

#[test]
fn servers_answer_and_end_with_their_owner() {
    let redis = Redis::start();
    let memcached = Memcached::start();
    assert_eq!(redis.ask("SET a b"), "+OK");
    let mut client = memcached.client();
    client.send(b"set a 0 0 1\r\nb\r\n");
    assert_eq!(client.line(), "STORED\r\n");
    let addrs = [redis.addr(), memcached.addr()];
    drop((redis, memcached));
    assert!(addrs.iter().all(|addr| Raw::open(addr).is_err()));
}

#[test]
fn restarted_redis_is_empty() {
    let mut redis = Redis::start();
    assert_eq!(redis.ask("SET a b"), "+OK");
    redis.restart();
    assert_eq!(redis.ask("GET a"), "$-1");
}

#[test]
fn cluster_forms_and_moves_a_slot() {
    let cluster = Cluster::start_with(3, 3, Duration::from_secs(5));
    let slot = Cluster::slot("a");
    let (from, to) = (cluster.first_owner(slot), 0);
    assert_ne!(from, to);
    assert_eq!(cluster.nodes[from].ask("SET a b"), "+OK");
    cluster.begin_move(slot, from, to);
    assert_eq!(cluster.move_keys(slot, from, to, 10), 1);
    let ask = format!("-ASK {slot} {}", cluster.nodes[to].addr());
    assert_eq!(cluster.nodes[from].ask("GET a"), ask);
    cluster.end_move(slot, from, to);
    assert_eq!(cluster.nodes[to].ask("GET a"), "$1\r\nb");
}

#[test]
fn oracle_agrees_with_nutcracker() {
    let backends = Redis::start_many(2);
    let lines = ["hash: fnv1a_64", "distribution: ketama", "redis: true"];
    let servers: Vec<_> = backends
        .iter()
        .map(|redis| format!("{}:1", redis.addr()))
        .collect();
    let nutcracker = Nutcracker::start(&lines, &servers);
    let mut oracle = Oracle::new(&nutcracker.addr());
    for index in 0..50 {
        oracle.check_words(&format!("SET key-{index} {index}"));
        oracle.check_words(&format!("GET key-{index}"));
    }
}

#[test]
fn transcript_gets_the_same_replies_from_two_servers() {
    let other = Redis::start();
    let mut oracle = Oracle::new(&other.addr());
    for command in transcript(include_str!("../vectors/redis/single_key.txt"), "run:") {
        oracle.check(&command);
    }
}

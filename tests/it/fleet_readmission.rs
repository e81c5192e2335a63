//! What a shard holds when it comes back: shards that are cut off keep their values, which are old then.

use std::time::{Duration, Instant};

use prism_tests::{
    fleet::Fleet, memcached::Memcached, ports, programs::DataPlane, raw::Raw, redis::Redis, wait,
};

use crate::fleet_pool::{Answer, PATIENCE, Pool, Probing, Shard, define, warm};

const FLUSH: &str = "on_readmit = \"flush\"";

/// Writes `old`, cuts the first shard off, and writes `new` to its keys once they are elsewhere.
fn cut_off<S: Shard>(pool: &mut Pool<S>) {
    for key in pool.keys_of(0) {
        assert_eq!(S::write(&mut pool.clients[0], &key, "old"), S::STORED);
    }
    pool.endpoints[0].process().suspend();
}

fn write_elsewhere<S: Shard>(pool: &mut Pool<S>) {
    wait::until("all data planes eject", PATIENCE, || pool.is_rehashed(0));
    for key in pool.keys_of(0) {
        assert_eq!(S::write(&mut pool.clients[0], &key, "new"), S::STORED);
    }
}

/// What all data planes answer for the keys of the shard that was cut off.
fn answers<S: Shard>(pool: &mut Pool<S>) -> Vec<Answer> {
    let keys = pool.keys_of(0);
    let clients = pool.clients.iter_mut();
    clients
        .flat_map(|client| {
            keys.iter()
                .map(|key| S::read(client, key))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Reads until no data plane shows anything any more: the shard is back, and empty.
///
/// # Panics
/// When an old value is shown before, or a request fails.
fn wait_back_empty<S: Shard>(pool: &mut Pool<S>) {
    let new = Ok(Some("new".to_owned()));
    wait::until("it is back and empty", PATIENCE, || {
        let answers = answers(pool);
        for answer in &answers {
            assert!(*answer == new || *answer == Ok(None), "{answer:?}");
        }
        answers.iter().all(|answer| *answer == Ok(None))
    });
    assert!(pool.is_back(0), "its keys are on it");
    assert_eq!(pool.ask_all(0), 0);
}

#[test]
fn flushed_shard_shows_no_value_from_before_and_a_trusted_one_may() {
    let mut fleet = Fleet::start(2);
    let lines = Probing::quick().lines;
    let flush = format!("{lines}\n{FLUSH}");
    let mut flushed = Pool::<Memcached>::start(&fleet, "flushed", &flush);
    let mut flushed_redis = Pool::<Redis>::start(&fleet, "flushed-redis", &flush);
    let mut trusted = Pool::<Memcached>::start(&fleet, "trusted", &lines);
    warm(&mut fleet);
    cut_off(&mut flushed);
    cut_off(&mut flushed_redis);
    cut_off(&mut trusted);
    write_elsewhere(&mut flushed);
    write_elsewhere(&mut flushed_redis);
    write_elsewhere(&mut trusted);
    flushed.endpoints[0].process().resume();
    flushed_redis.endpoints[0].process().resume();
    trusted.endpoints[0].process().resume();
    wait_back_empty(&mut flushed);
    wait_back_empty(&mut flushed_redis);
    wait::until("the trusted one is back", PATIENCE, || {
        answers(&mut trusted).contains(&Ok(Some("old".into())))
    });
    let log = fleet.control.process().log();
    assert!(log.contains("is used again, emptied"), "{log}");
}

#[test]
fn control_plane_that_knows_of_no_ejection_brings_nothing_old_back() {
    let mut fleet = Fleet::start(2);
    let lines = format!("{}\n{FLUSH}", Probing::quick().lines);
    let mut pool = Pool::<Memcached>::start(&fleet, "pool", &lines);
    warm(&mut fleet);
    cut_off(&mut pool);
    write_elsewhere(&mut pool);
    fleet.control.process().kill();
    pool.endpoints[0].process().resume();
    fleet.control.restart();
    wait_back_empty(&mut pool);
}

/// One data plane alone, whose own probes eject and bring back.
fn alone<S: Shard>() {
    let listen = ports::free_addr();
    let endpoints: Vec<_> = (0..3).map(|_| S::start()).collect();
    let lines = format!("{}\n{FLUSH}", Probing::quick().lines);
    let _data_plane = DataPlane::bootstrap(&define(&endpoints, "pool", &listen, &lines));
    let mut pool = Pool::fill(endpoints, vec![Raw::connect(&listen)]);
    cut_off(&mut pool);
    write_elsewhere(&mut pool);
    pool.endpoints[0].process().resume();
    wait_back_empty(&mut pool);
}

#[test]
fn data_plane_that_is_alone_empties_a_memcached_before_it_uses_it_again() {
    alone::<Memcached>();
}

#[test]
fn data_plane_that_is_alone_empties_a_redis_before_it_uses_it_again() {
    alone::<Redis>();
}

/// A Redis that may not be emptied stays out, and people are told why.
#[test]
fn shard_that_refuses_to_be_emptied_stays_out_until_it_allows_it() {
    let mut fleet = Fleet::start(2);
    let lines = format!("{}\n{FLUSH}", Probing::quick().lines);
    let mut pool = Pool::<Redis>::start(&fleet, "pool", &lines);
    warm(&mut fleet);
    assert_eq!(
        pool.endpoints[0].ask("ACL SETUSER default -flushall"),
        "+OK"
    );
    cut_off(&mut pool);
    write_elsewhere(&mut pool);
    pool.endpoints[0].process().resume();
    let reason = "it could not be emptied: NOPERM";
    wait::until("the refusal is shown", PATIENCE, || {
        fleet.json("get endpoints").to_string().contains(reason)
    });
    let alarms = fleet.json("status").to_string();
    assert!(alarms.contains("FLUSH_FAILED"), "{alarms}");
    let shown = Instant::now();
    while shown.elapsed() < Duration::from_secs(2) {
        let new = Ok(Some("new".to_owned()));
        assert!(answers(&mut pool).iter().all(|answer| *answer == new));
    }
    assert_eq!(
        pool.endpoints[0].ask("ACL SETUSER default +flushall"),
        "+OK"
    );
    wait_back_empty(&mut pool);
}

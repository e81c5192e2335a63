//! A dead endpoint costs only its own keys, for as long as the definition says, and comes back by itself.

use std::time::{Duration, Instant};

use prism_tests::{
    fleet::Fleet, is_long, memcached::Memcached, programs::Output, raw::Raw, redis::Redis, wait,
};

use crate::fleet_pool::{PATIENCE, Pool, Probing, Shard, direct, warm};

/// A fleet with one pool in which endpoints may be ejected.
fn start<S: Shard>(probing: &Probing, more: &str) -> (Fleet, Pool<S>) {
    let mut fleet = Fleet::start(2);
    let lines = format!("{}\n{more}", probing.lines);
    let pool = Pool::start(&fleet, "pool", &lines);
    warm(&mut fleet);
    (fleet, pool)
}

/// Kills an endpoint and returns how long both data planes took to eject it.
fn time_ejection<S: Shard>(pool: &mut Pool<S>) -> Duration {
    assert_eq!(pool.ask_all(0), 0);
    pool.endpoints[0].process().kill();
    let killed = Instant::now();
    assert!(pool.ask_all(0) > 0, "its keys fail until it is ejected");
    wait::until("both data planes eject", PATIENCE, || pool.ask_all(0) == 0);
    killed.elapsed()
}

fn ejected_in_time_and_back<S: Shard>() {
    let probing = Probing::usual();
    let (mut fleet, mut pool) = start::<S>(&probing, "");
    let mut took = time_ejection(&mut pool);
    // A prober that stood still, on a machine that is busy with other things, abstains: try again.
    for _ in 0..3 {
        if !fleet.control.process().log().contains("PROBER_SLIPPED") {
            break;
        }
        (fleet, pool) = start::<S>(&probing, "");
        took = time_ejection(&mut pool);
    }
    assert!(
        took <= probing.bound,
        "took {took:?}, allowed {:?}",
        probing.bound
    );
    let endpoints = fleet.json("get endpoints").to_string();
    assert!(endpoints.contains("ejected"), "{endpoints}");
    for key in pool.keys_of(0) {
        let written = S::write(&mut pool.clients[0], &key, "shared");
        assert_eq!(written, S::STORED);
        let read = S::read(&mut pool.clients[1], &key);
        assert_eq!(read, Ok(Some("shared".into())), "both rehash alike");
    }

    pool.endpoints[0].restart();
    wait::until("it is back on both data planes", PATIENCE, || {
        pool.ask_all(0);
        let status = fleet.json("status");
        let is_calm = status["unhealthy_endpoints"]
            .as_array()
            .is_some_and(Vec::is_empty);
        is_calm && pool.is_back(0)
    });
    assert_eq!(pool.ask_all(0), 0);
}

#[test]
fn killed_redis_is_ejected_in_time_and_comes_back() {
    ejected_in_time_and_back::<Redis>();
}

#[test]
fn killed_memcached_is_ejected_in_time_and_comes_back() {
    ejected_in_time_and_back::<Memcached>();
}

#[test]
fn ejection_outlives_the_control_plane() {
    let (mut fleet, mut pool) = start::<Redis>(&Probing::usual(), "");
    pool.endpoints[0].process().kill();
    wait::until("both data planes eject", PATIENCE, || pool.ask_all(0) == 0);
    fleet.control.process().kill();
    let killed = Instant::now();
    // Past the 30 s of its lease, where the test is long.
    let away = Duration::from_secs(if is_long() { 60 } else { 8 });
    while killed.elapsed() < away {
        assert_eq!(pool.ask_all(0), 0, "after {:?}", killed.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    if !is_long() {
        return;
    }
    pool.endpoints[0].restart();
    wait::until(
        "the data planes readmit it themselves",
        Duration::from_secs(60),
        || {
            assert_eq!(pool.ask_all(0), 0);
            pool.endpoints[0].ask("DBSIZE") != ":0"
        },
    );
}

#[test]
fn zero_fail_limit_never_ejects() {
    let mut probing = Probing::new(500, 100, 100, 1);
    probing.lines = probing
        .lines
        .replace("ping_fail_limit = 1", "ping_fail_limit = 0");
    let (_fleet, mut pool) = start::<Redis>(&probing, "");
    pool.endpoints[0].process().kill();
    let killed = Instant::now();
    while killed.elapsed() < probing.bound + Duration::from_secs(1) {
        assert!(pool.ask_all(0) > 0);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn on_ejection_fail_keeps_keys_where_they_are() {
    let (fleet, mut pool) = start::<Redis>(&Probing::quick(), "on_ejection = \"fail\"");
    pool.endpoints[0].process().kill();
    wait_shown(&fleet);
    assert!(pool.ask_all(0) > 0, "no key was rehashed");
}

fn wait_shown(fleet: &Fleet) {
    wait::until("the ejection is shown", PATIENCE, || {
        fleet.json("get endpoints").to_string().contains("ejected")
    });
}

/// Two pools over the same shards: what a `get` answers for keys of the dead one is the policy's.
#[test]
fn memcached_that_fails_its_keys_answers_an_error_or_a_miss() {
    let lines = format!("{}\non_ejection = \"fail\"", Probing::quick().lines);
    let mut fleet = Fleet::start(2);
    let mut strict = Pool::<Memcached>::start(&fleet, "strict", &lines);
    let (listen, at) = fleet.listener();
    let lenient = format!("{lines}\nmulti_key_policy = \"miss\"");
    let text = crate::fleet_pool::define(&strict.endpoints, "lenient", &listen, &lenient);
    fleet.apply(&text);
    let mut lenient: Vec<_> = at.iter().map(|listen| Raw::connect(listen)).collect();
    warm(&mut fleet);
    strict.endpoints[0].process().kill();
    wait::until("both pools eject", PATIENCE, || {
        let listed = fleet.json("get endpoints").to_string();
        listed.matches("\"ejected\"").count() == 2
    });
    assert_eq!(
        strict.ask_all(0),
        2 * strict.keys_of(0).len(),
        "writes fail"
    );
    let (dead, live) = (strict.keys_of(0)[0].clone(), strict.keys_of(1)[0].clone());
    let value = direct(&strict.endpoints[1], &live).expect("it is there");
    for client in &mut strict.clients {
        let words = Memcached::read(client, &dead).expect_err("its shard is away");
        assert!(
            words.starts_with("SERVER_ERROR prism: ") && words.contains("shard-1"),
            "{words}"
        );
        client.send(format!("get {dead} {live}\r\n").as_bytes());
        let both = client.line();
        assert!(both.starts_with("SERVER_ERROR prism: "), "{both}");
        assert_eq!(Memcached::read(client, &live), Ok(Some(value.clone())));
    }
    for client in &mut lenient {
        assert_eq!(Memcached::read(client, &dead), Ok(None));
        client.send(format!("get {dead} {live}\r\n").as_bytes());
        let lines: Vec<_> = (0..3).map(|_| client.line()).collect();
        let len = value.len();
        assert_eq!(
            lines.concat(),
            format!("VALUE {live} 0 {len}\r\n{value}\r\nEND\r\n")
        );
        let refused = Memcached::write(client, &dead, "x");
        assert!(refused.starts_with("SERVER_ERROR prism: "), "{refused}");
    }
}

#[test]
fn locked_endpoint_is_a_configuration_error_and_no_ejection() {
    let probing = Probing::quick();
    let (fleet, pool) = start::<Redis>(&probing, "");
    assert_eq!(
        pool.endpoints[0].ask("CONFIG SET requirepass secret"),
        "+OK"
    );
    std::thread::sleep(probing.bound + Duration::from_secs(1));
    let Output { stdout, .. } = fleet.control.ctl(&["get", "endpoints", "-o", "json"]);
    assert!(!stdout.contains("\"ejected\""), "{stdout}");
}

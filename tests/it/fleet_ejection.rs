//! A dead endpoint costs only its own keys, for as long as the definition says, and comes back by itself.

use std::time::{Duration, Instant};

use prism_tests::{
    definitions, fleet::Fleet, is_long, programs::Output, raw::Raw, redis::Redis, wait,
};

use crate::pool::servers;

/// Waits end as soon as their condition holds; a prober that slipped abstains for 30 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// Probe settings and the longest time from a kill to the last data plane's ejection that they allow.
struct Probing {
    lines: String,
    bound: Duration,
}

impl Probing {
    fn new(interval_ms: u64, again_ms: u64, timeout_ms: u64, failures: u64) -> Self {
        let lines = format!(
            "ping_interval = {interval_ms}\nping_succ_interval = {again_ms}\nping_timeout = {timeout_ms}\n\
             ping_fail_limit = {failures}\nping_succ_limit = 2\nping_succ_window = 1000\nread_timeout = 500"
        );
        let bound = (failures - 1) * again_ms + interval_ms + timeout_ms + 1000;
        Self {
            lines,
            bound: Duration::from_millis(bound),
        }
    }
}

fn probing() -> Probing {
    if is_long() {
        Probing::new(10_000, 1_000, 500, 3)
    } else {
        Probing::new(1_000, 200, 200, 3)
    }
}

/// A fleet of two with one pool of three Redis endpoints, and keys of each.
struct Pool {
    fleet: Fleet,
    endpoints: Vec<Redis>,
    clients: Vec<Raw>,
    keys: Vec<(String, usize)>,
}

impl Pool {
    fn start(probing: &Probing, more: &str) -> Self {
        let mut fleet = Fleet::start(2);
        let endpoints = Redis::start_many(3);
        let (listen, at) = fleet.listener();
        let lines = format!("{}\n{more}", probing.lines);
        fleet.apply(&definitions::redis(
            "pool",
            &listen,
            &servers(&endpoints),
            &lines,
        ));
        let mut clients: Vec<_> = at.iter().map(|listen| Raw::connect(listen)).collect();
        let keys: Vec<_> = (0..60)
            .map(|index| {
                let key = format!("{index}-key");
                assert_eq!(clients[0].ask(&format!("SET {key} 1")), "+OK");
                let holder = endpoints
                    .iter()
                    .position(|one| one.ask(&format!("EXISTS {key}")) == ":1");
                (key, holder.expect("an endpoint holds the key"))
            })
            .collect();
        let held = |endpoint| keys.iter().any(|(_, holder)| *holder == endpoint);
        assert!((0..3).all(held), "every endpoint holds keys");
        // No endpoint is ejected before the control plane knows its fleet.
        wait::until("the control plane is warm", Duration::from_secs(60), || {
            fleet.control.process().log().contains("WARMED_UP")
        });
        Self {
            fleet,
            endpoints,
            clients,
            keys,
        }
    }

    /// Asks every key on every data plane and answers how many keys of `dead` failed.
    ///
    /// # Panics
    /// When a key of another endpoint failed.
    fn ask_all(&mut self, dead: usize) -> usize {
        let mut failed = 0;
        for client in &mut self.clients {
            for (key, holder) in &self.keys {
                let reply = client.ask(&format!("SET {key} 1"));
                if *holder == dead && reply != "+OK" {
                    assert!(reply.starts_with("-ERR prism: endpoint "), "{reply}");
                    failed += 1;
                } else {
                    assert_eq!(reply, "+OK", "{key} of endpoint {holder}");
                }
            }
        }
        failed
    }
}

/// Kills an endpoint and returns how long both data planes took to eject it.
fn time_ejection(pool: &mut Pool) -> Duration {
    assert_eq!(pool.ask_all(0), 0);
    pool.endpoints[0].process().kill();
    let killed = Instant::now();
    assert!(pool.ask_all(0) > 0, "its keys fail until it is ejected");
    wait::until("both data planes eject", PATIENCE, || pool.ask_all(0) == 0);
    killed.elapsed()
}

#[test]
fn killed_endpoint_is_ejected_in_time_and_comes_back() {
    let probing = probing();
    let mut pool = Pool::start(&probing, "");
    let mut took = time_ejection(&mut pool);
    // A prober that stood still, on a machine that is busy with other things, abstains: try again.
    for _ in 0..3 {
        if !pool
            .fleet
            .control
            .process()
            .log()
            .contains("PROBER_SLIPPED")
        {
            break;
        }
        pool = Pool::start(&probing, "");
        took = time_ejection(&mut pool);
    }
    assert!(
        took <= probing.bound,
        "took {took:?}, allowed {:?}",
        probing.bound
    );
    let endpoints = pool.fleet.json("get endpoints").to_string();
    assert!(endpoints.contains("ejected"), "{endpoints}");

    pool.endpoints[0].restart();
    wait::until("it is back on both data planes", PATIENCE, || {
        pool.ask_all(0);
        let size = pool.endpoints[0].ask("DBSIZE");
        let status = pool.fleet.json("status");
        let is_calm = status["unhealthy_endpoints"]
            .as_array()
            .is_some_and(Vec::is_empty);
        size != ":0" && is_calm
    });
    assert_eq!(pool.ask_all(0), 0);
}

#[test]
fn ejection_outlives_the_control_plane() {
    let probing = probing();
    let mut pool = Pool::start(&probing, "");
    pool.endpoints[0].process().kill();
    wait::until("both data planes eject", PATIENCE, || pool.ask_all(0) == 0);
    pool.fleet.control.process().kill();
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
    let mut pool = Pool::start(&probing, "");
    pool.endpoints[0].process().kill();
    let killed = Instant::now();
    while killed.elapsed() < probing.bound + Duration::from_secs(1) {
        assert!(pool.ask_all(0) > 0);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn on_ejection_fail_keeps_keys_where_they_are() {
    let probing = Probing::new(500, 100, 100, 2);
    let mut pool = Pool::start(&probing, "on_ejection = \"fail\"");
    pool.endpoints[0].process().kill();
    wait::until("the ejection is shown", PATIENCE, || {
        pool.fleet
            .json("get endpoints")
            .to_string()
            .contains("ejected")
    });
    assert!(pool.ask_all(0) > 0, "no key was rehashed");
}

#[test]
fn locked_endpoint_is_a_configuration_error_and_no_ejection() {
    let probing = Probing::new(500, 100, 100, 2);
    let pool = Pool::start(&probing, "");
    assert_eq!(
        pool.endpoints[0].ask("CONFIG SET requirepass secret"),
        "+OK"
    );
    std::thread::sleep(probing.bound + Duration::from_secs(1));
    let Output { stdout, .. } = pool.fleet.control.ctl(&["get", "endpoints", "-o", "json"]);
    assert!(!stdout.contains("\"ejected\""), "{stdout}");
}

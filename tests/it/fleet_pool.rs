//! A pool of three endpoints in a fleet of two, Redis or Memcached: what tests of ejection and return stand on.

use std::time::Duration;

use prism_tests::{
    definitions, fleet::Fleet, is_long, memcached::Memcached, process::Process, raw::Raw,
    redis::Redis, wait,
};

/// Waits end as soon as their condition holds; a prober that slipped abstains for 30 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Keys of a pool.
const KEYS: usize = 60;

/// What an answer to a read says: a value, none, or an error in its words.
pub(crate) type Answer = Result<Option<String>, String>;

/// A real server as one shard of a pool.
pub(crate) trait Shard: Sized {
    /// Its name in a definition.
    const CACHE_TYPE: &'static str;
    /// What a write is answered.
    const STORED: &'static str;
    /// How an error of the proxy's begins that names an endpoint.
    const REFUSAL: &'static str;

    fn start() -> Self;
    fn addr(&self) -> String;
    fn process(&mut self) -> &mut Process;
    fn restart(&mut self);
    /// Writes a value and returns the answer.
    fn write(client: &mut Raw, key: &str, value: &str) -> String;
    fn read(client: &mut Raw, key: &str) -> Answer;
}

impl Shard for Memcached {
    const CACHE_TYPE: &'static str = "memcache";
    const STORED: &'static str = "STORED";
    const REFUSAL: &'static str = "SERVER_ERROR prism: endpoint ";

    fn start() -> Self {
        Self::start()
    }

    fn addr(&self) -> String {
        self.addr()
    }

    fn process(&mut self) -> &mut Process {
        self.process()
    }

    fn restart(&mut self) {
        self.restart();
    }

    fn write(client: &mut Raw, key: &str, value: &str) -> String {
        let len = value.len();
        client.send(format!("set {key} 0 0 {len}\r\n{value}\r\n").as_bytes());
        client.line().trim_end().to_owned()
    }

    fn read(client: &mut Raw, key: &str) -> Answer {
        client.send(format!("get {key}\r\n").as_bytes());
        let first = client.line();
        if first == "END\r\n" {
            return Ok(None);
        }
        if !first.starts_with("VALUE ") {
            return Err(first.trim_end().to_owned());
        }
        assert!(
            first.starts_with(&format!("VALUE {key} ")),
            "{first} for {key}"
        );
        let value = client.line().trim_end().to_owned();
        assert_eq!(client.line(), "END\r\n");
        Ok(Some(value))
    }
}

impl Shard for Redis {
    const CACHE_TYPE: &'static str = "redis";
    const STORED: &'static str = "+OK";
    const REFUSAL: &'static str = "-ERR prism: endpoint ";

    fn start() -> Self {
        Self::start()
    }

    fn addr(&self) -> String {
        self.addr()
    }

    fn process(&mut self) -> &mut Process {
        self.process()
    }

    fn restart(&mut self) {
        self.restart();
    }

    fn write(client: &mut Raw, key: &str, value: &str) -> String {
        client.ask(&format!("SET {key} {value}"))
    }

    fn read(client: &mut Raw, key: &str) -> Answer {
        let reply = client.ask(&format!("GET {key}"));
        match reply.split_once("\r\n") {
            Some((_, value)) => Ok(Some(value.to_owned())),
            None if reply == "$-1" => Ok(None),
            None => Err(reply),
        }
    }
}

/// Probe settings and the longest time from a kill to the last data plane's ejection that they allow.
pub(crate) struct Probing {
    pub(crate) lines: String,
    pub(crate) bound: Duration,
}

impl Probing {
    pub(crate) fn new(interval_ms: u64, again_ms: u64, timeout_ms: u64, failures: u64) -> Self {
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

    /// What most tests use: near the defaults where the test is long.
    pub(crate) fn usual() -> Self {
        if is_long() {
            Self::new(10_000, 1_000, 500, 3)
        } else {
            Self::new(1_000, 200, 200, 3)
        }
    }

    /// Decides soon.
    pub(crate) fn quick() -> Self {
        Self::new(500, 100, 100, 2)
    }
}

/// One pool of three shards, with keys of each.
pub(crate) struct Pool<S> {
    pub(crate) endpoints: Vec<S>,
    /// A client of each data plane.
    pub(crate) clients: Vec<Raw>,
    /// Keys and the shard that holds each.
    pub(crate) keys: Vec<(String, usize)>,
    round: usize,
}

impl<S: Shard> Pool<S> {
    /// Defines one in a fleet and fills it.
    pub(crate) fn start(fleet: &Fleet, name: &str, lines: &str) -> Self {
        let (listen, at) = fleet.listener();
        Self::start_at(fleet, (&listen, &at), name, lines)
    }

    /// Defines one that listens at a chosen place, which is where each data plane does, and fills it.
    pub(crate) fn start_at(
        fleet: &Fleet,
        (listen, at): (&str, &[String]),
        name: &str,
        lines: &str,
    ) -> Self {
        let endpoints: Vec<_> = (0..3).map(|_| S::start()).collect();
        fleet.apply(&define(&endpoints, name, listen, lines));
        let clients = at.iter().map(|listen| Raw::connect(listen)).collect();
        Self::fill(endpoints, clients)
    }

    /// Writes keys and looks where they are.
    pub(crate) fn fill(endpoints: Vec<S>, mut clients: Vec<Raw>) -> Self {
        let keys: Vec<_> = (0..KEYS)
            .map(|index| {
                let key = format!("{index}-key");
                assert_eq!(S::write(&mut clients[0], &key, "first"), S::STORED);
                let holds = |one: &S| direct(one, &key).is_some();
                let holder = endpoints.iter().position(holds);
                (key, holder.expect("an endpoint holds the key"))
            })
            .collect();
        let held = |endpoint| keys.iter().any(|(_, holder)| *holder == endpoint);
        assert!((0..3).all(held), "every endpoint holds keys");
        Self {
            endpoints,
            clients,
            keys,
            round: 0,
        }
    }

    /// The keys of one shard.
    pub(crate) fn keys_of(&self, shard: usize) -> Vec<String> {
        let held = self.keys.iter().filter(|(_, holder)| *holder == shard);
        held.map(|(key, _)| key.clone()).collect()
    }

    /// Writes every key on every data plane and answers how many writes to keys of `dead` failed.
    ///
    /// # Panics
    /// When a key of another shard failed, or is not where it was.
    pub(crate) fn ask_all(&mut self, dead: usize) -> usize {
        let mut failed = 0;
        for client in &mut self.clients {
            self.round += 1;
            let value = format!("round-{}", self.round);
            for (key, holder) in &self.keys {
                let reply = S::write(client, key, &value);
                if *holder == dead && reply != S::STORED {
                    assert!(reply.starts_with(S::REFUSAL), "{reply}");
                    failed += 1;
                    continue;
                }
                assert_eq!(reply, S::STORED, "{key} of endpoint {holder}");
            }
            for (key, holder) in self.keys.iter().filter(|(_, holder)| *holder != dead) {
                let held = direct(&self.endpoints[*holder], key);
                assert_eq!(held.as_ref(), Some(&value), "{key} has moved");
            }
        }
        failed
    }

    /// Whether all data planes take a write to a key of `dead`: one to a shard that does not answer takes long to fail.
    pub(crate) fn is_rehashed(&mut self, dead: usize) -> bool {
        let key = &self.keys_of(dead)[0];
        let clients = self.clients.iter_mut();
        let answers: Vec<_> = clients.map(|client| S::write(client, key, "new")).collect();
        answers.iter().all(|answer| answer == S::STORED)
    }

    /// Whether the keys of `shard` are on it again, on all data planes.
    pub(crate) fn is_back(&mut self, shard: usize) -> bool {
        let key = &self.keys_of(shard)[0];
        let round = &mut self.round;
        let endpoint = &self.endpoints[shard];
        self.clients.iter_mut().all(|client| {
            *round += 1;
            let value = format!("back-{round}");
            let is_stored = S::write(client, key, &value) == S::STORED;
            is_stored && direct(endpoint, key) == Some(value)
        })
    }
}

/// The definition of a pool.
pub(crate) fn define<S: Shard>(endpoints: &[S], name: &str, listen: &str, lines: &str) -> String {
    let servers: Vec<_> = endpoints
        .iter()
        .enumerate()
        .map(|(index, shard)| format!("{}:1 shard-{}", shard.addr(), index + 1))
        .collect();
    definitions::cluster(name, S::CACHE_TYPE, listen, &servers, lines)
}

/// Waits until endpoints may be ejected: the control plane knows its fleet then.
pub(crate) fn warm(fleet: &mut Fleet) {
    wait::until("the control plane is warm", Duration::from_secs(60), || {
        fleet.control.process().log().contains("WARMED_UP")
    });
}

/// What a shard itself says of a key.
pub(crate) fn direct<S: Shard>(shard: &S, key: &str) -> Option<String> {
    S::read(&mut Raw::connect(&shard.addr()), key).expect("a server answers")
}

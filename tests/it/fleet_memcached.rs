//! A Memcached shard dies and comes back under load: only its own keys notice, and no reply is another key's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use prism_tests::{fleet::Fleet, is_long, memcached::Memcached, raw::Raw, wait};

use crate::{
    fleet_pool::{Answer, PATIENCE, Pool, Probing, direct, warm},
    memcached_binary::{packet, reply},
};

/// Keys of each client.
const KEYS: usize = 30;
/// Writes and reads that travel together.
const DEPTH: usize = 12;
/// Between two batches of a client: unoptimised programs leave some of a small machine to what is tested.
const THINK: Duration = Duration::from_millis(10);
/// No shard is away.
const NONE: usize = usize::MAX;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Binary,
    Meta,
    Text,
}

impl Dialect {
    fn write(self, key: &str, value: &str, opaque: u32) -> Vec<u8> {
        let len = value.len();
        match self {
            Self::Binary => packet(0x01, &[0; 8], key, value.as_bytes(), opaque),
            Self::Meta => format!("ms {key} {len} k O{opaque}\r\n{value}\r\n").into_bytes(),
            Self::Text => format!("set {key} 0 0 {len}\r\n{value}\r\n").into_bytes(),
        }
    }

    fn read(self, key: &str, opaque: u32) -> Vec<u8> {
        match self {
            Self::Binary => packet(0x0c, &[], key, &[], opaque),
            Self::Meta => format!("mg {key} k v O{opaque}\r\n").into_bytes(),
            Self::Text => format!("get {key}\r\n").into_bytes(),
        }
    }

    /// Reads the answer to a write: `None` once it is stored.
    fn stored(self, client: &mut Raw, key: &str, opaque: u32) -> Answer {
        let line = match self {
            Self::Binary => return packet_answer(client, key, opaque).map(|_| None),
            Self::Meta | Self::Text => client.line(),
        };
        let is_stored = line == format!("HD k{key} O{opaque}\r\n") || line == "STORED\r\n";
        if is_stored { Ok(None) } else { refused(line) }
    }

    /// Reads the answer to a read.
    fn value(self, client: &mut Raw, key: &str, opaque: u32) -> Answer {
        if self == Self::Binary {
            return packet_answer(client, key, opaque);
        }
        let line = client.line();
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, echoed) = (format!("k{key}"), format!("O{opaque}"));
        let is_its_own = match words[..] {
            ["END"] => return Ok(None),
            ["EN", of, number] if of == name && number == echoed => return Ok(None),
            ["VALUE", of, "0", _] => of == key,
            ["VA", _, of, number] => of == name && number == echoed,
            _ => return refused(line),
        };
        assert!(is_its_own, "{line:?} for {key} O{opaque}");
        let value = client.line().trim_end().to_owned();
        if self == Self::Text {
            assert_eq!(client.line(), "END\r\n");
        }
        Ok(Some(value))
    }
}

/// Checks that a line is an error of the proxy's own.
fn refused(line: String) -> Answer {
    assert!(line.starts_with("SERVER_ERROR prism: "), "{line:?}");
    Err(line)
}

/// Reads a packet and checks that it answers this request.
fn packet_answer(client: &mut Raw, key: &str, opaque: u32) -> Answer {
    let packet = reply(client);
    assert_eq!(packet[12..16], opaque.to_be_bytes(), "for {key}");
    let (key_len, extras) = (usize::from(packet[3]), usize::from(packet[4]));
    let (name, rest) = packet[24 + extras..].split_at(key_len);
    assert!(name.is_empty() || name == key.as_bytes(), "for {key}");
    let text = String::from_utf8_lossy(rest).into_owned();
    match packet[7] {
        0 if packet[1] == 0x01 => Ok(None),
        0 => Ok(Some(text)),
        1 => Ok(None),
        _ => {
            assert!(text.contains("prism: "), "{text} for {key}");
            Err(text)
        }
    }
}

/// What the clients and the test tell each other.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// The shard whose keys may fail or be missed now.
    away: AtomicUsize,
    answered: AtomicUsize,
    /// Answers that were an error or a miss.
    spared: AtomicUsize,
}

/// One key.
#[derive(Debug)]
struct Key {
    name: String,
    /// Where it is.
    shard: usize,
    /// The newest value whose write was confirmed.
    confirmed: usize,
    /// Its shard was not away since then: it holds that value.
    is_sure: bool,
}

struct Client {
    dialect: Dialect,
    raw: Raw,
    keys: Vec<Key>,
    shared: Arc<Shared>,
}

impl Client {
    fn start(
        listen: &str,
        dialect: Dialect,
        shards: &[Memcached],
        shared: &Arc<Shared>,
    ) -> JoinHandle<()> {
        let mut client = Self {
            dialect,
            raw: Raw::connect(listen),
            keys: Vec::new(),
            shared: Arc::clone(shared),
        };
        for index in 0..KEYS {
            let name = format!("{dialect:?}-{listen}-{index}");
            client
                .raw
                .send(&dialect.write(&name, &format!("{name}=0"), 0));
            assert_eq!(dialect.stored(&mut client.raw, &name, 0), Ok(None));
            let shard = shards.iter().position(|one| direct(one, &name).is_some());
            client.keys.push(Key {
                name,
                shard: shard.expect("a shard holds it"),
                confirmed: 0,
                is_sure: true,
            });
        }
        thread::spawn(move || client.run())
    }

    fn run(mut self) {
        let mut round = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            round += 1;
            self.batch(round);
            if self.dialect == Dialect::Text {
                self.get_many(round);
            }
            thread::sleep(THINK);
        }
    }

    /// Reads some keys in one go, most of them just after they are written, and checks every answer.
    fn batch(&mut self, round: usize) {
        let before = self.shared.away.load(Ordering::SeqCst);
        let chosen: Vec<_> = (0..DEPTH).map(|at| (round * 7 + at) % KEYS).collect();
        let is_written = |key: usize| !(round + key).is_multiple_of(3);
        let opaque = |at: usize| u32::try_from(round * 100 + at).unwrap_or_default();
        let dialect = self.dialect;
        let mut bytes = Vec::new();
        for (at, &key) in chosen.iter().enumerate() {
            let name = &self.keys[key].name;
            if is_written(key) {
                bytes.extend(dialect.write(name, &format!("{name}={round}"), opaque(at)));
            }
            bytes.extend(dialect.read(name, opaque(at) + 50));
        }
        self.raw.send(&bytes);
        for (at, key) in chosen.into_iter().enumerate() {
            let is_written = is_written(key);
            let key = &mut self.keys[key];
            let stored = is_written.then(|| dialect.stored(&mut self.raw, &key.name, opaque(at)));
            let value = dialect.value(&mut self.raw, &key.name, opaque(at) + 50);
            let away = [before, self.shared.away.load(Ordering::SeqCst)];
            let is_away = away.contains(&key.shard);
            key.check_write(round, stored, is_away);
            let is_there = key.check_read(&value, round, is_away);
            self.shared
                .spared
                .fetch_add(usize::from(!is_there), Ordering::Relaxed);
            self.shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Key {
    /// Takes the answer to a write, if there was one; only a shard that is away may refuse it.
    fn check_write(&mut self, round: usize, stored: Option<Answer>, is_away: bool) {
        match stored {
            Some(Ok(_)) => {
                self.confirmed = round;
                self.is_sure = !is_away;
            }
            Some(Err(words)) => assert!(is_away, "{} of shard {}: {words}", self.name, self.shard),
            None => {}
        }
        self.is_sure &= !is_away;
    }

    /// Checks what is read of it, and returns whether it was there: never older than what was confirmed.
    fn check_read(&self, value: &Answer, round: usize, is_away: bool) -> bool {
        let (name, shard) = (&self.name, self.shard);
        match value {
            Ok(Some(value)) => {
                let (of, number) = value.split_once('=').expect("a value of ours");
                assert_eq!(of, name, "the value of another key");
                let number: usize = number.parse().expect("a number");
                let newest = if self.is_sure { self.confirmed } else { round };
                assert!(
                    (self.confirmed..=newest).contains(&number),
                    "{name} of shard {shard} is {number} after {}",
                    self.confirmed
                );
                true
            }
            Ok(None) => {
                assert!(!self.is_sure, "{name} of shard {shard} is missed");
                false
            }
            Err(words) => {
                assert!(is_away, "{name} of shard {shard}: {words}");
                false
            }
        }
    }
}

impl Client {
    /// Reads keys of all shards with one request: all of them, or an error when a shard is away.
    fn get_many(&mut self, round: usize) {
        let chosen: Vec<_> = (0..DEPTH)
            .map(|at| &self.keys[(round * 7 + at) % KEYS])
            .collect();
        let names: Vec<_> = chosen.iter().map(|key| key.name.as_str()).collect();
        let before = self.shared.away.load(Ordering::SeqCst);
        self.raw
            .send(format!("get {}\r\n", names.join(" ")).as_bytes());
        let mut found = Vec::new();
        let failure = loop {
            let line = self.raw.line();
            let Some((name, _)) = line
                .strip_prefix("VALUE ")
                .and_then(|rest| rest.split_once(' '))
            else {
                break (line != "END\r\n").then(|| refused(line));
            };
            let value = self.raw.line();
            assert!(value.starts_with(&format!("{name}=")), "{value} for {name}");
            found.push(name.to_owned());
        };
        let away = [before, self.shared.away.load(Ordering::SeqCst)];
        let is_away = |key: &Key| away.contains(&key.shard);
        if failure.is_some() {
            assert!(found.is_empty(), "an error is the whole answer");
            assert!(chosen.iter().any(|key| is_away(key)), "{failure:?}");
            return;
        }
        let is_expected = |key: &&&Key| {
            let may_miss = is_away(key) || !key.is_sure;
            !may_miss || found.contains(&key.name)
        };
        let expected: Vec<_> = chosen.iter().filter(is_expected).collect();
        let expected: Vec<_> = expected.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(found, expected, "in the order asked for");
    }
}

/// Clients of all dialects on all data planes.
struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(at: &[String], shards: &[Memcached]) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            away: AtomicUsize::new(NONE),
            answered: AtomicUsize::new(0),
            spared: AtomicUsize::new(0),
        });
        let dialects = [Dialect::Binary, Dialect::Meta, Dialect::Text];
        let clients = at
            .iter()
            .flat_map(|listen| dialects.map(|dialect| (listen, dialect)))
            .map(|(listen, dialect)| Client::start(listen, dialect, shards, &shared))
            .collect();
        Self { shared, clients }
    }

    /// Waits for more answers, or for a client to fail.
    fn wait_answered(&self, count: usize) {
        let goal = self.shared.answered.load(Ordering::Relaxed) + count;
        wait::until("the load goes on", wait::LIMIT, || {
            let answered = self.shared.answered.load(Ordering::Relaxed);
            answered >= goal || self.clients.iter().any(JoinHandle::is_finished)
        });
    }

    /// Says that the keys of a shard may fail from now on, or that none may.
    fn expect_away(&self, shard: usize) {
        self.shared.away.store(shard, Ordering::SeqCst);
    }

    fn finish(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("every answer was right");
        }
    }
}

#[test]
fn shard_that_dies_and_comes_back_under_load_costs_only_its_own_keys() {
    let mut fleet = Fleet::start(2);
    let lines = format!("{}\non_readmit = \"flush\"", Probing::quick().lines);
    let (listen, at) = fleet.listener();
    let mut pool = Pool::<Memcached>::start_at(&fleet, (&listen, &at), "pool", &lines);
    warm(&mut fleet);
    let load = Load::start(&at, &pool.endpoints);
    load.wait_answered(2_000);
    assert_eq!(load.shared.spared.load(Ordering::Relaxed), 0);
    // Each shard once: what others took over of one stays with them, and would be old the second time.
    let rounds = if is_long() { 3 } else { 1 };
    for shard in 0..rounds {
        load.expect_away(shard);
        // One is killed, and the next ones cut off: they come back with all they held.
        let is_killed = shard == 0;
        if is_killed {
            pool.endpoints[shard].process().kill();
        } else {
            pool.endpoints[shard].process().suspend();
        }
        wait::until("both data planes eject", PATIENCE, || {
            pool.is_rehashed(shard)
        });
        load.wait_answered(if is_long() { 20_000 } else { 2_000 });
        if is_killed {
            pool.endpoints[shard].restart();
        } else {
            pool.endpoints[shard].process().resume();
        }
        wait::until("it is back", PATIENCE, || pool.is_back(shard));
        load.expect_away(NONE);
        load.wait_answered(if is_long() { 20_000 } else { 2_000 });
    }
    let spared = load.shared.spared.load(Ordering::Relaxed);
    load.finish();
    assert!(spared > 0, "keys of the shard failed or were missed");
    assert_eq!(pool.ask_all(NONE), 0);
}

//! A bounded load of pipelined writes and reads in the background, which counts every failed request.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{raw::Raw, resp, wait};

/// No load runs longer, whatever its owner forgets.
const LONGEST: Duration = Duration::from_secs(300);

/// Failures whose texts are kept.
const KEPT: usize = 10;

/// Writes and reads that travel together.
const DEPTH: usize = 16;

/// Between two batches of a client, so that a load of unoptimised programs leaves some of a small machine to what is tested.
const THINK: Duration = Duration::from_millis(10);

/// What the clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Memcached text.
    Memcache,
    /// RESP2.
    Redis,
}

/// What a load has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were answered rightly.
    pub answered: usize,
    /// Requests that were not.
    pub failed: usize,
    /// The first failures.
    pub failures: Vec<String>,
}

/// Clients that write and read back, until told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts `clients` clients on each of `listeners`.
    ///
    /// # Panics
    /// When one cannot connect.
    pub fn start(listeners: &[(Dialect, String)], clients: usize) -> Self {
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut handles = Vec::new();
        for (at, (dialect, listen)) in listeners.iter().enumerate() {
            for number in 0..clients {
                let client = Client {
                    dialect: *dialect,
                    raw: Raw::connect(listen),
                    listen: listen.clone(),
                    prefix: format!("load-{at}-{number}"),
                };
                let (stop, answered) = (stop.clone(), answered.clone());
                handles.push(thread::spawn(move || client.run(&stop, &answered)));
            }
        }
        Self {
            stop,
            answered,
            clients: handles,
        }
    }

    /// Requests answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until `count` more requests are answered.
    ///
    /// # Panics
    /// When they are not after [`wait::LIMIT`].
    #[track_caller]
    pub fn wait_answered(&self, count: usize) {
        let goal = self.answered() + count;
        wait::until("the load goes on", wait::LIMIT, || self.answered() >= goal);
    }

    /// Stops the clients and adds up.
    ///
    /// # Panics
    /// When a client panicked.
    pub fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for client in self.clients {
            let tally = client.join().expect("a client does not panic");
            total.answered += tally.answered;
            total.failed += tally.failed;
            total.failures.extend(tally.failures);
        }
        total.failures.truncate(KEPT);
        total
    }

    /// Stops the clients.
    ///
    /// # Panics
    /// When one request failed, or none was answered.
    #[track_caller]
    pub fn finish_clean(self) -> usize {
        let tally = self.finish();
        assert_eq!(tally.failed, 0, "{:#?}", tally.failures);
        assert!(tally.answered > 0, "the load did something");
        tally.answered
    }
}

struct Client {
    dialect: Dialect,
    raw: Raw,
    listen: String,
    prefix: String,
}

impl Client {
    fn run(mut self, stop: &AtomicBool, answered: &AtomicUsize) -> Tally {
        let mut tally = Tally::default();
        let deadline = Instant::now() + LONGEST;
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
            round += 1;
            let before = tally.answered;
            if let Err(error) = self.batch(round, &mut tally) {
                tally.failed += 1;
                tally.note(format!("{} {}: {error}", self.listen, self.prefix));
                match Raw::open(&self.listen) {
                    Ok(raw) => self.raw = raw,
                    Err(_) => thread::sleep(Duration::from_millis(50)),
                }
            }
            answered.fetch_add(tally.answered - before, Ordering::Relaxed);
            thread::sleep(THINK);
        }
        tally
    }

    /// One batch of writes and reads; errors are those of the connection.
    fn batch(&mut self, round: usize, tally: &mut Tally) -> io::Result<()> {
        let keys: Vec<_> = (0..DEPTH)
            .map(|at| format!("{}-{}", self.prefix, (round + at) % 64))
            .collect();
        let bytes: Vec<u8> = keys.iter().flat_map(|key| self.requests(key)).collect();
        self.raw.try_send(&bytes)?;
        for key in &keys {
            for reply in [self.stored()?, self.value()?] {
                match fault(&reply, key) {
                    None => tally.answered += 1,
                    Some(fault) => {
                        tally.failed += 1;
                        tally.note(format!("{} {key}: {fault}", self.listen));
                    }
                }
            }
        }
        Ok(())
    }

    fn requests(&self, key: &str) -> Vec<u8> {
        match self.dialect {
            Dialect::Memcache => {
                let len = key.len();
                format!("set {key} 0 0 {len}\r\n{key}\r\nget {key}\r\n").into_bytes()
            }
            Dialect::Redis => [
                resp::command(&["SET", key, key]),
                resp::command(&["GET", key]),
            ]
            .concat(),
        }
    }

    fn stored(&mut self) -> io::Result<Vec<u8>> {
        match self.dialect {
            Dialect::Memcache => self.raw.take(line),
            Dialect::Redis => self.raw.try_reply(),
        }
    }

    fn value(&mut self) -> io::Result<Vec<u8>> {
        match self.dialect {
            Dialect::Memcache => self.raw.take(|bytes| {
                let first = line(bytes)?;
                let lines = if bytes.starts_with(b"VALUE ") { 2 } else { 0 };
                (0..lines).try_fold(first, |at, _| Some(at + line(&bytes[at..])?))
            }),
            Dialect::Redis => self.raw.try_reply(),
        }
    }
}

impl Tally {
    fn note(&mut self, failure: String) {
        if self.failures.len() < KEPT {
            self.failures.push(failure);
        }
    }
}

fn line(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .map(|at| at + 1)
}

/// What is wrong with a reply about `key`: it is neither stored, nor a miss (the key may have moved), nor the value.
fn fault(reply: &[u8], key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(reply);
    let is_fine = matches!(&*text, "+OK\r\n" | "STORED\r\n" | "$-1\r\n" | "END\r\n")
        || text.ends_with(&format!("\r\n{key}\r\n"))
        || text.ends_with(&format!("\r\n{key}\r\nEND\r\n"));
    (!is_fine).then(|| text.into_owned())
}

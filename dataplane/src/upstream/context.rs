//! What all tasks of one worker share: the clock, the scratch buffer, randomness.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::metrics::Registry;

/// Bytes taken from one connection per poll.
const SCRATCH: usize = 64 * 1024;

/// A point in time, in nanoseconds since the worker started.
pub type Nanos = u64;

/// The worker's clock: read once per batch, looked at as often as one likes.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    now: Cell<Nanos>,
}

impl Clock {
    /// Reads the time.
    pub fn read(&self) -> Nanos {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        self.now.set(now);
        now
    }

    /// Returns the time of the last reading.
    pub fn now(&self) -> Nanos {
        self.now.get()
    }

    /// Returns the instant that `at` stands for.
    pub fn instant(&self, at: Nanos) -> Instant {
        self.start + Duration::from_nanos(at)
    }
}

/// Shared by all tasks of a worker; never leaves its thread.
#[derive(Debug)]
pub struct WorkerContext {
    /// Number of the worker.
    pub index: usize,
    /// The worker's clock.
    pub clock: Clock,
    /// What one read fills; borrowed for the time of one poll.
    pub scratch: RefCell<Box<[u8]>>,
    build: RefCell<Vec<u8>>,
    /// Where counters are registered.
    pub registry: Arc<Registry>,
    random: Cell<u64>,
    clients: Cell<u64>,
}

/// Largest buffer kept for building requests, in bytes.
const MAX_BUILD: usize = 1024 * 1024;

/// Bits of a client's number that name the worker.
const WORKER_BITS: u32 = 10;

impl WorkerContext {
    /// Makes the context of worker `index`.
    pub fn new(index: usize, registry: Arc<Registry>) -> Self {
        let mut seed = [0; 8];
        // Without randomness from the OS jitter is the same at every start, which is harmless.
        let _ = getrandom::fill(&mut seed);
        Self {
            index,
            clock: Clock {
                start: Instant::now(),
                now: Cell::new(0),
            },
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            build: RefCell::default(),
            registry,
            random: Cell::new(u64::from_le_bytes(seed) | 1),
            clients: Cell::new(0),
        }
    }

    /// Lends an empty buffer to build one request in; nothing else may be built meanwhile.
    #[inline]
    pub fn with_build(&self, then: impl FnOnce(&mut Vec<u8>)) {
        let mut build = self.build.borrow_mut();
        build.clear();
        then(&mut build);
        if build.capacity() > MAX_BUILD {
            *build = Vec::new();
        }
    }

    /// Returns a number that no other client has; later clients of a worker have larger ones.
    pub fn next_client(&self) -> u64 {
        let count = self.clients.get() + 1;
        self.clients.set(count);
        count << WORKER_BITS | self.index as u64
    }

    /// Returns the next number of a xorshift sequence; for jitter, not for secrets.
    pub fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }
}

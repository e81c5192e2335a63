//! The load generator: one thread, any number of connections, closed or open loop.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    case::Pace,
    connection::Connection,
    poll::Poll,
    wire::{Dialect, Tally, Template},
};
use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use prism_tests::dice::Dice;

/// How long replies may take after the last request.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many connections ask for the first time at once: few, since a burst costs some proxies memory for good.
const WAVE: u64 = 16;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) addr: String,
    /// The keys that may be asked for there.
    pub(crate) keys: Arc<[u32]>,
}

/// One run of the generator.
#[derive(Clone, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) dialect: Dialect,
    /// Connections are spread over them evenly.
    pub(crate) targets: &'a [Target],
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) set_percent: u32,
    pub(crate) value_bytes: usize,
    pub(crate) length: Duration,
}

/// What a run showed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
    /// Nanoseconds from when a request was due to its reply.
    pub(crate) latency: Histogram<u64>,
}

/// Connections to the targets of a [`Load`], each of which has asked once.
pub(crate) struct Generator<'a> {
    load: &'a Load<'a>,
    get: Template,
    set: Template,
    poll: Poll,
    /// Connections with an event; kept to be filled again.
    ready: Vec<usize>,
    connections: Vec<Connection>,
    /// Bytes read, of whichever connection.
    scratch: Vec<u8>,
    dice: Dice,
    tally: Tally,
    latency: Histogram<u64>,
    begun: Instant,
    sent: u64,
}

impl<'a> Generator<'a> {
    /// Opens the connections of `load` and lets each ask once, so that a run does not pay for that.
    ///
    /// # Errors
    /// When a connection fails or replies are missing.
    pub(crate) fn connect(load: &'a Load<'a>) -> anyhow::Result<Self> {
        let mut generator = Self::open(load)?;
        generator.ask_once()?;
        Ok(generator)
    }

    /// Loads the targets for as long as the [`Load`] says, and waits for the last reply; idle connections do nothing.
    ///
    /// # Errors
    /// When a connection fails or replies are missing.
    pub(crate) fn run(mut self) -> anyhow::Result<Outcome> {
        self.sent = 0;
        self.tally = Tally::default();
        self.latency.reset();
        self.begun = Instant::now();
        match self.load.pace {
            Pace::Closed { depth } => self.run_closed(depth)?,
            Pace::Idle { .. } => {}
            Pace::Open { rate } => self.run_open(rate)?,
        }
        Ok(Outcome {
            elapsed: self.begun.elapsed(),
            tally: self.tally,
            latency: self.latency,
        })
    }

    /// The replies so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn open(load: &'a Load<'a>) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(load.connections);
        for at in 0..load.connections {
            let target = &load.targets[at % load.targets.len()];
            let connection = Connection::open(target, load.dialect)
                .with_context(|| format!("connection {at} to {}", target.addr))?;
            poll.watch(connection.stream(), at)?;
            connections.push(connection);
        }
        Ok(Self {
            load,
            get: Template::get(load.dialect),
            set: Template::set(load.dialect, load.value_bytes),
            poll,
            ready: Vec::new(),
            connections,
            scratch: vec![0; 256 * 1024],
            // The same for every peer, so that all see the same requests.
            dice: Dice::new(7),
            tally: Tally::default(),
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
            begun: Instant::now(),
            sent: 0,
        })
    }

    /// Every connection sends a batch, and the next one when all of it is answered, until time is up.
    fn run_closed(&mut self, depth: usize) -> anyhow::Result<()> {
        let end = nanos(self.load.length);
        for at in 0..self.connections.len() {
            self.send(at, depth, 0)?;
        }
        while self.tally.replies < self.sent {
            let ready = self.wait(end + nanos(PATIENCE))?;
            let now = self.now();
            for &at in &ready {
                self.receive(at, now)?;
                if self.connections[at].is_answered() && now < end {
                    self.send(at, depth, now)?;
                }
            }
            self.ready = ready;
        }
        Ok(())
    }

    /// Requests become due at random times, whoever has answered; latency counts from then.
    fn run_open(&mut self, rate: u32) -> anyhow::Result<()> {
        let end = nanos(self.load.length);
        let mut due = self.gap(rate);
        let mut next = 0;
        let mut armed = 0;
        while due < end || self.tally.replies < self.sent {
            if armed != due {
                let left = due.saturating_sub(self.now());
                self.poll.set_timer((due < end).then_some(left))?;
                armed = due;
            }
            let now = self.receive_ready(end + nanos(PATIENCE))?;
            while due <= now && due < end {
                self.send(next, 1, due)?;
                next = (next + 1) % self.connections.len();
                due += self.gap(rate);
            }
        }
        Ok(())
    }

    fn ask_once(&mut self) -> anyhow::Result<()> {
        for at in 0..self.connections.len() {
            self.send(at, 1, 0)?;
            let is_last = at + 1 == self.connections.len();
            let waiting = if is_last { 0 } else { WAVE };
            let limit = self.now() + nanos(PATIENCE);
            while self.sent - self.tally.replies > waiting {
                self.receive_ready(limit)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, at: usize, count: usize, due: u64) -> anyhow::Result<()> {
        let connection = &mut self.connections[at];
        for _ in 0..count {
            let is_set =
                self.load.set_percent > 0 && self.dice.below(100) < self.load.set_percent as usize;
            let template = if is_set { &self.set } else { &self.get };
            connection.push(template, &mut self.dice);
        }
        connection.expect(due, count);
        self.sent += count as u64;
        self.flush(at)
    }

    fn receive(&mut self, at: usize, now: u64) -> anyhow::Result<()> {
        self.flush(at)?;
        let connection = &mut self.connections[at];
        connection.read(&mut self.scratch, &mut self.tally, |due, count| {
            self.latency
                .saturating_record_n(now.saturating_sub(due).max(1), count as u64);
        })?;
        Ok(())
    }

    /// Writes what waits, and asks to be told of room only while something is left.
    fn flush(&mut self, at: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[at];
        if !connection.flush()? {
            return Ok(());
        }
        if connection.is_blocked() {
            self.poll.watch_room(connection.stream(), at)?;
        } else {
            self.poll.forget_room(connection.stream(), at)?;
        }
        Ok(())
    }

    /// Waits for replies until the time `limit`, takes them, and returns when they came.
    fn receive_ready(&mut self, limit: u64) -> anyhow::Result<u64> {
        let ready = self.wait(limit)?;
        let now = self.now();
        for &at in &ready {
            self.receive(at, now)?;
        }
        self.ready = ready;
        Ok(now)
    }

    /// Waits until the time `limit` for connections that have an event.
    fn wait(&mut self, limit: u64) -> anyhow::Result<Vec<usize>> {
        let mut ready = mem::take(&mut self.ready);
        ready.clear();
        let left = limit.saturating_sub(self.now());
        self.poll.wait(left, &mut ready)?;
        if left == 0 && ready.is_empty() {
            let missing = self.sent - self.tally.replies;
            bail!("{missing} of {} requests were not answered", self.sent);
        }
        Ok(ready)
    }

    /// Nanoseconds to the next arrival of a Poisson process.
    fn gap(&mut self, rate: u32) -> u64 {
        let share = (self.dice.below(1 << 30) + 1) as f64 / f64::from(1 << 30);
        (-share.ln() * 1e9 / f64::from(rate)) as u64
    }

    fn now(&self) -> u64 {
        nanos(self.begun.elapsed())
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

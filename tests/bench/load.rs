//! The load generator: one thread, any number of connections, closed or open loop.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use prism_tests::dice::Dice;
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec},
};

use crate::{
    case::Pace,
    connection::Connection,
    wire::{Dialect, Tally, Template},
};

/// How long replies may take after the last request.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many connections ask for the first time at once: few, since a burst costs some proxies memory for good.
const WAVE: u64 = 16;

/// Events taken at once, and the token of the timer among them.
const EVENTS: usize = 256;
const TIMER: u64 = u64::MAX;

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
    poll: OwnedFd,
    timer: OwnedFd,
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
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&poll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let mut connections = Vec::with_capacity(load.connections);
        for at in 0..load.connections {
            let target = &load.targets[at % load.targets.len()];
            let connection = Connection::open(target, load.dialect)
                .with_context(|| format!("connection {at} to {}", target.addr))?;
            let token = EventData::new_u64(at as u64);
            epoll::add(&poll, connection.stream(), token, EventFlags::IN)?;
            connections.push(connection);
        }
        Ok(Self {
            load,
            get: Template::get(load.dialect),
            set: Template::set(load.dialect, load.value_bytes),
            poll,
            timer,
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
        let mut events = Vec::with_capacity(EVENTS);
        while self.tally.replies < self.sent {
            self.wait(&mut events, end + nanos(PATIENCE))?;
            let now = self.now();
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                self.receive(at, now)?;
                if self.connections[at].is_answered() && now < end {
                    self.send(at, depth, now)?;
                }
            }
        }
        Ok(())
    }

    /// Requests become due at random times, whoever has answered; latency counts from then.
    fn run_open(&mut self, rate: u32) -> anyhow::Result<()> {
        let end = nanos(self.load.length);
        let mut due = self.gap(rate);
        let mut next = 0;
        let mut armed = 0;
        let mut events = Vec::with_capacity(EVENTS);
        while due < end || self.tally.replies < self.sent {
            if armed != due {
                self.set_timer((due < end).then_some(due))?;
                armed = due;
            }
            self.wait(&mut events, end + nanos(PATIENCE))?;
            let now = self.now();
            for event in events.drain(..) {
                if event.data.u64() != TIMER {
                    self.receive(event.data.u64() as usize, now)?;
                }
            }
            while due <= now && due < end {
                self.send(next, 1, due)?;
                next = (next + 1) % self.connections.len();
                due += self.gap(rate);
            }
        }
        Ok(())
    }

    fn ask_once(&mut self) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        for at in 0..self.connections.len() {
            self.send(at, 1, 0)?;
            let is_last = at + 1 == self.connections.len();
            let waiting = if is_last { 0 } else { WAVE };
            let limit = self.now() + nanos(PATIENCE);
            while self.sent - self.tally.replies > waiting {
                self.wait(&mut events, limit)?;
                let now = self.now();
                for event in events.drain(..) {
                    self.receive(event.data.u64() as usize, now)?;
                }
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
        let flags = if connection.is_blocked() {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        let token = EventData::new_u64(at as u64);
        epoll::modify(&self.poll, connection.stream(), token, flags)?;
        Ok(())
    }

    /// Waits for events until the time `limit`.
    fn wait(&mut self, events: &mut Vec<Event>, limit: u64) -> anyhow::Result<()> {
        let limit = limit.saturating_sub(self.now());
        let timeout = timespec(limit);
        match epoll::wait(
            &self.poll,
            rustix::buffer::spare_capacity(events),
            Some(&timeout),
        ) {
            Ok(0) if limit == 0 => {
                let missing = self.sent - self.tally.replies;
                bail!("{missing} of {} requests were not answered", self.sent)
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Wakes the generator at the time `until`, or not any more.
    fn set_timer(&self, until: Option<u64>) -> anyhow::Result<()> {
        let left = until.map_or(0, |until| until.saturating_sub(self.now()).max(1));
        let once = Itimerspec {
            it_interval: timespec(0),
            it_value: timespec(left),
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
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

fn timespec(nanos: u64) -> Timespec {
    Timespec {
        tv_sec: (nanos / 1_000_000_000) as i64,
        tv_nsec: (nanos % 1_000_000_000) as _,
    }
}

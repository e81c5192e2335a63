//! Waiting for many sockets and for a time, on epoll.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    io::{Errno, Result},
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec},
};

/// Events taken at once.
const EVENTS: usize = 256;

/// The token of the timer among those of sockets.
const TIMER: u64 = u64::MAX;

/// Sockets by number, and one timer: unlike a timeout of epoll it is exact to the microsecond.
pub(crate) struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// Watches nothing yet.
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            timer,
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Watches `socket` for bytes to read.
    pub(crate) fn watch(&self, socket: impl AsFd, number: usize) -> Result<()> {
        let token = EventData::new_u64(number as u64);
        epoll::add(&self.epoll, socket, token, EventFlags::IN)
    }

    /// Watches `socket` for bytes to read and for room to write.
    pub(crate) fn watch_room(&self, socket: impl AsFd, number: usize) -> Result<()> {
        let token = EventData::new_u64(number as u64);
        epoll::modify(&self.epoll, socket, token, EventFlags::IN | EventFlags::OUT)
    }

    /// Watches `socket` for bytes to read only, after [`Poll::watch_room`].
    pub(crate) fn forget_room(&self, socket: impl AsFd, number: usize) -> Result<()> {
        let token = EventData::new_u64(number as u64);
        epoll::modify(&self.epoll, socket, token, EventFlags::IN)
    }

    /// Ends a [`Poll::wait`] in so many nanoseconds, once; `None` lets it wait.
    pub(crate) fn set_timer(&self, nanos: Option<u64>) -> Result<()> {
        let once = Itimerspec {
            it_interval: timespec(0),
            it_value: timespec(nanos.map_or(0, |nanos| nanos.max(1))),
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Waits for events, `nanos` at most, and puts the numbers of the sockets that have one in `ready`.
    pub(crate) fn wait(&mut self, nanos: u64, ready: &mut Vec<usize>) -> Result<()> {
        let timeout = timespec(nanos);
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let tokens = self.events.drain(..).map(|event| event.data.u64());
        ready.extend(
            tokens
                .filter(|&token| token != TIMER)
                .map(|token| token as usize),
        );
        Ok(())
    }
}

fn timespec(nanos: u64) -> Timespec {
    Timespec {
        tv_sec: (nanos / 1_000_000_000) as i64,
        tv_nsec: (nanos % 1_000_000_000) as _,
    }
}

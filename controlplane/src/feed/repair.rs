//! When what a data plane reports differs from what it was sent: ask it what it holds, then send everything.

use std::time::Duration;

/// How long a data plane may take to answer a resync; with a heartbeat of 10 s a mismatch is repaired within 15 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// Mismatches after which a full push is only repeated once every so many.
const PATIENCE: u32 = 6;

/// What the feed does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send everything.
    Full,
    /// Send what is dirty.
    Go,
    /// Ask for a resume.
    Resync,
    /// Send nothing: the answer to a resync is on its way.
    Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Steady,
    Due(Step),
    Asked {
        until: Duration,
    },
}

/// Repairs a data plane that holds something else than it was sent.
#[derive(Debug, Default)]
pub(super) struct Repair {
    state: State,
    mismatches: u32,
}

impl Repair {
    /// Learns whether the digest is the expected one.
    pub(super) fn compare(&mut self, is_equal: bool, now: Duration) {
        if is_equal {
            *self = Self::default();
            return;
        }
        if matches!(self.state, State::Asked { until } if now < until) {
            return;
        }
        self.mismatches += 1;
        self.state = match self.mismatches {
            1 => State::Due(Step::Resync),
            count if count == 2 || count % PATIENCE == 0 => State::Due(Step::Full),
            _ => State::Steady,
        };
    }

    /// Learns that a resume came.
    pub(super) fn resumed(&mut self) {
        self.state = State::Steady;
    }

    pub(super) fn poll(&mut self, now: Duration) -> Step {
        match self.state {
            State::Steady => Step::Go,
            State::Due(Step::Resync) => {
                self.state = State::Asked {
                    until: now + ANSWER_LIMIT,
                };
                Step::Resync
            }
            State::Due(step) => {
                self.state = State::Steady;
                step
            }
            State::Asked { until } if now < until => Step::Wait,
            State::Asked { .. } => {
                self.mismatches += 1;
                self.state = State::Steady;
                Step::Full
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Asked { until } => Some(until),
            State::Due(_) | State::Steady => None,
        }
    }
}

//! Emptying an ejected endpoint before it returns: asked for once it may return, and again with the next probe.

use std::time::{Duration, Instant};

/// How long an answer counts: an endpoint must return by then, or be emptied again.
const HOLDS: Duration = Duration::from_secs(2);

/// How far the emptying of one ejected endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Emptying {
    state: State,
    /// The newest probe when it was last tried.
    tried: Option<Instant>,
    /// Why it failed; empty when it did not.
    pub(super) error: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    Asked,
    Done(Instant),
    #[default]
    Idle,
    Wanted,
}

impl Emptying {
    /// Whether it was emptied just now.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        matches!(self.state, State::Done(at) if now.saturating_duration_since(at) <= HOLDS)
    }

    /// Asks for it, at most once for each probe; `heard` is the newest one.
    pub(super) fn want(&mut self, heard: Option<Instant>) {
        let is_free = matches!(self.state, State::Done(_) | State::Idle);
        if is_free && heard > self.tried {
            self.state = State::Wanted;
        }
    }

    /// Whether it is to be begun.
    pub(super) fn is_wanted(&self) -> bool {
        self.state == State::Wanted
    }

    /// Notes that it was begun.
    pub(super) fn began(&mut self, heard: Option<Instant>) {
        self.state = State::Asked;
        self.tried = heard;
    }

    /// Notes what came of it; returns what went wrong if that is news.
    pub(super) fn ended(&mut self, result: Result<(), String>, now: Instant) -> Option<String> {
        let Err(error) = result else {
            self.state = State::Done(now);
            self.error.clear();
            return None;
        };
        self.state = State::Idle;
        let is_news = self.error != error;
        self.error.clone_from(&error);
        is_news.then_some(error)
    }
}

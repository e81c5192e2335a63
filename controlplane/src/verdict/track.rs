//! One endpoint: what probes said of it, and how long it is out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prism_proto::model::Probing;

use super::{Outcome, Passive, Probe, emptying::Emptying, passive::Reports};

/// The first ejection time; each further ejection adds as much.
const EJECTION: Duration = Duration::from_secs(15);
/// The longest ejection time.
const MAX_EJECTION: Duration = Duration::from_secs(300);
/// How long an endpoint must be in use to count as new to ejections.
const CALM: Duration = Duration::from_secs(300);
/// At most [`MAX_CHANGES`] changes of what is pushed are made in this time.
const CHANGES_WITHIN: Duration = Duration::from_secs(60);
const MAX_CHANGES: usize = 2;
/// How long a withdrawn ejection is not tried again, unless a data plane sees failures.
const VETO_HOLD: Duration = Duration::from_secs(30);

/// What data planes are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// Not to be used.
    Ejected,
    /// To be used.
    Healthy,
    /// Nothing is known yet: used.
    #[default]
    Unknown,
    /// To be used, but reads go elsewhere.
    Warming,
}

/// The state of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Track {
    last_started: Option<Instant>,
    in_flight: bool,
    /// When the newest finished probe was begun.
    pub(super) heard: Option<Instant>,
    /// Finished probes, up to a few.
    pub(super) rounds: u32,
    /// A data plane failed to connect: probe at once.
    wanted: bool,
    pub(super) failures: u32,
    /// When the first probe of the failures was begun.
    pub(super) failing_since: Option<Instant>,
    successes: u32,
    answering_since: Option<Instant>,
    pub(super) outcome: Option<Outcome>,
    pub(super) ejection: Option<Ejection>,
    /// Of the ejection in force.
    pub(super) emptying: Emptying,
    ejections: u32,
    readmitted_at: Option<Instant>,
    vetoed_at: Option<Instant>,
    pub(super) shown: Shown,
    /// The newest changes of `shown`; at most [`MAX_CHANGES`].
    changes: Vec<Instant>,
    pub(super) reports: Reports,
}

/// An ejection in force.
#[derive(Clone, Debug)]
pub(super) struct Ejection {
    pub(super) at: Instant,
    pub(super) until: Instant,
    /// A data plane that refused it; told once.
    pub(super) refused_by: Option<Arc<str>>,
}

impl Track {
    /// When the next probe is due; none while one is on its way. `doubt` is when a sibling began to fail.
    pub(super) fn due(&self, probing: &Probing, doubt: Option<Instant>) -> Option<Instant> {
        if self.in_flight {
            return None;
        }
        let last = self.last_started?;
        if doubt.is_some_and(|since| last < since) {
            return Some(last);
        }
        let quick = last + probing.succ_interval.min(probing.interval);
        Some(if self.is_quick() {
            quick
        } else {
            last + probing.interval
        })
    }

    /// Whether no probe was begun yet.
    pub(super) fn is_new(&self) -> bool {
        self.last_started.is_none()
    }

    fn is_quick(&self) -> bool {
        let is_in_doubt = self.wanted || self.failures > 0 || self.ejection.is_some();
        is_in_doubt || self.rounds < 2 || self.outcome == Some(Outcome::Warming)
    }

    pub(super) fn started(&mut self, now: Instant) {
        self.last_started = Some(now);
        self.in_flight = true;
        self.wanted = false;
    }

    /// Forgets a probe that will not be finished.
    pub(super) fn abandoned(&mut self) {
        self.in_flight = false;
    }

    pub(super) fn probed(&mut self, probe: Probe) {
        self.in_flight = false;
        self.heard = Some(probe.started);
        self.rounds = self.rounds.saturating_add(1).min(8);
        match &probe.outcome {
            Outcome::Failed(_) => {
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(probe.started);
                self.stop_answering();
            }
            Outcome::Warming => {
                self.stop_failing();
                self.stop_answering();
            }
            Outcome::Misconfigured(_) | Outcome::Ok | Outcome::RoleChanged(_) => {
                self.stop_failing();
                self.successes = self.successes.saturating_add(1);
                self.answering_since.get_or_insert(probe.ended);
            }
        }
        self.outcome = Some(probe.outcome);
    }

    fn stop_failing(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.vetoed_at = None;
        if self.ejection.is_none() {
            self.reports.settle();
        }
    }

    fn stop_answering(&mut self) {
        self.successes = 0;
        self.answering_since = None;
    }

    pub(super) fn reported(&mut self, passive: &Passive) {
        let ejected_at = self.ejection.as_ref().map(|ejection| ejection.at);
        self.reports
            .take(passive, self.failing_since.or(ejected_at));
        self.wanted |= passive.connect_failures > 0;
    }

    /// Whether probes say that it is down.
    pub(super) fn is_down(&self, probing: &Probing) -> bool {
        probing.fail_limit > 0 && self.failures >= probing.fail_limit
    }

    /// Whether it does not count as healthy.
    pub(super) fn is_unhealthy(&self, probing: &Probing) -> bool {
        self.ejection.is_some() || self.is_down(probing)
    }

    /// What the last probe said against it; empty when nothing.
    pub(super) fn error(&self) -> String {
        match &self.outcome {
            Some(Outcome::Ok) if !self.emptying.error.is_empty() => {
                format!("it could not be emptied: {}", self.emptying.error)
            }
            Some(outcome) => outcome.complaint().into(),
            None => String::new(),
        }
    }

    /// Since when it fails without being decided on.
    pub(super) fn doubted_since(&self, probing: &Probing) -> Option<Instant> {
        let is_undecided = self.ejection.is_none() && self.failures <= probing.fail_limit;
        self.failing_since.filter(|_| is_undecided)
    }

    /// Whether what is pushed may change: at most twice a minute.
    pub(super) fn may_change(&self, now: Instant) -> bool {
        let oldest = self
            .changes
            .first()
            .filter(|_| self.changes.len() == MAX_CHANGES);
        oldest.is_none_or(|&at| now.duration_since(at) >= CHANGES_WITHIN)
    }

    /// Whether a veto is too fresh to try again.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.vetoed_at.is_some_and(|at| {
            let is_contradicted = self.reports.failed_at().is_some_and(|failed| failed > at);
            now.duration_since(at) < VETO_HOLD && !is_contradicted
        })
    }

    /// Ejects it; `jitter` is from 0 to 1. Returns the least time it stays out.
    pub(super) fn eject(&mut self, now: Instant, jitter: f64) -> Duration {
        let is_calm = self
            .readmitted_at
            .is_none_or(|at| now.duration_since(at) >= CALM);
        self.ejections = if is_calm {
            1
        } else {
            self.ejections.saturating_add(1)
        };
        let time = EJECTION.saturating_mul(self.ejections).min(MAX_EJECTION);
        let time = time.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        self.stop_answering();
        self.ejection = Some(Ejection {
            at: now,
            until: now + time,
            refused_by: None,
        });
        time
    }

    /// Whether it has answered for long enough, and has been out for long enough.
    ///
    /// A flapping endpoint also stays out for a minute, so that the next ejection need not wait for its turn to be pushed.
    pub(super) fn may_return(&self, probing: &Probing, now: Instant) -> bool {
        let Some(ejection) = &self.ejection else {
            return false;
        };
        if probing.fail_limit == 0 {
            return true;
        }
        let is_answering = self.successes >= probing.succ_limit
            && self
                .answering_since
                .is_some_and(|since| now.duration_since(since) >= probing.succ_window);
        let is_flapping = self.ejections > 1;
        let is_quiet = !is_flapping || now.duration_since(ejection.at) >= CHANGES_WITHIN;
        is_answering && now >= ejection.until && is_quiet && self.may_change(now)
    }

    pub(super) fn readmit(&mut self, now: Instant) {
        self.ejection = None;
        self.emptying = Emptying::default();
        self.readmitted_at = Some(now);
        self.reports.settle();
    }

    /// Takes an ejection back, as if it had not been.
    pub(super) fn withdraw(&mut self, now: Instant) {
        self.ejection = None;
        self.emptying = Emptying::default();
        self.ejections = self.ejections.saturating_sub(1);
        self.vetoed_at = Some(now);
    }

    /// Decides what is pushed; a change waits when there were too many.
    pub(super) fn show(&mut self, is_suspended: bool, now: Instant) {
        let wanted = match (&self.ejection, &self.outcome) {
            (Some(_), _) if !is_suspended => Shown::Ejected,
            (None, None) => Shown::Unknown,
            (_, Some(Outcome::Warming)) => Shown::Warming,
            _ => Shown::Healthy,
        };
        if wanted == self.shown {
            return;
        }
        // To be unknown and to be healthy are the same to a data plane: nothing flaps.
        if self.shown != Shown::Unknown || wanted != Shown::Healthy {
            if !self.may_change(now) {
                return;
            }
            if self.changes.len() == MAX_CHANGES {
                self.changes.remove(0);
            }
            self.changes.push(now);
        }
        self.shown = wanted;
    }
}

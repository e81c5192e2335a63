//! Outlier detection: one endpoint's way out of use and back.
//!
//! ```text
//!  in use ── a failure ──> in doubt ── `fail_limit` failed probes in a row ──> ejected
//!     ↑                       │ a success                                         │
//!     └───────────────────────┴──── `succ_limit` successes over `succ_window` ────┘
//! ```

use std::time::Duration;

use prism_proto::model::Probing;

/// What probes and traffic say of one endpoint. Times are those of any one clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detector {
    state: State,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    Doubt {
        failures: u32,
    },
    Ejected {
        successes: u32,
        first_success: Duration,
    },
    #[default]
    InUse,
}

impl Detector {
    /// Notes that traffic failed: the endpoint is to be probed.
    pub fn suspect(&mut self) {
        if self.state == State::InUse {
            self.state = State::Doubt { failures: 0 };
        }
    }

    /// Notes a failed probe; returns whether the endpoint is due for ejection. `fail_limit = 0` never ejects.
    pub fn failed(&mut self, probing: &Probing) -> bool {
        match &mut self.state {
            State::InUse => self.state = State::Doubt { failures: 1 },
            State::Doubt { failures } => *failures = failures.saturating_add(1),
            State::Ejected { successes, .. } => *successes = 0,
        }
        matches!(self.state, State::Doubt { failures } if probing.fail_limit > 0 && failures >= probing.fail_limit)
    }

    /// Notes a successful probe; returns whether the endpoint came back into use by it.
    pub fn succeeded(&mut self, now: Duration, probing: &Probing) -> bool {
        let is_back = self.is_due_back(now, probing);
        match &mut self.state {
            State::InUse => {}
            State::Doubt { .. } => self.state = State::InUse,
            State::Ejected { .. } if is_back => self.state = State::InUse,
            State::Ejected {
                successes,
                first_success,
            } => {
                if *successes == 0 {
                    *first_success = now;
                }
                *successes = successes.saturating_add(1);
            }
        }
        is_back
    }

    /// Returns whether one more success would bring the endpoint back into use.
    pub fn is_due_back(&self, now: Duration, probing: &Probing) -> bool {
        let State::Ejected {
            successes,
            first_success,
        } = &self.state
        else {
            return false;
        };
        let since = if *successes == 0 { now } else { *first_success };
        successes.saturating_add(1) >= probing.succ_limit && now - since >= probing.succ_window
    }

    /// Takes the endpoint out of use.
    pub fn eject(&mut self) {
        if !self.is_ejected() {
            self.state = State::Ejected {
                successes: 0,
                first_success: Duration::ZERO,
            };
        }
    }

    /// Puts the endpoint back into use, whatever was seen.
    pub fn reset(&mut self) {
        self.state = State::InUse;
    }

    /// Returns whether the endpoint is out of use.
    pub fn is_ejected(&self) -> bool {
        matches!(self.state, State::Ejected { .. })
    }

    /// Returns whether the endpoint is to be probed.
    pub fn wants_probe(&self) -> bool {
        self.state != State::InUse
    }
}

/// Returns whether one more of `total` endpoints may be ejected when `ejected` are.
///
/// At most `max_ejection_percent`, rounded up and at least 1; never so that fewer than half stay, unless `no_panic`.
pub fn may_eject(total: usize, ejected: usize, probing: &Probing) -> bool {
    let percent = probing.max_ejection_percent as usize;
    let most = (total * percent).div_ceil(100).max(1);
    let is_panic = (total - ejected - 1) * 2 < total && total > 1 && ejected > 0;
    ejected < most && (probing.no_panic || !is_panic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_proto::model::{OnEjection, OnReadmit};

    const PROBING: Probing = Probing {
        fail_limit: 3,
        interval: Duration::from_secs(10),
        succ_interval: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
        succ_limit: 5,
        succ_window: Duration::from_secs(10),
        on_ejection: OnEjection::Rehash,
        on_readmit: OnReadmit::Trust,
        max_ejection_percent: 10,
        no_panic: false,
    };

    #[test]
    fn endpoint_is_due_for_ejection_after_consecutive_failed_probes() {
        let mut detector = Detector::default();
        detector.suspect();
        assert!(!detector.failed(&PROBING) && !detector.failed(&PROBING));
        detector.succeeded(Duration::ZERO, &PROBING);
        assert!(!detector.wants_probe(), "one success ends the doubt");
        assert!(!detector.failed(&PROBING) && !detector.failed(&PROBING));
        assert!(detector.failed(&PROBING));
        let never = Probing {
            fail_limit: 0,
            ..PROBING
        };
        assert!(!detector.failed(&never));
    }

    #[test]
    fn endpoint_returns_after_enough_successes_over_the_window() {
        let mut detector = Detector::default();
        detector.eject();
        for second in 0..10 {
            assert!(
                !detector.succeeded(Duration::from_secs(second), &PROBING),
                "second {second}"
            );
        }
        assert!(detector.succeeded(Duration::from_secs(10), &PROBING));
        detector.eject();
        for second in 20..29 {
            detector.succeeded(Duration::from_secs(second), &PROBING);
        }
        detector.failed(&PROBING);
        assert!(
            !detector.succeeded(Duration::from_secs(31), &PROBING),
            "a failure starts the count anew"
        );
    }

    #[test]
    fn ejections_are_bounded() {
        for (total, ejected, allowed) in [
            (1, 0, true),
            (2, 0, true),
            (2, 1, false),
            (3, 0, true),
            (10, 0, true),
            (10, 1, false),
            (11, 1, true),
            (50, 4, true),
            (50, 5, false),
        ] {
            assert_eq!(
                may_eject(total, ejected, &PROBING),
                allowed,
                "{ejected} of {total}"
            );
        }
        let all = Probing {
            max_ejection_percent: 100,
            ..PROBING
        };
        assert!(
            may_eject(4, 1, &all) && !may_eject(4, 2, &all),
            "half must stay"
        );
        let twemproxy = Probing {
            no_panic: true,
            ..all
        };
        assert!(may_eject(4, 3, &twemproxy));
    }
}

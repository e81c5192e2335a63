//! What verdicts are made of: probes of our own, and what data planes saw.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What one probe says of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer, or none that an endpoint in service gives; the text says what happened.
    Failed(String),
    /// It answers but refuses us (NOAUTH, WRONGPASS): a matter of configuration, never an ejection.
    Misconfigured(String),
    /// It answers as it should.
    Ok,
    /// It answers but is not what it was (READONLY, MASTERDOWN): a reason to look at the topology, never an ejection.
    RoleChanged(String),
    /// It answers LOADING.
    Warming,
}

impl Outcome {
    /// What it says against the endpoint; empty when nothing.
    pub fn complaint(&self) -> &str {
        match self {
            Self::Failed(error) | Self::Misconfigured(error) | Self::RoleChanged(error) => error,
            Self::Ok => "",
            Self::Warming => "it is loading its data",
        }
    }
}

/// One finished probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it was begun.
    pub started: Instant,
    /// When it was over.
    pub ended: Instant,
    /// What it says.
    pub outcome: Outcome,
}

/// What one data plane saw of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passive {
    /// The data plane.
    pub dataplane: Arc<str>,
    /// When its report arrived.
    pub at: Instant,
    /// The time before `at` that the counts cover.
    pub window: Duration,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed by the endpoint's fault.
    pub errors: u64,
    /// Connects that failed.
    pub connect_failures: u64,
    /// The data plane refuses the ejection, for its own requests succeed.
    pub vetoed: bool,
}

impl Passive {
    /// When the counted time began.
    pub(super) fn began(&self) -> Instant {
        self.at.checked_sub(self.window).unwrap_or(self.at)
    }

    /// Whether nothing got through.
    pub(super) fn is_failure(&self) -> bool {
        self.connect_failures > 0 || (self.errors > 0 && self.errors >= self.requests)
    }

    /// Whether something got through and nothing speaks against it.
    pub(super) fn is_success(&self) -> bool {
        self.requests > self.errors && self.connect_failures == 0
    }
}

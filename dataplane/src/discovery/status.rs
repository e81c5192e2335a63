//! How this data plane stands to its control plane, for people and probes.

use std::sync::{Arc, Mutex, PoisonError};

/// How what is served stands to what should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// A definitions file is served; there is no control plane.
    Alone,
    /// A control plane is connected and everything it sent is in service.
    Current,
    /// The control plane that answers belongs to another fleet.
    Foreign,
    /// No control plane confirms what is served.
    #[default]
    Stale,
}

impl Sync {
    /// Returns the word people are shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Current => "current",
            Self::Foreign => "foreign_fleet",
            Self::Stale => "stale",
        }
    }
}

/// What is known about this data plane as a whole.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How it stands.
    pub sync: Sync,
    /// The fleet it belongs to; empty when none.
    pub fleet_id: String,
    /// Epoch of the state in service.
    pub epoch: u64,
    /// Revision of the state in service.
    pub revision: u64,
    /// The control plane that is connected.
    pub control: Option<String>,
    /// Whether there is something to serve, even if it is nothing by intent.
    pub is_ready: bool,
    /// Whether the process is ending.
    pub is_draining: bool,
    /// Why the last apply or stream failed; empty when it did not.
    pub last_error: String,
}

/// Facts shared between the control thread's tasks and the admin pages.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<Facts>>);

impl Status {
    /// Returns the facts as they are now.
    pub fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// Tells whether there is something to serve.
    pub fn is_ready(&self) -> bool {
        self.lock().is_ready
    }

    /// Changes them.
    pub fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

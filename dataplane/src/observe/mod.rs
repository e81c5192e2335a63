//! What is known of clients and of slow requests, and how the workers of one data plane tell each other.
//!
//! Knows nothing of connections upstream or of sockets. Each worker keeps records of its own clients; an [`Exchange`]
//! carries questions to all workers that serve a cluster and brings their answers.

mod clients;
mod exchange;
mod filter;
mod pause;
mod record;
mod slow;

pub use clients::Clients;
pub use exchange::{Answer, AskError, Exchange, Letter, Listed, Question};
pub use filter::{ClientKind, Filter};
pub use pause::{Pause, PauseKind};
pub use record::{Record, Travel};
pub use slow::{SlowEntry, SlowLog};

/// What one worker knows of one cluster's clients.
#[derive(Debug, Default)]
pub struct Observer {
    /// Its clients.
    pub clients: std::cell::RefCell<Clients>,
    /// Whether clients are to wait.
    pub pause: Pause,
    /// Requests that took long.
    pub slow: SlowLog,
}

//! The control way in: the stream of desired state, what goes back on it, and the last good state on disk.
//!
//! Reading order: `held` (what is in service), `push` (chunks to one push), `change` (a push checked against what is
//! held), `follower` (the stream as a state machine), `watch` (its I/O), `report`, `last_good`.
//!
//! It does not know workers or listeners: what a push changes is handed to the server as a [`Change`], and the server's
//! [`Outcome`] comes back.

mod backoff;
mod change;
mod follower;
mod guard;
mod health;
mod held;
pub mod last_good;
mod push;
mod report;
mod status;
mod watch;

#[cfg(test)]
mod tests;

pub use change::{Change, Outcome};
pub use follower::{Effect, Follower, Identity, StreamError};
pub use health::Health;
pub use held::{CLUSTERS, Held, HeldResource, PEERS, SLOT_MAPS};
pub use report::Reporter;
pub use status::{Facts, Status, Sync};
pub use watch::{Event, Order, Watch};

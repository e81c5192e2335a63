//! One endpoint: its connections, how they are opened, and what is queued on them.
//!
//! Knows nothing of clusters, slots or redirects: whoever drives a [`Connection`] decides what a reply means.

mod backoff;
mod connect;
mod connection;
mod context;
mod decoder;
mod ejection;
mod flush;
mod handshake;
mod kind;
mod lease;
mod memcached;
mod pending;
mod probe;
mod stream;
mod subscription;

pub use backoff::Backoff;
pub use connect::{ConnectError, Dial, set_options};
pub use connection::Connection;
pub use context::{Clock, Nanos, WorkerContext};
pub use ejection::{Detector, may_eject};
pub use flush::{FlushError, flush};
pub use handshake::{Handshake, Login};
pub use kind::Kind;
pub use lease::Lease;
pub use pending::{
    Bounds, Expect, Get, Loss, Pending, QueueLimits, Refusal, Target, Unsent, Wire, nanos,
};
pub use probe::{ask, probe};
pub use stream::Stream;
pub use subscription::{Family, Notice, Subscription};

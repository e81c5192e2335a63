//! Clients: listeners, sessions, and what the proxy answers itself.
//!
//! A session reads a batch, hands each request to its cluster, and writes the replies that are next in order.

mod apart;
mod binary;
mod blocking;
mod broadcast;
mod detect;
mod explain;
mod gate;
mod keyless;
mod listener;
mod local;
mod memcache;
mod publish;
mod redis;
mod sasl;
mod scan;
mod session;
mod standing;
mod stats;
mod subscriber;
mod swallow;
mod together;
mod transaction;
mod unknown;
mod wait;

pub use listener::{ListenSocket, Listener};
pub use session::{Next, Protocol, Session};

#[cfg(test)]
mod tests;

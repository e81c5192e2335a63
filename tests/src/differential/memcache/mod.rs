//! Memcached: text, meta and binary requests of several clients, through a pool.
//!
//! A world has some clients, each of one protocol, and some keys. Its rounds are batches of requests, of one client over all
//! keys or of all clients at once over keys of their own, cut anywhere. Both sides hear the same bytes but for numbers that
//! each counts for itself, and for what the proxy refuses by design. What may differ is named in [`rules`].

mod answer;
mod binary;
mod classic;
mod draw;
mod history;
mod learned;
mod meta;
mod request;
pub mod rules;
mod run;
mod sides;
mod tally;

pub use run::{OPTIONS, Plan, names, run};
pub use tally::Tally;

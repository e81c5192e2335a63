//! Redis: commands made from forms, through a pool or a Redis Cluster.
//!
//! A world has a few keys of every type, a hash tag or several and a dialect; its commands are made from the [`form`]s and
//! spoiled now and then. A command goes to the proxy first; only if it was not refused by design does the server hear it, so
//! that both sides hold the same. What may differ is named in [`rules`].

pub mod draw;
pub mod form;
mod history;
pub mod reply;
pub mod rules;
mod run;
mod sides;
mod step;
mod tally;

pub use run::{Plan, run};
pub use sides::Place;
pub use tally::{Tally, classes};

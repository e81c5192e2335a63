//! Random commands sent through a proxy and to one real server, and their replies compared.
//!
//! A run is a row of *worlds*: a fresh connection to each side, a few keys of every type, a hash tag or several, a dialect,
//! and some hundred commands made from the [`form`]s and spoiled now and then. A command goes to the proxy first; only if it
//! was not refused by design does the server hear it, so that both sides hold the same. What may differ is named in
//! [`rules`]. A difference ends its world and is told with the shortest history that shows it.

pub mod draw;
pub mod form;
pub mod reply;
pub mod rules;
mod run;
mod shrink;
mod sides;
mod step;
mod tally;

pub use run::{Plan, run};
pub use sides::Place;
pub use tally::{Tally, classes};

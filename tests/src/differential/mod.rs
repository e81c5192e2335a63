//! Random requests sent through a proxy and to one real server, and their replies compared.
//!
//! A run is a row of *worlds*: fresh connections to each side, a few keys, and some hundred requests, right and wrong,
//! whatever they are made of by the protocol's own module. What may differ is named there in rules with a reason each. A
//! difference ends its world and is told with the shortest history that shows it. What protocols share is here: how a run is
//! paced, how a history is shortened, how differences are kept and bytes are told.

mod differences;
pub mod memcache;
mod pace;
pub mod redis;
mod shrink;
mod text;

pub use differences::Differences;
pub use pace::Pace;

//! Snapshots on disk: what a data plane serves when it starts and nobody is there to ask.
//!
//! Three generations: the newest state, the newest that served a minute, the newest that served ten. Each file is written
//! beside its place, synced, and renamed over it; a checksum tells a whole file from a torn one.

mod file;
mod keeper;
mod poison;
mod store;

#[cfg(test)]
mod tests;

pub use file::{FORMAT, SnapshotError};
pub use keeper::keep;
pub use poison::{Marks, Pair, PoisonGuard};
pub use store::{Boot, Generation, LastGood, LastGoodError};

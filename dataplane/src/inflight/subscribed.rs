//! How much one session is subscribed to.

use std::cell::Cell;

/// Numbers of channels, patterns and shard channels; written by the session's cluster, read by whoever tells of it.
#[derive(Debug, Default)]
pub struct Subscribed(Cell<[usize; 3]>);

impl Subscribed {
    /// Returns the numbers.
    pub fn get(&self) -> [usize; 3] {
        self.0.get()
    }

    /// Replaces the numbers.
    pub fn set(&self, counts: [usize; 3]) {
        self.0.set(counts);
    }

    /// Returns whether there is any.
    pub fn is_any(&self) -> bool {
        self.get() != [0; 3]
    }
}

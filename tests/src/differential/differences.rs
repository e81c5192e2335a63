//! What differed in a run: one told of those that have one cause.

use std::{collections::BTreeMap, fmt};

/// Why a world ended before its time.
pub(super) struct End<'a> {
    /// The same for differences that have one cause.
    pub(super) signature: String,
    /// Finds the words for it, which takes a while.
    pub(super) tell: Box<dyn FnOnce() -> String + 'a>,
}

/// The differences of one run.
#[derive(Debug, Default)]
pub struct Differences {
    told: Vec<String>,
    signatures: BTreeMap<String, usize>,
}

impl Differences {
    /// Each kind once, as it is told.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Counts how a world ended, and keeps what is told of it when it is the first of its kind.
    pub(super) fn note(&mut self, seed: u64, end: End<'_>) {
        let count = self.signatures.entry(end.signature).or_default();
        *count += 1;
        if *count == 1 {
            self.told
                .push(format!("world of seed {seed}, {}", (end.tell)()));
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.signatures.values().sum::<usize>();
        write!(out, "{count} differences of {} kinds", self.told.len())
    }
}

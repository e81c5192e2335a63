//! World after world, until the time is up.

use std::{
    env,
    time::{Duration, Instant},
};

use super::differences::{Differences, End};
use crate::is_long;

/// Differences after which a run ends early.
const MOST_DIFFERENCES: usize = 12;

/// Where a run begins, and how long it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first world's seed; each next has the next number.
    pub seed: u64,
    /// How long new worlds begin.
    pub time: Duration,
}

impl Pace {
    /// As `PRISM_TEST_SEED` and `PRISM_TEST_SECONDS` say; else any seed, and `seconds` or many more in the long tier.
    ///
    /// # Panics
    /// When the system has no random bytes.
    pub fn asked(seconds: u64) -> Self {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).expect("the system has random bytes");
        let drawn = u64::from(u32::from_le_bytes(bytes));
        let long = if is_long() { 20 * seconds } else { seconds };
        Self {
            seed: number("PRISM_TEST_SEED").unwrap_or(drawn),
            time: Duration::from_secs(number("PRISM_TEST_SECONDS").unwrap_or(long)),
        }
    }

    /// Lives through worlds of one seed each; returns how many there were.
    pub(super) fn worlds<'a, T>(
        self,
        tally: &mut T,
        differences: fn(&mut T) -> &mut Differences,
        mut live: impl FnMut(u64, &mut T) -> Result<(), End<'a>>,
    ) -> usize {
        let begun = Instant::now();
        let mut worlds = 0;
        while begun.elapsed() < self.time && differences(tally).told().len() < MOST_DIFFERENCES {
            let seed = self.seed.wrapping_add(worlds as u64);
            if let Err(end) = live(seed, tally) {
                differences(tally).note(seed, end);
            }
            worlds += 1;
        }
        worlds
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

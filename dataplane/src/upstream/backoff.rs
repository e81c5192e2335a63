//! How long to wait before an endpoint is tried again.

use std::time::Duration;

/// First wait after a failed connect.
const FIRST: Duration = Duration::from_millis(50);

/// Longest wait.
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that double from 50 ms to 1 s, each with jitter of half its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the next wait; `random` is any number.
    pub fn next(&mut self, random: u64) -> Duration {
        let full = (FIRST * 2u32.saturating_pow(self.failures.min(16))).min(LONGEST);
        self.failures += 1;
        let half = full / 2;
        let span = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_nanos(random % span)
    }

    /// Starts again from the shortest wait.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            let wait = backoff.next(0);
            assert!(wait > last);
            last = wait;
        }
        for random in [1, u64::MAX, 77] {
            let wait = backoff.next(random);
            assert!(wait >= LONGEST / 2 && wait <= LONGEST, "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next(3) <= FIRST);
    }
}

//! How long to wait before a control plane is asked again.

use std::time::Duration;

/// The first wait is at most this.
const FIRST: Duration = Duration::from_millis(500);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Full jitter: each wait is a random part of a limit that doubles, from 0.5 s to 30 s.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Returns the next wait, `random` being evenly spread over all numbers.
    pub(super) fn next(&mut self, random: u32) -> Duration {
        let limit = FIRST
            .saturating_mul(1 << self.attempts.min(10))
            .min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// Starts again from the shortest wait.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Returns a number of the system's generator.
pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..12)
            .map(|_| backoff.next(u32::MAX).as_millis())
            .collect();
        assert_eq!(longest[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(longest[6..], [30_000; 6]);
        assert_eq!(backoff.next(0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(u32::MAX), FIRST);
    }
}

//! Waiting for a condition with a deadline, by asking for it again and again.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The deadline of most waits: generous, since a wait ends as soon as its condition holds.
pub const LIMIT: Duration = Duration::from_secs(20);

const PERIOD: Duration = Duration::from_millis(10);

/// Asks until `check` answers something, and returns that.
///
/// # Panics
/// With `what`, when `limit` has passed.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = check() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        thread::sleep(PERIOD);
    }
}

/// Asks until `check` is true.
///
/// # Panics
/// With `what`, when `limit` has passed.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut check: impl FnMut() -> bool) {
    eventually(what, limit, || check().then_some(()));
}

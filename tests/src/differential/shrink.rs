//! Finding the shortest history that still shows a difference.

use std::time::{Duration, Instant};

/// How long one history is looked at.
const LIMIT: Duration = Duration::from_secs(4);

/// Replays `candidates` in turn until one shows a difference, and leaves out of that what is not needed for it.
///
/// `replay` gives the difference at the last of its steps, if there is one there and none before. The result is `None` when
/// no candidate shows one again.
pub(super) fn shrink<S: Clone, U>(
    candidates: Vec<Vec<S>>,
    mut replay: impl FnMut(&[S]) -> Option<U>,
) -> Option<(Vec<S>, U)> {
    let begun = Instant::now();
    let (mut steps, mut unlike) = candidates.into_iter().find_map(|steps| {
        let unlike = replay(&steps)?;
        Some((steps, unlike))
    })?;
    let mut width = steps.len() / 2;
    while width > 0 {
        let mut start = 0;
        while start + width < steps.len() && begun.elapsed() < LIMIT {
            let mut fewer = steps.clone();
            fewer.drain(start..start + width);
            match replay(&fewer) {
                Some(again) => (steps, unlike) = (fewer, again),
                None => start += width,
            }
        }
        width /= 2;
    }
    Some((steps, unlike))
}

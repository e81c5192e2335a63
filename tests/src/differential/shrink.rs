//! Finding the shortest history that still shows a difference.

use std::time::{Duration, Instant};

use super::{
    draw,
    run::{World, enter},
    sides::{Outcome, Sides, Unlike},
    step::Step,
};
use crate::dice::Dice;

/// How long one history is looked at.
const LIMIT: Duration = Duration::from_secs(4);

/// A history that ends in a difference.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) steps: Vec<Step>,
    pub(super) unlike: Unlike,
    /// Whether it shows again when its steps are sent one by one.
    pub(super) is_repeated: bool,
}

/// Leaves out of `steps`, whose last showed the difference, what is not needed for it.
pub(super) fn shrink(world: &World<'_>, steps: &[Step], unlike: Unlike) -> Shown {
    let begun = Instant::now();
    let related = related(world, steps);
    let candidates = [related.clone(), steps.to_vec()];
    let found = candidates
        .into_iter()
        .find_map(|steps| Some((replay(world, &steps)?, steps)));
    let Some((mut unlike, mut steps)) = found else {
        return Shown {
            steps: related,
            unlike,
            is_repeated: false,
        };
    };
    let mut width = steps.len() / 2;
    while width > 0 {
        let mut start = 0;
        while start + width < steps.len() && begun.elapsed() < LIMIT {
            let mut fewer = steps.clone();
            fewer.drain(start..start + width);
            match replay(world, &fewer) {
                Some(again) => (steps, unlike) = (fewer, again),
                None => start += width,
            }
        }
        width /= 2;
    }
    Shown {
        steps,
        unlike,
        is_repeated: true,
    }
}

/// The steps that have a key in common with the last one, and those without keys.
fn related(world: &World<'_>, steps: &[Step]) -> Vec<Step> {
    let keys = draw::all_keys(world.tags);
    let Some(last) = steps.last() else {
        return Vec::new();
    };
    let touched: Vec<_> = keys.iter().filter(|key| last.touches(&[key])).collect();
    let every: Vec<_> = keys.iter().collect();
    let is_related = |step: &&Step| step.touches(&touched) || !step.touches(&every);
    steps.iter().filter(is_related).cloned().collect()
}

/// Sends steps one by one; the difference at the last of them, if there is one there and none before.
fn replay(world: &World<'_>, steps: &[Step]) -> Option<Unlike> {
    let mut sides: Sides = enter(world);
    let mut dice = Dice::new(1);
    let (last, before) = steps.split_last()?;
    for step in before {
        let outcomes = sides.exchange(std::slice::from_ref(step), &mut dice);
        if !matches!(
            outcomes.ok()?.first(),
            Some(Outcome::Equal(_) | Outcome::Refused(_))
        ) {
            return None;
        }
    }
    let outcomes = sides.exchange(std::slice::from_ref(last), &mut dice);
    match outcomes.ok()?.pop() {
        Some(Outcome::Different(unlike)) => Some(unlike),
        _ => None,
    }
}

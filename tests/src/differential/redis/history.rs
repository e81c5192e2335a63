//! Finding the shortest history that still shows a difference.

use super::{
    super::shrink::shrink,
    draw,
    run::{World, enter},
    sides::{Outcome, Sides, Unlike},
    step::Step,
};
use crate::dice::Dice;

/// A history that ends in a difference.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) steps: Vec<Step>,
    pub(super) unlike: Unlike,
    /// Whether it shows again when its steps are sent one by one.
    pub(super) is_repeated: bool,
}

/// Leaves out of `steps`, whose last showed the difference, what is not needed for it.
pub(super) fn shown(world: &World<'_>, steps: &[Step], unlike: Unlike) -> Shown {
    let related = related(world, steps);
    let candidates = vec![related.clone(), steps.to_vec()];
    match shrink(candidates, |steps| replay(world, steps)) {
        Some((steps, unlike)) => Shown {
            steps,
            unlike,
            is_repeated: true,
        },
        None => Shown {
            steps: related,
            unlike,
            is_repeated: false,
        },
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

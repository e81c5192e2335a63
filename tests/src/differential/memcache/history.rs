//! Telling a difference with the shortest history that shows it.

use super::{
    super::{shrink::shrink, text::text},
    request::{Batch, Request},
    run::{World, enter},
    sides::Unlike,
};
use crate::dice::Dice;

type Round = Vec<Batch>;

/// Most lines of a history that are told.
const MOST_LINES: usize = 40;

/// Tells how `rounds` end in a difference: by single requests if that shows it, else by rounds.
pub(super) fn told(world: &World<'_>, rounds: &[Round], unlike: Unlike) -> String {
    let singles: Vec<Round> = rounds.iter().flatten().flat_map(singles).collect();
    let candidates = until_unlike(world, &singles).into_iter();
    let candidates = candidates.chain([rounds.to_vec()]).collect();
    let found = shrink(candidates, |rounds| replay(world, rounds));
    let (mark, (rounds, unlike)) = match found {
        Some(found) => ("", found),
        None => {
            let mut last = rounds[rounds.len().saturating_sub(1)..].concat();
            last.retain(|batch| batch.client == unlike.client);
            (
                " (the last batch of it, for it did not show again)",
                (vec![last], unlike),
            )
        }
    };
    let mut lines = Vec::new();
    for round in &rounds {
        for batch in round {
            let dialect = world.dialects[batch.client];
            lines.push(format!("  client {} ({dialect:?}):", batch.client));
            let shown = batch.requests.iter().map(Request::shown);
            lines.extend(shown.map(|shown| format!("    {shown}")));
        }
    }
    let kept = &lines[lines.len().saturating_sub(MOST_LINES)..];
    format!(
        "history{mark}:\n{}\nclient {} differs, behind {}:\n  proxy:     {}\n  memcached: {}",
        kept.join("\n"),
        unlike.client,
        text(&unlike.behind),
        text(&unlike.proxy),
        text(&unlike.truth)
    )
}

/// Each request of a batch as a round of its own.
fn singles(batch: &Batch) -> Vec<Round> {
    let rounds = batch.requests.iter().map(|request| {
        vec![Batch {
            client: batch.client,
            requests: vec![request.clone()],
        }]
    });
    rounds.collect()
}

/// The rounds up to the first that shows a difference.
fn until_unlike(world: &World<'_>, rounds: &[Round]) -> Option<Vec<Round>> {
    let mut sides = enter(world);
    let mut dice = Dice::new(1);
    let at = rounds
        .iter()
        .position(|round| sides.exchange(round, &mut dice).is_err())?;
    Some(rounds[..=at].to_vec())
}

/// The difference at the last of these rounds, if there is one there and none before.
fn replay(world: &World<'_>, rounds: &[Round]) -> Option<Unlike> {
    let mut sides = enter(world);
    let mut dice = Dice::new(1);
    let (last, before) = rounds.split_last()?;
    for round in before {
        sides.exchange(round, &mut dice).ok()?;
    }
    sides.exchange(last, &mut dice).err()
}

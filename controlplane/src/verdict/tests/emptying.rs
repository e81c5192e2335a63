//! An endpoint that is to be empty when it returns: no moment in which it is used and was not emptied.

use prism_proto::model::{Cluster, OnReadmit};

use super::{Reply, World, addr, definition, seconds};
use crate::verdict::{Event, Shown};

fn emptied(count: u16) -> Cluster {
    definition(count, |draft| draft.on_readmit = Some(OnReadmit::Flush))
}

/// A world in which the first endpoint was ejected and answers again.
fn returning(definition: Cluster) -> World {
    let mut world = World::new(definition);
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(30));
    assert_eq!(world.ejected(), [addr(1)]);
    world.reply(&addr(1), Reply::Pong);
    world
}

#[test]
fn endpoint_is_emptied_once_and_then_returns() {
    let mut world = returning(emptied(3));
    world.run_until(seconds(120), |world| world.ejected().is_empty());
    assert_eq!(world.flushes.len(), 1);
    let flush = &world.flushes[0];
    assert_eq!(
        (flush.endpoint.as_str(), flush.shown),
        (&*addr(1), Shown::Ejected)
    );
    assert!(
        world.now - flush.at <= seconds(1),
        "it was empty when it returned"
    );
    let is_told = |event: &Event| matches!(event, Event::Readmitted { emptied: true, .. });
    assert!(world.events.iter().any(is_told), "{:?}", world.events);
}

#[test]
fn endpoint_that_is_trusted_is_left_as_it_is() {
    let mut world = returning(definition(3, |_| {}));
    world.run_until(seconds(120), |world| world.ejected().is_empty());
    assert_eq!(world.flushes.len(), 0);
}

#[test]
fn endpoint_that_cannot_be_emptied_stays_out_and_is_tried_with_each_probe() {
    let mut world = returning(emptied(3));
    world.flush_answer = Err("CLIENT_ERROR flush_all not allowed".into());
    world.run(seconds(60));
    assert_eq!(world.ejected(), [addr(1)]);
    let tried = world.flushes.len();
    assert!((30..=60).contains(&tried), "once a second: {tried}");
    let told = world
        .events
        .iter()
        .filter(|event| event.name() == "FLUSH_FAILED");
    assert_eq!(told.count(), 1, "the same failure is told once");
    let alarms = world.judge.alarms();
    assert_eq!(
        alarms["FLUSH_FAILED"],
        [format!(
            "pool/{} (CLIENT_ERROR flush_all not allowed)",
            addr(1)
        )]
    );
    assert!(
        world
            .error(&addr(1))
            .starts_with("it could not be emptied: CLIENT")
    );
    world.flush_answer = Ok(());
    world.run(seconds(3));
    assert_eq!(world.ejected(), [""; 0]);
    assert!(!world.judge.alarms().contains_key("FLUSH_FAILED"));
}

#[test]
fn endpoint_that_fails_while_it_is_emptied_does_not_return() {
    let mut world = returning(emptied(3));
    world.run_until(seconds(120), |world| !world.flushes.is_empty());
    world.reply(&addr(1), Reply::Refused);
    world.hold_flushes = true;
    world.run(seconds(5));
    world.hold_flushes = false;
    world.run(seconds(5));
    assert_eq!(world.ejected(), [addr(1)]);
    world.reply(&addr(1), Reply::Pong);
    world.run_until(seconds(120), |world| world.ejected().is_empty());
    assert_eq!(world.flushes.len(), 2, "the first does not count any more");
}

#[test]
fn veto_brings_it_back_empty_too() {
    let mut world = World::new(emptied(3));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run_until(seconds(30), |world| !world.ejected().is_empty());
    world.report("dp-1", &addr(1), |passive| {
        passive.vetoed = true;
        passive.requests = 100;
    });
    world.run_until(seconds(3), |world| world.ejected().is_empty());
    assert_eq!(world.ejected(), [""; 0]);
    assert!(world.has_event("EJECTION_VETOED"));
    assert_eq!(world.flushes.len(), 1);
    assert_eq!(world.flushes[0].shown, Shown::Ejected);
}

#[test]
fn panic_brings_none_back_that_was_not_emptied() {
    let mut world = World::new(emptied(3));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(30));
    world.reply(&addr(2), Reply::Refused);
    world.run(seconds(60));
    assert!(world.has_event("PANIC"));
    assert_eq!(world.ejected(), [addr(1)]);
}

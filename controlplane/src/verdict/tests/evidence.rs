//! What is evidence for an ejection and what is not; what data planes have to say.

use std::time::Duration;

use super::{Reply, World, addr, definition, seconds};
use crate::verdict::{Event, Shown};
use prism_proto::model::OnEjection;

#[test]
fn refused_credentials_never_eject() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Denied);
    world.run(seconds(120));
    assert_eq!((world.ejected().len(), world.pushes(&addr(1))), (0, 0));
    assert!(world.judge.alarms()["MISCONFIGURED"][0].starts_with("pool/10.0.0.1:7001 (NOAUTH"));
}

#[test]
fn changed_role_never_ejects() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Readonly);
    world.run(seconds(120));
    assert_eq!(world.pushes(&addr(1)), 0);
}

#[test]
fn loading_endpoint_is_warming_and_not_ejected() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Loading);
    world.run(seconds(30));
    assert_eq!(world.shown(&addr(1)), Shown::Warming);
    world.reply(&addr(1), Reply::Pong);
    let took = world.run_until(seconds(10), |world| world.shown(&addr(1)) == Shown::Healthy);
    assert!(took <= seconds(2), "it is probed often: {took:?}");
}

#[test]
fn ejected_endpoint_that_loads_is_not_back_yet() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(60));
    world.reply(&addr(1), Reply::Loading);
    world.run(seconds(60));
    assert_eq!(world.shown(&addr(1)), Shown::Ejected);
    world.reply(&addr(1), Reply::Pong);
    world.run(seconds(12));
    assert_eq!(world.shown(&addr(1)), Shown::Healthy);
}

fn veto(world: &mut World, requests: u64, errors: u64) {
    for dataplane in ["dp-1", "dp-2"] {
        world.report(dataplane, &addr(1), |passive| {
            passive.vetoed = true;
            passive.requests = if dataplane == "dp-1" { requests } else { 0 };
            passive.errors = errors.min(passive.requests);
        });
    }
}

#[test]
fn requests_of_a_longer_time_are_counted_for_five_seconds() {
    for (requests, is_withdrawn) in [(39, false), (40, true)] {
        let mut world = ejected_world(OnEjection::Rehash);
        world.report("dp-1", &addr(1), |passive| {
            passive.vetoed = true;
            passive.window = seconds(10);
            passive.requests = requests;
        });
        world.run(Duration::from_millis(200));
        assert_eq!(
            world.ejected().is_empty(),
            is_withdrawn,
            "{requests} in 10 s"
        );
    }
}

#[test]
fn requests_of_two_data_planes_are_not_added_up() {
    let mut world = ejected_world(OnEjection::Rehash);
    for dataplane in ["dp-1", "dp-2"] {
        world.report(dataplane, &addr(1), |passive| {
            passive.vetoed = true;
            passive.requests = 19;
        });
    }
    world.run(Duration::from_millis(200));
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn refused_connects_speak_louder_than_successes() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    for _ in 0..30 {
        world.report("dp-1", &addr(1), |passive| {
            passive.requests = 500;
            passive.connect_failures = 1;
        });
        world.run(Duration::from_millis(500));
    }
    assert_eq!(world.ejected(), [addr(1)]);
}

fn ejected_world(on_ejection: OnEjection) -> World {
    let mut world = World::new(definition(3, |draft| draft.on_ejection = Some(on_ejection)));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run_until(seconds(30), |world| !world.ejected().is_empty());
    world
}

#[test]
fn veto_withdraws_an_ejection_that_rehashes_everywhere() {
    let cases = [
        (20, 0, true),
        (19, 0, false),
        (100, 9, true),
        (100, 10, false),
        (0, 0, false),
    ];
    for (requests, errors, is_withdrawn) in cases {
        let mut world = ejected_world(OnEjection::Rehash);
        veto(&mut world, requests, errors);
        world.run(Duration::from_millis(200));
        assert_eq!(
            world.ejected().is_empty(),
            is_withdrawn,
            "{requests} requests, {errors} errors"
        );
    }
}

#[test]
fn withdrawn_ejection_is_held_until_a_data_plane_fails_too() {
    let mut world = ejected_world(OnEjection::Rehash);
    veto(&mut world, 100, 0);
    world.run(seconds(20));
    assert_eq!(world.ejected(), [""; 0]);
    world.run(seconds(60));
    assert_eq!(world.ejected(), [addr(1)], "nobody speaks for it any more");

    let mut world = ejected_world(OnEjection::Rehash);
    world.run(seconds(61));
    veto(&mut world, 100, 0);
    world.run(seconds(6));
    world.connect_failures("dp-1", &addr(1));
    world.run(seconds(1));
    assert_eq!(world.ejected(), [addr(1)], "it failed for a data plane too");
}

#[test]
fn veto_of_a_failing_pool_is_local_and_told_once() {
    let mut world = ejected_world(OnEjection::Fail);
    for _ in 0..10 {
        veto(&mut world, 100, 0);
        world.run(seconds(1));
    }
    assert_eq!(world.ejected(), [addr(1)]);
    let told = |event: &&Event| {
        matches!(
            event,
            Event::Vetoed {
                withdrawn: false,
                ..
            }
        )
    };
    assert_eq!(world.events.iter().filter(told).count(), 1);
}

#[test]
fn data_plane_that_gets_through_prevents_an_ejection_that_rehashes() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    for _ in 0..60 {
        world.report("dp-1", &addr(1), |passive| passive.requests = 50);
        world.run(seconds(1));
    }
    assert_eq!(world.pushes(&addr(1)), 0);
    world.run_until(seconds(20), |world| !world.ejected().is_empty());
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn successes_from_before_the_failure_are_no_veto() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    let bound = seconds(13) + Duration::from_millis(500);
    let start = world.now;
    while world.ejected().is_empty() && world.now < start + bound {
        world.report("dp-1", &addr(1), |passive| {
            passive.window = seconds(20);
            passive.requests = 100_000;
        });
        world.run(Duration::from_millis(500));
    }
    assert_eq!(world.ejected(), [addr(1)]);
}

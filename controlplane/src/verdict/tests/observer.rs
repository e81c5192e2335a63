//! When the control plane does not trust its own eyes.

use std::{sync::Arc, time::Duration};

use prism_proto::model::EndpointDraft;

use super::{Reply, World, addr, definition, seconds};
use crate::verdict::Shown;

#[test]
fn observer_that_loses_everything_abstains() {
    for reply in [Reply::Refused, Reply::Silent] {
        let mut world = World::new(definition(10, |draft| draft.no_panic = Some(true)));
        world.run(seconds(25));
        (1..=10).for_each(|number| world.reply(&addr(number), reply));
        world.run(seconds(120));
        assert!(
            (1..=10).all(|number| world.pushes(&addr(number)) == 0),
            "{reply:?}"
        );
        assert!(world.has_event("OBSERVER_SUSPECT"));
        assert!(!world.has_event("CONTROL_PLANE_PARTITIONED"));
    }
}

#[test]
fn first_failure_has_the_others_asked_before_it_is_believed() {
    let mut world = World::new(definition(3, |draft| draft.ping_fail_limit = Some(1)));
    world.run(seconds(25));
    // From here on one endpoint is asked at another time than the others.
    world.connect_failures("dp-1", &addr(2));
    world.run(seconds(15));
    (1..=3).for_each(|number| world.reply(&addr(number), Reply::Silent));
    world.run(seconds(60));
    assert!((1..=3).all(|number| world.pushes(&addr(number)) == 0));
}

#[test]
fn first_failure_in_a_zone_has_the_rest_of_the_zone_asked() {
    use crate::verdict::EndpointName;
    let zoned = |name: &str, first: u16| {
        definition(4, |draft| {
            draft.name = name.into();
            draft.ping_fail_limit = Some(1);
            draft.endpoints = (first..first + 4)
                .map(|number| EndpointDraft {
                    addr: addr(number),
                    zone: Some(if number % 4 == 1 { "a" } else { "b" }.into()),
                    ..EndpointDraft::default()
                })
                .collect();
        })
    };
    let mut world = World::new(zoned("pool", 1));
    let other = zoned("other", 5);
    world.judge.define(
        &"other".into(),
        other.probing(),
        super::world::members(&other),
    );
    world.run(seconds(25));
    world.connect_failures("dp-1", &addr(1));
    world.run(seconds(15));
    [1, 5]
        .iter()
        .for_each(|&number| world.reply(&addr(number), Reply::Refused));
    world.run(seconds(60));
    assert_eq!(world.ejected(), [""; 0], "all of zone a is gone for us");
    let endpoint = EndpointName {
        cluster: "other".into(),
        addr: addr(5).into(),
    };
    assert!(world.judge.failures(&endpoint) > 1);
}

#[test]
fn success_of_a_data_plane_tells_a_partition() {
    let mut world = World::new(definition(3, |draft| draft.no_panic = Some(true)));
    world.run(seconds(25));
    (1..=3).for_each(|number| world.reply(&addr(number), Reply::Silent));
    world.run(seconds(20));
    world.report("dp-1", &addr(2), |passive| passive.requests = 5);
    world.run(seconds(1));
    assert!(world.has_event("CONTROL_PLANE_PARTITIONED"));
    assert!(
        world
            .judge
            .alarms()
            .contains_key("CONTROL_PLANE_PARTITIONED")
    );
    assert_eq!(world.ejected(), [""; 0]);
    (1..=3).for_each(|number| world.reply(&addr(number), Reply::Pong));
    world.run(seconds(5));
    assert!(world.judge.alarms().is_empty());
}

/// Six endpoints in zone `a`, four in zone `b`.
fn zoned(failing: std::ops::RangeInclusive<u16>) -> World {
    let mut world = World::new(definition(10, |draft| {
        draft.max_ejection_percent = Some(100);
        draft.no_panic = Some(true);
        draft.endpoints = (1..=10)
            .map(|number| EndpointDraft {
                addr: addr(number),
                zone: Some(if number <= 6 { "a" } else { "b" }.into()),
                ..EndpointDraft::default()
            })
            .collect();
    }));
    world.run(seconds(25));
    failing.for_each(|number| world.reply(&addr(number), Reply::Silent));
    world.run(seconds(60));
    world
}

#[test]
fn most_of_a_zone_failing_at_once_makes_the_observer_the_suspect() {
    assert_eq!(zoned(1..=3).ejected().len(), 3, "50 %");
    assert_eq!(zoned(1..=4).ejected().len(), 0, "67 %");
    assert_eq!(zoned(4..=8).ejected().len(), 5, "50 % of both");
    assert_eq!(zoned(7..=10).ejected().len(), 0, "all of the other");
}

#[test]
fn data_plane_that_fails_too_clears_the_observer_of_a_zone() {
    let mut world = zoned(1..=4);
    world.connect_failures("dp-1", &addr(2));
    world.run(seconds(1));
    assert_eq!(world.ejected(), [addr(2)]);
}

#[test]
fn single_endpoint_of_a_zone_can_fail_for_itself() {
    let mut world = World::new(definition(3, |draft| {
        for (endpoint, zone) in draft.endpoints.iter_mut().zip(["a", "b", "c"]) {
            endpoint.zone = Some(zone.into());
        }
    }));
    world.run(seconds(25));
    world.reply(&addr(2), Reply::Refused);
    world.run(seconds(15));
    assert_eq!(world.ejected(), [addr(2)]);
}

#[test]
fn nothing_is_ejected_before_two_rounds() {
    let mut world = World::new(definition(3, |draft| draft.ping_fail_limit = Some(1)));
    world.reply(&addr(1), Reply::Refused);
    world.run(Duration::from_millis(900));
    assert_eq!(world.ejected(), [""; 0]);
    world.run(seconds(1));
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn nothing_is_ejected_before_half_of_the_data_planes_reported() {
    let mut world = World::new(definition(3, |_| {}));
    world.connect(&["dp-1", "dp-2", "dp-3"]);
    world.reply(&addr(1), Reply::Refused);
    world.report("dp-1", &addr(2), |_| {});
    world.run(seconds(20));
    assert_eq!(
        world.shown(&addr(1)),
        Shown::Healthy,
        "one of three is not half"
    );
    world.report("dp-2", &addr(2), |_| {});
    world.run(seconds(1));
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn data_planes_that_never_report_are_not_waited_for_for_ever() {
    let mut world = World::new(definition(3, |_| {}));
    world.connect(&["dp-1", "dp-2"]);
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(30));
    assert_eq!(world.ejected(), [""; 0]);
    world.run(seconds(5));
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn fleet_without_data_planes_warms_up_by_its_rounds() {
    let mut world = World::new(definition(3, |_| {}));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(4));
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn prober_that_stood_still_abstains_for_30_seconds() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(25));
    world.reply(&addr(1), Reply::Refused);
    world.judge.slipped(world.now);
    world.run(seconds(29));
    assert_eq!(world.ejected(), [""; 0]);
    assert!(world.failures(&addr(1)) >= 3 && world.has_event("PROBER_SLIPPED"));
    world.run(seconds(2));
    assert_eq!(world.ejected(), [addr(1)]);
}

#[test]
fn definition_keeps_what_is_known_of_endpoints_that_stay() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(20));
    let grown = definition(5, |_| {});
    let cluster: Arc<str> = "pool".into();
    world
        .judge
        .define(&cluster, grown.probing(), super::world::members(&grown));
    world.run(Duration::from_millis(100));
    assert_eq!(world.ejected(), [addr(1)]);
    assert_eq!(world.judge.findings("pool").len(), 5);
    world.judge.retain(|_| false);
    assert!(world.judge.findings("pool").is_empty() && world.judge.due(world.now).is_empty());
}

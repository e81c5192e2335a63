//! How many endpoints may be ejected.

use super::{Reply, World, addr, definition, seconds};
use crate::verdict::Shown;

/// Runs a pool of `count` of which `dead` die one after the other or at once.
fn ejected(count: u16, dead: u16, percent: u32, no_panic: bool, at_once: bool) -> usize {
    let mut world = World::new(definition(count, |draft| {
        draft.max_ejection_percent = Some(percent);
        draft.no_panic = Some(no_panic);
    }));
    world.step = seconds(1);
    world.run(seconds(3));
    for number in 1..=dead {
        world.reply(&addr(number), Reply::Refused);
        if !at_once {
            world.run(seconds(14));
        }
    }
    world.run(seconds(30));
    world.ejected().len()
}

/// What is ejected by default: a tenth, at least one; none below half healthy, which includes that all fail.
#[test]
fn default_limits_hold_for_every_number_dead() {
    for count in [1, 2, 3, 10, 50] {
        let most = if count == 50 { 5 } else { 1 };
        for dead in 0..=count {
            let is_panic = (count - dead) * 2 < count;
            let expected = if is_panic || dead == count {
                0
            } else {
                dead.min(most)
            };
            let found = ejected(count, dead, 10, false, true);
            assert_eq!(found, usize::from(expected), "{dead} of {count} dead");
        }
    }
}

/// What `auto_eject_hosts: true` of twemproxy means: all that are dead are ejected, but never the last, nor all at once.
#[test]
fn limits_of_twemproxy_hold_for_every_number_dead() {
    for count in [1, 2, 3, 10, 50] {
        for dead in 0..=count {
            let found = ejected(count, dead, 100, true, true);
            let expected = if dead == count { 0 } else { dead };
            assert_eq!(
                found,
                usize::from(expected),
                "{dead} of {count} dead at once"
            );
        }
    }
    for count in [1, 2, 3, 10] {
        for dead in 0..=count {
            let found = ejected(count, dead, 100, true, false);
            assert_eq!(
                found,
                usize::from(dead.min(count - 1)),
                "{dead} of {count} dead in turn"
            );
        }
    }
}

#[test]
fn percentage_is_rounded_up_and_at_least_one() {
    let cases = [
        (10, 10, 1),
        (10, 11, 2),
        (10, 20, 2),
        (10, 0, 1),
        (50, 10, 5),
        (3, 34, 1),
        (3, 67, 1),
        (10, 50, 5),
    ];
    for (count, percent, most) in cases {
        let dead = count / 2;
        let found = ejected(count, dead, percent, false, true);
        assert_eq!(found, most.min(usize::from(dead)), "{percent} % of {count}");
    }
}

#[test]
fn longest_dead_endpoint_is_ejected_and_the_next_takes_its_place() {
    let mut world = World::new(definition(10, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(4), Reply::Refused);
    world.run(seconds(20));
    world.reply(&addr(2), Reply::Refused);
    world.run(seconds(60));
    assert_eq!(world.ejected(), [addr(4)]);
    world.reply(&addr(4), Reply::Pong);
    world.run(seconds(30));
    assert_eq!(world.ejected(), [addr(2)]);
}

#[test]
fn panic_suspends_ejections_and_ends() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(60));
    assert_eq!(world.ejected(), [addr(1)]);
    world.reply(&addr(2), Reply::Refused);
    world.run(seconds(60));
    assert_eq!(
        (world.ejected().len(), world.shown(&addr(1))),
        (0, Shown::Healthy)
    );
    assert!(world.judge.alarms().contains_key("PANIC"));
    world.reply(&addr(2), Reply::Pong);
    world.run(seconds(60));
    assert_eq!(world.ejected(), [addr(1)]);
    assert!(world.judge.alarms().is_empty());
}

#[test]
fn replicas_are_limited_per_shard() {
    use crate::verdict::{EndpointName, Judge, Member, Outcome, Probe};
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    let member = |name: String, shard: Option<&str>| Member {
        addr: name.into(),
        zone: "".into(),
        replica_of: shard.map(Into::into),
    };
    let mut members: Vec<_> = (0..6)
        .map(|shard| member(format!("p{shard}"), None))
        .collect();
    for shard in ["p0", "p1"] {
        members.extend((0..3).map(|number| member(format!("{shard}-r{number}"), Some(shard))));
    }
    let cluster: Arc<str> = "rc".into();
    let mut judge = Judge::new(1);
    judge.define(&cluster, definition(3, |_| {}).probing(), members);
    let mut now = Instant::now();
    let dead = ["p0", "p0-r0", "p0-r1", "p1-r2"];
    for _ in 0..100 {
        now += Duration::from_millis(500);
        for addr in judge.due(now).into_iter().map(|due| due.addr) {
            let endpoint = EndpointName {
                cluster: Arc::clone(&cluster),
                addr,
            };
            let is_dead = dead.contains(&&*endpoint.addr);
            let outcome = if is_dead {
                Outcome::Failed("refused".into())
            } else {
                Outcome::Ok
            };
            judge.started(&endpoint, now);
            judge.probed(
                &endpoint,
                Probe {
                    started: now,
                    ended: now,
                    outcome,
                },
            );
        }
        judge.judge(now);
    }
    let ejected: Vec<_> = judge
        .findings("rc")
        .into_iter()
        .filter(|(_, finding)| finding.shown == Shown::Ejected)
        .map(|(member, _)| member.addr.to_string())
        .collect();
    assert_eq!(ejected, ["p0", "p0-r0", "p1-r2"]);
}

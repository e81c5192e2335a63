//! The rules of ejection, each shown in a simulated world.

mod emptying;
mod evidence;
mod limits;
mod observer;
mod world;

use std::time::Duration;

use world::{Reply, World, addr, definition};

/// Four times a second is a common time between steps of these tests.
fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn killed_endpoint_of_three_is_ejected_in_time() {
    for (fail_limit, kill_after) in [
        (1, 3_700),
        (2, 12_000),
        (3, 15_050),
        (3, 20_050),
        (5, 11_000),
    ] {
        let mut world = World::new(definition(3, |draft| {
            draft.ping_fail_limit = Some(fail_limit)
        }));
        world.run(Duration::from_millis(kill_after));
        assert_eq!(world.ejected(), [""; 0]);
        world.reply(&addr(1), Reply::Refused);
        let probing = world.probing();
        let bound = (fail_limit - 1) * probing.succ_interval
            + probing.interval
            + probing.timeout
            + seconds(1);
        let took = world.run_until(bound, |world| !world.ejected().is_empty());
        assert!(took <= bound, "{fail_limit}: {took:?} > {bound:?}");
        assert_eq!(world.ejected(), [addr(1)]);
    }
}

#[test]
fn silent_endpoint_is_ejected_in_time_too() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(21));
    world.reply(&addr(1), Reply::Silent);
    let took = world.run_until(seconds(60), |world| !world.ejected().is_empty());
    assert!(
        took <= Duration::from_millis(2 * 1000 + 10_000 + 500 + 1000),
        "{took:?}"
    );
}

#[test]
fn fewer_failures_than_the_limit_do_not_eject() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    for _ in 0..5 {
        world.reply(&addr(1), Reply::Refused);
        world.run_until(seconds(20), |world| world.failures(&addr(1)) == 2);
        world.reply(&addr(1), Reply::Pong);
        world.run(seconds(3));
        assert_eq!(world.failures(&addr(1)), 0);
    }
    assert_eq!(world.pushes(&addr(1)), 0);
}

#[test]
fn limit_of_zero_never_ejects() {
    let mut world = World::new(definition(3, |draft| draft.ping_fail_limit = Some(0)));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(300));
    assert_eq!(world.ejected(), [""; 0]);
}

#[test]
fn connect_failure_of_a_data_plane_starts_fast_probing() {
    let mut world = World::new(definition(3, |draft| {
        draft.ping_interval = Some(seconds(60))
    }));
    world.run(seconds(70));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(5));
    assert_eq!(world.failures(&addr(1)), 0, "the next probe is far");
    world.connect_failures("dp-1", &addr(1));
    let took = world.run_until(seconds(60), |world| !world.ejected().is_empty());
    assert!(took <= seconds(3), "{took:?}");
}

#[test]
fn fast_probing_goes_on_until_decided_only() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(31));
    let before = world.probes(&addr(1));
    world.connect_failures("dp-1", &addr(1));
    world.run(seconds(8));
    let asked = world.probes(&addr(1)) - before;
    assert!((1..=2).contains(&asked), "one answer settles it: {asked}");
}

#[test]
fn endpoint_returns_after_successes_window_and_ejection_time() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run_until(seconds(30), |world| !world.ejected().is_empty());
    world.reply(&addr(1), Reply::Pong);
    let took = world.run_until(seconds(60), |world| world.ejected().is_empty());
    assert!(
        (seconds(12)..=seconds(19)).contains(&took),
        "15 s ±20 %: {took:?}"
    );

    let late = seconds(120);
    world.run(seconds(400));
    world.reply(&addr(1), Reply::Refused);
    world.run(late);
    world.reply(&addr(1), Reply::Pong);
    let took = world.run_until(seconds(60), |world| world.ejected().is_empty());
    assert!(
        (seconds(10)..=seconds(12)).contains(&took),
        "the window of 10 s: {took:?}"
    );
}

#[test]
fn one_failure_starts_the_window_anew() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(100));
    world.reply(&addr(1), Reply::Pong);
    world.run(seconds(8));
    world.reply(&addr(1), Reply::Refused);
    world.run(seconds(2));
    world.reply(&addr(1), Reply::Pong);
    world.run(seconds(9));
    assert_eq!(world.ejected(), [addr(1)]);
    world.run(seconds(4));
    assert_eq!(world.ejected(), [""; 0]);
}

#[test]
fn ejection_time_grows_to_five_minutes_and_is_jittered() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    let mut times = Vec::new();
    for _ in 0..25 {
        world.reply(&addr(1), Reply::Refused);
        world.run_until(seconds(90), |world| !world.ejected().is_empty());
        times.push(world.ejection_time(&addr(1)));
        world.reply(&addr(1), Reply::Pong);
        world.run_until(seconds(400), |world| world.ejected().is_empty());
    }
    for (number, time) in (1u32..).zip(&times) {
        let base = f64::from((15 * number).min(300));
        let ratio = time.as_secs_f64() / base;
        assert!(
            (0.79..=1.21).contains(&ratio),
            "ejection {number} of {time:?}"
        );
    }
    let ratios: Vec<_> = times[20..].iter().map(|time| time.as_secs()).collect();
    assert!(
        ratios.windows(2).any(|pair| pair[0] != pair[1]),
        "{ratios:?}"
    );
}

#[test]
fn flapping_endpoint_makes_two_pushes_a_minute_at_most() {
    for (up, down) in [(12, 4), (16, 3), (25, 5), (60, 3), (1, 1), (30, 30)] {
        let mut world = World::new(definition(3, |draft| {
            draft.ping_succ_window = Some(seconds(1))
        }));
        world.run(seconds(15));
        for _ in 0..40 {
            world.reply(&addr(1), Reply::Refused);
            world.run(seconds(down));
            world.reply(&addr(1), Reply::Pong);
            world.run(seconds(up));
        }
        assert!(
            world.most_pushes_a_minute(&addr(1)) <= 2,
            "up {up} s, down {down} s"
        );
    }
}

#[test]
fn relapse_of_a_flapping_endpoint_is_ejected_without_waiting_for_its_turn() {
    let mut world = World::new(definition(3, |_| {}));
    world.run(seconds(15));
    for _ in 0..2 {
        world.reply(&addr(1), Reply::Refused);
        world.run_until(seconds(90), |world| !world.ejected().is_empty());
        world.reply(&addr(1), Reply::Pong);
        world.run_until(seconds(90), |world| world.ejected().is_empty());
    }
    world.reply(&addr(1), Reply::Refused);
    let took = world.run_until(seconds(60), |world| !world.ejected().is_empty());
    assert!(took <= seconds(13), "{took:?}");
}

//! Random interleavings of changes, losses, delays and reconnects end with every data plane in step.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use prism_proto::pb::discovery::v1::{Ack, Push};

use super::plane::{Plane, World, settle};
use crate::feed::{Feed, Output};

/// A small generator of the same numbers on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One data plane with messages on their way in both directions.
struct Link {
    feed: Feed,
    plane: Plane,
    down: VecDeque<Output>,
    up: VecDeque<Up>,
}

enum Up {
    Ack(Ack),
    Digest(u64),
    Resume,
}

impl Link {
    fn deliver_down(&mut self) {
        match self.down.pop_front() {
            Some(Output::Push(push)) => self.push(push),
            Some(Output::Resync) => self.up.push_back(Up::Resume),
            None => {}
        }
    }

    fn push(&mut self, push: Push) {
        if let Some(ack) = self.plane.receive(push) {
            self.up.push_back(Up::Ack(ack));
        }
    }

    fn deliver_up(&mut self, now: Duration) {
        match self.up.pop_front() {
            Some(Up::Ack(ack)) => assert!(self.feed.ack(&ack, now)),
            Some(Up::Digest(digest)) => self.feed.digest(digest, now),
            Some(Up::Resume) => self.feed.resume(&self.plane.resume()),
            None => {}
        }
    }

    fn reconnect(&mut self, world: &World) {
        let mut plane = std::mem::take(&mut self.plane);
        plane.disconnect();
        let mut feed = world.feed();
        feed.remember(self.feed.nacks().cloned().collect::<Vec<_>>());
        feed.resume(&plane.resume());
        *self = Self {
            feed,
            plane,
            down: VecDeque::new(),
            up: VecDeque::new(),
        };
    }
}

fn change(world: &mut World, dice: &mut Dice) {
    let name = format!("c{}", dice.roll(6));
    let body = dice.roll(1000).to_be_bytes();
    match dice.roll(6) {
        0 => world.remove(&name).forget_map(&name),
        1 => {
            let sequence = world.desired.revision().number + 1;
            world.put_slotted(&name).map(&name, sequence)
        }
        2 => world.put_for(&name, &body, super::only(&["dp-2"], &[])),
        _ => world.put(&name, &body),
    };
    world.commit();
}

fn run(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::default();
    world.commit();
    let mut link = Link {
        feed: world.feed(),
        plane: Plane::default(),
        down: VecDeque::new(),
        up: VecDeque::new(),
    };
    link.reconnect(&world);
    let mut now = Duration::ZERO;
    for _ in 0..300 {
        now += Duration::from_millis(dice.roll(500));
        match dice.roll(12) {
            0 | 1 => change(&mut world, &mut dice),
            2 => link.feed.update(Arc::clone(&world.desired)),
            3 => link.reconnect(&world),
            4 => drop(link.plane.held.pop_first()),
            5 => link.up.push_back(Up::Digest(link.plane.digest())),
            6 => drop(link.plane.refuses.insert(format!("c{}", dice.roll(6)))),
            7 | 8 => link.down.extend(link.feed.poll(now)),
            9 => link.deliver_down(),
            _ => link.deliver_up(now),
        }
    }
    converge(&mut link, &mut world, now, seed);
}

/// Lets everything arrive, then beats twice: within 15 s the data plane holds exactly what it should.
fn converge(link: &mut Link, world: &mut World, mut now: Duration, seed: u64) {
    link.plane.refuses.clear();
    for index in 0..6 {
        let name = format!("c{index}");
        let sequence = world.desired.revision().number + 1;
        match world.desired.clusters().get(name.as_str()) {
            Some(item) if item.has_slots => {
                world.put_slotted(&name).map(&name, sequence);
            }
            Some(_) => {
                world.put(&name, b"last");
            }
            None => {}
        }
    }
    link.feed.update(world.commit());
    let mut messages = 0;
    while !link.down.is_empty() || !link.up.is_empty() {
        messages += 1;
        assert!(messages < 10_000, "seed {seed} is never quiet");
        link.deliver_down();
        link.deliver_up(now);
    }
    for _ in 0..3 {
        settle(&mut link.feed, &mut link.plane, now);
        link.feed.digest(link.plane.digest(), now);
        now += Duration::from_secs(5);
    }
    settle(&mut link.feed, &mut link.plane, now);
    assert!(link.feed.standing().is_synced(), "seed {seed}");
    let expected: Vec<_> = link.feed.clusters().map(|name| name.to_string()).collect();
    assert_eq!(link.plane.names("clusters"), expected, "seed {seed}");
}

#[test]
fn random_interleavings_converge() {
    for seed in 0..400 {
        run(seed);
    }
}

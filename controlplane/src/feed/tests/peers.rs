//! Lists of data planes: who gets them, and when they are trusted.

use std::sync::Arc;

use super::{
    Feed, only,
    plane::{NOW, Plane, World, pushes, settle},
};

/// A Redis Cluster `rc` with a list of data planes, long after the start.
fn listed() -> World {
    let mut world = World::default();
    world.put_slotted("rc").map("rc", 1).list("rc", 1, "dp-1");
    world.peers.is_settled = true;
    world.commit();
    world
}

fn connect(world: &World, plane: &mut Plane) -> Feed {
    let mut feed = world.feed();
    feed.with_peers();
    feed.resume(&plane.resume());
    settle(&mut feed, plane, NOW);
    feed
}

#[test]
fn data_plane_that_knows_of_peers_gets_their_list() {
    let mut world = listed();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    assert_eq!(plane.names("peers"), ["rc"]);
    assert!(feed.standing().is_synced());
    let before = plane.digest();
    world.list("rc", 2, "dp-1 dp-2").commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert_ne!(plane.digest(), before);
    assert!(feed.standing().is_synced());
    world
        .put_for("rc", b"x", only(&["dp-2"], &[]))
        .forget_map("rc")
        .commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert!(plane.held.is_empty() && feed.standing().is_synced());
}

#[test]
fn older_data_plane_never_hears_of_peers() {
    let mut world = listed();
    let mut plane = Plane::default();
    let mut feed = super::connect(&world, &mut plane);
    assert!(plane.names("peers").is_empty());
    assert!(feed.standing().is_synced());
    world.list("rc", 2, "dp-1 dp-2").commit();
    feed.update(Arc::clone(&world.desired));
    assert!(pushes(&mut feed).is_empty() && feed.standing().is_synced());
}

#[test]
fn list_that_says_the_same_is_not_sent_again() {
    let world = listed();
    let mut plane = Plane::default();
    connect(&world, &mut plane);
    let mut later = listed();
    later.list("rc", 9, "dp-1").commit();
    let mut feed = later.feed();
    feed.with_peers();
    feed.resume(&plane.resume());
    assert!(pushes(&mut feed).is_empty());
    assert!(feed.standing().is_synced());
}

#[test]
fn list_of_a_control_plane_that_has_just_started_does_not_replace_what_is_held() {
    let world = listed();
    let mut plane = Plane::default();
    connect(&world, &mut plane);
    let mut started = listed();
    started.peers.is_settled = false;
    started.list("rc", 9, "").commit();
    let mut feed = started.feed();
    feed.with_peers();
    feed.resume(&plane.resume());
    assert!(pushes(&mut feed).is_empty() && feed.standing().is_synced());
    let mut fresh = Plane::default();
    connect(&started, &mut fresh);
    assert_eq!(fresh.names("peers"), ["rc"], "who has none takes it");
    started.peers.is_settled = true;
    started.commit();
    feed.update(Arc::clone(&started.desired));
    assert_eq!(pushes(&mut feed).len(), 1);
}

#[test]
fn redis_cluster_is_served_once_it_is_acked_and_as_long_as_it_is_selected() {
    let mut world = listed();
    world.put("pool", b"no slots").commit();
    let mut plane = Plane::default();
    let mut feed = world.feed();
    assert_eq!(feed.standing().serves, None, "nobody knows before a resume");
    feed.resume(&plane.resume());
    assert!(feed.standing().serves.is_some_and(|names| names.is_empty()));
    settle(&mut feed, &mut plane, NOW);
    let serves = |feed: &Feed| -> Vec<String> {
        let serves = feed.standing().serves.expect("resumed");
        serves.iter().map(ToString::to_string).collect()
    };
    assert_eq!(serves(&feed), ["rc"]);
    world.put_for("rc", b"x", only(&["dp-2"], &[])).commit();
    feed.update(Arc::clone(&world.desired));
    assert!(serves(&feed).is_empty());
}

//! The rules of delivery, against a simulated data plane.

mod interleaving;
mod peers;
mod plane;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prism_proto::{
    model::Selector,
    pb::discovery::v1::{Ack, Lane, Nack, Push, ResourceVersion},
};

use super::{Feed, Output, push::CHUNK_BYTES};
use plane::{NOW, Plane, World, connect, pushes, settle};

fn one_cluster() -> World {
    let mut world = World::default();
    world.put("a", b"one").commit();
    world
}

fn only(ids: &[&str], labels: &[(&str, &str)]) -> Selector {
    Selector {
        dataplanes: ids.iter().map(|id| (*id).to_owned()).collect(),
        labels: labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

#[test]
fn new_data_plane_gets_everything_it_should_have() {
    let mut world = one_cluster();
    world.put("b", b"two").commit();
    let mut plane = Plane::default();
    let feed = connect(&world, &mut plane);
    assert_eq!(plane.names("clusters"), ["a", "b"]);
    let standing = feed.standing();
    assert!(standing.is_synced() && standing.behind.is_empty());
    assert_eq!(
        (standing.acked, standing.clusters),
        (world.desired.revision(), 2)
    );
}

#[test]
fn nothing_is_sent_before_resume() {
    let mut feed = one_cluster().feed();
    assert_eq!(feed.poll(NOW), None);
}

#[test]
fn reconnect_without_change_sends_no_resource() {
    let world = one_cluster();
    let mut plane = Plane::default();
    connect(&world, &mut plane);
    let mut feed = world.feed();
    feed.resume(&plane.resume());
    assert!(pushes(&mut feed).is_empty());
    assert!(feed.standing().is_synced());
}

#[test]
fn reconnect_after_change_sends_only_differences() {
    let mut world = one_cluster();
    world.put("b", b"two").put("c", b"three").commit();
    let mut plane = Plane::default();
    connect(&world, &mut plane);
    world.put("b", b"new").remove("c").commit();
    let mut feed = world.feed();
    feed.resume(&plane.resume());
    let sent = pushes(&mut feed);
    assert_eq!(names(&sent), (vec!["b"], vec!["c"]));
}

#[test]
fn unselected_cluster_is_never_sent() {
    let mut world = World::default();
    world
        .put_for("by-id", b"x", only(&["dp-2"], &[]))
        .put_for("by-label", b"x", only(&[], &[("tier", "core")]))
        .put_for("mine", b"x", only(&["dp-1"], &[("tier", "edge")]))
        .commit();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    assert_eq!(plane.names("clusters"), ["mine"]);
    assert!(feed.standing().is_synced());
    world.put_for("by-id", b"y", only(&["dp-2"], &[])).commit();
    feed.update(Arc::clone(&world.desired));
    assert!(pushes(&mut feed).is_empty());
    assert!(feed.standing().is_synced());
}

#[test]
fn cluster_that_is_no_longer_selected_is_removed() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    world.put_for("a", b"one", only(&["dp-2"], &[])).commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert!(plane.held.is_empty());
    assert!(feed.standing().is_synced());
}

#[test]
fn later_changes_fold_into_one_push_after_the_ack() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = world.feed();
    feed.resume(&plane.resume());
    let first = pushes(&mut feed).remove(0);
    for body in 0..50_u8 {
        world.put("a", &[body]).put("b", &[body]).commit();
        feed.update(Arc::clone(&world.desired));
        assert!(
            pushes(&mut feed).is_empty(),
            "a second push while one is un-acked"
        );
    }
    let ack = plane.receive(first).expect("one chunk");
    assert!(feed.ack(&ack, NOW));
    let sent = pushes(&mut feed);
    assert_eq!(names(&sent), (vec!["a", "b"], vec![]));
    assert_eq!(sent[0].revision, world.desired.revision().number);
}

#[test]
fn a_change_that_was_taken_back_is_not_sent() {
    let mut world = one_cluster();
    world.put("b", b"two").commit();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    let before = Arc::clone(&world.desired);
    world.put("c", b"three").commit();
    feed.update(Arc::clone(&world.desired));
    world.remove("c").commit();
    feed.update(Arc::clone(&world.desired));
    assert!(pushes(&mut feed).is_empty());
    assert!(feed.standing().desired > before.revision());
}

#[test]
fn upserts_come_before_removals() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    let body = vec![7; CHUNK_BYTES];
    world.remove("a").put("y", &body).put("z", &body).commit();
    feed.update(Arc::clone(&world.desired));
    let sent = pushes(&mut feed);
    assert_eq!(sent.len(), 3);
    assert!(sent[..2].iter().all(|chunk| chunk.removals.is_empty()));
    assert_eq!(names(&sent), (vec!["y", "z"], vec!["a"]));
}

#[test]
fn pushes_are_cut_at_one_mebibyte() {
    let mut world = World::default();
    for index in 0..40 {
        world.put(&format!("c{index:02}"), &vec![1; CHUNK_BYTES / 10]);
    }
    world.commit();
    let mut feed = world.feed();
    feed.resume(&Plane::default().resume());
    let sent = pushes(&mut feed);
    let bodies = |push: &Push| push.upserts.iter().map(|r| r.body.len()).sum::<usize>();
    assert!(sent.len() > 4 && sent.iter().all(|push| bodies(push) <= CHUNK_BYTES));
    let (last, others) = sent.split_last().expect("chunks");
    assert!(last.last && others.iter().all(|push| !push.last));
    assert!(sent.iter().all(|push| push.nonce == last.nonce));
    assert_eq!(names(&sent).0.len(), 40);
}

#[test]
fn ack_of_an_unfinished_or_unknown_push_changes_nothing() {
    let mut world = World::default();
    world
        .put("a", &vec![1; CHUNK_BYTES])
        .put("b", &vec![1; CHUNK_BYTES])
        .commit();
    let mut feed = world.feed();
    feed.resume(&Plane::default().resume());
    let Some(Output::Push(chunk)) = feed.poll(NOW) else {
        unreachable!("a push is due")
    };
    assert!(!chunk.last);
    let ack = Ack {
        lane: chunk.lane,
        nonce: chunk.nonce,
        ..Ack::default()
    };
    assert!(!feed.ack(&ack, NOW));
    assert!(!feed.ack(
        &Ack {
            nonce: chunk.nonce + 7,
            ..ack.clone()
        },
        NOW
    ));
    assert!(!feed.ack(
        &Ack {
            lane: Lane::Unspecified.into(),
            ..ack
        },
        NOW
    ));
    assert_eq!(feed.standing().behind.len(), 2);
    let last = pushes(&mut feed).pop().expect("the rest");
    let stray = Ack {
        lane: last.lane,
        nonce: last.nonce + 7,
        ..Ack::default()
    };
    assert!(last.last && !feed.ack(&stray, NOW));
    assert_eq!(feed.standing().behind.len(), 2);
}

#[test]
fn refused_removal_is_sent_again_when_the_cluster_came_and_went() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    world.remove("a").commit();
    feed.update(Arc::clone(&world.desired));
    let push = pushes(&mut feed).remove(0);
    let refused = Nack {
        kind: "clusters".into(),
        name: "a".into(),
        ..Nack::default()
    };
    let ack = Ack {
        lane: push.lane,
        nonce: push.nonce,
        digest: plane.digest(),
        nacks: vec![refused],
        ..Ack::default()
    };
    assert!(feed.ack(&ack, NOW));
    assert!(pushes(&mut feed).is_empty());
    world.put("a", b"one").commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    world.remove("a").commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert!(plane.held.is_empty() && feed.nacks().count() == 0);
}

#[test]
fn nacked_resource_is_not_sent_again_until_it_changes() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    plane.refuses.insert("bad".into());
    world.put("bad", b"v1").put("good", b"v1").commit();
    let mut feed = connect(&world, &mut plane);
    assert_eq!(plane.names("clusters"), ["a", "good"]);
    assert_eq!(
        feed.nacks()
            .map(|nack| nack.name.as_str())
            .collect::<Vec<_>>(),
        ["bad"]
    );
    assert!(!feed.standing().is_synced() && feed.standing().behind.is_empty());

    world.put("good", b"v2").commit();
    feed.update(Arc::clone(&world.desired));
    let sent = pushes(&mut feed);
    assert_eq!(names(&sent).0, ["good"]);
    sent.into_iter()
        .filter_map(|push| plane.receive(push))
        .for_each(|ack| assert!(feed.ack(&ack, NOW)));

    plane.refuses.clear();
    world.put("bad", b"v2").commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert_eq!(plane.names("clusters"), ["a", "bad", "good"]);
    assert!(feed.standing().is_synced());
    assert_eq!(feed.nacks().count(), 0);
}

#[test]
fn nack_is_remembered_across_streams_of_one_run() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    plane.refuses.insert("bad".into());
    world.put("bad", b"v1").commit();
    let nacks: Vec<_> = connect(&world, &mut plane).nacks().cloned().collect();
    let mut feed = world.feed();
    feed.remember(nacks.clone());
    feed.resume(&plane.resume());
    assert!(pushes(&mut feed).is_empty());
    assert_eq!(feed.nacks().count(), 1);

    world.put("bad", b"v2").commit();
    let mut feed = world.feed();
    feed.remember(nacks);
    feed.resume(&plane.resume());
    assert_eq!(names(&pushes(&mut feed)).0, ["bad"]);
}

#[test]
fn rejected_update_keeps_the_previous_state_and_goes_away_with_its_cluster() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    let before = plane.held.clone();
    plane.refuses.insert("a".into());
    world.put("a", b"worse").commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert_eq!((&plane.held, feed.nacks().count()), (&before, 1));
    world.remove("a").commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert!(plane.held.is_empty() && feed.nacks().count() == 0);
}

#[test]
fn unknown_resource_is_left_as_it_is() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    connect(&world, &mut plane);
    world.obscure("a").put("b", b"two").commit();
    let feed = connect(&world, &mut plane);
    assert_eq!(plane.names("clusters"), ["a", "b"]);
    assert!(feed.standing().is_synced());
}

#[test]
fn slot_map_comes_after_its_cluster_and_goes_after_it() {
    let mut world = World::default();
    world.put_slotted("rc").map("rc", 1).commit();
    let mut plane = Plane::default();
    let mut feed = world.feed();
    feed.resume(&plane.resume());
    let sent = pushes(&mut feed);
    assert!(sent.iter().all(|push| push.lane() == Lane::Config));
    sent.into_iter()
        .filter_map(|push| plane.receive(push))
        .for_each(|ack| assert!(feed.ack(&ack, NOW)));
    let sent = pushes(&mut feed);
    assert!(sent.iter().all(|push| push.lane() == Lane::SlotMaps) && sent.len() == 1);
    sent.into_iter()
        .filter_map(|push| plane.receive(push))
        .for_each(|ack| assert!(feed.ack(&ack, NOW)));

    world.remove("rc").forget_map("rc").commit();
    feed.update(Arc::clone(&world.desired));
    let sent = pushes(&mut feed);
    assert!(sent.iter().all(|push| push.lane() == Lane::Config) && sent.len() == 1);
    sent.into_iter()
        .filter_map(|push| plane.receive(push))
        .for_each(|ack| assert!(feed.ack(&ack, NOW)));
    settle(&mut feed, &mut plane, NOW);
    assert!(plane.held.is_empty());
}

#[test]
fn lanes_do_not_wait_for_each_other() {
    let mut world = one_cluster();
    world.put_slotted("rc").map("rc", 1).commit();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    world.put("a", b"slow").commit();
    feed.update(Arc::clone(&world.desired));
    assert_eq!(pushes(&mut feed).len(), 1, "un-acked from here");
    world.map("rc", 2).commit();
    feed.update(Arc::clone(&world.desired));
    let sent = pushes(&mut feed);
    assert!(sent.len() == 1 && sent[0].lane() == Lane::SlotMaps);
}

#[test]
fn slot_map_moves_by_delta_when_its_base_is_held_else_whole() {
    let mut world = World::default();
    world.put_slotted("rc").map("rc", 1).commit();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    world.map("rc", 2).commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    let last = plane.received.last().expect("a push");
    assert!(last.slot_deltas.len() == 1 && last.upserts.is_empty());

    world.map("rc", 3).map("rc", 4).commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    let last = plane.received.last().expect("a push");
    assert!(last.slot_deltas.is_empty() && last.upserts.len() == 1);
    assert!(feed.standing().is_synced());
}

#[test]
fn rejected_delta_is_followed_by_the_whole_map() {
    let mut world = World::default();
    world.put_slotted("rc").map("rc", 1).commit();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    plane.refuses_deltas = true;
    world.map("rc", 2).commit();
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert!(feed.standing().is_synced());
    assert_eq!(feed.nacks().count(), 0);
    assert_eq!(
        plane.received.last().map(|push| push.upserts.len()),
        Some(1)
    );
}

#[test]
fn slot_map_that_was_not_probed_yet_stays_as_held() {
    let mut world = World::default();
    world.put_slotted("rc").map("rc", 1).commit();
    let mut plane = Plane::default();
    connect(&world, &mut plane);
    world.forget_map("rc").commit();
    let feed = connect(&world, &mut plane);
    assert_eq!(plane.names("slotmaps"), ["rc"]);
    assert!(feed.standing().is_synced());
}

#[test]
fn digest_mismatch_is_repaired_at_once_by_a_resume() {
    let world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    plane.held.clear();
    feed.digest(plane.digest(), NOW);
    assert_eq!(feed.poll(NOW), Some(Output::Resync));
    assert_eq!(feed.poll(NOW), None, "waits for the resume");
    feed.resume(&plane.resume());
    settle(&mut feed, &mut plane, NOW);
    assert_eq!(plane.names("clusters"), ["a"]);
    assert!(feed.standing().is_synced());
}

#[test]
fn unanswered_resync_becomes_a_full_push_within_five_seconds() {
    let world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    let stray = ResourceVersion {
        kind: "clusters".into(),
        name: "stray".into(),
        revision: 9,
        hash: 9,
    };
    plane
        .held
        .insert(("clusters".into(), "stray".into()), stray);
    feed.digest(plane.digest(), NOW);
    assert_eq!(feed.poll(NOW), Some(Output::Resync));
    let due = feed.deadline().expect("a deadline");
    assert!(due <= NOW + Duration::from_secs(5));
    settle(&mut feed, &mut plane, due);
    assert_eq!(plane.names("clusters"), ["a"]);
    assert!(plane.received.last().is_some_and(|push| push.full));
    assert!(feed.standing().is_synced());
}

#[test]
fn data_plane_that_cannot_be_repaired_is_not_pushed_to_without_end() {
    let world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    let pushed = plane.received.len();
    for beat in 0..30 {
        let now = NOW + Duration::from_secs(10 * beat);
        feed.digest(0xbad, now);
        settle(&mut feed, &mut plane, now);
        feed.digest(0xbad, now);
    }
    assert!(
        plane.received.len() - pushed < 15,
        "{}",
        plane.received.len() - pushed
    );
}

#[test]
fn heartbeat_during_a_push_is_no_mismatch() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    world.put("a", b"two").commit();
    feed.update(Arc::clone(&world.desired));
    let sent = pushes(&mut feed);
    let ack = plane.receive(sent[0].clone()).expect("one chunk");
    feed.digest(plane.digest(), NOW);
    assert_eq!(feed.poll(NOW), None);
    assert!(feed.ack(&ack, NOW));
    assert_eq!(feed.poll(NOW), None);
}

#[test]
fn feed_that_missed_many_states_catches_up() {
    let mut world = one_cluster();
    let mut plane = Plane::default();
    let mut feed = connect(&world, &mut plane);
    world.remove("a").commit();
    for step in 0..6000_u32 {
        world
            .put(&format!("c{}", step % 3), &step.to_be_bytes())
            .commit();
    }
    feed.update(Arc::clone(&world.desired));
    settle(&mut feed, &mut plane, NOW);
    assert_eq!(plane.names("clusters"), ["c0", "c1", "c2"]);
    assert!(feed.standing().is_synced());
}

#[test]
fn bodies_are_shared_between_feeds() {
    let world = one_cluster();
    let bodies = ["dp-1", "dp-2"].map(|id| {
        let mut feed = Feed::new(id, &BTreeMap::new(), Arc::clone(&world.desired));
        feed.resume(&Plane::default().resume());
        pushes(&mut feed).remove(0).upserts.remove(0).body
    });
    assert_eq!(bodies[0].as_ptr(), bodies[1].as_ptr());
}

/// Names of upserts and of removals, in the order sent.
fn names(pushes: &[Push]) -> (Vec<&str>, Vec<&str>) {
    let upserts = pushes
        .iter()
        .flat_map(|push| &push.upserts)
        .map(|r| r.name.as_str());
    let removals = pushes
        .iter()
        .flat_map(|push| &push.removals)
        .map(|r| r.name.as_str());
    (upserts.collect(), removals.collect())
}

//! Views of one cluster, true and stale, and what is made of them.

use super::*;

const HALF: u16 = 8_191;

fn node(id: &str, epoch: u64, slots: &[(u16, u16)]) -> Node {
    Node {
        id: id.into(),
        addr: Some(format!(
            "10.0.0.1:7{}",
            id.len() * 100 + usize::from(id.as_bytes()[0])
        )),
        primary_id: None,
        epoch,
        is_failed: false,
        is_stranger: false,
        slots: slots.into(),
    }
}

fn replica(id: &str, of: &str) -> Node {
    Node {
        primary_id: Some(of.into()),
        ..node(id, 0, &[])
    }
}

fn view(own: &str, nodes: &[Node]) -> View {
    View {
        own_id: own.into(),
        nodes: nodes.into(),
    }
}

/// Two primaries that share all slots, and one replica of the first.
fn two() -> Vec<Node> {
    vec![
        node("a", 1, &[(0, HALF)]),
        node("b", 2, &[(HALF + 1, 16_383)]),
        replica("r", "a"),
    ]
}

fn changed(learned: Learned) -> Arc<SlotMap> {
    match learned {
        Learned::Changed(map) | Learned::Reset(map) => map,
        other => unreachable!("{other:?}"),
    }
}

fn owner(map: &SlotMap, slot: u16) -> &str {
    let shard = map.owner(slot).expect("an owner");
    &map.shards()[usize::from(shard)].primary_id
}

#[test]
fn first_views_give_a_map_and_the_same_views_no_other() {
    let mut tracker = Tracker::default();
    let map = changed(tracker.learn(&[view("a", &two())], 77));
    assert_eq!(
        (map.sequence(), map.covered(), map.shards().len()),
        (77, 16_384, 2)
    );
    assert_eq!(
        map.shards()[0].replicas,
        [replica("r", "a").addr.expect("set")]
    );
    assert_eq!(
        tracker.learn(&[view("b", &two()), view("a", &two())], 78),
        Learned::Same
    );
}

#[test]
fn claim_with_the_higher_epoch_wins_whoever_is_asked_first() {
    let moved = [
        node("a", 1, &[(1, HALF)]),
        node("b", 3, &[(0, 0), (HALF + 1, 16_383)]),
        replica("r", "a"),
    ];
    for views in [
        [view("a", &two()), view("b", &moved)],
        [view("b", &moved), view("r", &two())],
        [view("r", &moved), view("r", &two())],
    ] {
        let mut tracker = Tracker::default();
        tracker.learn(&[view("a", &two())], 1);
        let map = changed(tracker.learn(&views, 2));
        assert_eq!((owner(&map, 0), owner(&map, 1)), ("b", "a"));
    }
}

#[test]
fn stale_view_takes_nothing_back() {
    let mut tracker = Tracker::default();
    let moved = [
        node("a", 1, &[(1, HALF)]),
        node("b", 3, &[(0, 0), (HALF + 1, 16_383)]),
        replica("r", "a"),
    ];
    tracker.learn(&[view("b", &moved)], 1);
    assert_eq!(tracker.learn(&[view("r", &two())], 2), Learned::Same);
}

#[test]
fn own_word_of_the_old_owner_outweighs_its_epoch() {
    let mut tracker = Tracker::default();
    let before = [
        node("a", 9, &[(0, HALF)]),
        node("b", 2, &[(HALF + 1, 16_383)]),
    ];
    tracker.learn(&[view("a", &before), view("b", &before)], 1);
    let after = [
        node("a", 9, &[(1, HALF)]),
        node("b", 2, &[(0, 0), (HALF + 1, 16_383)]),
    ];
    let map = changed(tracker.learn(&[view("a", &after), view("b", &after)], 2));
    assert_eq!(owner(&map, 0), "b");
}

#[test]
fn slot_that_nobody_claims_stays_where_it_was() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    let given_away = [
        node("a", 1, &[(1, HALF)]),
        node("b", 2, &[(HALF + 1, 16_383)]),
        replica("r", "a"),
    ];
    assert_eq!(tracker.learn(&[view("a", &given_away)], 2), Learned::Same);
}

#[test]
fn sequence_grows_even_when_the_clock_goes_back() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1_000);
    let moved = [
        node("a", 1, &[(1, HALF)]),
        node("b", 3, &[(0, 0), (HALF + 1, 16_383)]),
    ];
    assert_eq!(
        changed(tracker.learn(&[view("b", &moved)], 5)).sequence(),
        1_001
    );
}

#[test]
fn shards_keep_their_places_and_new_ones_come_behind() {
    let mut tracker = Tracker::default();
    let base = changed(tracker.learn(&[view("b", &two())], 1));
    let grown = [
        node("a", 1, &[(10, HALF)]),
        node("b", 2, &[(HALF + 1, 16_383)]),
        node("0", 3, &[(0, 9)]),
        replica("r", "a"),
    ];
    let map = changed(tracker.learn(&[view("a", &grown)], 2));
    assert!(map.extends(&base));
    assert_eq!(map.diff(&base).len(), 1, "one range moved");
    let empty = [
        node("a", 1, &[]),
        node("b", 2, &[(HALF + 1, 16_383)]),
        node("0", 4, &[(0, HALF)]),
        replica("r", "a"),
    ];
    let map = changed(tracker.learn(&[view("a", &empty), view("0", &empty)], 3));
    let ids: Vec<_> = map
        .shards()
        .iter()
        .map(|shard| &*shard.primary_id)
        .collect();
    assert_eq!(
        ids,
        ["a", "b", "0"],
        "a primary without slots keeps its place"
    );
    let gone = [
        node("b", 2, &[(HALF + 1, 16_383)]),
        node("0", 4, &[(0, HALF)]),
    ];
    let map = changed(tracker.learn(&[view("b", &gone)], 4));
    let ids: Vec<_> = map
        .shards()
        .iter()
        .map(|shard| &*shard.primary_id)
        .collect();
    assert_eq!(ids, ["b", "0"], "until it is gone");
}

#[test]
fn promoted_replica_takes_the_place_of_its_primary() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("b", &two())], 1);
    let mut dead = node("a", 1, &[]);
    dead.is_failed = true;
    let after = [
        dead,
        node("b", 2, &[(HALF + 1, 16_383)]),
        Node {
            epoch: 3,
            slots: vec![(0, HALF)],
            primary_id: None,
            ..replica("r", "a")
        },
    ];
    let map = changed(tracker.learn(&[view("b", &after)], 2));
    let ids: Vec<_> = map
        .shards()
        .iter()
        .map(|shard| &*shard.primary_id)
        .collect();
    assert_eq!(ids, ["r", "b"]);
    assert_eq!(map.shards()[0].replicas, [""; 0]);
}

#[test]
fn failed_replica_is_left_out_and_a_failed_owner_is_not() {
    let mut nodes = two();
    nodes[1].is_failed = true;
    nodes[2].is_failed = true;
    let map = changed(Tracker::default().learn(&[view("a", &nodes)], 1));
    assert_eq!((map.covered(), map.shards()[0].replicas.len()), (16_384, 0));
}

#[test]
fn empty_topology_is_never_taken() {
    let bare = [node("a", 0, &[])];
    assert_eq!(
        Tracker::default().learn(&[view("a", &bare)], 1),
        Learned::Nothing
    );
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    for sequence in 2..9 {
        let learned = tracker.learn(&[view("z", &[node("z", 0, &[])])], sequence);
        assert!(
            matches!(learned, Learned::Held(_) | Learned::Nothing),
            "{learned:?}"
        );
        assert!(matches!(tracker.learn(&[], sequence), Learned::Nothing));
    }
    assert_eq!(tracker.map().map(|map| map.covered()), Some(16_384));
}

#[test]
fn recorded_owner_that_nobody_knows_is_given_up_at_the_third_refresh() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    let other = [node("x", 0, &[(0, 16_383)])];
    for sequence in [2, 3] {
        assert_eq!(
            tracker.learn(&[view("x", &other)], sequence),
            Learned::Held("a".into())
        );
    }
    let Learned::Reset(map) = tracker.learn(&[view("x", &other)], 4) else {
        unreachable!("a reset");
    };
    assert_eq!((owner(&map, 0), map.shards().len()), ("x", 1));
    assert_eq!(tracker.learn(&[view("x", &other)], 5), Learned::Same);
}

#[test]
fn refreshes_that_nobody_answered_do_not_count() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    (0..5).for_each(|sequence| assert_eq!(tracker.learn(&[], sequence), Learned::Nothing));
    let other = [node("x", 0, &[(0, 16_383)])];
    assert_eq!(
        tracker.learn(&[view("x", &other)], 9),
        Learned::Held("a".into())
    );
}

#[test]
fn refreshes_that_know_it_again_start_the_count_anew() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    let other = [node("x", 0, &[(0, 16_383)])];
    for sequence in 0..10 {
        tracker.learn(&[view("x", &other)], sequence);
        assert_eq!(
            tracker.learn(&[view("x", &other)], sequence),
            Learned::Held("a".into())
        );
        assert_eq!(tracker.learn(&[view("b", &two())], sequence), Learned::Same);
    }
}

#[test]
fn view_of_another_cluster_is_left_out() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    let other = [node("x", 99, &[(0, 16_383)])];
    assert_eq!(
        tracker.learn(&[view("x", &other), view("b", &two())], 2),
        Learned::Same
    );
    tracker.restart();
    let map = changed(tracker.learn(&[view("x", &other), view("b", &two())], 3));
    assert_eq!(owner(&map, 9_000), "x", "other seeds are another cluster");
}

#[test]
fn node_that_was_emptied_and_forgotten_is_no_reset() {
    let mut tracker = Tracker::default();
    tracker.learn(&[view("a", &two())], 1);
    let after = [node("b", 3, &[(0, 16_383)])];
    assert!(matches!(
        tracker.learn(&[view("b", &after)], 2),
        Learned::Changed(_)
    ));
}

//! The registry's rules.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prism_proto::{
    model::Selector,
    pb::{
        admin::v1::{Dataplane, SyncState},
        discovery::v1::{ClusterReport, EndpointReport, Nack, Report, Violation},
    },
};
use tokio::time::advance;

use super::{ConnectError, Fleet, Identity, Standing, WAITING_REPORTS};
use crate::store::Revision;

fn identity(id: &str, instance: &str) -> Identity {
    Identity {
        id: id.into(),
        instance: instance.into(),
        peer: "10.0.0.1:5".into(),
        ..Identity::default()
    }
}

fn standing(desired: u64, reported: u64) -> Standing {
    Standing {
        desired: Revision {
            epoch: 1,
            number: 7,
        },
        desired_digest: desired,
        reported_digest: Some(reported),
        ..Standing::default()
    }
}

fn nack(name: &str, revision: u64) -> Nack {
    Nack {
        kind: "clusters".into(),
        name: name.into(),
        revision,
        hash: 3,
        violations: vec![Violation {
            field: "listen_addr".into(),
            description: "port 9001 is in use".into(),
        }],
    }
}

fn only(fleet: &Fleet) -> Dataplane {
    fleet.list(Revision::default()).remove(0)
}

#[tokio::test]
async fn second_live_stream_of_another_instance_is_refused_by_name() {
    let (fleet, _reports) = Fleet::new();
    let first = fleet.connect(identity("dp-1", "one")).expect("free");
    let refused = fleet.connect(identity("dp-1", "two")).expect_err("held");
    let held = ConnectError::Held {
        id: "dp-1".into(),
        instance: "one".into(),
        peer: "10.0.0.1:5".into(),
    };
    assert_eq!(refused, held);
    assert!(only(&fleet).last_error.contains("instance two"));
    drop(first);
    let second = fleet.connect(identity("dp-1", "two")).expect("free again");
    assert_eq!(only(&fleet).instance, "two");
    drop(second);
}

#[tokio::test]
async fn same_instance_takes_the_place_of_its_old_stream() {
    let (fleet, _reports) = Fleet::new();
    let mut old = fleet.connect(identity("dp-1", "one")).expect("free");
    let new = fleet.connect(identity("dp-1", "one")).expect("replaces");
    old.replaced().await;
    old.failed("must not be seen");
    drop(old);
    let shown = only(&fleet);
    assert_eq!(
        (shown.state(), shown.last_error.as_str()),
        (SyncState::Pending, "")
    );
    drop(new);
    assert_eq!(only(&fleet).state(), SyncState::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn state_follows_digests_nacks_and_time() {
    let (fleet, _reports) = Fleet::new();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    assert_eq!(only(&fleet).state(), SyncState::Pending);
    link.stands(standing(5, 5), vec![]);
    assert_eq!(only(&fleet).state(), SyncState::Synced);
    link.stands(standing(6, 5), vec![]);
    assert_eq!(only(&fleet).state(), SyncState::Pending);
    advance(Duration::from_secs(16)).await;
    assert_eq!(only(&fleet).state(), SyncState::Stale);
    link.stands(standing(6, 5), vec![nack("a", 7)]);
    let shown = only(&fleet);
    assert_eq!(shown.state(), SyncState::Nacked);
    assert_eq!(shown.nacks[0].violations[0].field, "listen_addr");
    assert_eq!(
        shown.last_error,
        "clusters/a: listen_addr: port 9001 is in use"
    );
    link.foreign("other");
    assert_eq!(only(&fleet).state(), SyncState::ForeignFleet);
    assert!(fleet.alarms()[0].starts_with("FOREIGN_FLEET: data plane dp-1"));
    drop(link);
    assert_eq!(only(&fleet).state(), SyncState::Disconnected);
    assert!(fleet.alarms().is_empty());
}

#[tokio::test]
async fn state_of_an_older_revision_does_not_count_for_the_head() {
    let (fleet, _reports) = Fleet::new();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    link.stands(standing(5, 5), vec![]);
    let seventh = Revision {
        epoch: 1,
        number: 7,
    };
    let eighth = Revision {
        epoch: 1,
        number: 8,
    };
    assert_eq!(fleet.list(seventh)[0].state(), SyncState::Synced);
    assert_eq!(fleet.list(eighth)[0].state(), SyncState::Pending);
}

#[tokio::test]
async fn watchers_wake_on_news_only() {
    let (fleet, _reports) = Fleet::new();
    let mut changes = fleet.watch();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    assert!(changes.has_changed().expect("open"));
    changes.mark_unchanged();
    link.stands(standing(5, 5), vec![]);
    assert!(changes.has_changed().expect("open"));
    changes.mark_unchanged();
    link.stands(standing(5, 5), vec![]);
    link.seen();
    assert!(!changes.has_changed().expect("open"));
}

#[tokio::test]
async fn nacks_survive_a_reconnect_but_not_a_restart() {
    let (fleet, _reports) = Fleet::new();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    link.stands(standing(6, 5), vec![nack("a", 7)]);
    drop(link);
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    assert_eq!(link.earlier_nacks(), [nack("a", 7)]);
    drop(link);
    let link = fleet.connect(identity("dp-1", "two")).expect("free");
    assert!(link.earlier_nacks().is_empty());
}

#[tokio::test]
async fn clusters_are_counted_by_selector_nack_and_progress() {
    let (fleet, _reports) = Fleet::new();
    let links: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|id| fleet.connect(identity(id, "one")).expect("free"))
        .into();
    links[0].stands(standing(5, 5), vec![]);
    links[1].stands(standing(6, 5), vec![nack("x", 7)]);
    let behind = Standing {
        behind: BTreeSet::from(["x".into()]),
        ..standing(6, 5)
    };
    links[2].stands(behind, vec![]);
    links[4].foreign("other");
    let counts = fleet.cluster_counts("x", &Selector::default(), 7);
    assert_eq!((counts.selected, counts.synced, counts.nacked), (4, 1, 1));
    let later = fleet.cluster_counts("x", &Selector::default(), 8);
    assert_eq!((later.selected, later.synced, later.nacked), (4, 0, 0));
    let narrow = Selector {
        dataplanes: vec!["a".into()],
        ..Selector::default()
    };
    assert_eq!(fleet.cluster_counts("x", &narrow, 7).selected, 1);
}

#[tokio::test]
async fn reports_are_passed_on_and_never_pile_up() {
    let (fleet, mut reports) = Fleet::new();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    let ejected = |ejected| Report {
        clusters: vec![ClusterReport {
            cluster: "x".into(),
            clients: 3,
            endpoints: vec![EndpointReport {
                addr: "10.0.0.9:6379".into(),
                ejected,
                ..EndpointReport::default()
            }],
            ..ClusterReport::default()
        }],
        ..Report::default()
    };
    link.report(ejected(true));
    assert_eq!(only(&fleet).ejected, ["x/10.0.0.9:6379"]);
    assert_eq!(only(&fleet).clients, 3);
    link.report(ejected(false));
    assert!(only(&fleet).ejected.is_empty());
    assert_eq!(&*reports.recv().await.expect("a report").dataplane, "dp-1");
    for _ in 0..WAITING_REPORTS + 9 {
        link.report(Report::default());
    }
    assert_eq!(fleet.dropped_reports(), 10);
}

#[tokio::test]
async fn snapshot_start_is_shown_until_in_step() {
    let (fleet, _reports) = Fleet::new();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    link.resumed(true);
    link.stands(standing(6, 5), vec![]);
    assert!(only(&fleet).started_from_snapshot);
    link.stands(standing(6, 6), vec![]);
    assert!(!only(&fleet).started_from_snapshot);
}

#[tokio::test(start_paused = true)]
async fn data_plane_is_forgotten_a_day_after_its_last_stream() {
    let (fleet, _reports) = Fleet::new();
    drop(fleet.connect(identity("gone", "one")).expect("free"));
    advance(Duration::from_secs(25 * 60 * 60)).await;
    let _links: Vec<_> = (0..130)
        .map(|index| {
            fleet
                .connect(identity(&format!("dp-{index}"), "one"))
                .expect("free")
        })
        .collect();
    assert!(
        fleet
            .list(Revision::default())
            .iter()
            .all(|shown| shown.id != "gone")
    );
}

fn serves(names: &[&str]) -> Standing {
    let names: BTreeSet<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
    Standing {
        serves: Some(Arc::new(names)),
        ..Standing::default()
    }
}

const PATIENCE: Duration = Duration::from_secs(15);

fn in_service(fleet: &Fleet) -> Vec<String> {
    let (serving, _) = fleet.serving(PATIENCE);
    serving.into_iter().map(|one| one.id).collect()
}

#[tokio::test(start_paused = true)]
async fn data_plane_is_in_service_until_it_was_away_for_a_while() {
    let (fleet, _reports) = Fleet::new();
    let one = fleet.connect(identity("dp-1", "one")).expect("free");
    let two = fleet.connect(identity("dp-2", "two")).expect("free");
    assert!(
        in_service(&fleet).is_empty(),
        "nobody knows what they serve"
    );
    one.stands(serves(&["rc"]), Vec::new());
    two.stands(serves(&[]), Vec::new());
    assert_eq!(in_service(&fleet), ["dp-1"]);
    assert_eq!(fleet.serving(PATIENCE).1, None);
    drop(one);
    assert_eq!(in_service(&fleet), ["dp-1"]);
    let (_, gone_at) = fleet.serving(PATIENCE);
    advance(PATIENCE / 2).await;
    assert_eq!(in_service(&fleet), ["dp-1"]);
    advance(PATIENCE / 2).await;
    assert_eq!(gone_at, Some(tokio::time::Instant::now()));
    assert!(in_service(&fleet).is_empty());
}

#[tokio::test(start_paused = true)]
async fn reconnect_of_the_same_run_leaves_it_in_service() {
    let (fleet, _reports) = Fleet::new();
    let old = fleet.connect(identity("dp-1", "one")).expect("free");
    old.stands(serves(&["rc"]), Vec::new());
    let new = fleet.connect(identity("dp-1", "one")).expect("replaces");
    new.stands(Standing::default(), Vec::new());
    assert_eq!(in_service(&fleet), ["dp-1"]);
    drop((old, new));
    let other = fleet.connect(identity("dp-1", "other")).expect("free");
    assert!(in_service(&fleet).is_empty(), "another run has to say it");
    drop(other);
}

#[tokio::test]
async fn draining_or_foreign_data_plane_is_not_in_service() {
    let (fleet, _reports) = Fleet::new();
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    link.stands(serves(&["rc"]), Vec::new());
    let mut changes = fleet.watch();
    link.draining(false);
    assert!(!changes.has_changed().expect("open"));
    link.draining(true);
    assert!(changes.has_changed().expect("open"));
    changes.mark_unchanged();
    assert!(in_service(&fleet).is_empty());
    drop(link);
    let link = fleet.connect(identity("dp-1", "one")).expect("free");
    link.stands(serves(&["rc"]), Vec::new());
    assert!(in_service(&fleet).is_empty(), "the same run still drains");
    drop(link);
    let link = fleet.connect(identity("dp-1", "two")).expect("free");
    link.stands(serves(&["rc"]), Vec::new());
    assert_eq!(in_service(&fleet), ["dp-1"], "a new run does not drain");
    link.foreign("another");
    assert!(in_service(&fleet).is_empty());
}

//! From an apply to acks, and what data planes may and may not do.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use prism_proto::{
    pb::{
        admin::v1::{
            DeleteClustersRequest, DeleteTarget, GetClusterRequest, GetFleetRequest, SyncState,
        },
        config::v1::{ClusterSpec, Selector},
        discovery::v1::{
            EndpointHealth, Hello, Resume, directive, sync_request, sync_response::Kind,
        },
    },
    status::reason,
};
use tonic::Code;

use super::rig::{Wire, admin, apply, hello, options, spec, start, until_state};
use crate::{
    health::{ClusterVerdict, Verdicts},
    server::{Options, Server},
};

#[tokio::test]
async fn apply_reaches_the_data_plane_and_status_shows_it() {
    let server = start().await;
    let mut wire = Wire::join(&server, "dp-1").await;
    let Some(Kind::Welcome(welcome)) = wire.next().await.expect("live") else {
        unreachable!("the welcome comes first")
    };
    assert!(!welcome.foreign_fleet && welcome.fleet_id.len() == 36);
    let applied = apply(&server, vec![spec("a", 9001)]).await;
    wire.follow_to(&["a"]).await;
    let shown = until_state(&server, "dp-1", SyncState::Synced).await;
    assert_eq!((shown.acked, shown.clusters), (applied.revision, 1));
    let request = GetClusterRequest { name: "a".into() };
    let cluster = admin(&server)
        .await
        .get_cluster(request)
        .await
        .expect("there")
        .into_inner()
        .cluster;
    let status = cluster
        .and_then(|cluster| cluster.status)
        .expect("a status");
    assert_eq!((status.selected, status.synced, status.nacked), (1, 1, 0));
}

#[tokio::test]
async fn deleted_cluster_is_removed_from_the_data_plane() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001), spec("b", 9002)]).await;
    let mut wire = Wire::join(&server, "dp-1").await;
    wire.follow_to(&["a", "b"]).await;
    let request = DeleteClustersRequest {
        clusters: vec![DeleteTarget {
            name: "a".into(),
            etag: String::new(),
        }],
        ..DeleteClustersRequest::default()
    };
    admin(&server)
        .await
        .delete_clusters(request)
        .await
        .expect("deleted");
    wire.follow_to(&["b"]).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
}

#[tokio::test]
async fn unselected_cluster_never_reaches_a_data_plane() {
    let server = start().await;
    let narrow = |name: &str, port, dataplane: &str, tier: &str| ClusterSpec {
        selector: Some(Selector {
            dataplanes: if dataplane.is_empty() {
                vec![]
            } else {
                vec![dataplane.into()]
            },
            labels: if tier.is_empty() {
                BTreeMap::new()
            } else {
                BTreeMap::from([("tier".into(), tier.into())])
            },
        }),
        ..spec(name, port)
    };
    apply(
        &server,
        vec![
            narrow("by-id", 9001, "dp-2", ""),
            narrow("by-label", 9002, "", "core"),
            narrow("mine", 9003, "dp-1", "edge"),
        ],
    )
    .await;
    let labels = BTreeMap::from([("tier".into(), "edge".into())]);
    let mut wire = Wire::open(
        &server,
        Hello {
            labels,
            ..hello("dp-1")
        },
    )
    .await;
    wire.send(sync_request::Kind::Resume(Resume::default()))
        .await;
    wire.follow_to(&["mine"]).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    assert_eq!(wire.names(), ["mine"]);
}

#[tokio::test]
async fn reconnect_without_change_sends_no_resource() {
    let server = start().await;
    let revision = apply(&server, vec![spec("a", 9001)])
        .await
        .revision
        .expect("a revision");
    let mut wire = Wire::join(&server, "dp-1").await;
    wire.follow_to(&["a"]).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    let mut again = Wire::open(&server, hello("dp-1")).await;
    again.held = wire.held.clone();
    let resume = again.resume(revision.epoch, revision.revision);
    again.send(sync_request::Kind::Resume(resume)).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    apply(&server, vec![spec("b", 9002)]).await;
    assert!(matches!(again.next().await, Ok(Some(Kind::Welcome(_)))));
    let Ok(Some(Kind::Push(push))) = again.next().await else {
        unreachable!("a push")
    };
    assert_eq!(
        push.upserts
            .iter()
            .map(|r| r.name.as_str())
            .collect::<Vec<_>>(),
        ["b"]
    );
}

#[tokio::test]
async fn resumed_data_plane_learns_at_once_what_it_should_hold() {
    let server = start().await;
    let mut wire = Wire::join(&server, "dp-1").await;
    assert!(matches!(wire.next().await, Ok(Some(Kind::Welcome(_)))));
    let heard = Instant::now();
    assert_eq!(wire.desired_digest().await, 0);
    assert!(
        heard.elapsed() < Duration::from_millis(250),
        "not with the next heartbeat"
    );
}

#[tokio::test]
async fn nack_is_shown_with_its_violations() {
    let server = start().await;
    let mut wire = Wire::join(&server, "dp-1").await;
    wire.refuses = Some("bad");
    apply(&server, vec![spec("bad", 9001), spec("good", 9002)]).await;
    wire.follow_to(&["good"]).await;
    let shown = until_state(&server, "dp-1", SyncState::Nacked).await;
    assert_eq!(shown.nacks[0].name, "bad");
    assert_eq!(shown.nacks[0].violations[0].field, "listen_addr");
    assert_eq!(
        shown.last_error,
        "clusters/bad: listen_addr: port 9001 is in use"
    );
}

#[tokio::test]
async fn second_instance_is_refused_until_the_first_misses_its_heartbeats() {
    let server = start().await;
    let _first = Wire::join(&server, "dp-1").await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    let other = || Hello {
        instance: "other".into(),
        ..hello("dp-1")
    };
    let refused = Wire::open(&server, other())
        .await
        .next()
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(reason(&refused).as_deref(), Some("DATAPLANE_CONNECTED"));
    assert!(refused.message().contains("dp-1-run"), "{refused:?}");
    // The first never answers heartbeats: it is dropped, and the id is free.
    let gone = until_state(&server, "dp-1", SyncState::Disconnected).await;
    assert!(
        gone.last_error.contains("nothing came"),
        "{}",
        gone.last_error
    );
    let welcome = Wire::open(&server, other()).await.next().await;
    assert!(matches!(welcome, Ok(Some(Kind::Welcome(_)))));
}

#[tokio::test]
async fn newer_stream_of_the_same_instance_replaces_the_older() {
    let server = start().await;
    let mut old = Wire::join(&server, "dp-1").await;
    assert!(matches!(old.next().await, Ok(Some(Kind::Welcome(_)))));
    let mut new = Wire::join(&server, "dp-1").await;
    assert!(matches!(new.next().await, Ok(Some(Kind::Welcome(_)))));
    let ended = old.next().await.expect_err("replaced");
    assert_eq!(reason(&ended).as_deref(), Some("STREAM_REPLACED"));
    until_state(&server, "dp-1", SyncState::Synced).await;
}

#[tokio::test]
async fn data_plane_of_another_fleet_is_pushed_nothing() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    let mut wire = Wire::open(
        &server,
        Hello {
            fleet_id: "another".into(),
            ..hello("dp-1")
        },
    )
    .await;
    let resume = Resume {
        epoch: 9,
        revision: 9,
        ..Resume::default()
    };
    wire.send(sync_request::Kind::Resume(resume)).await;
    let Ok(Some(Kind::Welcome(welcome))) = wire.next().await else {
        unreachable!("a welcome")
    };
    assert!(welcome.foreign_fleet);
    until_state(&server, "dp-1", SyncState::ForeignFleet).await;
    apply(&server, vec![spec("b", 9002)]).await;
    let quiet = tokio::time::timeout(Duration::from_millis(700), wire.next()).await;
    assert!(quiet.is_err(), "only heartbeats may come: {quiet:?}");
    let fleet = admin(&server)
        .await
        .get_fleet(GetFleetRequest {})
        .await
        .expect("told")
        .into_inner();
    assert!(
        fleet.alarms[0].starts_with("FOREIGN_FLEET"),
        "{:?}",
        fleet.alarms
    );
    assert_eq!(
        fleet.revision.map(|revision| revision.epoch),
        Some(welcome.epoch)
    );
}

#[tokio::test]
async fn resume_ahead_of_the_store_raises_the_epoch_before_any_push() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    let fleet_id = server.context().catalog.image().fleet_id.clone();
    let mut wire = Wire::open(
        &server,
        Hello {
            fleet_id,
            ..hello("dp-1")
        },
    )
    .await;
    let resume = Resume {
        epoch: 7,
        revision: 900,
        ..Resume::default()
    };
    wire.send(sync_request::Kind::Resume(resume)).await;
    assert!(matches!(wire.next().await, Ok(Some(Kind::Welcome(_)))));
    let Ok(Some(Kind::Push(push))) = wire.next().await else {
        unreachable!("a push")
    };
    assert_eq!(push.epoch, 8);
    wire.take(push).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    let fleet = admin(&server)
        .await
        .get_fleet(GetFleetRequest {})
        .await
        .expect("told")
        .into_inner();
    assert!(
        fleet.alarms[0].starts_with("STORE_REGRESS"),
        "{:?}",
        fleet.alarms
    );
}

#[tokio::test]
async fn wrong_digest_is_repaired() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    let mut wire = Wire::join(&server, "dp-1").await;
    wire.follow_to(&["a"]).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    wire.held.clear();
    wire.beat().await;
    loop {
        if let Ok(Some(Kind::Directive(directive))) = wire.next().await {
            assert!(matches!(directive.kind, Some(directive::Kind::Resync(_))));
            break;
        }
    }
    wire.send(sync_request::Kind::Resume(wire.resume(1, 1)))
        .await;
    wire.follow_to(&["a"]).await;
    until_state(&server, "dp-1", SyncState::Synced).await;
}

#[tokio::test]
async fn acked_push_is_followed_by_a_health_frame_at_once() {
    let slow = Options {
        heartbeat: Duration::from_secs(60),
        ..options()
    };
    let mut server = Server::start(slow).await.expect("starts");
    let observers = server.observe().expect("not taken yet");
    let mut verdicts = Verdicts::default();
    let verdict = ClusterVerdict::default();
    verdicts.clusters.insert("a".into(), verdict);
    observers.verdicts.send_replace(Arc::new(verdicts));
    let mut wire = Wire::join(&server, "dp-1").await;
    until_state(&server, "dp-1", SyncState::Synced).await;
    apply(&server, vec![spec("a", 9001)]).await;
    wire.follow_to(&["a"]).await;
    let frame = wire.next().await;
    assert!(matches!(frame, Ok(Some(Kind::HealthFrame(_)))), "{frame:?}");
}

#[tokio::test]
async fn health_frames_come_on_change_and_with_heartbeats() {
    let mut server = start().await;
    let observers = server.observe().expect("not taken yet");
    apply(&server, vec![spec("a", 9001)]).await;
    let mut wire = Wire::join(&server, "dp-1").await;
    wire.follow_to(&["a"]).await;
    let verdict = ClusterVerdict {
        revision: 2,
        states: vec![EndpointHealth::Ejected],
        endpoints: vec![],
    };
    let mut verdicts = Verdicts::default();
    verdicts.clusters.insert("a".into(), verdict);
    observers.verdicts.send_replace(Arc::new(verdicts));
    let mut sequences = Vec::new();
    while sequences.len() < 3 {
        let Ok(Some(kind)) = wire.next().await else {
            unreachable!("live")
        };
        if let Kind::HealthFrame(frame) = kind {
            assert_eq!(&frame.clusters[0].states[..], [2]);
            assert_eq!(
                (frame.clusters[0].revision, frame.clusters[0].count),
                (2, 1)
            );
            sequences.push(frame.sequence);
        }
    }
    assert_eq!(sequences, [1, 2, 3]);
}

#[tokio::test]
async fn streams_are_told_to_come_back_at_the_end() {
    let server = start().await;
    let mut wire = Wire::join(&server, "dp-1").await;
    assert!(matches!(wire.next().await, Ok(Some(Kind::Welcome(_)))));
    until_state(&server, "dp-1", SyncState::Synced).await;
    let (told, ()) = tokio::join!(
        async {
            let told = wire.next().await;
            (told, wire.next().await)
        },
        server.drain(),
    );
    let (Ok(Some(Kind::Directive(directive))), end) = told else {
        unreachable!("{told:?}")
    };
    assert!(matches!(
        directive.kind,
        Some(directive::Kind::Reconnect(_))
    ));
    assert!(matches!(end, Ok(None)), "{end:?}");
}

#[tokio::test]
async fn stalled_data_plane_holds_up_nobody() {
    let server = start().await;
    let _stalled = Wire::join(&server, "stalled").await;
    let mut lively = Wire::join(&server, "lively").await;
    for step in 0..50 {
        let mut changed = spec("a", 9001);
        changed.annotations = BTreeMap::from([("step".into(), step.to_string().repeat(2000))]);
        apply(&server, vec![changed]).await;
    }
    lively.follow_to(&["a"]).await;
    loop {
        let shown = super::rig::dataplanes(&server).await;
        let lively_is_synced = shown
            .iter()
            .any(|one| one.id == "lively" && one.state() == SyncState::Synced);
        if lively_is_synced {
            break;
        }
        if let Ok(Some(Kind::Push(push))) = lively.next().await {
            lively.take(push).await;
        }
    }
}

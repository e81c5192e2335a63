//! The admin API's answers and refusals.

use prism_proto::{
    pb::{
        admin::v1::{
            ApplyRequest, ChangeKind, ClusterWrite, DeleteClustersRequest, DeleteTarget,
            FleetRevision, GetClusterRequest, ListClustersRequest, ListEndpointsRequest,
            ListRevisionsRequest, WatchDataplanesRequest, WatchRequest,
        },
        config::v1::{Auth, ClusterSpec, Secret, secret::Source},
    },
    status::{facts, reason, violations},
};
use tonic::Code;

use super::rig::{Wire, admin, apply, spec, start, write};

fn request(clusters: Vec<ClusterWrite>) -> ApplyRequest {
    ApplyRequest {
        clusters,
        ..ApplyRequest::default()
    }
}

#[tokio::test]
async fn all_violations_of_all_clusters_are_said_with_their_paths() {
    let server = start().await;
    let mut bad = spec("b", 9002);
    bad.endpoints[0].weight = Some(0);
    bad.listen_addr = "nonsense".into();
    let clusters = vec![write(spec("a", 9001)), ClusterWrite::default(), write(bad)];
    let refused = admin(&server)
        .await
        .apply(request(clusters))
        .await
        .expect_err("wrong");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let fields: Vec<_> = violations(&refused).into_iter().map(|v| v.field).collect();
    assert!(fields.contains(&"clusters[1]".to_owned()), "{fields:?}");
    assert!(
        fields.contains(&"clusters[2].endpoints[0].weight".to_owned()),
        "{fields:?}"
    );
    assert!(
        fields.contains(&"clusters[2].listen_addr".to_owned()),
        "{fields:?}"
    );
    let listed = admin(&server)
        .await
        .list_clusters(ListClustersRequest {})
        .await
        .expect("listed");
    assert!(listed.into_inner().clusters.is_empty(), "all or nothing");
}

#[tokio::test]
async fn apply_says_what_changed() {
    let server = start().await;
    let first = apply(&server, vec![spec("a", 9001)]).await;
    let second = apply(&server, vec![spec("a", 9001), spec("b", 9002)]).await;
    let kinds: Vec<_> = second.changes.iter().map(|change| change.kind()).collect();
    assert_eq!(kinds, [ChangeKind::Unchanged, ChangeKind::Created]);
    let number = |place: Option<FleetRevision>| place.map(|place| place.revision);
    assert_eq!(
        number(second.revision),
        number(first.revision).map(|number| number + 1)
    );
}

#[tokio::test]
async fn dry_run_writes_nothing() {
    let server = start().await;
    let dry = ApplyRequest {
        validate_only: true,
        ..request(vec![write(spec("a", 9001))])
    };
    let answer = admin(&server)
        .await
        .apply(dry)
        .await
        .expect("valid")
        .into_inner();
    assert_eq!(answer.changes[0].kind(), ChangeKind::Created);
    assert!(server.context().catalog.image().clusters.is_empty());
}

#[tokio::test]
async fn writer_with_an_old_etag_loses_and_learns_the_present_one() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    let get = GetClusterRequest { name: "a".into() };
    let read = admin(&server)
        .await
        .get_cluster(get.clone())
        .await
        .expect("there")
        .into_inner();
    let etag = read
        .cluster
        .and_then(|cluster| cluster.meta)
        .expect("meta")
        .etag;
    apply(&server, vec![spec("a", 9005)]).await;
    let stale = ClusterWrite {
        etag: etag.clone(),
        ..write(spec("a", 9006))
    };
    let lost = admin(&server)
        .await
        .apply(request(vec![stale]))
        .await
        .expect_err("lost");
    assert_eq!(
        (lost.code(), reason(&lost).as_deref()),
        (Code::Aborted, Some("ETAG_MISMATCH"))
    );
    let present = admin(&server)
        .await
        .get_cluster(get)
        .await
        .expect("there")
        .into_inner();
    let present = present
        .cluster
        .and_then(|cluster| cluster.meta)
        .expect("meta")
        .etag;
    assert_eq!(facts(&lost)["etag"], present);
    assert_ne!(present, etag);
}

#[tokio::test]
async fn missing_cluster_is_not_found() {
    let server = start().await;
    let get = GetClusterRequest {
        name: "none".into(),
    };
    let missing = admin(&server)
        .await
        .get_cluster(get)
        .await
        .expect_err("missing");
    assert_eq!(reason(&missing).as_deref(), Some("CLUSTER_NOT_FOUND"));
    let target = DeleteTarget {
        name: "none".into(),
        etag: String::new(),
    };
    let delete = DeleteClustersRequest {
        clusters: vec![target],
        ..DeleteClustersRequest::default()
    };
    let missing = admin(&server)
        .await
        .delete_clusters(delete)
        .await
        .expect_err("missing");
    assert_eq!(missing.code(), Code::NotFound);
    let none = DeleteClustersRequest::default();
    let empty = admin(&server)
        .await
        .delete_clusters(none)
        .await
        .expect_err("names nothing");
    assert_eq!(empty.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn too_long_a_request_is_refused_with_a_reason() {
    let server = start().await;
    let mut long = spec("a", 9001);
    long.annotations
        .insert("x".into(), "y".repeat(5 * 1024 * 1024));
    let refused = admin(&server)
        .await
        .apply(request(vec![write(long)]))
        .await
        .expect_err("long");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused).as_deref(), Some("DEFINITIONS_TOO_LARGE"));
}

#[tokio::test]
async fn secrets_are_digests_wherever_they_are_shown() {
    let server = start().await;
    let password = Secret {
        source: Some(Source::Plain("hunter2".into())),
    };
    let auth = Some(Auth {
        password: Some(password),
        users: vec![],
    });
    let applied = apply(
        &server,
        vec![ClusterSpec {
            auth,
            ..spec("a", 9001)
        }],
    )
    .await;
    let mut client = admin(&server).await;
    let get = GetClusterRequest { name: "a".into() };
    let got = client.get_cluster(get).await.expect("there").into_inner();
    let history = client
        .list_revisions(ListRevisionsRequest { limit: 5 })
        .await;
    let history = history.expect("listed").into_inner();
    let from = FleetRevision {
        epoch: 1,
        revision: 0,
    };
    let shown = [
        format!("{applied:?}"),
        format!("{got:?}"),
        format!("{history:?}"),
        format!("{from:?}"),
    ];
    let spec = got
        .cluster
        .and_then(|cluster| cluster.spec)
        .expect("a spec");
    let secret = spec
        .auth
        .clone()
        .and_then(|auth| auth.password)
        .and_then(|p| p.source);
    assert!(matches!(secret, Some(Source::Unchanged(digest)) if digest.starts_with("secret:")));
    assert!(
        shown.iter().all(|text| !text.contains("hunter2")),
        "{shown:?}"
    );
    let back = apply(&server, vec![spec]).await;
    assert_eq!(back.changes[0].kind(), ChangeKind::Unchanged);
}

#[tokio::test]
async fn watch_lists_then_follows_and_resumes() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    let mut client = admin(&server).await;
    let mut steps = client
        .watch(WatchRequest { from: None })
        .await
        .expect("open")
        .into_inner();
    let first = steps.message().await.expect("live").expect("a step");
    assert!(first.initial && first.upserts.len() == 1);
    apply(&server, vec![spec("b", 9002)]).await;
    let second = steps.message().await.expect("live").expect("a step");
    assert!(!second.initial && second.removed.is_empty());
    let spec_of = |step: &prism_proto::pb::admin::v1::WatchResponse| {
        step.upserts[0].spec.as_ref().map(|spec| spec.name.clone())
    };
    assert_eq!(spec_of(&second).as_deref(), Some("b"));
    let target = DeleteTarget {
        name: "a".into(),
        etag: String::new(),
    };
    let delete = DeleteClustersRequest {
        clusters: vec![target],
        ..DeleteClustersRequest::default()
    };
    client.delete_clusters(delete).await.expect("deleted");
    let from = first.revision;
    let mut resumed = client
        .watch(WatchRequest { from })
        .await
        .expect("open")
        .into_inner();
    let step = resumed.message().await.expect("live").expect("a step");
    assert_eq!(
        (spec_of(&step).as_deref(), step.removed),
        (Some("b"), vec!["a".to_owned()])
    );
}

#[tokio::test]
async fn watch_from_a_place_that_is_not_kept_is_out_of_range() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    for from in [
        FleetRevision {
            epoch: 1,
            revision: 900,
        },
        FleetRevision {
            epoch: 99,
            revision: 1,
        },
    ] {
        let watch = admin(&server)
            .await
            .watch(WatchRequest { from: Some(from) })
            .await;
        let refused = watch.expect_err("out of reach");
        assert_eq!(refused.code(), Code::OutOfRange);
        assert_eq!(reason(&refused).as_deref(), Some("WATCH_TOO_OLD"));
    }
}

#[tokio::test]
async fn dataplanes_are_watched() {
    let server = start().await;
    let mut client = admin(&server).await;
    let watch = client.watch_dataplanes(WatchDataplanesRequest {}).await;
    let mut steps = watch.expect("open").into_inner();
    let first = steps.message().await.expect("live").expect("a step");
    assert!(first.dataplanes.is_empty());
    let _wire = Wire::join(&server, "dp-1").await;
    let second = steps.message().await.expect("live").expect("a step");
    assert_eq!(second.dataplanes[0].id, "dp-1");
}

#[tokio::test]
async fn endpoints_are_listed_before_they_were_probed() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001), spec("b", 9002)]).await;
    let mut client = admin(&server).await;
    let only = ListEndpointsRequest {
        cluster: "b".into(),
        ..ListEndpointsRequest::default()
    };
    let listed = client
        .list_endpoints(only)
        .await
        .expect("listed")
        .into_inner();
    assert_eq!(listed.endpoints.len(), 1);
    assert_eq!(listed.endpoints[0].addr, "127.0.0.1:6379");
    let unknown = ListEndpointsRequest {
        cluster: "none".into(),
        ..ListEndpointsRequest::default()
    };
    assert_eq!(
        client
            .list_endpoints(unknown)
            .await
            .expect_err("none")
            .code(),
        Code::NotFound
    );
}

//! The admin API as other programs see it: health, reflection, idempotent and conditional writes, errors with reasons.

use prism_proto::pb::{
    admin::v1::{
        ApplyRequest, ClusterWrite, GetFleetRequest, ListRevisionsRequest,
        fleet_service_client::FleetServiceClient,
    },
    config::v1::{CacheType, ClusterSpec, Endpoint},
};
use prism_tests::{ports, programs::ControlPlane};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

async fn channel(url: String) -> Channel {
    let endpoint = Channel::from_shared(url).expect("a url");
    endpoint.connect().await.expect("the control plane listens")
}

fn spec(name: &str) -> ClusterSpec {
    ClusterSpec {
        name: name.to_owned(),
        listen_addr: ports::free_addr(),
        cache_type: CacheType::Redis.into(),
        endpoints: vec![Endpoint {
            addr: "127.0.0.1:1".to_owned(),
            ..Endpoint::default()
        }],
        ..ClusterSpec::default()
    }
}

fn write(name: &str) -> ClusterWrite {
    ClusterWrite {
        spec: Some(spec(name)),
        ..ClusterWrite::default()
    }
}

#[tokio::test]
async fn both_ports_serve_health() {
    let control = ControlPlane::start();
    for (url, service) in [
        (control.url(), "prism.admin.v1.FleetService"),
        (control.url(), "prism.discovery.v1.DiscoveryService"),
    ] {
        let mut client = HealthClient::new(channel(url).await);
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = client
            .check(request)
            .await
            .expect("health answers")
            .into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
}

#[tokio::test]
async fn reflection_tells_the_services() {
    let control = ControlPlane::start();
    let list = "prism.admin.v1.FleetService";
    {
        use tonic_reflection::pb::v1::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest,
        };
        let mut client = ServerReflectionClient::new(channel(control.url()).await);
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..ServerReflectionRequest::default()
        };
        let stream = client
            .server_reflection_info(tokio_stream::once(request))
            .await;
        let answer = stream
            .expect("reflection answers")
            .into_inner()
            .message()
            .await;
        assert!(format!("{answer:?}").contains(list), "{answer:?}");
    }
    use tonic_reflection::pb::v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let mut client = ServerReflectionClient::new(channel(control.url()).await);
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let stream = client
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let answer = stream
        .expect("reflection answers")
        .into_inner()
        .message()
        .await;
    assert!(format!("{answer:?}").contains(list), "{answer:?}");
}

#[tokio::test]
async fn repeated_request_id_changes_nothing_twice() {
    let control = ControlPlane::start();
    let mut client = FleetServiceClient::new(channel(control.url()).await);
    let request = ApplyRequest {
        clusters: vec![write("one")],
        request_id: "5f0c3e0e-6a52-4b5c-8d8e-0f6f3b1f2a11".to_owned(),
        ..ApplyRequest::default()
    };
    let first = client
        .apply(request.clone())
        .await
        .expect("applied")
        .into_inner();
    let second = client
        .apply(request)
        .await
        .expect("answered again")
        .into_inner();
    assert_eq!(first.revision, second.revision);
    let revisions = client.list_revisions(ListRevisionsRequest::default()).await;
    assert_eq!(revisions.expect("listed").into_inner().revisions.len(), 1);
}

#[tokio::test]
async fn stale_etag_is_aborted_with_the_current_one() {
    let control = ControlPlane::start();
    let mut client = FleetServiceClient::new(channel(control.url()).await);
    let apply = |write: ClusterWrite| ApplyRequest {
        clusters: vec![write],
        ..ApplyRequest::default()
    };
    client.apply(apply(write("one"))).await.expect("applied");
    let stale = ClusterWrite {
        etag: "nonsense".to_owned(),
        ..write("one")
    };
    let error = client.apply(apply(stale)).await.expect_err("a stale etag");
    assert_eq!(error.code(), Code::Aborted, "{error}");
    let info = error.get_details_error_info().expect("one ErrorInfo");
    assert_eq!(info.domain, "prism");
    assert!(info.metadata.contains_key("etag"), "{info:?}");
}

#[tokio::test]
async fn every_violation_is_told_with_its_path() {
    let control = ControlPlane::start();
    let mut client = FleetServiceClient::new(channel(control.url()).await);
    let bad = ClusterSpec {
        listen_addr: "nowhere".to_owned(),
        endpoints: Vec::new(),
        ..spec("bad")
    };
    let request = ApplyRequest {
        clusters: vec![
            write("good"),
            ClusterWrite {
                spec: Some(bad),
                ..ClusterWrite::default()
            },
        ],
        ..ApplyRequest::default()
    };
    let error = client.apply(request).await.expect_err("two violations");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.get_details_error_info().is_some());
    let details = error.get_details_bad_request().expect("field violations");
    let fields: Vec<_> = details
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert!(
        fields
            .iter()
            .any(|field| field.contains("clusters[1]") && field.contains("listen_addr")),
        "{fields:?}"
    );
    assert!(
        fields
            .iter()
            .any(|field| field.contains("clusters[1]") && field.contains("endpoints")),
        "{fields:?}"
    );
    let fleet = client
        .get_fleet(GetFleetRequest::default())
        .await
        .expect("the fleet answers");
    assert_eq!(
        fleet.into_inner().revision.unwrap_or_default().revision,
        0,
        "nothing was stored"
    );
}

//! The admin port's other voices: plain HTTP, gRPC-web, health, reflection.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use super::rig::{Wire, apply, options, spec, start, until_state};
use crate::server::{Server, StartError, StoreKind};

async fn http(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("reads");
    String::from_utf8_lossy(&answer).into_owned()
}

fn channel(server: &Server) -> Channel {
    let url = format!("http://{}", server.admin());
    Channel::from_shared(url).expect("a url").connect_lazy()
}

async fn get(addr: SocketAddr, path: &str) -> String {
    http(
        addr,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
    .await
}

#[tokio::test]
async fn plain_http_answers_beside_grpc() {
    let server = start().await;
    apply(&server, vec![spec("a", 9001)]).await;
    let _wire = Wire::join(&server, "dp-1").await;
    until_state(
        &server,
        "dp-1",
        prism_proto::pb::admin::v1::SyncState::Pending,
    )
    .await;
    for path in ["/livez", "/readyz"] {
        assert!(
            get(server.admin(), path).await.starts_with("HTTP/1.1 200"),
            "{path}"
        );
    }
    let metrics = get(server.admin(), "/metrics").await;
    assert!(
        metrics.contains("application/openmetrics-text"),
        "{metrics}"
    );
    assert!(metrics.contains("prism_control_clusters 1\n"), "{metrics}");
    assert!(
        metrics.contains("prism_control_dataplanes{state=\"pending\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("method=\"Apply\",outcome=\"ok\"} 1"),
        "{metrics}"
    );
    let missing = get(server.admin(), "/favicon.ico").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
}

#[tokio::test]
async fn browsers_reach_the_api_through_grpc_web() {
    let server = start().await;
    let body = "\0\0\0\0\0";
    let request = format!(
        "POST /prism.admin.v1.FleetService/GetFleet HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/grpc-web+proto\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = http(server.admin(), &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
    assert!(
        answer.contains(&server.context().catalog.image().fleet_id),
        "{answer}"
    );
}

#[tokio::test]
async fn health_is_told_per_service() {
    let server = start().await;
    let mut client = HealthClient::new(channel(&server));
    for service in [
        "",
        "prism.admin.v1.FleetService",
        "prism.discovery.v1.DiscoveryService",
    ] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = client.check(request).await.expect("known").into_inner();
        assert_eq!(answer.status, 1, "{service}");
    }
}

#[tokio::test]
async fn services_are_reflected_in_both_dialects() {
    let server = start().await;
    let channel = channel(&server);
    let mut new = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1::ServerReflectionRequest {
        message_request: Some(list),
        ..Default::default()
    };
    let answer = new
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .expect("answers");
    let answer = answer
        .into_inner()
        .message()
        .await
        .expect("live")
        .expect("an answer");
    assert!(format!("{answer:?}").contains("prism.admin.v1.FleetService"));
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1alpha::ServerReflectionRequest {
        message_request: Some(list),
        ..Default::default()
    };
    let answer = old
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .expect("answers");
    let answer = answer
        .into_inner()
        .message()
        .await
        .expect("live")
        .expect("an answer");
    assert!(format!("{answer:?}").contains("prism.admin.v1.FleetService"));
}

#[tokio::test]
async fn wrong_options_are_told_before_anything_is_opened() {
    let mut etcd = options();
    etcd.store = StoreKind::Etcd;
    let mut folderless = options();
    folderless.store = StoreKind::Sled;
    let mut open = options();
    open.discovery_listen = "0.0.0.0:0".into();
    for (options, code, text) in [
        (etcd, 78, "--store etcd is not supported by this version"),
        (folderless, 64, "--data-dir is needed"),
        (open, 78, "--insecure"),
    ] {
        let error = Server::start(options).await.map(drop).expect_err("refused");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.exit_code(), code);
    }
}

#[tokio::test]
async fn definitions_survive_a_restart_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut on_disk = options();
    on_disk.store = StoreKind::Sled;
    on_disk.data_dir = Some(folder.path().join("data"));
    let server = Server::start(on_disk.clone()).await.expect("starts");
    apply(&server, vec![spec("a", 9001)]).await;
    let fleet_id = server.context().catalog.image().fleet_id.clone();
    let drained = timeout(Duration::from_secs(2), server.drain()).await;
    assert!(drained.is_ok(), "nothing is left to wait for");
    let server = Server::start(on_disk).await.expect("starts again");
    let image = server.context().catalog.image();
    assert_eq!(image.clusters.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(image.fleet_id, fleet_id);
}

#[tokio::test]
async fn busy_port_is_an_error() {
    let server = start().await;
    let mut second = options();
    second.listen = server.admin().to_string();
    let error = Server::start(second).await.map(drop).expect_err("in use");
    assert!(
        matches!(error, StartError::Bind { flag: "listen", .. }),
        "{error}"
    );
}

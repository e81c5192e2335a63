//! The two ports: operators, with plain HTTP beside gRPC, and data planes.

use std::time::Duration;

use axum::{Router, http::StatusCode, serve::ListenerExt};
use prism_proto::pb::{
    DESCRIPTORS, admin::v1::fleet_service_server::FleetServiceServer,
    discovery::v1::discovery_service_server::DiscoveryServiceServer,
};
use tokio::net::TcpListener;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_web::GrpcWebLayer;

use super::StartError;
use crate::{
    api::{AdminApi, Context, DiscoveryApi},
    http::{Site, router},
};

/// Largest message taken; beyond 4 MiB an Apply is refused with a reason instead.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Silence on a connection of a data plane after which it is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Serves operators until the program ends.
pub(super) fn admin(
    context: Context,
    listener: TcpListener,
) -> Result<impl Future<Output = Result<(), StartError>> + Send + 'static, StartError> {
    let app = app(&context)?;
    let mut ending = context.ending;
    let listener = listener.tap_io(|stream| {
        // Answers go out late without it, but they go out.
        let _ = stream.set_nodelay(true);
    });
    Ok(async move {
        let ended = async move { drop(ending.wait_for(|ending| *ending).await) };
        let serving = axum::serve(listener, app).with_graceful_shutdown(ended);
        Ok(serving.await?)
    })
}

fn app(context: &Context) -> Result<Router, StartError> {
    let api = FleetServiceServer::new(AdminApi::new(context.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let unbuildable =
        |error: tonic_reflection::server::Error| StartError::Reflection(error.to_string());
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    let names = [
        "prism.admin.v1.FleetService",
        "prism.discovery.v1.DiscoveryService",
    ];
    let mut ending = context.ending.clone();
    context.tasks.spawn(async move {
        for name in names {
            reporter
                .set_service_status(name, tonic_health::ServingStatus::Serving)
                .await;
        }
        let _ = ending.wait_for(|ending| *ending).await;
        for name in names {
            reporter
                .set_service_status(name, tonic_health::ServingStatus::NotServing)
                .await;
        }
    });
    let grpc = Routes::new(health)
        .add_service(api)
        .add_service(reflection().build_v1().map_err(unbuildable)?)
        .add_service(reflection().build_v1alpha().map_err(unbuildable)?)
        .into_axum_router()
        .reset_fallback()
        .layer(GrpcWebLayer::new());
    let site = Site {
        catalog: context.catalog.clone(),
        fleet: context.fleet.clone(),
        metrics: context.metrics.clone(),
        ending: context.ending.clone(),
    };
    let plain = router(site).fallback(async || (StatusCode::NOT_FOUND, "not found\n"));
    Ok(plain.merge(grpc))
}

/// Serves data planes until the program ends.
pub(super) async fn discovery(context: Context, listener: TcpListener) -> Result<(), StartError> {
    let mut ending = context.ending.clone();
    let api = DiscoveryServiceServer::new(DiscoveryApi::new(context))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let ended = async move { drop(ending.wait_for(|ending| *ending).await) };
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(api)
        .serve_with_incoming_shutdown(incoming, ended);
    serving
        .await
        .map_err(|error| StartError::Ended(error.to_string()))
}

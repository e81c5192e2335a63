//! Plain HTTP beside gRPC on the admin port: metrics, liveness, readiness.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prism_proto::pb::admin::v1::SyncState;
use tokio::sync::watch;

use crate::{
    catalog::Catalog,
    fleet::Fleet,
    metrics::{CONTENT_TYPE, Metrics, StateLabel},
};

/// What the pages show.
#[derive(Clone)]
pub struct Site {
    /// The definitions and the store's health.
    pub catalog: Catalog,
    /// The data planes.
    pub fleet: Fleet,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Becomes true when the program ends.
    pub ending: watch::Receiver<bool>,
}

/// Makes the routes `/metrics`, `/livez` and `/readyz`.
pub fn router(site: Site) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(site)
}

async fn live() -> &'static str {
    "ok\n"
}

/// Ready from the moment definitions are served; a store that takes no writes keeps streams going, so it only says so.
async fn ready(State(site): State<Site>) -> Response {
    if *site.ending.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n").into_response();
    }
    match site.catalog.health().failure {
        None => "ok\n".into_response(),
        Some(failure) => format!("ok, but the store takes no writes: {failure}\n").into_response(),
    }
}

async fn metrics(State(site): State<Site>) -> Response {
    observe(&site);
    match site.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Sets what is read when asked.
fn observe(site: &Site) {
    let metrics = &site.metrics;
    let image = site.catalog.image();
    metrics.clusters.set(number(image.clusters.len() as u64));
    metrics.epoch.set(number(image.revision.epoch));
    metrics.revision.set(number(image.revision.number));
    metrics
        .dropped_reports
        .set(number(site.fleet.dropped_reports()));
    let is_writable = site.catalog.health().failure.is_none();
    metrics.store_writable.set(i64::from(is_writable));
    let mut counts: BTreeMap<&'static str, i64> = STATES.iter().map(|state| (*state, 0)).collect();
    for dataplane in site.fleet.list(image.revision) {
        *counts.entry(word(dataplane.state())).or_default() += 1;
    }
    for (state, count) in counts {
        metrics
            .dataplanes
            .get_or_create(&StateLabel { state })
            .set(count);
    }
}

const STATES: [&str; 6] = [
    "disconnected",
    "foreign_fleet",
    "nacked",
    "pending",
    "stale",
    "synced",
];

fn word(state: SyncState) -> &'static str {
    match state {
        SyncState::Disconnected => "disconnected",
        SyncState::ForeignFleet => "foreign_fleet",
        SyncState::Nacked => "nacked",
        SyncState::Stale => "stale",
        SyncState::Synced => "synced",
        SyncState::Pending | SyncState::Unspecified => "pending",
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

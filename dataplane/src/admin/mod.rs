//! Pages over HTTP for probes, scrapes and people: /metrics, /livez, /readyz, /config.

mod view;

use std::{io, net::TcpListener, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{
    cluster::Runtime,
    discovery::Status,
    metrics::{self, Registry},
};

/// What the pages show.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Name of this data plane.
    pub id: String,
    /// What is served.
    pub runtime: Arc<ArcSwap<Runtime>>,
    /// What is counted.
    pub registry: Arc<Registry>,
    /// How this data plane stands.
    pub status: Status,
}

impl Admin {
    /// Answers on a bound socket for as long as the process lives.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let pages = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready_page))
            .route("/config", get(config_page))
            .with_state(self);
        axum::serve(listener, pages).await
    }
}

async fn metrics_page(State(admin): State<Admin>) -> Response {
    match metrics::render(&admin.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Ready once there is something to serve and until the process ends.
async fn ready_page(State(admin): State<Admin>) -> (StatusCode, String) {
    let facts = admin.status.facts();
    match (facts.is_ready, facts.is_draining) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        (true, _) => (StatusCode::OK, format!("ready ({})\n", facts.sync.word())),
    }
}

async fn config_page(State(admin): State<Admin>) -> Response {
    let config = view::config(&admin.id, &admin.status.facts(), &admin.runtime.load_full());
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, format!("{config:#}\n")).into_response()
}

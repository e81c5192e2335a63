//! The two gRPC services; they only move messages between streams, the catalog, the fleet and the feeds.

mod admin;
mod apply;
mod discovery;
mod figures;
mod frame;
mod hello;
mod reply;
mod session;
mod status;
mod stream;
mod tasks;
mod watch;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch::Receiver;

use crate::{
    catalog::Catalog,
    feed::Desired,
    fleet::Fleet,
    health::{Readings, Verdicts},
    metrics::Metrics,
};

pub use admin::AdminApi;
pub use discovery::DiscoveryApi;
pub use tasks::Tasks;

/// Everything the services move messages between.
#[derive(Clone)]
pub struct Context {
    /// The definitions.
    pub catalog: Catalog,
    /// The data planes.
    pub fleet: Fleet,
    /// What the fleet should have.
    pub desired: Receiver<Arc<Desired>>,
    /// What is known of endpoints.
    pub verdicts: Receiver<Arc<Verdicts>>,
    /// Reads figures of endpoints when they are asked for.
    pub readings: Readings,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Tasks of streams; joined at the end.
    pub tasks: Tasks,
    /// Becomes true when the program ends.
    pub ending: Receiver<bool>,
    /// Time between heartbeats of a stream, both ways.
    pub heartbeat: Duration,
}

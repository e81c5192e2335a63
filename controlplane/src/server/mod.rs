//! Start and end: opens the store, binds the ports, wires the rooms, drains.

mod error;
mod listen;
mod options;
mod peers;
mod services;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{info, warn};

pub use error::StartError;
pub use options::{Options, StoreKind};

use crate::{
    api::{Context, Tasks},
    catalog::{Catalog, CatalogOptions, Image},
    feed::{Desired, PeerLists, Source},
    fleet::{Fleet, Observed},
    health::{self, Readings, Rounds, Verdicts},
    metrics::Metrics,
    probe::{Prober, SlotMaps},
    store::{MemoryStore, SledOptions, SledStore, Store},
};

/// How long streams and connections may take to end.
const DRAIN: Duration = Duration::from_secs(5);

/// What probing and judging work with; taken by [`Server::observe`].
#[derive(Debug)]
pub struct Observers {
    /// What data planes report.
    pub reports: mpsc::Receiver<Observed>,
    /// Where verdicts are published.
    pub verdicts: watch::Sender<Arc<Verdicts>>,
    /// Where slot maps are published.
    pub slot_maps: watch::Sender<Arc<SlotMaps>>,
}

/// A running control plane.
pub struct Server {
    admin: SocketAddr,
    discovery: SocketAddr,
    context: Context,
    observers: Option<Observers>,
    ending: watch::Sender<bool>,
    running: JoinSet<Result<(), StartError>>,
}

impl Server {
    /// Opens the store, binds both ports and serves.
    ///
    /// # Errors
    /// When an option is wrong, the store cannot be opened or a port cannot be bound.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        options.check()?;
        let admin = listen::bind("listen", &options.listen, options.insecure).await?;
        let discovery = listen::bind(
            "discovery-listen",
            &options.discovery_listen,
            options.insecure,
        )
        .await?;
        let catalog = Catalog::open(open_store(&options).await?, CatalogOptions::default()).await?;
        let (fleet, reports) = Fleet::new();
        let verdicts = watch::Sender::new(Arc::default());
        let slot_maps = watch::Sender::new(Arc::default());
        let ending = watch::Sender::new(false);
        let mut running = JoinSet::new();
        let peers = watch::Sender::new(Arc::default());
        let inputs = Inputs {
            images: catalog.watch(),
            slot_maps: slot_maps.subscribe(),
            peers: peers.subscribe(),
        };
        let desired = publish(inputs, ending.subscribe(), &mut running);
        let listing = peers::Listing {
            fleet: fleet.clone(),
            images: catalog.watch(),
            lists: peers,
            ending: ending.subscribe(),
            heartbeat: options.heartbeat,
        };
        running.spawn(async move {
            listing.run().await;
            Ok(())
        });
        let context = Context {
            catalog,
            fleet,
            desired,
            verdicts: verdicts.subscribe(),
            readings: Readings::default(),
            metrics: Arc::new(Metrics::new()),
            tasks: Tasks::default(),
            ending: ending.subscribe(),
            heartbeat: options.heartbeat,
        };
        let server = Self {
            admin: admin.address,
            discovery: discovery.address,
            observers: Some(Observers {
                reports,
                verdicts,
                slot_maps,
            }),
            ending,
            running,
            context: context.clone(),
        };
        server.serve(admin, discovery)
    }

    fn serve(mut self, admin: listen::Bound, discovery: listen::Bound) -> Result<Self, StartError> {
        self.running
            .spawn(services::admin(self.context.clone(), admin.listener)?);
        self.running.spawn(services::discovery(
            self.context.clone(),
            discovery.listener,
        ));
        let image = self.context.catalog.image();
        info!(fleet = %image.fleet_id, revision = %image.revision, clusters = image.clusters.len(), "definitions loaded");
        info!(addr = %self.discovery, "discovery listening");
        info!(addr = %self.admin, "admin listening");
        Ok(self)
    }

    /// Where operators connect.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where data planes connect.
    pub fn discovery(&self) -> SocketAddr {
        self.discovery
    }

    /// Everything the services share.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Takes what probing and judging work with; `None` when it was taken before.
    pub fn observe(&mut self) -> Option<Observers> {
        self.observers.take()
    }

    /// Begins to probe endpoints with `prober` and to publish what comes of it, unless somebody else does.
    pub fn watch_endpoints(&mut self, prober: Arc<dyn Prober>) {
        let Some(observers) = self.observe() else {
            return;
        };
        self.context.readings.read_with(Arc::clone(&prober));
        let rounds = Rounds {
            images: self.context.catalog.watch(),
            fleet: self.context.fleet.clone(),
            reports: observers.reports,
            prober,
            verdicts: observers.verdicts,
            slot_maps: observers.slot_maps,
            ending: self.context.ending.clone(),
        };
        self.running.spawn(async move {
            health::run(rounds).await;
            Ok(())
        });
    }

    /// Resolves when a part of the server ended though nobody asked for it. Cancel safe.
    pub async fn failed(&mut self) -> StartError {
        loop {
            match self.running.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(Ok(Ok(()))) => {}
                Some(Err(error)) => return StartError::Ended(error.to_string()),
                None => return StartError::Ended("all parts ended".into()),
            }
        }
    }

    /// Tells every stream to end, waits for them and for the connections, and closes the store.
    pub async fn drain(mut self) {
        self.ending.send_replace(true);
        let ended = timeout(DRAIN, async {
            self.context.tasks.join().await;
            while self.running.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            warn!(limit_ms = DRAIN.as_millis(), "connections were cut");
            self.running.shutdown().await;
        }
        info!("ended");
    }
}

async fn open_store(options: &Options) -> Result<Arc<dyn Store>, StartError> {
    match (options.store, &options.data_dir) {
        (StoreKind::Memory, _) => {
            warn!("definitions are kept in memory and end with this process");
            Ok(Arc::new(MemoryStore::new()?))
        }
        (StoreKind::Sled, Some(dir)) => Ok(Arc::new(SledStore::open(SledOptions::new(dir)).await?)),
        (StoreKind::Sled, None) => Err(StartError::NoDataDir),
        (StoreKind::Etcd, _) => Err(StartError::Unsupported("--store etcd")),
    }
}

/// What the fleet's desired state follows from.
struct Inputs {
    images: watch::Receiver<Arc<Image>>,
    slot_maps: watch::Receiver<Arc<SlotMaps>>,
    peers: watch::Receiver<Arc<PeerLists>>,
}

impl Inputs {
    fn build(&mut self, source: &mut Source) -> Arc<Desired> {
        let image = self.images.borrow_and_update().clone();
        let maps = self.slot_maps.borrow_and_update().clone();
        let peers = self.peers.borrow_and_update().clone();
        source.build(&image, &maps, &peers)
    }
}

/// Keeps the fleet's desired state in step with definitions, slot maps and who is in service.
fn publish(
    mut inputs: Inputs,
    mut ending: watch::Receiver<bool>,
    running: &mut JoinSet<Result<(), StartError>>,
) -> watch::Receiver<Arc<Desired>> {
    let mut source = Source::default();
    let (sender, receiver) = watch::channel(inputs.build(&mut source));
    running.spawn(async move {
        loop {
            tokio::select! {
                Ok(()) = inputs.images.changed() => {}
                Ok(()) = inputs.slot_maps.changed() => {}
                Ok(()) = inputs.peers.changed() => {}
                _ = ending.wait_for(|ending| *ending) => return Ok(()),
            }
            sender.send_replace(inputs.build(&mut source));
        }
    });
    receiver
}

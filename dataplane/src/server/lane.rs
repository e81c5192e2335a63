//! Changes into service, one lane each for definitions, slot maps and lists of data planes.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use prism_proto::{
    model::{Cluster, Violations},
    pb::discovery::v1 as pb,
};
use tokio::{
    sync::{Mutex, mpsc},
    task::{spawn_blocking, spawn_local},
    time::Instant,
};
use tracing::{error, warn};

use super::{
    apply::{Applier, Definition, Delta},
    control::Control,
    service::Service,
};
use crate::{
    discovery::{
        Change, HeldResource, Order, Outcome, Status,
        last_good::{LastGood, PoisonGuard},
    },
    metrics::{ControlMetrics, Registry},
};

/// Changes that may wait in a lane.
const LANE: usize = 2;

/// One queue a lane: nothing else ever waits for a definition.
#[derive(Debug)]
pub(super) struct Lanes {
    config: mpsc::Sender<Change>,
    slot_maps: mpsc::Sender<Change>,
    peers: mpsc::Sender<Change>,
}

/// The poison guard and where its marks are written.
#[derive(Clone, Debug)]
pub(super) struct Poison {
    pub(super) guard: Rc<RefCell<PoisonGuard>>,
    pub(super) store: Option<Arc<LastGood>>,
    /// Held while marks are written, so that the newest are written last.
    pub(super) writing: Rc<Mutex<()>>,
}

impl Lanes {
    /// Starts the tasks of all lanes; outcomes go to `orders`.
    pub(super) fn start(control: &Control, poison: &Poison, orders: &mpsc::Sender<Order>) -> Self {
        let lane = Lane {
            service: control.service.clone(),
            applier: Rc::clone(&control.applier),
            poison: poison.clone(),
            orders: orders.clone(),
            status: control.status.clone(),
            registry: Arc::clone(&control.registry),
        };
        let start = |lane: Lane| {
            let (queue, changes) = mpsc::channel(LANE);
            spawn_local(lane.run(changes));
            queue
        };
        Self {
            config: start(lane.clone()),
            slot_maps: start(lane.clone()),
            peers: start(lane),
        }
    }

    /// Hands a change to its lane. The stream has one change a lane at a time, so there is always room.
    pub(super) fn put(&self, change: Change) {
        let lane = match change.lane {
            pb::Lane::Config | pb::Lane::Unspecified => &self.config,
            pb::Lane::Peers => &self.peers,
            pb::Lane::SlotMaps => &self.slot_maps,
        };
        if lane.try_send(change).is_err() {
            error!("change dropped: its lane is busy");
        }
    }
}

/// Puts the changes of one lane in service, one after the other.
#[derive(Clone)]
struct Lane {
    service: Service,
    applier: Rc<Mutex<Applier>>,
    poison: Poison,
    orders: mpsc::Sender<Order>,
    status: Status,
    registry: Arc<Registry>,
}

impl Lane {
    async fn run(self, mut changes: mpsc::Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            let started = Instant::now();
            self.suspect(&change).await;
            let rejected = self.put_in_service(&change).await;
            self.count(&change, &rejected);
            let outcome = Outcome {
                rejected,
                took: started.elapsed(),
            };
            if self
                .orders
                .send(Order::Settle(change, outcome))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Writes down what is about to be applied, should it be the last thing this process does.
    async fn suspect(&self, change: &Change) {
        let pairs = change.pairs();
        if pairs.is_empty() {
            return;
        }
        {
            let mut guard = self.poison.guard.borrow_mut();
            for pair in &pairs {
                guard.release_changed(pair);
            }
            guard.arm(pairs, Instant::now());
        }
        self.poison.count(self.registry.control());
        self.poison.write().await;
    }

    async fn put_in_service(&self, change: &Change) -> BTreeMap<String, Violations> {
        for (name, held) in &change.slot_maps {
            self.service.slot_map(name, held).await;
        }
        for name in &change.removed_slot_maps {
            self.service.forget_slot_map(name);
        }
        for (name, held) in &change.peers {
            self.service.list_peers(name, Arc::clone(&held.value));
        }
        for name in &change.removed_peers {
            self.service.list_peers(name, Arc::default());
        }
        if change.clusters.is_empty() && change.removed_clusters.is_empty() {
            return BTreeMap::new();
        }
        let delta = Delta {
            upserts: definitions(&change.clusters),
            removals: change.removed_clusters.clone(),
            patience: Duration::MAX,
        };
        self.applier.lock().await.apply(delta).await
    }

    fn count(&self, change: &Change, rejected: &BTreeMap<String, Violations>) {
        let refused = change.refused().len() + rejected.len();
        if refused == 0 {
            return self.status.change(|facts| facts.last_error.clear());
        }
        self.registry.control().nacks_total.add(refused as u64);
        for (name, reason) in change.refused() {
            warn!(resource = name, error = %reason, "resource refused");
        }
        for (name, reason) in rejected {
            warn!(cluster = name, error = %reason, "definition not applied");
        }
        self.status
            .change(|facts| facts.last_error = format!("{refused} resources rejected"));
    }
}

impl Poison {
    /// Writes the marks; a failure is told but stops nothing.
    pub(super) async fn write(&self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let _writing = self.writing.lock().await;
        let marks = self.guard.borrow().marks();
        let written = spawn_blocking(move || store.write_marks(&marks)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, "crash marks not written");
        }
    }

    /// Shows how many are quarantined.
    pub(super) fn count(&self, metrics: &ControlMetrics) {
        let quarantined = self.guard.borrow().quarantined().len();
        metrics.quarantined.set(quarantined as u64);
    }
}

/// Returns what is to be applied of what is held.
pub(super) fn definitions(
    clusters: &BTreeMap<String, HeldResource<Cluster>>,
) -> BTreeMap<String, Definition> {
    let definition = |held: &HeldResource<Cluster>| Definition {
        revision: held.revision,
        hash: held.hash,
        cluster: Arc::clone(&held.value),
    };
    clusters
        .iter()
        .map(|(name, held)| (name.clone(), definition(held)))
        .collect()
}

//! Serving what a control plane says: from disk first, then from the stream.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use prism_proto::model::{Cluster, Violations};
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::{spawn_blocking, spawn_local},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};
use tracing::{debug, error, info, warn};

use super::{
    Options,
    apply::{Applier, Definition, Delta},
    control::Control,
    service::Service,
};
use crate::{
    discovery::{
        CLUSTERS, Change, Event, Follower, Held, HeldResource, Identity, Order, Outcome, Reporter,
        SLOT_MAPS, Status, Watch,
        last_good::{Boot, LastGood, Pair, PoisonGuard, keep},
    },
    metrics::{ControlMetrics, Registry},
};

/// Events and orders that may wait.
const QUEUE: usize = 64;
/// Time between reports.
const REPORT_PERIOD: Duration = Duration::from_secs(10);
/// Changes that may wait in a lane.
const LANE: usize = 2;
/// How long the first swap waits for endpoints: what is on disk serves within a second.
pub(super) const BOOT_PATIENCE: Duration = Duration::from_millis(300);

/// The tasks that follow a control plane, and what they share.
#[derive(Debug)]
pub(super) struct Follow {
    service: Service,
    registry: Arc<Registry>,
    events: mpsc::Receiver<Event>,
    orders: mpsc::Sender<Order>,
    lanes: Lanes,
    poison: Poison,
    reporter: Reporter,
    reported: Instant,
    report: Interval,
}

/// One queue a lane: a slot map never waits for a definition.
#[derive(Debug)]
struct Lanes {
    config: mpsc::Sender<Change>,
    slot_maps: mpsc::Sender<Change>,
}

/// The poison guard and where its marks are written.
#[derive(Clone, Debug)]
struct Poison {
    guard: Rc<RefCell<PoisonGuard>>,
    store: Option<Arc<LastGood>>,
}

/// What a control plane's follower is to do next.
#[derive(Debug)]
pub(super) enum Due {
    /// Suspects have served long enough.
    Clearing,
    /// The stream says something; `None` when it never will again.
    Event(Option<Event>),
    /// A report.
    Report,
}

impl Follow {
    /// Serves what came from disk, then starts to follow `urls`.
    pub(super) async fn start(
        control: &Control,
        urls: Vec<String>,
        store: Option<Arc<LastGood>>,
        boot: Boot,
    ) -> Self {
        let poison = Poison {
            guard: Rc::new(RefCell::new(boot.guard)),
            store: store.clone(),
        };
        let metrics = control.registry.control();
        metrics.stale.set(1);
        poison.count(metrics);
        let held = match boot.held {
            Some(held) => Some(serve_from_disk(control, held, &poison).await),
            None => None,
        };
        let (states, saved) = watch::channel(Arc::new(held.clone().unwrap_or_default()));
        let (events_in, events) = mpsc::channel(QUEUE);
        let (orders, orders_out) = mpsc::channel(QUEUE);
        let watch = Watch {
            urls,
            follower: Follower::new(identity(&control.options), held, Rc::clone(&poison.guard)),
            events: events_in,
            orders: orders_out,
            states,
            status: control.status.clone(),
            registry: Arc::clone(&control.registry),
        };
        spawn_local(watch.run());
        if let Some(store) = store {
            let registry = Arc::clone(&control.registry);
            spawn_local(async move { keep(store, saved, registry.control()).await });
        }
        let mut report = interval_at(Instant::now() + REPORT_PERIOD, REPORT_PERIOD);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            lanes: Lanes::start(control, &poison, &orders),
            service: control.service.clone(),
            registry: Arc::clone(&control.registry),
            events,
            orders,
            poison,
            reporter: Reporter::default(),
            reported: Instant::now(),
            report,
        }
    }

    /// Waits for what is to do next. Cancel safe.
    pub(super) async fn due(&mut self) -> Due {
        let deadline = self.poison.guard.borrow().deadline();
        tokio::select! {
            event = self.events.recv() => Due::Event(event),
            _ = self.report.tick() => Due::Report,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Due::Clearing
            }
        }
    }

    /// Does it. Returns whether to go on.
    pub(super) async fn act(&mut self, due: Due) -> bool {
        match due {
            Due::Clearing => {
                self.poison.guard.borrow_mut().clear_served(Instant::now());
                self.poison.write().await;
            }
            Due::Event(Some(Event::Apply(change))) => self.lanes.put(change),
            Due::Event(Some(Event::Connected(is_connected))) => {
                self.service.set_connected(is_connected).await;
            }
            Due::Event(Some(Event::Health(health))) => {
                let cluster = health.cluster.clone();
                if !self.service.health(health).await {
                    self.registry.control().health_skipped_total.inc();
                    debug!(%cluster, "health of another revision skipped");
                }
            }
            Due::Event(Some(Event::Drain)) => {
                info!("the control plane asks this data plane to end");
                return false;
            }
            Due::Event(None) => return false,
            Due::Report => self.send_report(),
        }
        true
    }

    /// Says with each heartbeat that this data plane is ending.
    pub(super) fn start_draining(&self) {
        self.orders.try_send(Order::Draining).ok();
    }

    /// Ends in order: nobody is under suspicion any more.
    pub(super) async fn clean_exit(&self) {
        self.poison.guard.borrow_mut().clean_exit();
        self.poison.write().await;
    }

    /// A report that finds the queue full is left out: its counts are in the next one.
    fn send_report(&mut self) {
        let Ok(permit) = self.orders.try_reserve() else {
            return;
        };
        let window = self.reported.elapsed();
        self.reported = Instant::now();
        let seen = self.service.take_seen();
        let quarantined = self.poison.guard.borrow().quarantined();
        let totals = self.registry.totals();
        let report = self.reporter.report(totals, seen, quarantined, window);
        permit.send(Order::Report(report));
    }
}

impl Lanes {
    fn start(control: &Control, poison: &Poison, orders: &mpsc::Sender<Order>) -> Self {
        let lane = Lane {
            service: control.service.clone(),
            applier: Rc::clone(&control.applier),
            poison: poison.clone(),
            orders: orders.clone(),
            status: control.status.clone(),
            registry: Arc::clone(&control.registry),
        };
        let (config, changes) = mpsc::channel(LANE);
        spawn_local(lane.clone().run(changes));
        let (slot_maps, changes) = mpsc::channel(LANE);
        spawn_local(lane.run(changes));
        Self { config, slot_maps }
    }

    /// The stream has one change a lane at a time, so there is always room.
    fn put(&self, change: Change) {
        let lane = match change.is_of_slot_maps() {
            true => &self.slot_maps,
            false => &self.config,
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
            self.service.slot_map(name, Arc::clone(&held.value)).await;
        }
        for name in &change.removed_slot_maps {
            self.service.forget_slot_map(name);
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
    async fn write(&self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let marks = self.guard.borrow().marks();
        let written = spawn_blocking(move || store.write_marks(&marks)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, "crash marks not written");
        }
    }

    fn count(&self, metrics: &ControlMetrics) {
        let quarantined = self.guard.borrow().quarantined().len();
        metrics.quarantined.set(quarantined as u64);
    }
}

/// Puts the last good state in service. What cannot be is left out of what is held, so that it is sent again.
async fn serve_from_disk(control: &Control, mut held: Held, poison: &Poison) -> Held {
    let clusters = held
        .clusters
        .iter()
        .map(|(name, held)| Pair::new(CLUSTERS, name, held.hash));
    let slot_maps = held
        .slot_maps
        .iter()
        .map(|(name, held)| Pair::new(SLOT_MAPS, name, held.hash));
    let pairs: Vec<_> = clusters.chain(slot_maps).collect();
    poison.guard.borrow_mut().arm_known(pairs, Instant::now());
    if poison.guard.borrow().deadline().is_some() {
        poison.write().await;
    }
    for (name, slot_map) in &held.slot_maps {
        control
            .service
            .slot_map(name, Arc::clone(&slot_map.value))
            .await;
    }
    let delta = Delta {
        upserts: definitions(&held.clusters),
        removals: BTreeSet::new(),
        patience: BOOT_PATIENCE,
    };
    for (name, violations) in control.applier.lock().await.apply(delta).await {
        error!(cluster = name, error = %violations, "stored definition not served");
        held.clusters.remove(&name);
    }
    control.status.change(|facts| {
        facts.is_ready = true;
        facts.fleet_id.clone_from(&held.fleet_id);
        (facts.epoch, facts.revision) = (held.epoch, held.revision);
    });
    held
}

fn definitions(clusters: &BTreeMap<String, HeldResource<Cluster>>) -> BTreeMap<String, Definition> {
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

fn identity(options: &Options) -> Identity {
    let mut random = [0; 8];
    // Without randomness two runs look alike: the second is refused until the first is missed.
    let _ = getrandom::fill(&mut random);
    Identity {
        id: options.id.clone(),
        instance: format!("{:016x}", u64::from_be_bytes(random)),
        zone: options.zone.clone(),
        labels: options.labels.clone(),
        advertise: options.advertise.clone().unwrap_or_default(),
    }
}

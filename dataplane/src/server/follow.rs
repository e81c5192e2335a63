//! Serving what a control plane says: from disk first, then from the stream.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{spawn_blocking, spawn_local},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until},
};
use tracing::{debug, error, info, warn};

use super::{
    Options,
    apply::Delta,
    control::Control,
    lane::{Lanes, Poison, definitions},
    service::Service,
};
use crate::{
    discovery::{
        CLUSTERS, Event, Follower, Held, Identity, Order, Reporter, SLOT_MAPS, Watch,
        last_good::{Boot, Generation, LastGood, Pair, keep},
    },
    metrics::Registry,
};

/// Events and orders that may wait.
const QUEUE: usize = 64;
/// Time between reports.
const REPORT_PERIOD: Duration = Duration::from_secs(10);
/// Time in which urgent words are gathered into one report.
const URGENT: Duration = Duration::from_millis(100);
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
    /// When a report is sent before its time.
    urgent_at: Option<Instant>,
    is_connected: bool,
    /// What is held now.
    held: watch::Receiver<Arc<Held>>,
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
    /// A report soon.
    Urgent,
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
            writing: Rc::default(),
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
            let (registry, saved) = (Arc::clone(&control.registry), saved.clone());
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
            urgent_at: None,
            is_connected: false,
            held: saved,
        }
    }

    /// Waits for what is to do next. Cancel safe.
    pub(super) async fn due(&mut self) -> Due {
        let deadline = self.poison.guard.borrow().deadline();
        tokio::select! {
            event = self.events.recv() => Due::Event(event),
            _ = self.report.tick() => Due::Report,
            () = sleep_until(self.urgent_at.unwrap_or_else(Instant::now)), if self.urgent_at.is_some() => {
                Due::Report
            }
            () = self.service.urgent(), if self.urgent_at.is_none() => Due::Urgent,
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
                self.is_connected = is_connected;
                self.service.new_stream().await;
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
            Due::Urgent => self.urgent_at = Some(Instant::now() + URGENT),
        }
        true
    }

    /// Tells the control plane, and clients that ask who is there, that this data plane is ending; goes on serving until
    /// the lists of all data planes have been made without it, or `limit` has passed.
    pub(super) async fn leave(&mut self, limit: Duration) {
        self.orders.try_send(Order::Draining).ok();
        let service = self.service.clone();
        service.start_leaving();
        if !self.is_connected {
            return;
        }
        let follow = async {
            loop {
                let due = self.due().await;
                if !self.act(due).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = service.left() => {}
            () = follow => {}
            () = sleep(limit) => warn!("clients may not know yet that this data plane ends"),
        }
    }

    /// Ends in order: what is held is on disk, and nobody is under suspicion any more.
    pub(super) async fn clean_exit(&self) {
        let held = Arc::clone(&self.held.borrow());
        if let Some(store) = self.poison.store.clone().filter(|_| !held.is_empty()) {
            let write = move || store.write(Generation::Newest, &held.snapshot());
            if let Ok(Err(error)) = spawn_blocking(write).await {
                warn!(%error, "snapshot not written");
            }
        }
        self.poison.guard.borrow_mut().clean_exit();
        self.poison.write().await;
    }

    /// Without somebody to send it to a report is left out: its counts are in the next one.
    fn send_report(&mut self) {
        self.urgent_at = None;
        if !self.is_connected {
            return;
        }
        let Ok(permit) = self.orders.try_reserve() else {
            return;
        };
        let window = self.reported.elapsed();
        self.reported = Instant::now();
        let seen = self.service.take_observed();
        let quarantined = self.poison.guard.borrow().quarantined();
        let totals = self.registry.totals();
        let report = self.reporter.report(totals, seen, quarantined, window);
        permit.send(Order::Report(report));
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
        control.service.slot_map(name, slot_map).await;
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
        bind_ip: options.bind_ip.map(|ip| ip.to_string()).unwrap_or_default(),
    }
}

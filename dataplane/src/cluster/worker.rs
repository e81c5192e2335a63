//! One worker's side of one cluster: its sessions, its endpoints, its tasks.

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
};

use prism_proto::model::{CacheType, Cluster, MultiKeyPolicy};
use tokio::sync::{Notify, futures::Notified};

use super::{
    Batch, CallError, ClusterRuntime, Observation, Scripts, answer,
    kinds::Kinds,
    learned::Learned,
    nodes::{Nodes, SharedConnection},
    pump::Pump,
    retry::Retries,
    subscriptions::Subscriptions,
    sweep,
};
use crate::{
    inflight::{Piece, Table, Ticket},
    metrics::{ClusterMetrics, EndpointMetrics},
    observe::{Observer, Travel},
    protocol::{
        message::{Limits, PartErrors},
        redis::{command::Command, reply::Dialect},
    },
    upstream::{Bounds, Connection, Dial, Kind, QueueLimits, Target, Wire, WorkerContext},
};

/// What the definition says about connections and requests, ready for use.
#[derive(Debug)]
pub struct Settings {
    /// Which protocol endpoints and clients speak.
    pub wire: Wire,
    /// Whether keys go by slot and redirects are followed.
    pub is_cluster: bool,
    /// How long things may take upstream.
    pub bounds: Bounds,
    /// Bounds of decoders.
    pub limits: Limits,
    /// Unsent replies of one client, in bytes.
    pub client_buffer: usize,
    /// Neighbouring Memcached gets travel as one.
    pub join_gets: bool,
    /// What becomes of a read of several keys when some of them cannot be read.
    pub part_errors: PartErrors,
    pub(super) dial: Rc<Dial>,
    pub(super) queue: QueueLimits,
    pub(super) max_leases: usize,
    pub(super) node_connections: usize,
    pub(super) retry_percent: u32,
}

/// One cluster on one worker; never leaves its thread.
pub struct ClusterWorker {
    /// Shared by all tasks of the worker.
    pub context: Rc<WorkerContext>,
    /// Counters of this cluster on this worker.
    pub metrics: Arc<ClusterMetrics>,
    /// The sessions.
    pub table: RefCell<Table>,
    /// What is known of the clients.
    pub observer: Observer,
    /// The scripts that clients have shown.
    pub scripts: Scripts,
    pub(super) nodes: RefCell<Nodes>,
    pub(super) retries: Retries,
    pub(super) kinds: Kinds,
    pub(super) learned: Learned,
    pub(super) subscriptions: Subscriptions,
    name: String,
    runtime: RefCell<Arc<ClusterRuntime>>,
    settings: RefCell<Rc<Settings>>,
    /// Grows whenever keys may have moved to another connection.
    epoch: Cell<u32>,
    /// Wakes those who wait for another reason, whenever the epoch grows.
    moves: Notify,
    closing: Cell<bool>,
    /// Clients must present a password.
    locked: Cell<bool>,
    /// Grows whenever users or their rights change; never 0.
    rules: Cell<u32>,
    me: Weak<Self>,
}

impl ClusterWorker {
    /// Puts a cluster in service on this worker. Must be called within the worker's runtime.
    pub fn start(context: Rc<WorkerContext>, runtime: Arc<ClusterRuntime>) -> Rc<Self> {
        let name = runtime.shared.name.clone();
        let metrics = context.registry.cluster(context.index, &name);
        let register = |target: &Target| {
            context
                .registry
                .endpoint(context.index, &name, &target.label)
        };
        let nodes = Nodes::new(Arc::clone(&runtime.shared.topology), register);
        let settings = Rc::new(Settings::of(&runtime));
        let locked = Cell::new(runtime.access.is_locked());
        let worker = Rc::new_cyclic(|me| Self {
            context,
            metrics,
            table: RefCell::default(),
            observer: Observer::default(),
            scripts: Scripts::default(),
            nodes: RefCell::new(nodes),
            retries: Retries::default(),
            kinds: Kinds::default(),
            learned: Learned::default(),
            subscriptions: Subscriptions::default(),
            name,
            runtime: RefCell::new(runtime),
            settings: RefCell::new(settings),
            epoch: Cell::new(0),
            moves: Notify::new(),
            closing: Cell::new(false),
            locked,
            rules: Cell::new(1),
            me: me.clone(),
        });
        worker.watch_slow();
        let letters = worker.runtime().shared.exchange.join(worker.context.index);
        tokio::task::spawn_local(answer::run(Rc::clone(&worker), letters));
        tokio::task::spawn_local(sweep::run(Rc::clone(&worker)));
        tokio::task::spawn_local(super::retry::run(Rc::clone(&worker)));
        worker
    }

    /// Takes over a changed definition; connections that it affects are drained and opened anew.
    pub fn update(&self, runtime: Arc<ClusterRuntime>) {
        let settings = Settings::of(&runtime);
        let same = self.settings.borrow().has_same_connections(&settings);
        self.locked.set(runtime.access.is_locked());
        let old = self.runtime.replace(runtime);
        if *old.access != *self.runtime.borrow().access {
            self.rules.set(self.rules.get().checked_add(1).unwrap_or(1));
            // Clients whose user is gone leave now, not with their next request.
            self.table.borrow_mut().wake_all();
        }
        self.settings.replace(Rc::new(settings));
        self.watch_slow();
        if !same {
            let connections = self.nodes.borrow_mut().take_connections();
            self.moved();
            retire(connections);
            self.reopen_subscriptions();
        }
    }

    /// Ends the cluster: sessions close at a quiet boundary, then the connections.
    pub fn close(&self) {
        self.closing.set(true);
        self.table.borrow_mut().wake_all();
    }

    /// Returns whether sessions are to close as soon as they are quiet.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Returns whether clients must present a password.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.locked.get()
    }

    /// Returns whether nobody may run a command here.
    pub fn denies(&self, command: &Command) -> bool {
        self.runtime.borrow().access.is_denied(command)
    }

    /// Returns the number that grows whenever users or their rights change.
    #[inline]
    pub fn rules(&self) -> u32 {
        self.rules.get()
    }

    /// Returns whether the cluster was closed and its last session is gone.
    pub fn is_finished(&self) -> bool {
        self.closing.get() && self.table.borrow().is_empty()
    }

    /// Returns the definition in service.
    pub fn runtime(&self) -> Arc<ClusterRuntime> {
        Arc::clone(&self.runtime.borrow())
    }

    /// Returns what the definition says, ready for use.
    pub fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Begins a batch of requests of the session that holds `ticket`.
    pub fn batch(&self, ticket: Ticket) -> Batch<'_> {
        self.adopt();
        Batch::new(
            self,
            self.nodes.borrow_mut(),
            self.table.borrow_mut(),
            ticket,
        )
    }

    /// Puts the newest topology in use; connections to endpoints that are gone end once they are answered.
    pub(super) fn adopt(&self) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(topology) = nodes.newer() {
            let gone = nodes.adopt(topology, |target| self.register(target));
            self.moved();
            retire(gone);
        }
    }

    /// Returns what the definition says, for the time of one look.
    pub fn settings_ref(&self) -> Ref<'_, Rc<Settings>> {
        self.settings.borrow()
    }

    /// Returns the cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number that grows whenever keys may have moved.
    pub fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    /// Waits until keys may have moved; to be called before one looks where they are. Cancel safe.
    pub fn moves(&self) -> Notified<'_> {
        self.moves.notified()
    }

    /// Notes that keys may have moved.
    pub(super) fn moved(&self) {
        self.epoch.set(self.epoch.get().wrapping_add(1));
        self.moves.notify_waiters();
    }

    /// Heeds what the definition says of slow requests.
    fn watch_slow(&self) {
        let runtime = self.runtime();
        let slowlog = runtime.cluster.slowlog();
        let max_len = usize::try_from(slowlog.max_len).unwrap_or(usize::MAX);
        self.observer.slow.set(slowlog.slower_than, max_len);
    }

    /// Tells the topology task what was seen; dropped and counted when it does not keep up.
    pub(super) fn observe(&self, observation: Observation) {
        if self
            .runtime
            .borrow()
            .shared
            .observations
            .try_send(observation)
            .is_err()
        {
            self.metrics.reports_dropped_total.inc();
        }
    }

    pub(super) fn register(&self, target: &Target) -> Arc<EndpointMetrics> {
        self.context
            .registry
            .endpoint(self.context.index, &self.name, &target.label)
    }

    /// Returns a connection of a session to an endpoint, made if need be.
    pub(super) fn connection(
        &self,
        nodes: &mut RefMut<'_, Nodes>,
        node: usize,
        ticket: Ticket,
        kind: u8,
    ) -> SharedConnection {
        let settings = self.settings.borrow();
        let count = settings.node_connections;
        let which = usize::from(kind) * count + ticket.session as usize % count;
        let node = nodes.node(node);
        if node.connections.len() <= which {
            node.connections
                .resize_with((usize::from(kind) + 1) * count, || None);
        }
        if let Some(connection) = &node.connections[which] {
            return Rc::clone(connection);
        }
        let connection = Rc::new(RefCell::new(Connection::new(
            Rc::clone(&node.target),
            self.dial(&settings, self.kinds.kind(kind)),
            settings.queue,
            settings.limits,
            match self.kinds.kind(kind).is_binary {
                true => Wire::MemcacheBinary,
                false => settings.wire,
            },
        )));
        node.connections[which] = Some(Rc::clone(&connection));
        if let Some(me) = self.me.upgrade() {
            let pump = Pump::new(me, Rc::clone(&connection), Arc::clone(&node.metrics));
            tokio::task::spawn_local(pump);
        }
        connection
    }

    /// Returns how connections of a kind are opened.
    pub(super) fn dial(&self, settings: &Settings, kind: Kind) -> Rc<Dial> {
        if kind == Kind::default() {
            return Rc::clone(&settings.dial);
        }
        Rc::new(Dial {
            kind,
            ..Dial::clone(&settings.dial)
        })
    }

    /// Answers a deferred request.
    pub fn settle(&self, ticket: Ticket, reply: &[u8]) {
        self.table
            .borrow_mut()
            .settle(ticket, Piece::Borrowed(reply));
    }

    /// Answers a deferred request with an error of the proxy's own.
    pub fn settle_error(&self, ticket: Ticket, error: &CallError) {
        self.metrics.errors_total.inc();
        self.settle(ticket, &self.words(error));
    }

    /// Returns what clients are told of an error of the proxy's own.
    pub(super) fn words(&self, error: &CallError) -> Vec<u8> {
        error.text(self.settings_ref().wire)
    }

    /// Notes whether a client waits in a blocking command, which another may end by CLIENT UNBLOCK.
    pub fn note_blocked(&self, ticket: Ticket, is_blocked: bool) {
        let clients = self.observer.clients.borrow();
        let Some(record) = clients.get(ticket) else {
            return;
        };
        if record.is_blocked.replace(is_blocked) == is_blocked {
            return;
        }
        let runtime = self.runtime.borrow();
        match is_blocked {
            true => runtime.shared.blocked.fetch_add(1, Ordering::Relaxed),
            false => runtime.shared.blocked.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// Returns what is told of the kind of connections with a number.
    pub fn travel(&self, kind: u8) -> Travel {
        let kind = self.kinds.kind(kind);
        Travel {
            database: kind.database,
            resp: match kind.dialect {
                Dialect::Resp2 => 2,
                Dialect::Resp3 => 3,
            },
        }
    }

    /// Returns a reference that a task of this cluster can keep.
    pub fn shared(&self) -> Rc<Self> {
        self.me.upgrade().expect("whoever calls holds a reference")
    }

    /// Lets every connection end once its last request is answered.
    pub(super) fn retire_all(&self) {
        retire(self.nodes.borrow_mut().take_connections());
    }
}

fn retire(connections: Vec<SharedConnection>) {
    for connection in connections {
        connection.borrow_mut().retire();
    }
}

impl Settings {
    fn of(runtime: &ClusterRuntime) -> Self {
        let cluster: &Cluster = &runtime.cluster;
        let (timeouts, limits) = (cluster.timeouts(), cluster.limits());
        Self {
            wire: match cluster.cache_type() {
                CacheType::Memcache => Wire::Memcache,
                CacheType::Redis | CacheType::RedisCluster => Wire::Redis,
            },
            is_cluster: cluster.cache_type() == CacheType::RedisCluster,
            bounds: Bounds {
                read: timeouts.read,
                write: timeouts.write,
                dead_after: timeouts.dead_after,
            },
            limits: Limits {
                max_request_bytes: limits.max_request_bytes,
                max_reply_bytes: limits.max_reply_bytes,
                ..Limits::default()
            },
            client_buffer: limits.client_buffer_bytes,
            join_gets: cluster.join_gets(),
            part_errors: match cluster.multi_key_policy() {
                MultiKeyPolicy::Error => PartErrors::Element,
                MultiKeyPolicy::Fail => PartErrors::Fail,
                MultiKeyPolicy::Nil => PartErrors::Nil,
            },
            dial: Rc::new(Dial {
                timeout: timeouts.dial,
                keepalive: timeouts.tcp_keepalive,
                handshake: runtime.handshake.clone(),
                kind: Kind::default(),
            }),
            queue: QueueLimits {
                requests: limits.max_pending,
                bytes: limits.max_pending_bytes,
            },
            max_leases: limits.max_leases,
            node_connections: limits.node_connections,
            retry_percent: limits.retry_budget_percent,
        }
    }

    fn has_same_connections(&self, other: &Self) -> bool {
        self.wire == other.wire
            && self.dial == other.dial
            && self.queue == other.queue
            && self.limits == other.limits
            && self.node_connections == other.node_connections
    }
}

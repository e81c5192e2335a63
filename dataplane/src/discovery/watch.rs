//! The stream's I/O: connects, keeps the beat, hands changes to the server and its answers back.

use std::{sync::Arc, time::Duration};

use prism_proto::pb::discovery::v1::{
    Report, SyncRequest, SyncResponse, discovery_service_client::DiscoveryServiceClient,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};
use tracing::{debug, info, warn};

use super::{
    Change, Effect, Follower, Health, Held, Outcome, Status, StreamError, Sync,
    backoff::{Backoff, random},
    health,
};
use crate::metrics::{ControlMetrics, Registry};

/// How long a connect, and then the answer to the first message, may take.
const OPEN_LIMIT: Duration = Duration::from_secs(5);
/// HTTP/2 pings on a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Messages that wait to be sent; more means that nobody reads them.
const OUTBOX: usize = 64;
/// Bytes of one message; a chunk is 1 MiB.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Heartbeats that may be missed, this one included.
const MISSED: u32 = 3;
/// The longest delay that a control plane may ask for.
const MAX_DELAY: Duration = Duration::from_secs(300);
/// How long after a Welcome a fresh data plane waits for its first push before it calls itself ready.
const FIRST_PUSH: Duration = Duration::from_secs(1);

/// What the server is told.
#[derive(Debug)]
pub enum Event {
    /// Put this in service and answer with [`Order::Settle`].
    Apply(Change),
    /// The stream began or ended; with a foreign control plane it has not begun.
    Connected(bool),
    /// End as on SIGTERM.
    Drain,
    /// Take over the health of one cluster's endpoints.
    Health(Health),
}

/// What the server tells.
#[derive(Debug)]
pub enum Order {
    /// Say with each heartbeat that the process is ending.
    Draining,
    /// Send this if a stream is open.
    Report(Report),
    /// What became of a change.
    Settle(Change, Outcome),
}

/// The task that follows the control plane.
#[derive(Debug)]
pub struct Watch {
    /// Control planes, tried in turn.
    pub urls: Vec<String>,
    /// The state machine.
    pub follower: Follower,
    /// To the server.
    pub events: mpsc::Sender<Event>,
    /// From the server.
    pub orders: mpsc::Receiver<Order>,
    /// What is held, for the disk.
    pub states: watch::Sender<Arc<Held>>,
    /// What people are shown.
    pub status: Status,
    /// What is counted.
    pub registry: Arc<Registry>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The server is gone.
    #[error("the data plane ends")]
    Closed,
    /// The control plane asked for it.
    #[error("the control plane asks to reconnect")]
    Directed(Duration),
    /// It could not be opened or broke.
    #[error("{0}")]
    Failed(String),
    /// The other side broke a rule.
    #[error("{0}")]
    Misled(#[from] StreamError),
    /// Nothing came for too long.
    #[error("three heartbeats missed")]
    Silent,
}

impl From<tonic::Status> for End {
    fn from(status: tonic::Status) -> Self {
        Self::Failed(format!("{:?}: {}", status.code(), status.message()))
    }
}

impl From<tonic::transport::Error> for End {
    fn from(error: tonic::transport::Error) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Failed(text)
    }
}

/// An open stream.
struct Open {
    inbound: Streaming<SyncResponse>,
    outbox: mpsc::Sender<SyncRequest>,
}

impl Watch {
    /// Follows until the server lets go of its ends.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut turn = 0;
        loop {
            if self.settle_pending().await.is_err() {
                return;
            }
            let url = self.urls[turn % self.urls.len()].clone();
            let end = match self.open(&url).await {
                Ok(open) => self.follow(open, &url).await,
                Err(end) => end,
            };
            if matches!(end, End::Closed) {
                return;
            }
            match (self.leave(&end).await, &end) {
                // One that breaks the rules will do so again: it must not be asked in a hurry.
                (_, End::Misled(_)) | (false, _) => turn += 1,
                (true, _) => backoff.reset(),
            }
            let wait = match end {
                End::Directed(delay) => delay.min(MAX_DELAY),
                _ => backoff.next(random()),
            };
            warn!(%url, error = %end, wait_ms = wait.as_millis(), "control plane lost");
            if self.obey_until(Instant::now() + wait).await.is_err() {
                return;
            }
        }
    }

    /// Marks the stream as gone. Returns whether it had been welcomed.
    async fn leave(&mut self, end: &End) -> bool {
        let metrics = self.metrics();
        metrics.disconnects_total.inc();
        metrics.foreign_fleet.set(0);
        metrics.stale.set(1);
        let was_connected = metrics.connected.value() == 1;
        metrics.connected.set(0);
        self.status.change(|facts| {
            facts.sync = Sync::Stale;
            facts.control = None;
            facts.last_error = end.to_string();
        });
        if was_connected {
            self.events.send(Event::Connected(false)).await.ok();
        }
        was_connected
    }

    /// Waits for the outcome of changes of the last stream: only then is known what is held.
    async fn settle_pending(&mut self) -> Result<(), End> {
        while self.follower.is_applying() {
            let order = self.orders.recv().await.ok_or(End::Closed)?;
            self.obey(order);
        }
        Ok(())
    }

    /// Waits, obeying the server meanwhile.
    async fn obey_until(&mut self, deadline: Instant) -> Result<(), End> {
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    self.obey(order.ok_or(End::Closed)?);
                }
                () = sleep_until(deadline) => return Ok(()),
            }
        }
    }

    /// Connects, obeying the server meanwhile.
    async fn open(&mut self, url: &str) -> Result<Open, End> {
        let [hello, resume] = self.follower.open();
        let opening = open_stream(url, hello, resume);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                order = self.orders.recv() => {
                    self.obey(order.ok_or(End::Closed)?);
                }
            }
        }
    }

    /// Serves an open stream until it ends.
    async fn follow(&mut self, mut open: Open, url: &str) -> End {
        let mut period = self.follower.heartbeat_interval();
        let mut beat = heartbeat(period);
        let mut heard = Instant::now();
        let mut first_push = None;
        loop {
            let silence = heard + period * MISSED;
            let result = tokio::select! {
                message = open.inbound.message() => {
                    heard = Instant::now();
                    match message {
                        Ok(Some(message)) => self.receive(message, &open, url).await,
                        Ok(None) => Err(End::Failed("stream closed by the control plane".to_owned())),
                        Err(status) => Err(status.into()),
                    }
                }
                order = self.orders.recv() => match order.map(|order| self.obey(order)) {
                    Some(Some(message)) => send(&open, message),
                    Some(None) => Ok(()),
                    None => Err(End::Closed),
                },
                _ = beat.tick() => send(&open, self.follower.heartbeat()),
                () = sleep_until(silence) => Err(End::Silent),
                () = sleep_until(first_push.unwrap_or(silence)), if first_push.is_some() => {
                    first_push = None;
                    self.status.change(|facts| facts.is_ready = true);
                    Ok(())
                }
            };
            if let Err(end) = result {
                return end;
            }
            if period != self.follower.heartbeat_interval() {
                period = self.follower.heartbeat_interval();
                beat = heartbeat(period);
            }
            let is_waiting = !self.status.is_ready() && self.metrics().connected.value() == 1;
            if is_waiting && first_push.is_none() {
                first_push = Some(Instant::now() + FIRST_PUSH);
            }
        }
    }

    async fn receive(&mut self, message: SyncResponse, open: &Open, url: &str) -> Result<(), End> {
        match self.follower.receive(message)? {
            Effect::Apply(change) => {
                self.metrics().pushes_total.inc();
                self.tell(Event::Apply(change)).await?;
            }
            Effect::Drain => self.tell(Event::Drain).await?,
            Effect::Health(frame) => {
                self.metrics().health_frames_total.inc();
                for health in health::read(frame) {
                    self.tell(Event::Health(health)).await?;
                }
            }
            Effect::None => {}
            Effect::Reconnect(delay) => return Err(End::Directed(delay)),
            Effect::Send(message) => send(open, message)?,
            Effect::Unknown => self.metrics().unknown_messages_total.inc(),
            Effect::Welcomed { foreign } => {
                self.welcomed(foreign, url).await?;
                if self.follower.is_draining() {
                    // A control plane that has just started does not know.
                    send(open, self.follower.heartbeat())?;
                }
            }
        }
        if self.follower.is_synced() {
            self.metrics().stale.set(0);
            self.status.change(|facts| facts.is_ready = true);
        }
        Ok(())
    }

    async fn welcomed(&mut self, foreign: bool, url: &str) -> Result<(), End> {
        let metrics = self.metrics();
        metrics.connects_total.inc();
        metrics.connected.set(1);
        metrics.foreign_fleet.set(u64::from(foreign));
        if foreign {
            warn!(%url, held = self.follower.held().fleet_id, "control plane belongs to another fleet");
        } else {
            info!(%url, "control plane connected");
        }
        self.status.change(|facts| {
            facts.sync = if foreign {
                Sync::Foreign
            } else {
                Sync::Current
            };
            facts.control = Some(url.to_owned());
            facts.last_error.clear();
        });
        self.publish();
        self.tell(Event::Connected(!foreign)).await
    }

    /// Does what the server says; returns what to send if a stream is open.
    fn obey(&mut self, order: Order) -> Option<SyncRequest> {
        match order {
            Order::Draining => {
                self.follower.start_draining();
                Some(self.follower.heartbeat())
            }
            Order::Report(report) => Some(self.follower.report(report)),
            Order::Settle(change, outcome) => {
                let ack = self.follower.settle(change, outcome);
                self.publish();
                Some(ack)
            }
        }
    }

    /// Shows what is held to the disk and to people.
    fn publish(&self) {
        let held = self.follower.held();
        let metrics = self.metrics();
        metrics.epoch.set(held.epoch);
        metrics.revision.set(held.revision);
        self.status.change(|facts| {
            facts.fleet_id.clone_from(&held.fleet_id);
            facts.epoch = held.epoch;
            facts.revision = held.revision;
        });
        self.states.send_if_modified(|saved| {
            let state = |held: &Held| {
                (
                    held.fleet_id.clone(),
                    held.epoch,
                    held.revision,
                    held.kept_digest(),
                )
            };
            let is_new = state(saved) != state(held);
            if is_new {
                *saved = Arc::new(held.clone());
            }
            is_new
        });
    }

    async fn tell(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::Closed)
    }

    fn metrics(&self) -> &ControlMetrics {
        self.registry.control()
    }
}

fn heartbeat(period: Duration) -> tokio::time::Interval {
    let mut beat = interval_at(Instant::now() + period, period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

fn send(open: &Open, message: SyncRequest) -> Result<(), End> {
    let stalled = |_| End::Failed("the control plane does not read".to_owned());
    open.outbox.try_send(message).map_err(stalled)
}

async fn open_stream(url: &str, hello: SyncRequest, resume: SyncRequest) -> Result<Open, End> {
    let late = |_| End::Failed(format!("no answer within {OPEN_LIMIT:?}"));
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(OPEN_LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    let channel: Channel = timeout(OPEN_LIMIT, endpoint.connect())
        .await
        .map_err(late)??;
    let (outbox, messages) = mpsc::channel(OUTBOX);
    for message in [hello, resume] {
        let full = |_| End::Failed("outbox is full".to_owned());
        outbox.try_send(message).map_err(full)?;
    }
    let mut client = DiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let answer = timeout(OPEN_LIMIT, client.sync(ReceiverStream::new(messages)));
    let inbound = answer.await.map_err(late)??.into_inner();
    debug!(%url, "discovery stream open");
    Ok(Open { inbound, outbox })
}

//! The data plane's side of the stream as a state machine: no I/O and no clock.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use prism_proto::pb::discovery::v1::{
    ClientHeartbeat, HealthFrame, Hello, Lane, Push, Report, SyncRequest, SyncResponse, Welcome,
    directive, sync_request, sync_response,
};

use super::{Change, Held, Outcome, PEERS, last_good::PoisonGuard, push::Lanes};

/// Names of what this build understands.
const FEATURES: [&str; 4] = ["health_frames", "slot_deltas", "shrink_confirmation", PEERS];
/// Time between heartbeats until a Welcome says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Who this data plane says it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name in the fleet.
    pub id: String,
    /// Random text of this run.
    pub instance: String,
    /// Where it stands.
    pub zone: String,
    /// What it is.
    pub labels: BTreeMap<String, String>,
    /// What cluster-aware clients are told.
    pub advertise: String,
    /// Replaces the host of every listen address; empty when it does not.
    pub bind_ip: String,
}

/// Why a stream must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A push is of an epoch that this data plane has left behind.
    #[error("push of epoch {pushed} behind epoch {held}")]
    GoesBack {
        /// The push's epoch.
        pushed: u64,
        /// The epoch in service.
        held: u64,
    },
    /// A push came before the last one of its lane was acked.
    #[error("two pushes of lane {lane:?} at once")]
    Impatient {
        /// The lane.
        lane: Lane,
    },
    /// Something came before the Welcome.
    #[error("message before the welcome")]
    NotWelcomed,
    /// The chunks of a push hold too much.
    #[error("push of {items} items and {bytes} bytes is too large")]
    PushTooLarge {
        /// Resources, removals and deltas.
        items: usize,
        /// Bytes of bodies.
        bytes: usize,
    },
    /// A push names no lane that this build knows.
    #[error("push in unknown lane {lane}")]
    UnknownLane {
        /// Its number.
        lane: i32,
    },
}

/// What a message asks for.
#[derive(Debug)]
pub enum Effect {
    /// Put a change in service, then call [`Follower::settle`].
    Apply(Change),
    /// End the process as on SIGTERM.
    Drain,
    /// Take over the health of endpoints.
    Health(HealthFrame),
    /// Nothing.
    None,
    /// Close the stream and open it again after this time.
    Reconnect(Duration),
    /// Send this.
    Send(SyncRequest),
    /// A message of a kind that this build does not know came.
    Unknown,
    /// The control plane answered; `true` means that it belongs to another fleet.
    Welcomed {
        /// Whether nothing will be pushed until an operator decides.
        foreign: bool,
    },
}

/// Follows one control plane after the other; what is held outlives the streams.
#[derive(Debug)]
pub struct Follower {
    identity: Identity,
    held: Held,
    poison: Rc<RefCell<PoisonGuard>>,
    from_snapshot: bool,
    stream: Stream,
    /// Lanes whose last change is not settled yet.
    applying: Vec<Lane>,
    draining: bool,
}

/// What is forgotten when a stream ends.
#[derive(Debug)]
struct Stream {
    welcomed: bool,
    foreign: bool,
    heartbeat: Duration,
    lanes: Lanes,
    head: (u64, u64),
    synced: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            welcomed: false,
            foreign: false,
            heartbeat: HEARTBEAT,
            lanes: Lanes::default(),
            head: (0, 0),
            synced: false,
        }
    }
}

impl Follower {
    /// Starts from what came from disk, if anything.
    pub fn new(identity: Identity, held: Option<Held>, poison: Rc<RefCell<PoisonGuard>>) -> Self {
        Self {
            identity,
            from_snapshot: held.is_some(),
            held: held.unwrap_or_default(),
            poison,
            stream: Stream::default(),
            applying: Vec::new(),
            draining: false,
        }
    }

    /// Returns what is in service.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Tells whether a change is with the server; a stream must not be opened meanwhile.
    pub fn is_applying(&self) -> bool {
        !self.applying.is_empty()
    }

    /// Tells whether everything that this stream's control plane wants is in service.
    pub fn is_synced(&self) -> bool {
        self.stream.welcomed && !self.stream.foreign && self.stream.synced
    }

    /// Returns the time between heartbeats.
    pub fn heartbeat_interval(&self) -> Duration {
        self.stream.heartbeat
    }

    /// Returns the first messages of a new stream.
    pub fn open(&mut self) -> [SyncRequest; 2] {
        self.stream = Stream::default();
        let identity = self.identity.clone();
        let hello = Hello {
            id: identity.id,
            instance: identity.instance,
            fleet_id: self.held.fleet_id.clone(),
            zone: identity.zone,
            labels: identity.labels,
            advertise: identity.advertise,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            features: FEATURES.map(str::to_owned).to_vec(),
            bind_ip: identity.bind_ip,
        };
        [request(sync_request::Kind::Hello(hello)), self.resume()]
    }

    /// Returns a heartbeat.
    pub fn heartbeat(&self) -> SyncRequest {
        request(sync_request::Kind::Heartbeat(ClientHeartbeat {
            digest: self.held.digest(),
            draining: self.draining,
        }))
    }

    /// Says from now on that the process is ending.
    pub fn start_draining(&mut self) {
        self.draining = true;
    }

    /// Tells whether the process is ending.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Wraps a report.
    pub fn report(&self, report: Report) -> SyncRequest {
        request(sync_request::Kind::Report(report))
    }

    /// Takes a message of the control plane.
    ///
    /// # Errors
    /// When the stream cannot go on.
    pub fn receive(&mut self, message: SyncResponse) -> Result<Effect, StreamError> {
        use sync_response::Kind;
        let Some(kind) = message.kind else {
            return Ok(Effect::Unknown);
        };
        if !self.stream.welcomed && !matches!(kind, Kind::Welcome(_) | Kind::Directive(_)) {
            return Err(StreamError::NotWelcomed);
        }
        match kind {
            Kind::Welcome(welcome) => Ok(self.welcome(welcome)),
            Kind::Push(_) | Kind::HealthFrame(_) if self.stream.foreign => Ok(Effect::Unknown),
            Kind::Push(push) => self.push(push),
            Kind::HealthFrame(frame) => Ok(Effect::Health(frame)),
            Kind::Directive(directive) => Ok(match directive.kind {
                Some(directive::Kind::Reconnect(reconnect)) => {
                    let delay = reconnect.delay.and_then(|delay| delay.try_into().ok());
                    Effect::Reconnect(delay.unwrap_or_default())
                }
                Some(directive::Kind::Resync(_)) => Effect::Send(self.resume()),
                Some(directive::Kind::Drain(_)) => Effect::Drain,
                None => Effect::Unknown,
            }),
            Kind::Heartbeat(heartbeat) => {
                self.stream.head = (heartbeat.epoch, heartbeat.revision);
                self.stream.synced = heartbeat.desired_digest == self.held.digest();
                Ok(Effect::None)
            }
        }
    }

    /// Takes the outcome of a change over and returns the answer to its push.
    ///
    /// After a reconnect the answer has nobody to go to: the new stream's Resume said the same.
    pub fn settle(&mut self, change: Change, outcome: Outcome) -> SyncRequest {
        self.applying.retain(|lane| *lane != change.lane);
        let ack = change.settle(outcome, &mut self.held);
        self.stream.synced = ack.nacks.is_empty() && self.applying.is_empty();
        request(sync_request::Kind::Ack(ack))
    }

    fn resume(&self) -> SyncRequest {
        let resume = self.held.resume(self.from_snapshot);
        request(sync_request::Kind::Resume(resume))
    }

    fn welcome(&mut self, welcome: Welcome) -> Effect {
        let interval = welcome.heartbeat_interval;
        let interval: Option<Duration> = interval.and_then(|interval| interval.try_into().ok());
        if let Some(interval) = interval.filter(|interval| !interval.is_zero()) {
            self.stream.heartbeat = interval.clamp(Duration::from_millis(100), HEARTBEAT * 6);
        }
        self.stream.welcomed = true;
        self.stream.foreign = welcome.foreign_fleet;
        self.stream.head = (welcome.epoch, welcome.revision);
        if !welcome.foreign_fleet {
            // Another fleet that calls us its own was told so by an operator.
            self.held.fleet_id = welcome.fleet_id;
            if !welcome.features.iter().any(|feature| feature == PEERS) {
                // It does not know of them, so they must not count as held; clients are told the last list on.
                self.held.peers.clear();
            }
        }
        let foreign = welcome.foreign_fleet;
        Effect::Welcomed { foreign }
    }

    fn push(&mut self, chunk: Push) -> Result<Effect, StreamError> {
        self.stream.synced = false;
        let Some((lane, push)) = self.stream.lanes.add(chunk)? else {
            return Ok(Effect::None);
        };
        if self.applying.contains(&lane) {
            return Err(StreamError::Impatient { lane });
        }
        if push.epoch < self.held.epoch {
            return Err(StreamError::GoesBack {
                pushed: push.epoch,
                held: self.held.epoch,
            });
        }
        let change = Change::new(lane, push, &self.held, &self.poison.borrow());
        self.applying.push(lane);
        Ok(Effect::Apply(change))
    }
}

fn request(kind: sync_request::Kind) -> SyncRequest {
    SyncRequest { kind: Some(kind) }
}

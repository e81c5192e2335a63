//! Drives one stream: messages in, messages out, clocks, and the end.

use std::time::Duration;

use prism_proto::{
    pb::discovery::v1::{
        Directive, Reconnect, SyncRequest, SyncResponse, directive, sync_response::Kind,
    },
    status,
};
use tokio::{
    sync::mpsc::Sender,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;
use tracing::{info, warn};

use super::{
    Context,
    hello::{expect_hello, identify, refused},
    session::{Session, Turn},
};
use crate::store::Revision;

/// Changes of health within this time travel in one frame.
const COALESCE: Duration = Duration::from_millis(100);
/// Heartbeats that may be missed.
const MISSED: u32 = 3;
/// How long the last message may take when the program ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where messages to the data plane go; bounded, so a stalled data plane stops its own stream only.
pub(super) type Outbound = Sender<Result<SyncResponse, Status>>;

/// What woke the stream up.
enum Event {
    Beat,
    Closed,
    Deadline,
    Desired,
    Ending,
    Frame,
    Message(Option<Result<Box<SyncRequest>, Status>>),
    Replaced,
    Sent,
    Silent,
    Verdicts,
}

/// Runs a stream to its end; what ends it is said to the data plane.
pub(super) async fn run<S>(context: Context, inbound: S, outbound: Outbound, peer: String)
where
    S: Stream<Item = Result<SyncRequest, Status>> + Send + Unpin,
{
    let metrics = std::sync::Arc::clone(&context.metrics);
    if let Err(status) = serve(context, inbound, &outbound, peer).await {
        metrics.failed_streams.inc();
        // The data plane may be gone; then nobody needs the reason.
        let _ = timeout(FAREWELL, outbound.send(Err(status))).await;
    }
}

async fn serve<S>(
    context: Context,
    mut inbound: S,
    outbound: &Outbound,
    peer: String,
) -> Result<(), Status>
where
    S: Stream<Item = Result<SyncRequest, Status>> + Send + Unpin,
{
    let patience = context.heartbeat * MISSED;
    let first = timeout(patience, inbound.next())
        .await
        .map_err(|_| silent(patience))?;
    let hello = expect_hello(first.transpose()?)?;
    let (identity, holds) = identify(hello, peer)?;
    let link = context.fleet.connect(identity.clone()).map_err(|error| {
        warn!(dataplane = %identity.id, peer = %identity.peer, %error, "stream refused");
        refused(&error)
    })?;
    info!(dataplane = %identity.id, peer = %identity.peer, build = %identity.build, "data plane connected");
    let session = Session::new(context.clone(), link, &identity, &holds);
    let ended = Driver::new(context, session)
        .drive(&mut inbound, outbound)
        .await;
    match &ended {
        Ok(()) => info!(dataplane = %identity.id, "data plane disconnected"),
        Err(status) => {
            let reason = status.message();
            info!(dataplane = %identity.id, %reason, "data plane dropped");
        }
    }
    ended
}

/// A session with its clocks.
struct Driver {
    context: Context,
    session: Session,
    pending: Option<SyncResponse>,
    last_seen: Instant,
    frame_at: Option<Instant>,
}

impl Driver {
    fn new(context: Context, session: Session) -> Self {
        Self {
            context,
            session,
            pending: None,
            last_seen: Instant::now(),
            frame_at: None,
        }
    }

    async fn drive<S>(mut self, inbound: &mut S, outbound: &Outbound) -> Result<(), Status>
    where
        S: Stream<Item = Result<SyncRequest, Status>> + Send + Unpin,
    {
        let period = self.context.heartbeat;
        let mut beats = interval_at(Instant::now() + period, period);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // From here on only what is newer than what the session starts with counts as a change.
        self.context.verdicts.mark_unchanged();
        self.context.desired.mark_unchanged();
        self.session.update();
        loop {
            if self.pending.is_none() {
                self.pending = self.session.next();
            }
            match self.wait(inbound, outbound, &mut beats).await {
                Event::Beat => self.session.beat(),
                Event::Closed | Event::Message(None) => return Ok(()),
                Event::Deadline | Event::Sent => {}
                Event::Desired => self.session.update(),
                Event::Ending => return self.say_goodbye(outbound).await,
                Event::Frame => {
                    self.frame_at = None;
                    self.session.health_changed();
                }
                Event::Message(Some(message)) => self.receive(*message?).await?,
                Event::Replaced => return Err(replaced()),
                Event::Silent => {
                    let error = silent(period * MISSED);
                    self.session.link.failed(error.message());
                    return Err(error);
                }
                Event::Verdicts => {
                    self.frame_at = self.frame_at.or(Some(Instant::now() + COALESCE))
                }
            }
        }
    }

    async fn wait<S>(
        &mut self,
        inbound: &mut S,
        outbound: &Outbound,
        beats: &mut tokio::time::Interval,
    ) -> Event
    where
        S: Stream<Item = Result<SyncRequest, Status>> + Send + Unpin,
    {
        let deadline = self.session.deadline();
        let patience = self.context.heartbeat * MISSED;
        tokio::select! {
            message = inbound.next() => Event::Message(message.map(|message| message.map(Box::new))),
            permit = outbound.reserve(), if self.pending.is_some() => match (permit, self.pending.take()) {
                (Ok(permit), Some(message)) => {
                    permit.send(Ok(message));
                    Event::Sent
                }
                _ => Event::Closed,
            },
            () = outbound.closed() => Event::Closed,
            _ = beats.tick() => Event::Beat,
            Ok(()) = self.context.desired.changed() => Event::Desired,
            Ok(()) = self.context.verdicts.changed() => Event::Verdicts,
            _ = self.context.ending.wait_for(|ending| *ending) => Event::Ending,
            () = self.session.link.replaced() => Event::Replaced,
            () = at(deadline) => Event::Deadline,
            () = at(self.frame_at) => Event::Frame,
            () = sleep_until(self.last_seen + patience) => Event::Silent,
        }
    }

    async fn receive(&mut self, message: SyncRequest) -> Result<(), Status> {
        self.last_seen = Instant::now();
        match self.session.receive(message) {
            Turn::Continue => Ok(()),
            Turn::Regressed(holds) => self.regressed(holds).await,
        }
    }

    /// The store has lost what the data plane holds: nothing is pushed before the epoch is above it.
    async fn regressed(&mut self, holds: Revision) -> Result<(), Status> {
        let dataplane = self.session.link.id();
        let head = self.context.desired.borrow().revision();
        warn!(%dataplane, %holds, %head, "store is behind a data plane, raising the epoch");
        let detail = format!("data plane {dataplane} holds {holds}, the store was at {head}");
        self.context.fleet.raise("STORE_REGRESS", detail);
        let raised = self.context.catalog.bump_epoch(holds.epoch).await;
        raised.map_err(|error| super::status::from_catalog(&error))?;
        self.session.update();
        Ok(())
    }

    /// Asks the data plane to come back a little later, each at its own time.
    async fn say_goodbye(self, outbound: &Outbound) -> Result<(), Status> {
        let jitter = getrandom::u32().unwrap_or_default() % 1500;
        let delay = Duration::from_millis(500 + u64::from(jitter));
        let reconnect = Reconnect {
            delay: delay.try_into().ok(),
        };
        let kind = Some(directive::Kind::Reconnect(reconnect));
        let message = SyncResponse {
            kind: Some(Kind::Directive(Directive { kind })),
        };
        // A stalled data plane finds out by itself.
        let _ = timeout(FAREWELL, outbound.send(Ok(message))).await;
        Ok(())
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn silent(patience: Duration) -> Status {
    let text = format!("nothing came from the data plane for {patience:?}");
    status::unavailable("DATAPLANE_SILENT", text, &[])
}

fn replaced() -> Status {
    let text = "the same instance opened a newer stream";
    status::aborted("STREAM_REPLACED", text, &[])
}

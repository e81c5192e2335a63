//! One data plane's stream without its I/O: what a message changes, and what is to be sent next.

use std::{sync::Arc, time::Duration};

use prism_proto::pb::discovery::v1::{
    Ack, Directive, Lane, Resume, Resync, ServerHeartbeat, SyncRequest, SyncResponse, Welcome,
    directive, sync_request::Kind as Request, sync_response::Kind as Response,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Context, frame::frame};
use crate::{
    feed::{Feed, Output},
    fleet::{Identity, Link},
    metrics::LaneLabel,
    store::Revision,
};

/// Names of what this build understands.
const FEATURES: [&str; 4] = ["health_frames", "slot_deltas", "shrink_confirmation", PEERS];
/// The feature of a data plane that tells its clients of the others.
const PEERS: &str = "peers";

/// What a message asks of the one who owns the stream.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// Go on.
    Continue,
    /// The data plane is ahead of the store: raise the epoch above this revision's first.
    Regressed(Revision),
}

/// A data plane's stream. What waits to be sent is folded into flags and the feed, so it never grows.
pub(super) struct Session {
    context: Context,
    pub(super) link: Link,
    /// Absent for a data plane of another fleet: nothing is pushed to it.
    feed: Option<Feed>,
    opened: Instant,
    owes_welcome: bool,
    owes_heartbeat: bool,
    owes_frame: bool,
    frames: u64,
    /// A resume that waits for a newer epoch.
    held_back: Option<Resume>,
}

impl Session {
    /// Begins the stream of a registered data plane that holds state of the fleet `holds`, or of none.
    pub(super) fn new(context: Context, link: Link, identity: &Identity, holds: &str) -> Self {
        let own = context.catalog.image().fleet_id.clone();
        let is_foreign = !holds.is_empty() && holds != own;
        let feed = if is_foreign {
            warn!(dataplane = %link.id(), fleet = %holds, "data plane belongs to another fleet");
            link.foreign(holds);
            None
        } else {
            let desired = Arc::clone(&context.desired.borrow());
            let mut feed = Feed::new(&identity.id, &identity.labels, desired);
            feed.remember(link.earlier_nacks());
            if identity.features.iter().any(|feature| feature == PEERS) {
                feed.with_peers();
            }
            Some(feed)
        };
        Self {
            context,
            link,
            feed,
            opened: Instant::now(),
            owes_welcome: true,
            owes_heartbeat: false,
            owes_frame: false,
            frames: 0,
            held_back: None,
        }
    }

    /// Takes a message of the data plane.
    pub(super) fn receive(&mut self, message: SyncRequest) -> Turn {
        self.link.seen();
        match message.kind {
            Some(Request::Ack(ack)) => self.ack(&ack),
            Some(Request::Heartbeat(heartbeat)) => {
                let now = self.now();
                self.link.draining(heartbeat.draining);
                if let Some(feed) = &mut self.feed {
                    feed.digest(heartbeat.digest, now);
                }
            }
            Some(Request::Report(report)) => self.link.report(report),
            Some(Request::Resume(resume)) => return self.resume(resume),
            Some(Request::Hello(_)) => debug!(dataplane = %self.link.id(), "hello came twice"),
            None => drop(self.context.metrics.unknown_messages.inc()),
        }
        self.publish();
        Turn::Continue
    }

    fn resume(&mut self, resume: Resume) -> Turn {
        let Some(feed) = &mut self.feed else {
            return Turn::Continue;
        };
        self.link.resumed(resume.from_snapshot);
        let holds = Revision {
            epoch: resume.epoch,
            number: resume.revision,
        };
        let head = self.context.desired.borrow().revision();
        if holds > head {
            self.held_back = Some(resume);
            return Turn::Regressed(holds);
        }
        feed.resume(&resume);
        self.greet();
        Turn::Continue
    }

    /// After a resume: says at once what should be held and what is ejected.
    fn greet(&mut self) {
        self.owes_heartbeat = true;
        self.owes_frame = true;
        self.publish();
    }

    fn ack(&mut self, ack: &Ack) {
        let now = self.now();
        let Some(feed) = &mut self.feed else {
            return;
        };
        if !feed.ack(ack, now) {
            debug!(dataplane = %self.link.id(), nonce = ack.nonce, "ack answers nothing");
            return;
        }
        // A frame for what was just put in service came too early, if it came.
        self.owes_frame = true;
        let lane = LaneLabel {
            lane: lane_name(ack.lane()),
        };
        self.context.metrics.acks.get_or_create(&lane).inc();
        for nack in &ack.nacks {
            self.context.metrics.nacks.get_or_create(&lane).inc();
            let violation = nack.violations.first();
            let (field, why) = violation.map_or(("", ""), |v| (&*v.field, &*v.description));
            let (dataplane, kind, name) = (self.link.id(), &nack.kind, &nack.name);
            warn!(%dataplane, %kind, %name, revision = nack.revision, %field, %why, "resource rejected");
        }
    }

    /// Takes over the fleet's newest state.
    pub(super) fn update(&mut self) {
        let desired = Arc::clone(&self.context.desired.borrow());
        let head = desired.revision();
        let Some(feed) = &mut self.feed else {
            return;
        };
        feed.update(desired);
        let may_resume = |resume: &mut Resume| head.epoch > resume.epoch;
        if let Some(resume) = self.held_back.take_if(may_resume) {
            info!(dataplane = %self.link.id(), epoch = head.epoch, "resumed in a newer epoch");
            feed.resume(&resume);
            self.greet();
        }
        self.publish();
    }

    /// Notes that a heartbeat is due, and with it a health frame, which renews leases.
    pub(super) fn beat(&mut self) {
        self.owes_heartbeat = true;
        self.owes_frame = self.feed.is_some();
    }

    /// Notes that verdicts changed.
    pub(super) fn health_changed(&mut self) {
        self.owes_frame = self.feed.is_some();
    }

    /// Returns when [`Session::next`] should be asked again though nothing happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadline = self.feed.as_ref()?.deadline()?;
        Some(self.opened + deadline)
    }

    /// Returns the next message to send; `None` when there is nothing to say.
    pub(super) fn next(&mut self) -> Option<SyncResponse> {
        let kind = if std::mem::take(&mut self.owes_welcome) {
            Response::Welcome(self.welcome())
        } else if std::mem::take(&mut self.owes_heartbeat) {
            Response::Heartbeat(self.heartbeat())
        } else if let Some(frame) = self.frame() {
            frame
        } else {
            self.push()?
        };
        Some(SyncResponse { kind: Some(kind) })
    }

    fn push(&mut self) -> Option<Response> {
        let now = self.now();
        match self.feed.as_mut()?.poll(now)? {
            Output::Push(push) => {
                let lane = LaneLabel {
                    lane: lane_name(push.lane()),
                };
                self.context.metrics.pushes.get_or_create(&lane).inc();
                Some(Response::Push(push))
            }
            Output::Resync => {
                self.context.metrics.resyncs.inc();
                warn!(dataplane = %self.link.id(), "digest differs, asked to resync");
                let kind = Some(directive::Kind::Resync(Resync {}));
                Some(Response::Directive(Directive { kind }))
            }
        }
    }

    fn welcome(&self) -> Welcome {
        let image = self.context.catalog.image();
        Welcome {
            fleet_id: image.fleet_id.clone(),
            epoch: image.revision.epoch,
            revision: image.revision.number,
            features: FEATURES.map(str::to_owned).into(),
            heartbeat_interval: self.context.heartbeat.try_into().ok(),
            foreign_fleet: self.feed.is_none(),
        }
    }

    fn heartbeat(&self) -> ServerHeartbeat {
        let head = self.context.desired.borrow().revision();
        let digest = self
            .feed
            .as_ref()
            .map(|feed| feed.standing().desired_digest);
        ServerHeartbeat {
            epoch: head.epoch,
            revision: head.number,
            desired_digest: digest.unwrap_or_default(),
        }
    }

    /// Makes a health frame if one is owed and there is anything to say; never while a resume is held back.
    fn frame(&mut self) -> Option<Response> {
        if !std::mem::take(&mut self.owes_frame) || self.held_back.is_some() {
            return None;
        }
        let feed = self.feed.as_ref()?;
        let verdicts = Arc::clone(&self.context.verdicts.borrow());
        let lease = self.context.heartbeat * 3;
        let frame = frame(self.frames + 1, &verdicts, feed.clusters(), lease);
        if frame.clusters.is_empty() {
            return None;
        }
        self.frames += 1;
        self.context.metrics.health_frames.inc();
        Some(Response::HealthFrame(frame))
    }

    fn publish(&self) {
        if let Some(feed) = &self.feed {
            self.link
                .stands(feed.standing(), feed.nacks().cloned().collect());
        }
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Peers => "peers",
        Lane::SlotMaps => "slot_maps",
        Lane::Config | Lane::Unspecified => "config",
    }
}

//! What one data plane should have, and what to send it next; no I/O, so that simulations drive the real code.
//!
//! A [`Feed`] is told what happens (the data plane resumed, acked, sent a heartbeat; the fleet's [`Desired`] state moved on) and
//! is asked what to send. Three lanes, clusters, slot maps and peers, each with at most one un-acked push; what changes meanwhile folds
//! into the lane's dirty set, so a slow data plane costs its dirty names and never a queue.
//!
//! It does not know streams, clocks or stores: time is what the caller says it is.

mod desired;
mod lane;
mod peers;
mod push;
mod repair;
mod slots;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use prism_proto::pb::discovery::v1::{Ack, Lane, Nack, Push, Resume};

use crate::{fleet::Standing, store::Revision};

pub use desired::{ClusterItem, Desired, PeerItems, SlotItem};
pub use peers::{PeerLists, lists};
pub use source::Source;

use lane::LaneState;
use push::kind;
use repair::{Repair, Step};
use table::{Mark, Wanted};

/// What a feed wants to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// One chunk of a push.
    Push(Push),
    /// A request to resume again with everything that is held.
    Resync,
}

/// The state machine of one data plane's stream.
#[derive(Debug)]
pub struct Feed {
    id: String,
    labels: BTreeMap<String, String>,
    desired: Arc<Desired>,
    config: LaneState,
    slot_maps: LaneState,
    peers: LaneState,
    /// Whether the data plane tells its clients of the others.
    has_peers: bool,
    /// Clusters whose list of data planes was held when the data plane resumed.
    listed: BTreeSet<Arc<str>>,
    /// Redis Clusters that the data plane serves.
    serves: Arc<BTreeSet<Arc<str>>>,
    nonce: u64,
    resumed: bool,
    repair: Repair,
    acked: Revision,
    reported_digest: Option<u64>,
}

impl Feed {
    /// Makes the feed of the data plane `id`; it sends nothing before [`Feed::resume`].
    pub fn new(id: &str, labels: &BTreeMap<String, String>, desired: Arc<Desired>) -> Self {
        let mut feed = Self {
            id: id.into(),
            labels: labels.clone(),
            desired,
            config: LaneState::new(Lane::Config),
            slot_maps: LaneState::new(Lane::SlotMaps),
            peers: LaneState::new(Lane::Peers),
            has_peers: false,
            listed: BTreeSet::new(),
            serves: Arc::default(),
            nonce: 0,
            resumed: false,
            repair: Repair::default(),
            acked: Revision::default(),
            reported_digest: None,
        };
        feed.evaluate_all();
        feed
    }

    /// Sends lists of data planes too, from the next [`Feed::resume`] on.
    pub fn with_peers(&mut self) {
        self.has_peers = true;
    }

    /// Takes over what an earlier stream of the same run rejected, so that it is not sent again until it changes.
    pub fn remember(&mut self, nacks: impl IntoIterator<Item = Nack>) {
        for nack in nacks {
            if let Some(lane) = self.lane_of(&nack.kind) {
                lane.remember(nack);
            }
        }
    }

    /// Learns what the data plane holds. May come again after [`Output::Resync`].
    pub fn resume(&mut self, resume: &Resume) {
        self.resumed = true;
        self.repair.resumed();
        self.acked = Revision {
            epoch: resume.epoch,
            number: resume.revision,
        };
        self.reported_digest = Some(resume.digest);
        for lane in [&mut self.config, &mut self.slot_maps, &mut self.peers] {
            let mine = resume
                .resources
                .iter()
                .filter(|r| r.kind == kind(lane.lane));
            let held = mine.map(|resource| {
                let mark = Mark {
                    revision: resource.revision,
                    hash: resource.hash,
                };
                (Arc::from(resource.name.as_str()), mark)
            });
            lane.hold_only(held.collect());
        }
        self.listed = self.peers.table.names().into_iter().collect();
        self.evaluate_all();
    }

    /// Learns the fleet's newest state.
    pub fn update(&mut self, desired: Arc<Desired>) {
        let touched = desired.touched_since(&self.desired);
        self.desired = desired;
        match touched {
            Some(names) => names.iter().for_each(|name| self.evaluate(name)),
            None => self.evaluate_all(),
        }
    }

    /// Learns the outcome of a push. Returns whether it was the answer to what is un-acked; anything else changes nothing.
    pub fn ack(&mut self, ack: &Ack, now: Duration) -> bool {
        let lane = match ack.lane() {
            Lane::Config => &mut self.config,
            Lane::Peers => &mut self.peers,
            Lane::SlotMaps => &mut self.slot_maps,
            Lane::Unspecified => return false,
        };
        let Some((revision, names)) = lane.settle(ack) else {
            return false;
        };
        names.iter().for_each(|name| self.note_served(name));
        self.acked = self.acked.max(revision);
        self.digest(ack.digest, now);
        true
    }

    /// Learns the digest that the data plane reports, and whether it holds what it was sent.
    pub fn digest(&mut self, digest: u64, now: Duration) {
        self.reported_digest = Some(digest);
        if self.resumed && !self.is_in_flight() {
            let lanes = [&self.config, &self.slot_maps, &self.peers];
            let held = lanes.map(|lane| lane.table.held_digest());
            let held = held.into_iter().fold(0, |all, one| all ^ one);
            self.repair.compare(digest == held, now);
        }
    }

    /// Returns what to send now, one message a call; `None` when there is nothing to send yet.
    pub fn poll(&mut self, now: Duration) -> Option<Output> {
        if !self.resumed {
            return None;
        }
        match self.repair.poll(now) {
            Step::Full => self.begin_full(),
            Step::Go => {}
            Step::Resync => return Some(Output::Resync),
            Step::Wait => return None,
        }
        self.begin();
        let lanes = [&mut self.config, &mut self.slot_maps, &mut self.peers];
        lanes
            .into_iter()
            .find_map(|lane| lane.in_flight.as_mut()?.next_chunk())
            .map(Output::Push)
    }

    /// Returns when [`Feed::poll`] should be asked again though nothing happened.
    pub fn deadline(&self) -> Option<Duration> {
        self.repair.deadline()
    }

    /// Tells how the data plane stands.
    pub fn standing(&self) -> Standing {
        let config = &self.config;
        let lanes = [config, &self.slot_maps, &self.peers];
        let digests = lanes.map(|lane| lane.table.wanted_digest());
        let in_flight = config.in_flight.iter().flat_map(|push| &push.items);
        let in_flight = in_flight.map(|(name, _)| name);
        let mut standing = Standing {
            desired: self.desired.revision(),
            acked: self.acked,
            desired_digest: digests.into_iter().fold(0, |all, one| all ^ one),
            reported_digest: self.reported_digest,
            behind: config
                .table
                .dirty()
                .iter()
                .chain(in_flight)
                .cloned()
                .collect(),
            clusters: config.table.wanted_count(),
            serves: self.resumed.then(|| Arc::clone(&self.serves)),
        };
        if standing.is_synced() {
            standing.acked = standing.desired;
        }
        standing
    }

    /// Returns what the data plane rejects now.
    pub fn nacks(&self) -> impl Iterator<Item = &Nack> {
        self.config
            .nacks
            .values()
            .chain(self.slot_maps.nacks.values())
            .chain(self.peers.nacks.values())
    }

    /// Returns the names of the clusters that the data plane should serve.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let wanted = self.config.table.entries();
        wanted
            .filter(|(_, entry)| entry.wanted != Wanted::Absent)
            .map(|(name, _)| name)
    }

    fn is_in_flight(&self) -> bool {
        let lanes = [&self.config, &self.slot_maps, &self.peers];
        lanes.iter().any(|lane| lane.in_flight.is_some())
    }

    fn lane_of(&mut self, resource_kind: &str) -> Option<&mut LaneState> {
        let lanes = [&mut self.config, &mut self.slot_maps, &mut self.peers];
        lanes
            .into_iter()
            .find(|lane| kind(lane.lane) == resource_kind)
    }

    fn evaluate_all(&mut self) {
        let mut names: BTreeSet<_> = self.desired.clusters().keys().cloned().collect();
        names.extend(self.config.table.names());
        names.extend(self.slot_maps.table.names());
        names.extend(self.peers.table.names());
        names.iter().for_each(|name| self.evaluate(name));
    }

    /// Compares what should be held under `name` with what is. A cluster that is not selected here is as good as absent.
    fn evaluate(&mut self, name: &Arc<str>) {
        let cluster = self.desired.cluster(name);
        let cluster = cluster.filter(|item| item.selector.selects(&self.id, &self.labels));
        let present = |resource: &prism_proto::pb::discovery::v1::Resource| {
            Wanted::Present(Mark {
                revision: resource.revision,
                hash: resource.hash,
            })
        };
        let config = cluster.map_or(Wanted::Absent, |item| {
            item.resource.as_ref().map_or(Wanted::Unknown, present)
        });
        let slots = match (cluster, self.desired.slot_map(name)) {
            (Some(item), Some(slots)) if item.has_slots => present(&slots.resource),
            // Before the topology was probed: what the data plane has is better than nothing.
            (Some(item), None) if item.has_slots => Wanted::Unknown,
            _ => Wanted::Absent,
        };
        let has_peers = cluster.is_some_and(|item| item.has_slots) && self.has_peers;
        let peers = match self.desired.peers(name) {
            _ if !has_peers => Wanted::Absent,
            Some(list) if self.desired.is_settled() || !self.listed.contains(name) => {
                // A list that says the same is the same, whenever it was made.
                let held = self.peers.table.get(name).and_then(|entry| entry.held);
                held.filter(|held| held.hash == list.hash)
                    .map_or_else(|| present(list), Wanted::Present)
            }
            _ => Wanted::Unknown,
        };
        self.config.want(name, config);
        self.slot_maps.want(name, slots);
        self.peers.want(name, peers);
        self.note_served(name);
    }

    /// Takes over whether the data plane serves a Redis Cluster under `name`.
    fn note_served(&mut self, name: &Arc<str>) {
        let entry = self.config.table.get(name);
        let is_held = entry.is_some_and(|entry| entry.held.is_some());
        let is_served = is_held
            && self
                .desired
                .cluster(name)
                .is_some_and(|item| item.has_slots);
        if is_served != self.serves.contains(name) {
            let serves = Arc::make_mut(&mut self.serves);
            match is_served {
                true => serves.insert(Arc::clone(name)),
                false => serves.remove(name),
            };
        }
    }

    /// Starts a push in each lane that is free and has need.
    fn begin(&mut self) {
        if self.config.in_flight.is_none() {
            let names = self.config.table.dirty().clone();
            self.config.begin(&mut self.nonce, &self.desired, names);
        }
        if self.slot_maps.in_flight.is_none() {
            let dirty = self.slot_maps.table.dirty().iter();
            let names = dirty
                .filter(|name| self.slots_may_move(name))
                .cloned()
                .collect();
            self.slot_maps.begin(&mut self.nonce, &self.desired, names);
        }
        if self.peers.in_flight.is_none() {
            let names = self.peers.table.dirty().clone();
            self.peers.begin(&mut self.nonce, &self.desired, names);
        }
    }

    /// Make before break: a slot map comes after its cluster and goes after it.
    fn slots_may_move(&self, name: &str) -> bool {
        let cluster = self.config.table.get(name);
        let is_removal = self
            .slot_maps
            .table
            .get(name)
            .is_some_and(|e| e.wanted == Wanted::Absent);
        match cluster {
            Some(entry) if is_removal => match entry.wanted {
                Wanted::Present(mark) => entry.held == Some(mark),
                Wanted::Absent | Wanted::Unknown => false,
            },
            Some(entry) => entry.held.is_some(),
            None => is_removal,
        }
    }

    /// Starts a push of all that is known in all lanes; in the config lane it also removes what nobody knows of, unless
    /// something must stay that is not in the push.
    fn begin_full(&mut self) {
        for lane in [&mut self.config, &mut self.slot_maps, &mut self.peers] {
            let entries = lane.table.entries();
            let names = entries.filter(|(_, entry)| !entry.is_rejected());
            let names = names.map(|(name, _)| Arc::clone(name)).collect();
            lane.begin(&mut self.nonce, &self.desired, names);
        }
        let mut entries = self.config.table.entries().map(|(_, entry)| entry);
        let replaces_all = entries.all(|e| e.wanted != Wanted::Unknown && !e.is_rejected());
        if let Some(push) = self.config.in_flight.as_mut() {
            push.full = replaces_all;
        }
    }
}

//! A simulated data plane and a small builder of fleet states.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use prism_proto::{
    model::{Selector, resource_hash},
    pb::discovery::v1::{
        Ack, Lane, Nack, Push, Resource, ResourceVersion, Resume, SlotDelta, Violation,
    },
};

use crate::{
    feed::{ClusterItem, Desired, Feed, Output, PeerItems, SlotItem},
    store::Revision,
};

/// Holds what it was pushed, by kind and name.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) held: BTreeMap<(String, String), ResourceVersion>,
    pub(super) refuses: BTreeSet<String>,
    pub(super) refuses_deltas: bool,
    /// Pushes received whole; newest last.
    pub(super) received: Vec<Push>,
    chunks: BTreeMap<i32, Vec<Push>>,
}

impl Plane {
    pub(super) fn digest(&self) -> u64 {
        self.held
            .values()
            .fold(0, |digest, held| digest ^ held.hash)
    }

    pub(super) fn resume(&self) -> Resume {
        Resume {
            epoch: 1,
            revision: 1,
            digest: self.digest(),
            resources: self.held.values().cloned().collect(),
            from_snapshot: false,
        }
    }

    pub(super) fn names(&self, kind: &str) -> Vec<&str> {
        let of_kind = self.held.keys().filter(|(held, _)| held == kind);
        of_kind.map(|(_, name)| name.as_str()).collect()
    }

    /// Forgets half-received pushes.
    pub(super) fn disconnect(&mut self) {
        self.chunks.clear();
    }

    /// Takes a chunk; the last one of a push is answered.
    pub(super) fn receive(&mut self, push: Push) -> Option<Ack> {
        let chunks = self.chunks.entry(push.lane).or_default();
        assert!(
            chunks.iter().all(|chunk| chunk.nonce == push.nonce),
            "two pushes in one lane"
        );
        let last = push.last;
        chunks.push(push);
        if !last {
            return None;
        }
        let chunks = std::mem::take(chunks);
        let mut whole = chunks[0].clone();
        for chunk in &chunks[1..] {
            whole.upserts.extend(chunk.upserts.iter().cloned());
            whole.removals.extend(chunk.removals.iter().cloned());
            whole.slot_deltas.extend(chunk.slot_deltas.iter().cloned());
        }
        Some(self.apply(whole))
    }

    fn apply(&mut self, push: Push) -> Ack {
        let mut ack = Ack {
            lane: push.lane,
            nonce: push.nonce,
            epoch: push.epoch,
            revision: push.revision,
            ..Ack::default()
        };
        let kind = match push.lane() {
            Lane::Config => "clusters",
            Lane::Peers => "peers",
            _ => "slotmaps",
        };
        if push.full {
            let kept: BTreeSet<_> = push.upserts.iter().map(|r| r.name.clone()).collect();
            self.held
                .retain(|(held, name), _| held != kind || kept.contains(name));
        }
        for resource in &push.upserts {
            let held = version(resource);
            if self.refuses.contains(&resource.name) {
                ack.nacks.push(nack(&held));
            } else {
                self.held
                    .insert((resource.kind.clone(), resource.name.clone()), held);
            }
        }
        for delta in &push.slot_deltas {
            self.step(delta, &mut ack);
        }
        for removal in &push.removals {
            self.held
                .remove(&(removal.kind.clone(), removal.name.clone()));
        }
        ack.digest = self.digest();
        self.received.push(push);
        ack
    }

    fn step(&mut self, delta: &SlotDelta, ack: &mut Ack) {
        let key = ("slotmaps".to_owned(), delta.name.clone());
        let next = ResourceVersion {
            kind: key.0.clone(),
            name: delta.name.clone(),
            revision: delta.revision,
            hash: delta.hash,
        };
        let fits = self
            .held
            .get(&key)
            .is_some_and(|held| held.hash == delta.base_hash);
        if fits && !self.refuses_deltas {
            self.held.insert(key, next);
        } else {
            ack.nacks.push(nack(&next));
        }
    }
}

fn nack(held: &ResourceVersion) -> Nack {
    Nack {
        kind: held.kind.clone(),
        name: held.name.clone(),
        revision: held.revision,
        hash: held.hash,
        violations: vec![Violation {
            field: "listen_addr".into(),
            description: "port 1 is in use".into(),
        }],
    }
}

fn version(resource: &Resource) -> ResourceVersion {
    ResourceVersion {
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        revision: resource.revision,
        hash: resource.hash,
    }
}

/// A fleet state under construction.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) desired: Arc<Desired>,
    pub(super) peers: PeerItems,
    clusters: BTreeMap<Arc<str>, Arc<ClusterItem>>,
    slot_maps: BTreeMap<Arc<str>, Arc<SlotItem>>,
}

impl World {
    pub(super) fn put(&mut self, name: &str, body: &[u8]) -> &mut Self {
        self.put_for(name, body, Selector::default())
    }

    pub(super) fn put_for(&mut self, name: &str, body: &[u8], selector: Selector) -> &mut Self {
        let revision = self.desired.revision().number + 1;
        let item = ClusterItem {
            selector,
            resource: Some(resource("clusters", name, revision, body)),
            has_slots: false,
        };
        self.clusters.insert(name.into(), Arc::new(item));
        self
    }

    pub(super) fn put_slotted(&mut self, name: &str) -> &mut Self {
        self.put(name, b"slotted");
        let item = ClusterItem {
            has_slots: true,
            ..(*self.clusters[name]).clone()
        };
        self.clusters.insert(name.into(), Arc::new(item));
        self
    }

    /// Makes a cluster whose resource cannot be built now.
    pub(super) fn obscure(&mut self, name: &str) -> &mut Self {
        let item = ClusterItem {
            resource: None,
            ..(*self.clusters[name]).clone()
        };
        self.clusters.insert(name.into(), Arc::new(item));
        self
    }

    /// Moves a slot map on, with a delta from the map before.
    pub(super) fn map(&mut self, name: &str, sequence: u64) -> &mut Self {
        let body = format!("map {sequence}");
        let resource = resource("slotmaps", name, sequence, body.as_bytes());
        let base = self.slot_maps.get(name).map(|item| item.resource.hash);
        let deltas = base.map(|base_hash| SlotDelta {
            name: name.into(),
            base_hash,
            revision: sequence,
            hash: resource.hash,
            sequence,
            ..SlotDelta::default()
        });
        let item = SlotItem {
            resource,
            deltas: deltas.into_iter().collect(),
        };
        self.slot_maps.insert(name.into(), Arc::new(item));
        self
    }

    /// Lists these data planes for the clients of a cluster.
    pub(super) fn list(&mut self, name: &str, stamp: u64, body: &str) -> &mut Self {
        let list = resource("peers", name, stamp, body.as_bytes());
        self.peers.lists.insert(name.into(), Arc::new(list));
        self
    }

    pub(super) fn forget_map(&mut self, name: &str) -> &mut Self {
        self.slot_maps.remove(name);
        self
    }

    pub(super) fn remove(&mut self, name: &str) -> &mut Self {
        self.clusters.remove(name);
        self
    }

    pub(super) fn commit(&mut self) -> Arc<Desired> {
        let revision = Revision {
            epoch: 1,
            number: self.desired.revision().number + 1,
        };
        let (clusters, slot_maps) = (self.clusters.clone(), self.slot_maps.clone());
        self.desired =
            Arc::new(
                self.desired
                    .next(revision, clusters, slot_maps, self.peers.clone()),
            );
        Arc::clone(&self.desired)
    }

    pub(super) fn feed(&self) -> Feed {
        let labels = BTreeMap::from([("tier".to_owned(), "edge".to_owned())]);
        Feed::new("dp-1", &labels, Arc::clone(&self.desired))
    }
}

fn resource(kind: &str, name: &str, revision: u64, body: &[u8]) -> Resource {
    Resource {
        kind: kind.into(),
        name: name.into(),
        revision,
        body: body.to_vec().into(),
        hash: resource_hash(kind, name, body),
        confirm_shrink_from: 0,
    }
}

pub(super) const NOW: Duration = Duration::from_secs(100);

/// No test takes more messages than this to be quiet.
const QUIET_WITHIN: usize = 1000;

/// Returns the pushes that the feed sends now, chunk by chunk.
pub(super) fn pushes(feed: &mut Feed) -> Vec<Push> {
    let mut pushes = Vec::new();
    while let Some(output) = feed.poll(NOW) {
        assert!(pushes.len() < QUIET_WITHIN, "never quiet");
        match output {
            Output::Push(push) => pushes.push(push),
            Output::Resync => unreachable!("nothing is to be repaired"),
        }
    }
    pushes
}

/// Lets feed and data plane talk until both are quiet.
pub(super) fn settle(feed: &mut Feed, plane: &mut Plane, now: Duration) {
    let mut messages = 0;
    while let Some(output) = feed.poll(now) {
        messages += 1;
        assert!(messages < QUIET_WITHIN, "never quiet");
        match output {
            Output::Push(push) => {
                if let Some(ack) = plane.receive(push) {
                    assert!(feed.ack(&ack, now));
                }
            }
            Output::Resync => feed.resume(&plane.resume()),
        }
    }
}

/// Makes a feed whose data plane resumed with what it holds and was brought up to date.
pub(super) fn connect(world: &World, plane: &mut Plane) -> Feed {
    let mut feed = world.feed();
    feed.resume(&plane.resume());
    settle(&mut feed, plane, NOW);
    feed
}

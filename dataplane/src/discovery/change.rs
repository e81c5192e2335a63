//! A push checked against what is held: what to put in service, what to take out, what is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prism_proto::{
    convert,
    model::{Cluster, Peer, Violations},
    pb::discovery::v1::{Ack, Lane, Nack, Push, Resource, ResourceVersion, SlotDelta},
    placement::SlotMap,
};

use super::{
    CLUSTERS, Held, HeldResource, PEERS, SLOT_MAPS, guard,
    held::{read_cluster, read_peers, read_slot_map, version_of},
    last_good::{Pair, PoisonGuard},
};

/// What one push changes.
#[derive(Debug)]
pub struct Change {
    /// The push's lane.
    pub lane: Lane,
    /// Definitions to put in service.
    pub clusters: BTreeMap<String, HeldResource<Cluster>>,
    /// Slot maps to put in service.
    pub slot_maps: BTreeMap<String, HeldResource<SlotMap>>,
    /// Lists of data planes to tell clients of.
    pub peers: BTreeMap<String, HeldResource<Vec<Peer>>>,
    /// Clusters to take out of service.
    pub removed_clusters: BTreeSet<String>,
    /// Slot maps to forget.
    pub removed_slot_maps: BTreeSet<String>,
    /// Lists of data planes to forget.
    pub removed_peers: BTreeSet<String>,
    nonce: u64,
    epoch: u64,
    revision: u64,
    nacks: Vec<Nack>,
}

/// What became of a change.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Clusters that could not be put in service, with the reasons; their previous state stays.
    pub rejected: BTreeMap<String, Violations>,
    /// How long it took.
    pub took: Duration,
}

impl Change {
    /// Checks every resource of a whole push.
    pub(super) fn new(lane: Lane, push: Push, held: &Held, poison: &PoisonGuard) -> Self {
        let mut change = Self {
            lane,
            clusters: BTreeMap::new(),
            slot_maps: BTreeMap::new(),
            peers: BTreeMap::new(),
            removed_clusters: BTreeSet::new(),
            removed_slot_maps: BTreeSet::new(),
            removed_peers: BTreeSet::new(),
            nonce: push.nonce,
            epoch: push.epoch,
            revision: push.revision,
            nacks: Vec::new(),
        };
        let mut named = BTreeSet::new();
        for resource in &push.upserts {
            named.insert(resource.name.clone());
            if let Err(violations) = change.upsert(resource, held, poison) {
                change.refuse(version_of(resource), violations);
            }
        }
        for delta in &push.slot_deltas {
            named.insert(delta.name.clone());
            if let Err(violations) = change.delta(delta, held, poison) {
                change.refuse(version_of_delta(delta), violations);
            }
        }
        change.remove(&push, &named, held);
        change
    }

    /// Returns the resources that were refused before anything was applied, and why.
    pub fn refused(&self) -> Vec<(&str, Violations)> {
        let reason = |nack: &Nack| convert::violations_from_nack(&nack.violations);
        let refused = self
            .nacks
            .iter()
            .map(|nack| (nack.name.as_str(), reason(nack)));
        refused.collect()
    }

    /// Returns what is put in service, for the poison guard.
    pub fn pairs(&self) -> Vec<Pair> {
        let clusters = self
            .clusters
            .iter()
            .map(|(name, held)| (CLUSTERS, name, held.hash));
        let slot_maps = self
            .slot_maps
            .iter()
            .map(|(name, held)| (SLOT_MAPS, name, held.hash));
        let pair = |(kind, name, hash): (&str, &String, u64)| Pair::new(kind, name, hash);
        clusters.chain(slot_maps).map(pair).collect()
    }

    /// Makes `held` what it is after this change, and the answer to the push.
    pub(super) fn settle(mut self, outcome: Outcome, held: &mut Held) -> Ack {
        for (name, violations) in outcome.rejected {
            if let Some(rejected) = self.clusters.remove(&name) {
                let version = ResourceVersion {
                    kind: CLUSTERS.to_owned(),
                    name,
                    revision: rejected.revision,
                    hash: rejected.hash,
                };
                self.refuse(version, violations);
            }
        }
        held.clusters.extend(self.clusters);
        held.slot_maps.extend(self.slot_maps);
        held.peers.extend(self.peers);
        held.clusters
            .retain(|name, _| !self.removed_clusters.contains(name));
        held.slot_maps
            .retain(|name, _| !self.removed_slot_maps.contains(name));
        held.peers
            .retain(|name, _| !self.removed_peers.contains(name));
        if (self.epoch, self.revision) > (held.epoch, held.revision) {
            (held.epoch, held.revision) = (self.epoch, self.revision);
        }
        Ack {
            lane: self.lane.into(),
            nonce: self.nonce,
            epoch: self.epoch,
            revision: self.revision,
            digest: held.digest(),
            nacks: self.nacks,
            apply_time: outcome.took.try_into().ok(),
        }
    }

    fn upsert(
        &mut self,
        resource: &Resource,
        held: &Held,
        poison: &PoisonGuard,
    ) -> Result<(), Violations> {
        check_poison(&version_of(resource), poison)?;
        let (name, confirmed) = (&resource.name, resource.confirm_shrink_from);
        match (self.lane, resource.kind.as_str()) {
            (Lane::Config, CLUSTERS) => {
                let new = read_cluster(resource)?;
                guard::check_cluster(held.clusters.get(name), &new.value, confirmed)?;
                self.clusters.insert(name.clone(), new);
            }
            (Lane::Peers, PEERS) => {
                self.peers.insert(name.clone(), read_peers(resource)?);
            }
            (Lane::SlotMaps, SLOT_MAPS) => {
                let new = read_slot_map(resource)?;
                guard::check_slot_map(held.slot_maps.get(name), &new.value, confirmed)?;
                self.slot_maps.insert(name.clone(), new);
            }
            (_, kind) => {
                let description = format!("`{kind}` is not known in this lane");
                return Err(Violations::one("kind", description));
            }
        }
        Ok(())
    }

    fn delta(
        &mut self,
        delta: &SlotDelta,
        held: &Held,
        poison: &PoisonGuard,
    ) -> Result<(), Violations> {
        check_poison(&version_of_delta(delta), poison)?;
        let base = held.slot_maps.get(&delta.name);
        let Some(base) = base.filter(|base| base.hash == delta.base_hash) else {
            let description = format!("{:016x} is not the hash of the map held", delta.base_hash);
            return Err(Violations::one("base_hash", description));
        };
        let map = convert::slot_delta_from_pb(&base.value, delta)?;
        guard::check_slot_map(Some(base), &map, 0)?;
        let resource = Resource {
            kind: SLOT_MAPS.to_owned(),
            name: delta.name.clone(),
            revision: delta.revision,
            body: convert::encode_slot_map(&delta.name, &map),
            hash: delta.hash,
            confirm_shrink_from: 0,
        };
        self.slot_maps
            .insert(delta.name.clone(), read_slot_map(&resource)?);
        Ok(())
    }

    /// Collects what leaves; a full push removes whatever of its lane it does not name.
    fn remove(&mut self, push: &Push, named: &BTreeSet<String>, held: &Held) {
        let listed = push.removals.iter().map(|removal| removal.name.clone());
        let listed: BTreeSet<_> = listed.filter(|name| !named.contains(name)).collect();
        let leaves = |name: &&String| listed.contains(*name) || push.full && !named.contains(*name);
        match self.lane {
            Lane::Peers => {
                self.removed_peers = held.peers.keys().filter(leaves).cloned().collect();
            }
            Lane::SlotMaps => {
                self.removed_slot_maps = held.slot_maps.keys().filter(leaves).cloned().collect();
            }
            Lane::Config | Lane::Unspecified => {
                self.removed_clusters = held.clusters.keys().filter(leaves).cloned().collect();
            }
        }
    }

    fn refuse(&mut self, version: ResourceVersion, violations: Violations) {
        self.nacks.push(Nack {
            kind: version.kind,
            name: version.name,
            revision: version.revision,
            hash: version.hash,
            violations: convert::violations_to_nack(&violations),
        });
    }
}

fn version_of_delta(delta: &SlotDelta) -> ResourceVersion {
    ResourceVersion {
        kind: SLOT_MAPS.to_owned(),
        name: delta.name.clone(),
        revision: delta.revision,
        hash: delta.hash,
    }
}

fn check_poison(version: &ResourceVersion, poison: &PoisonGuard) -> Result<(), Violations> {
    if poison.is_quarantined(&Pair::from(version)) {
        let description = "is quarantined on this data plane after two crashes, until it changes";
        return Err(Violations::one("", description));
    }
    Ok(())
}

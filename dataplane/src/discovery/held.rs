//! What this data plane holds: the resources in service, as they were pushed.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use prism_proto::{
    convert,
    model::{Cluster, Peer, Violations, resource_hash},
    pb::discovery::v1::{Resource, ResourceVersion, Resume, Snapshot},
    placement::SlotMap,
};

/// Kind of the resources that define clusters.
pub const CLUSTERS: &str = "clusters";
/// Kind of the resources that say who owns which slot.
pub const SLOT_MAPS: &str = "slotmaps";

/// Kind of the resources that say which data planes serve a cluster.
pub const PEERS: &str = "peers";

/// One resource in service: its own revision and hash, its bytes as pushed, and what they say.
#[derive(Clone, Debug)]
pub struct HeldResource<T> {
    /// The resource's own revision.
    pub revision: u64,
    /// Hash of kind, name and body.
    pub hash: u64,
    /// As pushed.
    pub body: Bytes,
    /// As read.
    pub value: Arc<T>,
}

/// Everything in service, and which state of which fleet it is.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The fleet it belongs to; empty when none.
    pub fleet_id: String,
    /// Epoch of the state; 0 when none.
    pub epoch: u64,
    /// Revision of the state; 0 when none.
    pub revision: u64,
    /// Definitions by cluster name.
    pub clusters: BTreeMap<String, HeldResource<Cluster>>,
    /// Slot maps by cluster name.
    pub slot_maps: BTreeMap<String, HeldResource<SlotMap>>,
    /// Data planes that serve a cluster, by its name. They never go to disk: who is alone is right, who points at the dead is
    /// not.
    pub peers: BTreeMap<String, HeldResource<Vec<Peer>>>,
}

impl Held {
    /// Returns the XOR of the hashes of all resources.
    pub fn digest(&self) -> u64 {
        let peers = self.peers.values().map(|resource| resource.hash);
        peers.fold(self.kept_digest(), |digest, hash| digest ^ hash)
    }

    /// Returns the XOR of the hashes of the resources that go to disk.
    pub fn kept_digest(&self) -> u64 {
        let clusters = self.clusters.values().map(|resource| resource.hash);
        let slot_maps = self.slot_maps.values().map(|resource| resource.hash);
        clusters
            .chain(slot_maps)
            .fold(0, |digest, hash| digest ^ hash)
    }

    /// Tells whether nothing was ever taken over.
    pub fn is_empty(&self) -> bool {
        self.fleet_id.is_empty() && self.clusters.is_empty() && self.slot_maps.is_empty()
    }

    /// Returns what is held, without bodies.
    pub fn versions(&self) -> Vec<ResourceVersion> {
        let clusters = self
            .clusters
            .iter()
            .map(|(name, held)| held.named(CLUSTERS, name));
        let slot_maps = self
            .slot_maps
            .iter()
            .map(|(name, held)| held.named(SLOT_MAPS, name));
        let peers = self
            .peers
            .iter()
            .map(|(name, held)| held.named(PEERS, name));
        clusters.chain(slot_maps).chain(peers).collect()
    }

    /// Says to a control plane where this data plane stands.
    pub fn resume(&self, from_snapshot: bool) -> Resume {
        Resume {
            epoch: self.epoch,
            revision: self.revision,
            digest: self.digest(),
            resources: self.versions(),
            from_snapshot,
        }
    }

    /// Returns what goes to disk.
    pub fn snapshot(&self) -> Snapshot {
        let clusters = self
            .clusters
            .iter()
            .map(|(name, held)| held.whole(CLUSTERS, name));
        let slot_maps = self
            .slot_maps
            .iter()
            .map(|(name, held)| held.whole(SLOT_MAPS, name));
        Snapshot {
            fleet_id: self.fleet_id.clone(),
            epoch: self.epoch,
            revision: self.revision,
            resources: clusters.chain(slot_maps).collect(),
        }
    }

    /// Takes over what came from disk; returns also what could not be read, by kind and name.
    pub fn from_snapshot(snapshot: Snapshot) -> (Self, Vec<(ResourceVersion, Violations)>) {
        let mut held = Self {
            fleet_id: snapshot.fleet_id,
            epoch: snapshot.epoch,
            revision: snapshot.revision,
            ..Self::default()
        };
        let mut unread = Vec::new();
        for resource in snapshot.resources {
            if let Err(violations) = held.insert(&resource) {
                unread.push((version_of(&resource), violations));
            }
        }
        (held, unread)
    }

    fn insert(&mut self, resource: &Resource) -> Result<(), Violations> {
        let name = resource.name.clone();
        match resource.kind.as_str() {
            CLUSTERS => {
                self.clusters.insert(name, read_cluster(resource)?);
            }
            SLOT_MAPS => {
                self.slot_maps.insert(name, read_slot_map(resource)?);
            }
            kind => return Err(Violations::one("kind", format!("`{kind}` is not known"))),
        }
        Ok(())
    }
}

impl<T> HeldResource<T> {
    fn named(&self, kind: &str, name: &str) -> ResourceVersion {
        ResourceVersion {
            kind: kind.to_owned(),
            name: name.to_owned(),
            revision: self.revision,
            hash: self.hash,
        }
    }

    fn whole(&self, kind: &str, name: &str) -> Resource {
        Resource {
            kind: kind.to_owned(),
            name: name.to_owned(),
            revision: self.revision,
            body: self.body.clone(),
            hash: self.hash,
            confirm_shrink_from: 0,
        }
    }
}

/// Returns a resource's name and hash without its body.
pub(super) fn version_of(resource: &Resource) -> ResourceVersion {
    ResourceVersion {
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        revision: resource.revision,
        hash: resource.hash,
    }
}

/// Reads a pushed definition.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read_cluster(resource: &Resource) -> Result<HeldResource<Cluster>, Violations> {
    check_hash(resource)?;
    let spec = convert::decode_resolved(&resource.body).map_err(|e| e.into_violations())?;
    if spec.name() != resource.name {
        let description = format!(
            "`{}` is not the resource's name `{}`",
            spec.name(),
            resource.name
        );
        return Err(Violations::one("name", description));
    }
    Ok(held(resource, spec.resolve()))
}

/// Reads a pushed list of data planes.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read_peers(resource: &Resource) -> Result<HeldResource<Vec<Peer>>, Violations> {
    check_hash(resource)?;
    let (cluster, peers) =
        convert::decode_peers(&resource.body).map_err(|e| e.into_violations())?;
    if cluster != resource.name {
        let name = &resource.name;
        let description = format!("`{cluster}` is not the resource's name `{name}`");
        return Err(Violations::one("cluster", description));
    }
    Ok(held(resource, peers))
}

/// Reads a pushed slot map.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read_slot_map(resource: &Resource) -> Result<HeldResource<SlotMap>, Violations> {
    check_hash(resource)?;
    let (cluster, map) =
        convert::decode_slot_map(&resource.body).map_err(|e| e.into_violations())?;
    if cluster != resource.name {
        let description = format!("`{cluster}` is not the resource's name `{}`", resource.name);
        return Err(Violations::one("cluster", description));
    }
    Ok(held(resource, map))
}

fn held<T>(resource: &Resource, value: T) -> HeldResource<T> {
    HeldResource {
        revision: resource.revision,
        hash: resource.hash,
        // The push's buffer holds many bodies; a copy lets it go.
        body: Bytes::copy_from_slice(&resource.body),
        value: Arc::new(value),
    }
}

fn check_hash(resource: &Resource) -> Result<(), Violations> {
    let hash = resource_hash(&resource.kind, &resource.name, &resource.body);
    if hash == resource.hash {
        return Ok(());
    }
    let description = format!("{:016x} is not the body's hash {hash:016x}", resource.hash);
    Err(Violations::one("hash", description))
}

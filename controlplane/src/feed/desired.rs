//! What the whole fleet should have, encoded once and shared by all feeds.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use prism_proto::{
    model::Selector,
    pb::discovery::v1::{Resource, SlotDelta},
};

use crate::store::Revision;

/// How many touched names are remembered for feeds that missed steps.
const REMEMBERED: usize = 4096;

/// One cluster as it is delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterItem {
    /// Chooses the data planes that should have it.
    pub selector: Selector,
    /// The resource; `None` while it cannot be made: what a data plane holds then stays.
    pub resource: Option<Resource>,
    /// Whether a slot map belongs to it.
    pub has_slots: bool,
}

/// One slot map as it is delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotItem {
    /// The whole map.
    pub resource: Resource,
    /// Steps from earlier maps to this one, where they are smaller; by the base they name.
    pub deltas: Vec<SlotDelta>,
}

/// The lists of data planes as they are delivered.
#[derive(Clone, Debug, Default)]
pub struct PeerItems {
    /// The resources by cluster name.
    pub lists: BTreeMap<Arc<str>, Arc<Resource>>,
    /// Whether data planes had the time to come back since the control plane started; before that, what a data plane holds
    /// is better.
    pub is_settled: bool,
}

/// What the fleet should have at one revision; a data plane's part is chosen by selectors.
#[derive(Debug, Default)]
pub struct Desired {
    revision: Revision,
    generation: u64,
    clusters: BTreeMap<Arc<str>, Arc<ClusterItem>>,
    slot_maps: BTreeMap<Arc<str>, Arc<SlotItem>>,
    peers: PeerItems,
    /// Names touched, with the generation that touched them; oldest first.
    touched: VecDeque<(u64, Arc<str>)>,
    /// The generation up to which `touched` was forgotten.
    forgotten: u64,
}

impl Desired {
    /// Makes the state that follows this one.
    #[must_use]
    pub fn next(
        &self,
        revision: Revision,
        clusters: BTreeMap<Arc<str>, Arc<ClusterItem>>,
        slot_maps: BTreeMap<Arc<str>, Arc<SlotItem>>,
        peers: PeerItems,
    ) -> Self {
        let generation = self.generation + 1;
        let mut names = differing(&self.clusters, &clusters);
        names.extend(differing(&self.slot_maps, &slot_maps));
        names.extend(differing(&self.peers.lists, &peers.lists));
        if self.peers.is_settled != peers.is_settled {
            names.extend(peers.lists.keys().cloned());
        }
        let mut touched = self.touched.clone();
        touched.extend(names.into_iter().map(|name| (generation, name)));
        let mut forgotten = self.forgotten;
        while touched.len() > REMEMBERED {
            if let Some((generation, _)) = touched.pop_front() {
                forgotten = generation;
            }
        }
        Self {
            revision,
            generation,
            clusters,
            slot_maps,
            peers,
            touched,
            forgotten,
        }
    }

    /// The fleet revision this state is of.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All clusters by name.
    pub fn clusters(&self) -> &BTreeMap<Arc<str>, Arc<ClusterItem>> {
        &self.clusters
    }

    /// All slot maps by cluster name.
    pub fn slot_maps(&self) -> &BTreeMap<Arc<str>, Arc<SlotItem>> {
        &self.slot_maps
    }

    pub(super) fn cluster(&self, name: &str) -> Option<&ClusterItem> {
        self.clusters.get(name).map(|item| &**item)
    }

    pub(super) fn slot_map(&self, name: &str) -> Option<&SlotItem> {
        self.slot_maps.get(name).map(|item| &**item)
    }

    pub(super) fn peers(&self, name: &str) -> Option<&Resource> {
        self.peers.lists.get(name).map(|list| &**list)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.peers.is_settled
    }

    /// Returns the names touched since `older`; `None` when that is no longer known.
    pub(super) fn touched_since(&self, older: &Self) -> Option<Vec<Arc<str>>> {
        if older.generation < self.forgotten || older.generation > self.generation {
            return None;
        }
        let newer = self
            .touched
            .iter()
            .rev()
            .take_while(|(generation, _)| *generation > older.generation);
        Some(newer.map(|(_, name)| Arc::clone(name)).collect())
    }
}

/// Returns the names whose items differ between two maps.
fn differing<T: PartialEq>(
    old: &BTreeMap<Arc<str>, Arc<T>>,
    new: &BTreeMap<Arc<str>, Arc<T>>,
) -> BTreeSet<Arc<str>> {
    let is_same = |name: &Arc<str>, item: &Arc<T>| {
        let other = old.get(name);
        other.is_some_and(|other| Arc::ptr_eq(other, item) || other == item)
    };
    let changed = new.iter().filter(|(name, item)| !is_same(name, item));
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    changed
        .map(|(name, _)| name)
        .chain(removed)
        .cloned()
        .collect()
}

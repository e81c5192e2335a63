//! Who owns which slot, from what several nodes say; pure.
//!
//! For each slot the claim with the highest config epoch wins, among those of all views and the one that was recorded before. A node's
//! own word that it does not own a slot outweighs what others say of it. A claim of a recorded node that nobody knows any more
//! cannot be weighed: what was recorded stays for a few refreshes before the new state is accepted as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prism_proto::placement::{SLOTS, ShardNodes, SlotMap, SlotRange};

use super::{Node, View};

/// Refreshes in which nobody knows a recorded owner before that is accepted.
const MISSES: u32 = 3;

/// What a refresh taught.
#[derive(Clone, Debug, PartialEq)]
pub enum Learned {
    /// Slots or nodes changed.
    Changed(Arc<SlotMap>),
    /// Nobody knows the recorded owner with this id: wait.
    Held(String),
    /// Nobody answered, or nobody claims a slot: what was recorded stays.
    Nothing,
    /// Nobody knew a recorded owner for too long: this is accepted although it may be another cluster.
    Reset(Arc<SlotMap>),
    /// All is as before.
    Same,
}

/// Follows the topology of one Redis Cluster.
#[derive(Debug)]
pub struct Tracker {
    /// The owner of each slot and its config epoch.
    record: Vec<Option<Claim>>,
    map: Option<Arc<SlotMap>>,
    misses: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    epoch: u64,
    /// Weighs claims of one epoch: the node's own word, then what was recorded.
    rank: u8,
    id: Arc<str>,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            record: vec![None; SLOTS],
            map: None,
            misses: 0,
        }
    }
}

impl Tracker {
    /// The newest map.
    pub fn map(&self) -> Option<&Arc<SlotMap>> {
        self.map.as_ref()
    }

    /// Whether owners are recorded that new views are weighed against.
    pub fn has_record(&self) -> bool {
        self.record.iter().any(Option::is_some)
    }

    /// Forgets who owns what, since the definition names other seeds; the map stays until they answer.
    pub fn restart(&mut self) {
        self.record = vec![None; SLOTS];
        self.misses = 0;
    }

    /// Takes what the nodes say that answered; `sequence` is what a new map is numbered with, unless that is too low.
    pub fn learn(&mut self, views: &[View], sequence: u64) -> Learned {
        if views.is_empty() {
            return Learned::Nothing;
        }
        let related = self.related(views);
        let known = known_ids(&related);
        let mut winners = winners(&related, &self.record);
        let is_unknown = |claim: &&Claim| !known.contains(&*claim.id);
        let unknown = winners.iter().flatten().find(is_unknown);
        let is_reset = unknown.is_some();
        if let Some(unknown) = unknown {
            self.misses += 1;
            if self.misses < MISSES {
                return Learned::Held(unknown.id.to_string());
            }
            winners = self::winners(&related, &vec![None; SLOTS]);
        }
        let Some(layout) = Layout::new(&related, &winners, self.map.as_deref()) else {
            return Learned::Nothing;
        };
        self.misses = 0;
        self.record = winners;
        let last = self.map.as_ref().map_or(0, |map| map.sequence());
        let Some(map) = layout.map(sequence.max(last + 1)) else {
            return Learned::Nothing;
        };
        if self.map.as_ref().is_some_and(|held| is_equal(held, &map)) {
            return Learned::Same;
        }
        let map = Arc::new(map);
        self.map = Some(Arc::clone(&map));
        if is_reset {
            Learned::Reset(map)
        } else {
            Learned::Changed(map)
        }
    }

    /// Leaves out views of another cluster: those that share no node with what was recorded, or with the first view.
    fn related<'a>(&self, views: &'a [View]) -> Vec<&'a View> {
        let recorded: BTreeSet<&str> = self
            .record
            .iter()
            .flatten()
            .map(|claim| &*claim.id)
            .collect();
        let shares = |view: &&View, ids: &BTreeSet<&str>| {
            view.nodes.iter().any(|node| ids.contains(&*node.id))
        };
        let related: Vec<_> = views
            .iter()
            .filter(|view| shares(view, &recorded))
            .collect();
        if !related.is_empty() {
            return related;
        }
        let Some(first) = views
            .iter()
            .find(|view| view.nodes.iter().any(|node| !node.slots.is_empty()))
        else {
            return Vec::new();
        };
        let ids = first.nodes.iter().map(|node| &*node.id).collect();
        views.iter().filter(|view| shares(view, &ids)).collect()
    }
}

fn known_ids<'a>(views: &[&'a View]) -> BTreeSet<&'a str> {
    views
        .iter()
        .flat_map(|view| &view.nodes)
        .map(|node| &*node.id)
        .collect()
}

/// Finds the owner of every slot.
fn winners(views: &[&View], record: &[Option<Claim>]) -> Vec<Option<Claim>> {
    let own = own_words(views);
    let mut best: Vec<Option<Claim>> = vec![None; SLOTS];
    for view in views {
        for node in &view.nodes {
            let is_own = node.id == view.own_id;
            let denied = own.get(&*node.id).filter(|_| !is_own);
            let claim = Claim {
                epoch: node.epoch,
                rank: if is_own { 2 } else { 0 },
                id: node.id.as_str().into(),
            };
            for slot in node
                .slots
                .iter()
                .flat_map(|&(first, last)| first..=last)
                .map(usize::from)
            {
                if denied.is_none_or(|owned| owned[slot]) {
                    weigh(&mut best[slot], &claim);
                }
            }
        }
    }
    for (slot, recorded) in record.iter().enumerate() {
        let Some(recorded) = recorded else { continue };
        let is_denied = own.get(&*recorded.id).is_some_and(|owned| !owned[slot]);
        // An owner that gave a slot away keeps it until somebody else claims it.
        if best[slot].is_none() || !is_denied {
            weigh(
                &mut best[slot],
                &Claim {
                    rank: 1,
                    ..recorded.clone()
                },
            );
        }
    }
    best
}

/// What the nodes that were asked say of themselves, by slot.
fn own_words<'a>(views: &[&'a View]) -> BTreeMap<&'a str, Vec<bool>> {
    let mut own = BTreeMap::new();
    for view in views {
        let Some(node) = view.nodes.iter().find(|node| node.id == view.own_id) else {
            continue;
        };
        let mut owned = vec![false; SLOTS];
        for &(first, last) in &node.slots {
            owned[usize::from(first)..=usize::from(last)].fill(true);
        }
        own.insert(&*view.own_id, owned);
    }
    own
}

fn weigh(best: &mut Option<Claim>, claim: &Claim) {
    let key = |claim: &Claim| (claim.epoch, claim.rank);
    let is_better = best.as_ref().is_none_or(|held| {
        key(claim) > key(held) || (key(claim) == key(held) && claim.id < held.id)
    });
    if is_better {
        *best = Some(claim.clone());
    }
}

fn is_equal(held: &SlotMap, map: &SlotMap) -> bool {
    held.shards() == map.shards() && held.owners() == map.owners()
}

/// Shards in the order of the map before, new ones behind.
struct Layout {
    shards: Vec<ShardNodes>,
    owners: Vec<Option<u32>>,
}

impl Layout {
    /// Lays out what the winners own; none when that is nothing.
    fn new(views: &[&View], winners: &[Option<Claim>], held: Option<&SlotMap>) -> Option<Self> {
        let nodes = best_lines(views);
        let mut seen = BTreeSet::new();
        let ids = winners.iter().flatten().map(|claim| &claim.id);
        let mut wanted: Vec<_> = ids.filter(|id| seen.insert(*id)).cloned().collect();
        let mut shards = Vec::new();
        for shard in held.map(SlotMap::shards).unwrap_or_default() {
            let next = successor(shard, &wanted, &nodes).or_else(|| still_primary(shard, &nodes));
            if let Some(id) = next {
                wanted.retain(|wanted| *wanted != id);
                shards.extend(shard_of(&id, &nodes, Some(shard)));
            }
        }
        for id in wanted {
            let before =
                held.and_then(|map| map.shards().iter().find(|shard| *shard.primary_id == *id));
            shards.extend(shard_of(&id, &nodes, before));
        }
        let index: BTreeMap<&str, u32> = shards
            .iter()
            .zip(0..)
            .map(|(shard, index)| (&*shard.primary_id, index))
            .collect();
        let owner = |claim: &Option<Claim>| index.get(&*claim.as_ref()?.id).copied();
        let owners: Vec<_> = winners.iter().map(owner).collect();
        owners
            .iter()
            .any(Option::is_some)
            .then_some(Self { shards, owners })
    }

    fn map(self, sequence: u64) -> Option<SlotMap> {
        let mut ranges: Vec<SlotRange> = Vec::new();
        for (start, shard) in (0u32..).zip(self.owners) {
            match ranges.last_mut() {
                Some(range) if range.shard == shard => range.length += 1,
                _ => ranges.push(SlotRange {
                    start,
                    length: 1,
                    shard,
                }),
            }
        }
        SlotMap::new(sequence, self.shards, ranges).ok()
    }
}

/// The line of each node that tells most: its own, else one with an address.
fn best_lines<'a>(views: &[&'a View]) -> BTreeMap<&'a str, &'a Node> {
    let mut best: BTreeMap<&str, (u8, &Node)> = BTreeMap::new();
    for view in views {
        for node in &view.nodes {
            let rank = match (&node.addr, node.id == view.own_id) {
                (Some(_), true) => 2,
                (Some(_), false) => 1,
                (None, _) => 0,
            };
            let held = best.entry(&node.id).or_insert((rank, node));
            if rank > held.0 {
                *held = (rank, node);
            }
        }
    }
    best.into_iter().map(|(id, (_, node))| (id, node)).collect()
}

/// Who owns the slots of a shard now: its primary, or a replica that took over.
fn successor(
    shard: &ShardNodes,
    wanted: &[Arc<str>],
    nodes: &BTreeMap<&str, &Node>,
) -> Option<Arc<str>> {
    let same = wanted.iter().find(|id| ***id == *shard.primary_id);
    let promoted = || {
        let was_replica = |id: &&Arc<str>| {
            let addr = nodes.get(&***id).and_then(|node| node.addr.as_ref());
            addr.is_some_and(|addr| shard.replicas.contains(addr))
        };
        wanted.iter().find(was_replica)
    };
    same.or_else(promoted).cloned()
}

/// A primary that gave its last slot away keeps its place as long as it is there.
fn still_primary(shard: &ShardNodes, nodes: &BTreeMap<&str, &Node>) -> Option<Arc<str>> {
    let node = nodes.get(&*shard.primary_id)?;
    let is_there =
        node.primary_id.is_none() && !node.is_failed && !node.is_stranger && node.addr.is_some();
    is_there.then(|| shard.primary_id.as_str().into())
}

/// Describes a shard; `before` is what was known of it, whose order of replicas and, if need be, address is kept.
fn shard_of(
    id: &str,
    nodes: &BTreeMap<&str, &Node>,
    before: Option<&ShardNodes>,
) -> Option<ShardNodes> {
    let held = before
        .filter(|shard| shard.primary_id == id)
        .map(|shard| shard.primary.clone());
    let primary = nodes.get(id).and_then(|node| node.addr.clone()).or(held)?;
    let follows = |node: &&&Node| {
        node.primary_id.as_deref() == Some(id) && !node.is_failed && !node.is_stranger
    };
    let mut replicas: Vec<_> = nodes
        .values()
        .filter(follows)
        .filter_map(|node| node.addr.clone())
        .collect();
    let known = before
        .map(|shard| shard.replicas.as_slice())
        .unwrap_or_default();
    // Sorting is stable: new ones stay in the order of their ids, behind.
    replicas.sort_by_key(|addr| {
        known
            .iter()
            .position(|held| held == addr)
            .unwrap_or(usize::MAX)
    });
    Some(ShardNodes {
        primary,
        replicas,
        primary_id: id.into(),
    })
}

#[cfg(test)]
mod tests;

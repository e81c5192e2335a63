//! The shards in an order that all data planes share, and a fingerprint of who has which keys.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{CallError, nodes::Nodes};

/// The shards, in the order of their addresses.
#[derive(Clone, Debug)]
pub struct Order {
    nodes: Vec<usize>,
    /// Changes with the addresses, and in a Redis Cluster with the owner of any slot.
    pub fingerprint: u64,
}

impl Order {
    pub(super) fn of(nodes: &mut Nodes, cluster: &str) -> Result<Self, CallError> {
        let shards = nodes.shards(cluster)?.into_iter();
        let by_address = shards.map(|node| (nodes.node(node).target.addr.to_string(), node));
        let by_address: BTreeMap<_, _> = by_address.collect();
        let mut digest = Sha256::new();
        let mut ranks = BTreeMap::new();
        for (rank, (address, node)) in by_address.iter().enumerate() {
            digest.update(format!("{address}\n"));
            ranks.insert(*node, rank);
        }
        let mut last = None;
        for (slot, owner) in nodes.slots.iter().enumerate() {
            if last.replace(*owner) != Some(*owner) {
                let rank = ranks.get(&usize::from(*owner));
                digest.update(format!("{slot} {rank:?}\n"));
            }
        }
        let digest = digest.finalize();
        let first = digest.first_chunk::<8>().copied().unwrap_or_default();
        Ok(Self {
            nodes: by_address.into_values().collect(),
            fingerprint: u64::from_be_bytes(first),
        })
    }

    /// Returns the number of shards.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn node(&self, rank: usize) -> Option<usize> {
        self.nodes.get(rank).copied()
    }
}

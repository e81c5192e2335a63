//! Which shard of a pool a key belongs to.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::model::{Distribution, Sharding};

use super::hash::hash;
use super::ketama::Continuum;
use super::shard::{Member, Shard, members};
use super::tag::tagged;

/// The placement of a pool's keys; built once per topology change, read without a lock or an allocation.
#[derive(Clone, Debug)]
pub struct Ring {
    sharding: Sharding,
    table: Table,
}

#[derive(Clone, Debug)]
enum Table {
    Empty,
    Ketama(Continuum),
    Modula(Shares),
    /// Shards that take keys.
    Random(Vec<u32>),
    /// One shard takes all keys: nothing is hashed.
    Single(u32),
}

impl Ring {
    /// Lays out `shards` as twemproxy does; those that are not live count for nothing.
    pub fn new(sharding: Sharding, shards: &[Shard]) -> Self {
        let members = members(shards);
        let table = match (members.as_slice(), sharding.distribution) {
            ([], _) => Table::Empty,
            ([only], _) => Table::Single(only.index),
            (_, Distribution::Ketama) => {
                Continuum::new(&members, sharding.ketama_float).map_or(Table::Empty, Table::Ketama)
            }
            (_, Distribution::Modula) => Table::Modula(Shares::new(&members)),
            (_, Distribution::Random) => {
                Table::Random(members.iter().map(|member| member.index).collect())
            }
        };
        Self { sharding, table }
    }

    /// The shard of `key`, as an index into the shards given to [`Ring::new`]; none when no shard is live.
    #[inline]
    pub fn locate(&self, key: &[u8]) -> Option<usize> {
        let index = match &self.table {
            Table::Empty => return None,
            Table::Ketama(continuum) => continuum.owner(self.hash(key)),
            Table::Modula(shares) => shares.owner(self.hash(key)),
            Table::Random(live) => live[random_below(live.len())],
            Table::Single(index) => *index,
        };
        Some(index as usize)
    }

    /// What the ring was built by.
    pub fn sharding(&self) -> Sharding {
        self.sharding
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u32 {
        let part = self.sharding.hash_tag.map_or(key, |tag| tagged(key, tag));
        if part.is_empty() {
            return 0;
        }
        hash(self.sharding.hash, self.sharding.hash_bytes, part)
    }
}

/// Shards repeated by weight, kept as running totals.
#[derive(Clone, Debug)]
struct Shares {
    /// For each shard the weight up to and with it, ascending, and its index.
    ends: Vec<(u64, u32)>,
    /// The last of `ends`, at least 1.
    total: u64,
}

impl Shares {
    fn new(members: &[Member<'_>]) -> Self {
        let mut total = 0;
        let mut ends = Vec::with_capacity(members.len());
        for member in members {
            total += u64::from(member.weight);
            ends.push((total, member.index));
        }
        Self { ends, total }
    }

    #[inline]
    fn owner(&self, hash: u32) -> u32 {
        let rest = u64::from(hash) % self.total;
        self.ends[self.ends.partition_point(|(end, _)| *end <= rest)].1
    }
}

thread_local! {
    /// State of this thread's xorshift; 0 before its first use.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// A number below `limit`, which is at least 1 and far below 2^32.
fn random_below(limit: usize) -> usize {
    let number = RANDOM.with(|state| {
        let mut x = state.get();
        if x == 0 {
            x = RandomState::new().hash_one(0u8) | 1;
        }
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        x >> 32
    });
    ((number * limit as u64) >> 32) as usize
}

//! Where a key lives: hash tag, hash function, ring of shards, slots of a Redis Cluster; pure.
//!
//! Every result is the same, bit for bit, as that of twemproxy 0.5.0 (rings) or Redis Cluster (slots).
//! Reading order: `tag`, `hash`, `shard`, `ketama`, `ring`, `slot`, `slot_map`.

mod hash;
mod ketama;
mod ring;
mod shard;
mod slot;
mod slot_map;
mod tag;
#[cfg(test)]
mod tests;

pub use self::hash::hash;
pub use self::ring::Ring;
pub use self::shard::Shard;
pub use self::slot::{SLOTS, slot};
pub use self::slot_map::{ShardNodes, SlotMap, SlotMapError, SlotRange};
pub use self::tag::tagged;

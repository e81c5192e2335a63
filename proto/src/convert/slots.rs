//! Slot maps in messages, whole and as changes.

use bytes::Bytes;

use crate::{
    convert::{DecodeError, decode, encode},
    model::{EndpointAddr, Violations},
    pb::{config::v1 as pb, discovery::v1::SlotDelta},
    placement::{ShardNodes, SlotMap, SlotRange},
};

/// Writes the slot map of a cluster.
pub fn slot_map_to_pb(cluster: &str, map: &SlotMap) -> pb::SlotMap {
    pb::SlotMap {
        cluster: cluster.to_owned(),
        sequence: map.sequence(),
        shards: map.shards().iter().map(shard_to_pb).collect(),
        ranges: map.ranges().into_iter().map(range_to_pb).collect(),
    }
}

/// Reads a slot map and the name of its cluster.
///
/// # Errors
/// When ranges do not fit the slots or the shards, or an address is none.
pub fn slot_map_from_pb(message: &pb::SlotMap) -> Result<(String, SlotMap), Violations> {
    let mut violations = Violations::new();
    if message.cluster.is_empty() {
        violations.push("cluster", "is missing");
    }
    let shards = shards_from_pb("shards", &message.shards, &mut violations);
    let ranges = message.ranges.iter().map(range_from_pb);
    match SlotMap::new(message.sequence, shards, ranges) {
        Ok(map) => violations.into_result((message.cluster.clone(), map)),
        Err(error) => {
            violations.push("ranges", error.to_string());
            Err(violations)
        }
    }
}

/// Writes the body of a `slotmaps` resource.
pub fn encode_slot_map(cluster: &str, map: &SlotMap) -> Bytes {
    encode(&slot_map_to_pb(cluster, map))
}

/// Reads the body of a `slotmaps` resource.
///
/// # Errors
/// When the bytes are no slot map, or a wrong one.
pub fn decode_slot_map(bytes: &[u8]) -> Result<(String, SlotMap), DecodeError> {
    let message: pb::SlotMap = decode(bytes)?;
    slot_map_from_pb(&message).map_err(DecodeError::Wrong)
}

/// Writes what turns `base` into `target`; `None` when their owners do not line up and the whole map must travel.
///
/// Revision and hashes are the sender's to fill in.
pub fn slot_delta_to_pb(cluster: &str, base: &SlotMap, target: &SlotMap) -> Option<SlotDelta> {
    if !target.extends(base) || target.sequence() <= base.sequence() {
        return None;
    }
    let added = target.shards().iter().skip(base.shards().len());
    Some(SlotDelta {
        name: cluster.to_owned(),
        sequence: target.sequence(),
        shards_added: added.map(shard_to_pb).collect(),
        ranges: target.diff(base).into_iter().map(range_to_pb).collect(),
        ..SlotDelta::default()
    })
}

/// Changes `base` as `delta` says.
///
/// # Errors
/// When the delta is older than the map, or its ranges or addresses are wrong.
pub fn slot_delta_from_pb(base: &SlotMap, delta: &SlotDelta) -> Result<SlotMap, Violations> {
    let mut violations = Violations::new();
    let added = shards_from_pb("shards_added", &delta.shards_added, &mut violations);
    let ranges = delta.ranges.iter().map(range_from_pb);
    match base.with_changes(delta.sequence, added, ranges) {
        Ok(map) => violations.into_result(map),
        Err(error) => {
            violations.push("ranges", error.to_string());
            Err(violations)
        }
    }
}

fn shard_to_pb(shard: &ShardNodes) -> pb::ShardNodes {
    pb::ShardNodes {
        primary: shard.primary.clone(),
        replicas: shard.replicas.clone(),
        primary_id: shard.primary_id.clone(),
    }
}

fn shards_from_pb(
    field: &str,
    shards: &[pb::ShardNodes],
    violations: &mut Violations,
) -> Vec<ShardNodes> {
    let mut read = Vec::with_capacity(shards.len());
    for (index, shard) in shards.iter().enumerate() {
        for addr in std::iter::once(&shard.primary).chain(&shard.replicas) {
            if let Err(error) = addr.parse::<EndpointAddr>() {
                violations.push(format!("{field}[{index}]"), error.to_string());
            }
        }
        read.push(ShardNodes {
            primary: shard.primary.clone(),
            replicas: shard.replicas.clone(),
            primary_id: shard.primary_id.clone(),
        });
    }
    read
}

fn range_to_pb(range: SlotRange) -> pb::SlotRange {
    pb::SlotRange {
        start: range.start,
        length: range.length,
        shard: range.shard,
    }
}

fn range_from_pb(range: &pb::SlotRange) -> SlotRange {
    SlotRange {
        start: range.start,
        length: range.length,
        shard: range.shard,
    }
}

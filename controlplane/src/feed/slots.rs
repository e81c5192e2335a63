//! Slot maps as they are delivered: whole, and as steps from the maps before.

use std::{collections::VecDeque, sync::Arc};

use prism_proto::{
    convert::{encode_slot_map, slot_delta_to_pb},
    model::resource_hash,
    pb::{
        config::v1::ShardNodes,
        discovery::v1::{Lane, Resource, SlotDelta},
    },
    placement::SlotMap,
};

use super::{SlotItem, push::kind};

/// Maps before the newest from which a step is made.
const BASES: usize = 8;
/// Bytes of one range in a message, at most.
const RANGE_BYTES: usize = 14;

/// The maps of one cluster, newest last.
#[derive(Debug, Default)]
pub(super) struct Maps {
    bases: VecDeque<(Arc<SlotMap>, u64)>,
    item: Option<Arc<SlotItem>>,
}

impl Maps {
    /// Returns the item of `map`; the same one as long as the map is the same.
    pub(super) fn item(&mut self, name: &str, map: &Arc<SlotMap>) -> Arc<SlotItem> {
        if let (Some((newest, _)), Some(item)) = (self.bases.back(), &self.item)
            && (Arc::ptr_eq(newest, map) || newest == map)
        {
            return Arc::clone(item);
        }
        let resource = resource(name, map);
        let steps = self.bases.iter().filter_map(|(base, base_hash)| {
            let mut delta = slot_delta_to_pb(name, base, map)?;
            delta.base_hash = *base_hash;
            delta.revision = resource.revision;
            delta.hash = resource.hash;
            (delta_size(&delta) < resource.body.len()).then_some(delta)
        });
        let deltas = steps.collect();
        if self.bases.len() == BASES {
            self.bases.pop_front();
        }
        self.bases.push_back((Arc::clone(map), resource.hash));
        let item = Arc::new(SlotItem { resource, deltas });
        self.item = Some(Arc::clone(&item));
        item
    }
}

/// Returns about how many bytes a step takes in a message.
pub(super) fn delta_size(delta: &SlotDelta) -> usize {
    let texts = |shard: &ShardNodes| {
        let replicas: usize = shard.replicas.iter().map(|replica| replica.len() + 2).sum();
        shard.primary.len() + shard.primary_id.len() + replicas + 8
    };
    let shards: usize = delta.shards_added.iter().map(texts).sum();
    delta.ranges.len() * RANGE_BYTES + shards + delta.name.len() + 48
}

fn resource(name: &str, map: &SlotMap) -> Resource {
    let kind = kind(Lane::SlotMaps);
    let body = encode_slot_map(name, map);
    Resource {
        kind: kind.into(),
        name: name.into(),
        revision: map.sequence(),
        hash: resource_hash(kind, name, &body),
        body,
        confirm_shrink_from: 0,
    }
}

#[cfg(test)]
mod tests {
    use prism_proto::{
        convert::{decode_slot_map, slot_delta_from_pb},
        placement::{ShardNodes, SlotRange},
    };

    use super::*;

    fn map(sequence: u64, owners: &[(u32, u32, u32)]) -> Arc<SlotMap> {
        let shards = (0..6).map(|shard| ShardNodes {
            primary: format!("10.0.0.{shard}:6379"),
            replicas: vec![format!("10.0.1.{shard}:6379")],
            primary_id: format!("{shard:040}"),
        });
        let ranges = owners.iter().map(|&(start, length, shard)| SlotRange {
            start,
            length,
            shard: Some(shard),
        });
        Arc::new(SlotMap::new(sequence, shards.collect(), ranges).expect("a map"))
    }

    #[test]
    fn step_from_each_held_map_leads_to_the_newest_hash() {
        let mut maps = Maps::default();
        let history: Vec<_> = (0..5)
            .map(|step| {
                let cut = 5461 + 10 * u32::try_from(step).expect("small");
                map(step + 1, &[(0, cut, 0), (cut, 16384 - cut, 1)])
            })
            .collect();
        let items: Vec<_> = history.iter().map(|map| maps.item("rc", map)).collect();
        let newest = items.last().expect("items");
        assert_eq!(newest.deltas.len(), 4);
        for (base, item) in history.iter().zip(&items).take(4) {
            let of_base = |delta: &&SlotDelta| delta.base_hash == item.resource.hash;
            let delta = newest.deltas.iter().find(of_base).expect("a step");
            let reached = slot_delta_from_pb(base, delta).expect("fits");
            let body = encode_slot_map("rc", &reached);
            assert_eq!(resource_hash("slotmaps", "rc", &body), newest.resource.hash);
            assert!(delta.ranges.len() == 1 && delta_size(delta) < 128);
        }
        let (name, decoded) = decode_slot_map(&newest.resource.body).expect("a map");
        assert_eq!((name.as_str(), &decoded), ("rc", &*history[4]));
    }

    #[test]
    fn equal_map_gives_the_same_item() {
        let mut maps = Maps::default();
        let first = maps.item("rc", &map(1, &[(0, 16384, 0)]));
        let again = maps.item("rc", &map(1, &[(0, 16384, 0)]));
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn bases_are_bounded() {
        let mut maps = Maps::default();
        for sequence in 1..100 {
            let cut = 100 + u32::try_from(sequence).expect("small");
            maps.item("rc", &map(sequence, &[(0, cut, 0), (cut, 16384 - cut, 1)]));
        }
        assert!(
            maps.item
                .as_ref()
                .is_some_and(|item| item.deltas.len() <= BASES)
        );
        assert_eq!(maps.bases.len(), BASES);
    }
}

//! Who owns which slot of a Redis Cluster.

use super::slot::SLOTS;

/// The nodes that serve one set of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardNodes {
    /// Address of the owner.
    pub primary: String,
    /// Addresses of its replicas.
    pub replicas: Vec<String>,
    /// Node id of the owner.
    pub primary_id: String,
}

/// A run of slots with one owner, in the numbers of a message: checked by what takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// First slot of the run.
    pub start: u32,
    /// Number of slots, from 1.
    pub length: u32,
    /// Index of the owner; absent: the slots have none.
    pub shard: Option<u32>,
}

/// Why ranges make no slot map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotMapError {
    /// A range has no slots.
    #[error("range at slot {start} is empty")]
    Empty {
        /// First slot of the range.
        start: u32,
    },
    /// Two ranges hold the same slot.
    #[error("slot {slot} is in two ranges")]
    Overlap {
        /// The first such slot of the later range.
        slot: u32,
    },
    /// A range ends behind the last slot.
    #[error("range of {length} slots at slot {start} goes past slot 16383")]
    PastEnd {
        /// First slot of the range.
        start: u32,
        /// Slots in it.
        length: u32,
    },
    /// A change does not come after what it changes.
    #[error("sequence {sequence} does not follow {held}")]
    Stale {
        /// Sequence of the change.
        sequence: u64,
        /// Sequence of the map.
        held: u64,
    },
    /// More owners than slots.
    #[error("{count} shards for 16384 slots")]
    TooManyShards {
        /// Owners in the list.
        count: usize,
    },
    /// A range names an owner that is not in the list.
    #[error("range at slot {start} names shard {shard} of {count}")]
    UnknownShard {
        /// First slot of the range.
        start: u32,
        /// The index it names.
        shard: u32,
        /// Owners in the list.
        count: usize,
    },
}

/// The owner of every slot, as of one sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotMap {
    sequence: u64,
    shards: Vec<ShardNodes>,
    /// One for each slot: an index into `shards`, or none.
    owners: Box<[Option<u16>]>,
}

impl SlotMap {
    /// Builds a map from ranges in any order; slots in no range have no owner.
    ///
    /// # Errors
    /// When a range is empty, ends behind the last slot, shares a slot with another or names an owner that is not in `shards`.
    pub fn new(
        sequence: u64,
        shards: Vec<ShardNodes>,
        ranges: impl IntoIterator<Item = SlotRange>,
    ) -> Result<Self, SlotMapError> {
        let mut map = Self {
            sequence,
            shards,
            owners: vec![None; SLOTS].into(),
        };
        map.assign(ranges)?;
        Ok(map)
    }

    /// This map with `added` appended to its owners and `ranges` given to others, as of `sequence`.
    ///
    /// # Errors
    /// As [`SlotMap::new`]; and when `sequence` is not above the map's.
    pub fn with_changes(
        &self,
        sequence: u64,
        added: impl IntoIterator<Item = ShardNodes>,
        ranges: impl IntoIterator<Item = SlotRange>,
    ) -> Result<Self, SlotMapError> {
        if sequence <= self.sequence {
            return Err(SlotMapError::Stale {
                sequence,
                held: self.sequence,
            });
        }
        let mut map = self.clone();
        map.sequence = sequence;
        map.shards.extend(added);
        map.assign(ranges)?;
        Ok(map)
    }

    /// Grows with every change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// All owners; a slot's owner is an index into them.
    pub fn shards(&self) -> &[ShardNodes] {
        &self.shards
    }

    /// The owner of `slot`, as an index into [`SlotMap::shards`]; none for a slot that has none or is no slot.
    #[inline]
    pub fn owner(&self, slot: u16) -> Option<u16> {
        self.owners.get(usize::from(slot)).copied().flatten()
    }

    /// The owner of every slot, in order of slots; [`SLOTS`] long.
    pub fn owners(&self) -> &[Option<u16>] {
        &self.owners
    }

    /// Number of slots that have an owner.
    pub fn covered(&self) -> usize {
        self.owners.iter().flatten().count()
    }

    /// The slots that have an owner, as the fewest ranges in ascending order.
    pub fn ranges(&self) -> Vec<SlotRange> {
        self.runs(|slot| self.owners[slot].is_some())
    }

    /// The slots whose owner's index is not the one in `base`, as the fewest ranges in ascending order.
    ///
    /// Given to [`SlotMap::with_changes`] of `base` they make this map, where this map extends `base`.
    pub fn diff(&self, base: &Self) -> Vec<SlotRange> {
        self.runs(|slot| self.owners[slot] != base.owners[slot])
    }

    /// Whether the owners begin with all those of `base`, so that an index means the same in both maps.
    pub fn extends(&self, base: &Self) -> bool {
        self.shards.starts_with(&base.shards)
    }

    fn assign(&mut self, ranges: impl IntoIterator<Item = SlotRange>) -> Result<(), SlotMapError> {
        let count = self.shards.len();
        if count > SLOTS {
            return Err(SlotMapError::TooManyShards { count });
        }
        let mut taken = vec![false; SLOTS];
        for range in ranges {
            let (first, owner) = checked(range, count)?;
            for (slot, number) in (first..).zip(range.start..range.start + range.length) {
                if std::mem::replace(&mut taken[slot], true) {
                    return Err(SlotMapError::Overlap { slot: number });
                }
                self.owners[slot] = owner;
            }
        }
        Ok(())
    }

    /// Neighbouring slots that `wanted` picks and that have one owner, as ranges.
    fn runs(&self, wanted: impl Fn(usize) -> bool) -> Vec<SlotRange> {
        let mut runs: Vec<SlotRange> = Vec::new();
        for (slot, number) in (0..SLOTS).zip(0u32..) {
            if !wanted(slot) {
                continue;
            }
            let shard = self.owners[slot].map(u32::from);
            match runs.last_mut() {
                Some(run) if run.start + run.length == number && run.shard == shard => {
                    run.length += 1
                }
                _ => runs.push(SlotRange {
                    start: number,
                    length: 1,
                    shard,
                }),
            }
        }
        runs
    }
}

/// The first slot and the owner of a range that lies within the slots and the list of owners.
fn checked(range: SlotRange, count: usize) -> Result<(usize, Option<u16>), SlotMapError> {
    let SlotRange {
        start,
        length,
        shard,
    } = range;
    if length == 0 {
        return Err(SlotMapError::Empty { start });
    }
    let past_end = SlotMapError::PastEnd { start, length };
    let end = start
        .checked_add(length)
        .and_then(|end| usize::try_from(end).ok());
    if end.is_none_or(|end| end > SLOTS) {
        return Err(past_end);
    }
    let first = usize::try_from(start).map_err(|_| past_end)?;
    let Some(index) = shard else {
        return Ok((first, None));
    };
    match u16::try_from(index) {
        Ok(owner) if usize::from(owner) < count => Ok((first, Some(owner))),
        _ => Err(SlotMapError::UnknownShard {
            start,
            shard: index,
            count,
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ShardNodes, SlotMap, SlotMapError, SlotRange};

    fn shards(count: usize) -> Vec<ShardNodes> {
        (0..count)
            .map(|index| ShardNodes {
                primary: format!("10.0.0.{index}:6379"),
                ..ShardNodes::default()
            })
            .collect()
    }

    fn range(start: u32, length: u32, shard: u32) -> SlotRange {
        SlotRange {
            start,
            length,
            shard: Some(shard),
        }
    }

    fn thirds() -> SlotMap {
        let ranges = [
            range(10_922, 5462, 2),
            range(0, 5461, 0),
            range(5461, 5461, 1),
        ];
        SlotMap::new(7, shards(3), ranges).expect("ranges are apart")
    }

    #[test]
    fn ranges_in_any_order_give_owners() {
        let map = thirds();
        let owners: Vec<_> = [0, 5460, 5461, 10_921, 10_922, 16_383, 16_384, u16::MAX]
            .map(|slot| map.owner(slot))
            .into();
        assert_eq!(
            owners,
            [
                Some(0),
                Some(0),
                Some(1),
                Some(1),
                Some(2),
                Some(2),
                None,
                None
            ]
        );
        assert_eq!(
            (map.covered(), map.sequence(), map.shards().len()),
            (16_384, 7, 3)
        );
    }

    #[test]
    fn slots_in_no_range_have_no_owner() {
        let unowned = SlotRange {
            start: 0,
            length: 5,
            shard: None,
        };
        let map = SlotMap::new(1, shards(1), [range(10, 5, 0), unowned]).expect("ranges are apart");
        assert_eq!(
            (map.owner(3), map.owner(10), map.owner(15)),
            (None, Some(0), None)
        );
        assert_eq!(map.covered(), 5);
        assert_eq!(map.ranges(), [range(10, 5, 0)]);
    }

    #[test]
    fn bad_ranges_are_refused_with_the_reason() {
        let cases = [
            (vec![range(3, 0, 0)], "range at slot 3 is empty"),
            (
                vec![range(0, 16_385, 0)],
                "range of 16385 slots at slot 0 goes past slot 16383",
            ),
            (
                vec![range(16_384, 1, 0)],
                "range of 1 slots at slot 16384 goes past slot 16383",
            ),
            (
                vec![range(u32::MAX, 2, 0)],
                "range of 2 slots at slot 4294967295 goes past slot 16383",
            ),
            (
                vec![range(100, 10, 0), range(90, 12, 1)],
                "slot 100 is in two ranges",
            ),
            (vec![range(5, 1, 3)], "range at slot 5 names shard 3 of 3"),
            (
                vec![range(5, 1, 65_536)],
                "range at slot 5 names shard 65536 of 3",
            ),
        ];
        for (ranges, reason) in cases {
            let error = SlotMap::new(1, shards(3), ranges).expect_err(reason);
            assert_eq!(error.to_string(), reason);
        }
        assert_eq!(
            SlotMap::new(1, shards(16_385), []),
            Err(SlotMapError::TooManyShards { count: 16_385 })
        );
    }

    #[test]
    fn diff_holds_what_moved_and_nothing_else() {
        let base = thirds();
        let lost = SlotRange {
            start: 40,
            length: 2,
            shard: None,
        };
        let moved = [range(0, 10, 3), lost, range(16_383, 1, 0)];
        let next = base
            .with_changes(8, shards(4).split_off(3), moved)
            .expect("changes fit");
        assert_eq!(next.diff(&base), moved);
        assert!(base.diff(&base).is_empty());
        assert!(next.extends(&base) && !base.extends(&next));
    }

    #[test]
    fn change_must_follow_the_sequence() {
        let stale = thirds().with_changes(7, [], []);
        assert_eq!(
            stale,
            Err(SlotMapError::Stale {
                sequence: 7,
                held: 7
            })
        );
    }

    proptest! {
        #[test]
        fn ranges_and_diff_rebuild_the_map(cuts in proptest::collection::vec((0u32..16_384, 0u32..4), 1..40)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.dedup_by_key(|cut| cut.0);
            let ends = cuts.iter().skip(1).map(|cut| cut.0).chain([16_384]);
            let ranges: Vec<_> = cuts.iter().zip(ends)
                .map(|((start, shard), end)| SlotRange { start: *start, length: end - start, shard: shard.checked_sub(1) })
                .collect();
            let map = SlotMap::new(9, shards(3), ranges).expect("cuts are ascending");
            prop_assert_eq!(&SlotMap::new(9, shards(3), map.ranges()).expect("own ranges"), &map);
            let base = thirds();
            prop_assert_eq!(&base.with_changes(9, [], map.diff(&base)).expect("own diff"), &map);
        }
    }
}

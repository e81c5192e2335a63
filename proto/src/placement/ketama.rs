//! The ketama continuum: 160 points for an average share of weight, each owned by a shard.
//!
//! Points stand sorted by value in one array. A second array, indexed by the top bits of a hash, says where to begin, with
//! about one point for each of its entries, so that a look-up reads two places and compares one or two points.

use crate::model::KetamaFloat;

use super::hash::md5_words;
use super::shard::Member;

/// Points of a shard with an average weight.
const POINTS: u16 = 160;
/// Points that one MD5 gives.
const POINTS_PER_DIGEST: u16 = 4;

/// A sorted ring of points.
#[derive(Clone, Debug)]
pub(super) struct Continuum {
    /// Ascending by value, never empty; closed by a copy of the first point at `u32::MAX`, so that no look-up runs past the end.
    points: Vec<Point>,
    /// For each value of a hash's top bits, the first point that is not below all hashes with them.
    starts: Vec<u32>,
    /// Bits of a hash below those that index `starts`.
    shift: u32,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    value: u32,
    owner: u32,
}

impl Continuum {
    /// Lays out the points of `members`, which stand in twemproxy's order; none without members.
    pub(super) fn new(members: &[Member<'_>], float: KetamaFloat) -> Option<Self> {
        let mut points = points(members, float);
        // Stable: of two points with one value, that of the earlier member comes first.
        points.sort_by_key(|point| point.value);
        let first = *points.first()?;
        points.push(Point {
            value: u32::MAX,
            ..first
        });

        let bits = points.len().next_power_of_two().ilog2().clamp(4, 16);
        let shift = u32::BITS - bits;
        let starts = (0..1u32 << bits)
            .map(|top| position(&points, top << shift))
            .collect();
        Some(Self {
            points,
            starts,
            shift,
        })
    }

    /// The shard of the first point at or after `hash`, or of the first point of all.
    #[inline]
    pub(super) fn owner(&self, hash: u32) -> u32 {
        let mut at = self.starts[(hash >> self.shift) as usize] as usize;
        while self.points[at].value < hash {
            at += 1;
        }
        self.points[at].owner
    }
}

fn position(points: &[Point], value: u32) -> u32 {
    points.partition_point(|point| point.value < value) as u32
}

fn points(members: &[Member<'_>], float: KetamaFloat) -> Vec<Point> {
    let total = members.iter().map(|member| u64::from(member.weight)).sum();
    let mut points = Vec::with_capacity(members.len() * usize::from(POINTS));
    for member in members {
        for number in 0..digests(member.weight, total, members.len(), float) {
            let name = format!("{}-{number}", member.name);
            points.extend(md5_words(name.as_bytes()).map(|value| Point {
                value,
                owner: member.index,
            }));
        }
    }
    points
}

/// Digests that a shard of `weight` puts on the ring, four points each.
///
/// In 32 bits the arithmetic is C's, step by step; equal weights then give 39 instead of 40 for some pool sizes.
fn digests(weight: u32, total: u64, live: usize, float: KetamaFloat) -> u32 {
    const NUDGE: f64 = 1e-10;
    let (points, per_digest) = (POINTS, POINTS_PER_DIGEST);
    match float {
        KetamaFloat::F32 => {
            let share = weight as f32 / total as f32;
            let scaled = share * f32::from(points) / f32::from(per_digest) * live as f32;
            ((f64::from(scaled) + NUDGE) as f32).floor() as u32
        }
        KetamaFloat::F64 => {
            let share = f64::from(weight) / total as f64;
            let scaled = share * f64::from(points) / f64::from(per_digest) * live as f64;
            (scaled + NUDGE).floor() as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Continuum, Member, digests, points};
    use crate::model::KetamaFloat;

    fn members(count: u32) -> Vec<Member<'static>> {
        (0..count)
            .map(|index| Member {
                index,
                name: Cow::Owned(format!("server{}", index + 1)),
                weight: 1,
            })
            .collect()
    }

    #[test]
    fn four_equal_servers_make_640_points_from_the_known_smallest() {
        let mut points = points(&members(4), KetamaFloat::F32);
        points.sort_by_key(|point| point.value);
        assert_eq!(points.len(), 640);
        assert_eq!((points[0].value, points[0].owner), (0x0095_7bcf, 2));
    }

    #[test]
    fn f32_loses_a_digest_at_the_known_pool_sizes() {
        let equal = |size: usize, float| digests(1, size as u64, size, float);
        let short: Vec<usize> = (1..=512)
            .filter(|size| equal(*size, KetamaFloat::F32) == 39)
            .collect();
        let known = [
            25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142, 159, 163, 188, 193, 200,
        ];
        assert_eq!(short[..known.len()], known);
        assert_eq!(short.len(), 54);
        assert!((1..=512).all(|size| short.contains(&size) || equal(size, KetamaFloat::F32) == 40));
        assert!((1..=512).all(|size| equal(size, KetamaFloat::F64) == 40));
    }

    #[test]
    fn five_servers_of_weights_1_and_6_differ_by_float() {
        let differs = (1..5u32).any(|light| {
            let total = u64::from(light) + u64::from(5 - light) * 6;
            [1, 6].iter().any(|weight| {
                digests(*weight, total, 5, KetamaFloat::F32)
                    != digests(*weight, total, 5, KetamaFloat::F64)
            })
        });
        assert!(differs);
    }

    #[test]
    fn owner_equals_a_plain_search_at_every_edge() {
        for count in [2, 3, 4, 25, 100] {
            let members = members(count);
            let ring = Continuum::new(&members, KetamaFloat::F32).expect("has members");
            let mut sorted = points(&members, KetamaFloat::F32);
            sorted.sort_by_key(|point| point.value);
            let edges = sorted
                .iter()
                .flat_map(|p| [p.value.wrapping_sub(1), p.value, p.value.wrapping_add(1)]);
            let tops = (0..=u16::MAX)
                .flat_map(|top| [u32::from(top) << 16, (u32::from(top) << 16) | 0xffff]);
            for hash in edges.chain(tops) {
                let plain = sorted
                    .iter()
                    .find(|point| point.value >= hash)
                    .unwrap_or(&sorted[0])
                    .owner;
                assert_eq!(ring.owner(hash), plain, "{count} shards, hash {hash:08x}");
            }
        }
    }

    #[test]
    fn no_members_make_no_ring() {
        assert!(Continuum::new(&[], KetamaFloat::F32).is_none());
    }
}

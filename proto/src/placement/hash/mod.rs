//! The functions that turn a key into 32 bits, each with twemproxy's results.

mod crc;
mod fnv;
mod mix;

use md5::{Digest, Md5};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::{Hash, HashBytes};

/// Hashes `key` with `function`.
///
/// `bytes` matters to FNV, one-at-a-time and hsieh only, which C code reads through a `char`, and only to keys with
/// bytes from 0x80.
#[inline]
pub fn hash(function: Hash, bytes: HashBytes, key: &[u8]) -> u32 {
    match bytes {
        HashBytes::Signed => hash_by(function, key, |byte| {
            i32::from(byte.cast_signed()).cast_unsigned()
        }),
        HashBytes::Unsigned => hash_by(function, key, u32::from),
    }
}

#[inline]
fn hash_by(function: Hash, key: &[u8], widen: impl Fn(u8) -> u32) -> u32 {
    match function {
        Hash::Crc16 => crc::crc16(key),
        Hash::Crc32 => crc::crc32(key),
        Hash::Crc32a => crc::crc32a(key),
        Hash::Fnv1_32 => fnv::fnv1(fnv::FNV_32, key, widen),
        Hash::Fnv1_64 => fnv::fnv1(fnv::FNV_64, key, widen),
        Hash::Fnv1a32 => fnv::fnv1a(fnv::FNV_32, key, widen),
        Hash::Fnv1a64 => fnv::fnv1a(fnv::FNV_64, key, widen),
        Hash::Hsieh => mix::hsieh(key, widen),
        Hash::Jenkins => mix::jenkins(key),
        Hash::Md5 => md5_words(key)[0],
        Hash::Murmur => mix::murmur(key),
        Hash::OneAtATime => mix::one_at_a_time(key, widen),
        Hash::Xxh3 => xxh3_64(key) as u32,
    }
}

/// The digest as four little-endian words; a ring takes a point from each.
pub(super) fn md5_words(bytes: &[u8]) -> [u32; 4] {
    let digest: [u8; 16] = Md5::digest(bytes).into();
    let (words, _) = digest.as_chunks::<4>();
    std::array::from_fn(|index| u32::from_le_bytes(words[index]))
}

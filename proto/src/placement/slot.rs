//! The slot of a key in a Redis Cluster.

use std::sync::LazyLock;

use crc16::{State, XMODEM};

use super::tag::tagged;

/// Number of slots of a Redis Cluster.
pub const SLOTS: usize = 16_384;

/// The slot of `key`: CRC16 (XMODEM) of what its `{…}` encloses, or of the whole key, modulo [`SLOTS`].
///
/// Spec: <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model>
#[inline]
pub fn slot(key: &[u8]) -> u16 {
    const MASK: u16 = (SLOTS - 1) as u16;
    checksum(tagged(key, *b"{}")) & MASK
}

/// `TABLES[distance][byte]` is the checksum of `byte` followed by `distance` zeros.
///
/// A checksum from 0 is linear: that of eight bytes is the xor of eight look-ups that do not wait for each other, which is
/// four times as fast as a byte at a time.
static TABLES: LazyLock<[[u16; 256]; 8]> = LazyLock::new(|| {
    std::array::from_fn(|distance| {
        std::array::from_fn(|byte| {
            let mut message = [0u8; 8];
            message[0] = byte.to_le_bytes()[0];
            State::<XMODEM>::calculate(&message[..=distance])
        })
    })
});

#[inline]
fn checksum(bytes: &[u8]) -> u16 {
    let tables = &*TABLES;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut crc = 0;
    for word in words {
        crc = extend(tables, crc, *word);
    }
    for byte in rest {
        let [high, low] = crc.to_be_bytes();
        crc = u16::from_be_bytes([low, 0]) ^ tables[0][usize::from(high ^ byte)];
    }
    crc
}

/// The checksum after eight more bytes: what was before stands in for the first two.
#[inline]
fn extend(tables: &[[u16; 256]; 8], crc: u16, word: [u8; 8]) -> u16 {
    let [high, low] = crc.to_be_bytes();
    let bytes = u64::from_le_bytes(word);
    let byte = |index: u32| ((bytes >> (8 * index)) & 0xff) as usize;
    // The six that do not wait for the checksum before stand first.
    tables[5][byte(2)]
        ^ tables[4][byte(3)]
        ^ tables[3][byte(4)]
        ^ tables[2][byte(5)]
        ^ tables[1][byte(6)]
        ^ tables[0][byte(7)]
        ^ tables[7][byte(0) ^ usize::from(high)]
        ^ tables[6][byte(1) ^ usize::from(low)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{State, XMODEM, checksum, slot};

    #[test]
    fn known_keys_have_their_slots() {
        assert_eq!(checksum(b"123456789"), 0x31c3);
        let cases: [(&str, u16); 7] = [
            ("foo", 12182),
            ("", 0),
            ("x{foo}y", 12182),
            ("{foo}{bar}", 12182),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("123456789", 0x31c3),
        ];
        for (key, expected) in cases {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    proptest! {
        #[test]
        fn checksum_equals_that_of_the_crate(bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(checksum(&bytes), State::<XMODEM>::calculate(&bytes));
        }
    }
}

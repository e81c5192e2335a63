//! The part of a key that is hashed.

/// The part of `key` that is hashed: what stands between the first `tag[0]` and the next `tag[1]`, or the whole key.
///
/// The whole key is hashed when either character is missing or nothing stands between them. Both characters
/// may be the same.
/// Spec: <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>
#[inline]
pub fn tagged(key: &[u8], tag: [u8; 2]) -> &[u8] {
    let Some(open) = find(key, tag[0]) else {
        return key;
    };
    let after = &key[open + 1..];
    match find(after, tag[1]) {
        None | Some(0) => key,
        Some(close) => &after[..close],
    }
}

/// Position of the first `wanted`, eight bytes at a step: most keys have no tag and are read whole.
#[inline]
fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let pattern = u64::from_ne_bytes([wanted; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let difference = u64::from_le_bytes(*word) ^ pattern;
        // The lowest set bit marks the first zero byte of `difference`; bits above it may be wrong.
        let zeros = difference.wrapping_sub(LOW) & !difference & HIGH;
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| *byte == wanted)?;
    Some(words.len() * 8 + found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{find, tagged};

    #[test]
    fn part_between_tag_characters_is_hashed() {
        let cases: [(&str, &[u8; 2], &str); 12] = [
            ("user:{42}:name", b"{}", "42"),
            ("{a}{b}", b"{}", "a"),
            ("{}{b}", b"{}", "{}{b}"),
            ("x{}y", b"{}", "x{}y"),
            ("{{a}}", b"{}", "{a"),
            ("}a{b}", b"{}", "b"),
            ("open{only", b"{}", "open{only"),
            ("close}only", b"{}", "close}only"),
            ("", b"{}", ""),
            ("a$tag$b", b"$$", "tag"),
            ("a$$b", b"$$", "a$$b"),
            ("one$only", b"$$", "one$only"),
        ];
        for (key, tag, part) in cases {
            assert_eq!(tagged(key.as_bytes(), *tag), part.as_bytes(), "{key}");
        }
    }

    proptest! {
        #[test]
        fn find_equals_a_plain_search(bytes in proptest::collection::vec(0x7au8..0x83, 0..40), wanted in 0x7au8..0x83) {
            prop_assert_eq!(find(&bytes, wanted), bytes.iter().position(|byte| *byte == wanted));
        }
    }
}

//! The bytes that a key written in base64 stands for, exactly as Memcached reads it.
//!
//! It passes over what is no letter of the alphabet, and stops behind the first group that is padded. Who reads it more
//! strictly takes the key for another than the endpoint does.

/// Returns the bytes; nothing where Memcached refuses the key.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let letters = text.iter().copied();
    let letters: Vec<_> = letters
        .filter_map(|byte| Some((byte, value(byte)?)))
        .collect();
    let (groups, []) = letters.as_chunks::<4>() else {
        return None;
    };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for group in groups {
        let [a, b, c, d] = group.map(|(_, value)| value);
        bytes.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
        match group.iter().filter(|(byte, _)| *byte == b'=').count() {
            0 => {}
            padded @ 1..=2 => {
                bytes.truncate(bytes.len() - padded);
                break;
            }
            _ => return None,
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// Returns what one byte stands for, padding for nothing; `None` for what is passed over.
fn value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_memcached_does() {
        let other = Some(&b"other"[..]);
        for (text, expected) in [
            (&b"b3RoZXI="[..], other),
            (b"b3RoZXJ=", other),
            (b"b3R!oZXI=", other),
            (b"-b3RoZXI=", other),
            (b"\xffb3RoZXI=", other),
            (b"b3RoZXI=ZZZZ", other),
            (b"b3RoZXI=====", other),
            (b"b=3RoZXI", Some(b"l\x0d")),
            (b"bw==b3RoZXI=", Some(b"o")),
            (b"YQ==", Some(b"a")),
            (b"+/+/", Some(b"\xfb\xff\xbf")),
            (b"Y===", None),
            (b"====", None),
            (b"b3RoZXI", None),
            (b"b3RoZXI=Z", None),
            (b"", None),
            (b"----", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text:?}");
        }
    }
}

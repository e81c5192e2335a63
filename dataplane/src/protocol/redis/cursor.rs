//! Cursors of SCAN over several shards: the shard, the place in it, and a tag over who has which keys.
//!
//! ```text
//!   63      the shard's own cursor      24|  shard  |      tag      0
//! ```
//!
//! The shard takes the bits it needs, the tag what is left of 24. Every data plane that sees the same shards makes and
//! understands the same cursors. One whose tag does not fit was made for other shards: its scan starts over, so keys
//! may be told twice, but none is left out. The tag is low, so that the cursors of shards with less than 2^29 places
//! are numbers of JavaScript too, and all but the widest fit 63 bits.

use super::reply::{
    array_elements, bulk_string, is_error, write_array_header, write_bulk, write_error,
};

/// Bits of a shard's own cursor, so many that a shard may have 2^40 places for keys.
const OWN_BITS: u32 = 40;

/// Bits of the shard and the tag.
const LOW_BITS: u32 = u64::BITS - OWN_BITS;

/// Bits of the tag, at least.
const LEAST_TAG_BITS: u32 = 12;

/// Shards that a scan can go over.
pub const MAX_SHARDS: usize = 1 << (LOW_BITS - LEAST_TAG_BITS);

/// The shards that one scan goes over, in an order that all data planes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    shards: usize,
    tag_bits: u32,
    tag: u64,
}

/// How far a scan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shard, by its number in the order.
    pub shard: usize,
    /// The shard's own cursor.
    pub own: u64,
}

impl Course {
    /// Makes the course over `shards` shards; `fingerprint` tells who they are and which keys they have.
    ///
    /// `None` when there are too many.
    pub fn new(shards: usize, fingerprint: u64) -> Option<Self> {
        if shards == 0 || shards > MAX_SHARDS {
            return None;
        }
        let shard_bits = usize::BITS - (shards - 1).leading_zeros();
        let tag_bits = LOW_BITS - shard_bits;
        let tag = fingerprint >> (u64::BITS - tag_bits);
        Some(Self {
            shards,
            tag_bits,
            // Numbers that were never made here are then foreign too.
            tag: tag.max(1),
        })
    }

    /// Returns where a scan with this cursor goes on: at the start if the cursor is of another course.
    pub fn open(self, cursor: u64) -> Place {
        let low = cursor & ((1 << LOW_BITS) - 1);
        let (shard, tag) = (low >> self.tag_bits, low & ((1 << self.tag_bits) - 1));
        let place = usize::try_from(shard)
            .ok()
            .filter(|shard| *shard < self.shards);
        match place {
            Some(shard) if tag == self.tag => Place {
                shard,
                own: cursor >> LOW_BITS,
            },
            _ => Place { shard: 0, own: 0 },
        }
    }

    /// Returns the cursor after `place`, whose shard gave `own` as its next: 0 when all have been seen.
    ///
    /// `None` when the shard's own cursor is too wide.
    fn next(self, place: Place, own: u64) -> Option<u64> {
        let next = match own {
            0 => Place {
                shard: place.shard + 1,
                own,
            },
            _ => Place { own, ..place },
        };
        if next.shard == self.shards {
            return Some(0);
        }
        let shard = u64::try_from(next.shard).ok()?;
        let low = shard << self.tag_bits | self.tag;
        (own >> OWN_BITS == 0).then_some(own << LOW_BITS | low)
    }

    /// Appends the reply of the shard at `place` as one that goes on over all shards.
    pub fn turn(self, out: &mut Vec<u8>, place: Place, reply: &[u8], name: &str) {
        if is_error(reply) {
            return out.extend_from_slice(reply);
        }
        let Some((own, keys)) = parts(reply) else {
            let text = format!("ERR prism: the reply of endpoint {name} is not one to SCAN");
            return write_error(out, text);
        };
        let Some(next) = self.next(place, own) else {
            let text = format!(
                "ERR prism: endpoint {name} gave the cursor {own}, which is wider than {OWN_BITS} bits"
            );
            return write_error(out, text);
        };
        write_array_header(out, 2);
        write_bulk(out, itoa::Buffer::new().format(next));
        out.extend_from_slice(keys);
    }
}

/// The cursor and the keys of a reply to SCAN.
fn parts(reply: &[u8]) -> Option<(u64, &[u8])> {
    let mut elements = array_elements(reply)?;
    let (cursor, keys) = (elements.next()?, elements.next()?);
    let cursor = std::str::from_utf8(bulk_string(cursor)?).ok()?;
    Some((cursor.parse().ok()?, keys))
}

/// Reads a cursor as Redis does, by the rules of C: a sign is allowed, what follows a NUL does not count, and nothing
/// is 0.
pub fn parse(word: &[u8]) -> Option<u64> {
    let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0);
    }
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+"));
    let digits = unsigned.unwrap_or(text);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match text.first() {
        Some(b'-') => number.wrapping_neg(),
        _ => number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "*1\r\n$1\r\na\r\n";

    fn reply(cursor: u64) -> String {
        let cursor = cursor.to_string();
        format!("*2\r\n${}\r\n{cursor}\r\n{KEYS}", cursor.len())
    }

    fn turn(course: Course, place: Place, own: u64) -> String {
        let mut out = Vec::new();
        course.turn(&mut out, place, reply(own).as_bytes(), "one");
        String::from_utf8(out).expect("text")
    }

    /// The cursor of a reply that has one.
    fn cursor(reply: &str) -> u64 {
        let line = reply.lines().nth(2).expect("a cursor");
        line.parse().expect("a number")
    }

    #[test]
    fn scan_goes_from_shard_to_shard_and_ends_with_0() {
        for shards in [1, 2, 3, 5, 1000, MAX_SHARDS] {
            let course = Course::new(shards, 0xfedc_ba98_7654_3210).expect("not too many");
            let mut at = course.open(0);
            assert_eq!(at, Place { shard: 0, own: 0 });
            for shard in 0..shards {
                at = course.open(cursor(&turn(course, at, (1 << 40) - 1)));
                assert_eq!(
                    at,
                    Place {
                        shard,
                        own: (1 << 40) - 1
                    }
                );
                let text = turn(course, at, 0);
                assert!(text.ends_with(KEYS), "{text}");
                let next = cursor(&text);
                assert_eq!(next == 0, shard + 1 == shards, "{shard} of {shards}");
                at = course.open(next);
            }
        }
        assert!(Course::new(MAX_SHARDS + 1, 0).is_none());
        assert!(Course::new(0, 0).is_none());
    }

    #[test]
    fn cursor_of_a_usual_shard_is_a_number_of_javascript() {
        let course = Course::new(1000, u64::MAX).expect("not too many");
        let place = Place { shard: 998, own: 0 };
        assert!(cursor(&turn(course, place, (1 << 29) - 1)) < 1 << 53);
    }

    #[test]
    fn cursor_of_other_shards_starts_over() {
        let start = Place { shard: 0, own: 0 };
        let course = Course::new(3, 0x1234_5678_0000_0000).expect("not too many");
        let made = cursor(&turn(course, Place { shard: 1, own: 0 }, 77));
        assert_eq!(course.open(made), Place { shard: 1, own: 77 });
        for other in [
            Course::new(3, 0x1234_5e78_0000_0000),
            Course::new(4, 0xff34_5678_0000_0000),
            Course::new(1, 0x1234_5678_0000_0000),
        ] {
            assert_eq!(other.expect("not too many").open(made), start);
        }
        for foreign in [5, 1 << 40, u64::MAX] {
            assert_eq!(course.open(foreign), start);
            assert_eq!(Course::new(1, 0).expect("one").open(foreign), start);
        }
    }

    #[test]
    fn shard_that_answers_otherwise_is_named() {
        let course = Course::new(2, 0).expect("not too many");
        let text = turn(course, course.open(0), 1 << 40);
        assert!(
            text.starts_with("-ERR prism: endpoint one gave the cursor 1099511627776,"),
            "{text}"
        );
        let mut out = Vec::new();
        course.turn(&mut out, course.open(0), b"-ERR syntax error\r\n", "one");
        assert_eq!(out, b"-ERR syntax error\r\n");
        out.clear();
        course.turn(&mut out, course.open(0), b"+OK\r\n", "one");
        assert_eq!(
            out,
            b"-ERR prism: the reply of endpoint one is not one to SCAN\r\n"
        );
    }

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        let cases: [(&[u8], Option<u64>); 14] = [
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"", Some(0)),
            (b"\0x", Some(0)),
            (b"1\0x", Some(1)),
            (b"+5", Some(5)),
            (b"-1", Some(u64::MAX)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"0x10", None),
            (b" 0", None),
            (b"0 ", None),
            (b"-", None),
            (b"+-1", None),
        ];
        for (word, cursor) in cases {
            assert_eq!(parse(word), cursor, "{}", word.escape_ascii());
        }
    }
}

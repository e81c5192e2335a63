//! The stored form of records: versioned, checksummed, cut into chunks small enough for every engine.
//!
//! ```text
//! record  version u8 = 1 · length u32 of the body · first 8 bytes of SHA-256(body) · body
//! body    kind u8 (0 delete, 1 put) · key length u16 · key · value
//! head    version u8 = 1 · epoch u64 · number u64 · fleet id, 36 bytes
//! ```

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    Head, Key, Op, StoreError,
    key::{revision_bytes, revision_from},
};

/// The schema this build writes, and the newest one it reads.
pub const SCHEMA: u32 = 1;

/// Largest stored value, in bytes.
///
/// sled writes a leaf of up to 17 values as one page, and a page over 128 KiB as a blob file that is never collected; etcd takes
/// 1.5 MiB a request. 6 KiB keeps a full leaf at 102 KiB.
pub(super) const CHUNK_BYTES: usize = 6 * 1024;

const RECORD: u8 = 1;
const HEADER_BYTES: usize = 13;
const FLEET_ID_BYTES: usize = 36;

/// Cuts one operation's record into chunks.
pub(super) fn encode_op(op: &Op) -> Vec<Vec<u8>> {
    let (kind, key, value) = match op {
        Op::Delete(key) => (0, key, &[][..]),
        Op::Put(key, value) => (1, key, &value[..]),
    };
    let key = key.to_bytes();
    let mut body = Vec::with_capacity(3 + key.len() + value.len());
    body.push(kind);
    body.extend_from_slice(
        &u16::try_from(key.len())
            .expect("names are at most 128 bytes")
            .to_be_bytes(),
    );
    body.extend_from_slice(&key);
    body.extend_from_slice(value);
    seal(&body)
        .chunks(CHUNK_BYTES)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Reads one operation from its joined chunks.
pub(super) fn decode_op(record: &[u8]) -> Result<Op, StoreError> {
    let body = open(record)?;
    let short = || StoreError::Damaged("a record ends early".into());
    let (kind, rest) = body.split_first().ok_or_else(short)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (key, value) = rest
        .split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or_else(short)?;
    let key = Key::from_bytes(key)?;
    match kind {
        0 => Ok(Op::Delete(key)),
        1 => Ok(Op::Put(key, Bytes::copy_from_slice(value))),
        kind => Err(StoreError::Damaged(format!(
            "a record is of unknown kind {kind}"
        ))),
    }
}

/// Puts version, length and checksum before a body.
pub(super) fn seal(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + body.len());
    record.push(RECORD);
    record.extend_from_slice(
        &u32::try_from(body.len())
            .expect("values are at most 4 MiB")
            .to_be_bytes(),
    );
    record.extend_from_slice(&checksum(body));
    record.extend_from_slice(body);
    record
}

/// Checks version, length and checksum, and returns the body.
pub(super) fn open(record: &[u8]) -> Result<&[u8], StoreError> {
    let Some((header, body)) = record.split_first_chunk::<HEADER_BYTES>() else {
        return Err(StoreError::Damaged(format!(
            "a record has only {} bytes",
            record.len()
        )));
    };
    if header[0] != RECORD {
        return Err(StoreError::NewerSchema {
            found: u32::from(header[0]),
            known: u32::from(RECORD),
        });
    }
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if body.len() != length {
        return Err(StoreError::Damaged(format!(
            "a record has {} bytes of {length}",
            body.len()
        )));
    }
    if checksum(body) != header[5..] {
        return Err(StoreError::Damaged(
            "a record's checksum does not match".into(),
        ));
    }
    Ok(body)
}

/// The stored form of the head.
pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let mut bytes = vec![RECORD];
    bytes.extend_from_slice(&revision_bytes(head.revision));
    bytes.extend_from_slice(head.fleet_id.as_bytes());
    bytes
}

/// Reads what [`encode_head`] wrote.
pub(super) fn decode_head(bytes: &[u8]) -> Result<Head, StoreError> {
    let damaged = || StoreError::Damaged("the head cannot be read".into());
    if bytes.len() != 17 + FLEET_ID_BYTES || bytes[0] != RECORD {
        return Err(damaged());
    }
    let revision = revision_from(&bytes[1..17]).ok_or_else(damaged)?;
    let fleet_id = String::from_utf8(bytes[17..].to_vec()).map_err(|_| damaged())?;
    Ok(Head { fleet_id, revision })
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(body);
    let (first, _) = digest
        .split_first_chunk::<8>()
        .expect("a SHA-256 digest has 32 bytes");
    *first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Revision;

    fn ops() -> [Op; 3] {
        [
            Op::Delete(Key::Cluster("a".into())),
            Op::Put(Key::Cluster("b".into()), Bytes::new()),
            Op::Put(Key::Cluster("c".into()), Bytes::from(vec![7; 100_000])),
        ]
    }

    #[test]
    fn operation_reads_back_from_chunks_of_bounded_size() {
        for op in ops() {
            let chunks = encode_op(&op);
            assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
            assert_eq!(decode_op(&chunks.concat()), Ok(op));
        }
    }

    #[test]
    fn cut_or_flipped_record_is_damage() {
        let record = encode_op(&ops()[1]).concat();
        for end in 0..record.len() {
            assert!(decode_op(&record[..end]).is_err(), "cut at {end}");
            let mut flipped = record.clone();
            flipped[end] ^= 0x40;
            assert!(decode_op(&flipped).is_err(), "flipped at {end}");
        }
    }

    #[test]
    fn record_of_a_newer_build_is_refused_by_name() {
        let mut record = encode_op(&ops()[0]).concat();
        record[0] = 9;
        assert_eq!(
            decode_op(&record),
            Err(StoreError::NewerSchema { found: 9, known: 1 })
        );
    }

    #[test]
    fn head_reads_back_and_a_cut_one_is_damage() {
        let fleet_id = crate::store::random_uuid().expect("random bytes");
        let head = Head {
            fleet_id,
            revision: Revision {
                epoch: 3,
                number: 70_000,
            },
        };
        let bytes = encode_head(&head);
        assert_eq!(decode_head(&bytes), Ok(head));
        assert!((0..bytes.len()).all(|end| decode_head(&bytes[..end]).is_err()));
    }
}

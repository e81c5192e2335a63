//! A whole store as one piece of bytes: a line of text, identity, every entry, a checksum at the end.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    Commit, Entry, Head, Op, Revision, StoreError,
    encoding::{SCHEMA, decode_head, decode_op, encode_head, encode_op},
};

const OPENING: &[u8] = b"prism store export\n";
const DIGEST_BYTES: usize = 32;

/// Writes an export.
pub(super) fn write(head: &Head, entries: &[Entry]) -> Bytes {
    let mut out = OPENING.to_vec();
    out.extend_from_slice(&SCHEMA.to_be_bytes());
    push(&mut out, &encode_head(head));
    for entry in entries {
        push(
            &mut out,
            &encode_op(&Op::Put(entry.key.clone(), entry.value.clone())).concat(),
        );
    }
    let digest = Sha256::digest(&out);
    out.extend_from_slice(&digest);
    out.into()
}

/// Reads an export: its head and one put for each entry.
pub(super) fn read(export: &[u8]) -> Result<(Head, Vec<Op>), StoreError> {
    let broken = |what: &str| StoreError::NotAnExport(what.into());
    let rest = export
        .strip_prefix(OPENING)
        .ok_or_else(|| broken("it does not start as one"))?;
    let (schema, _) = rest
        .split_first_chunk::<4>()
        .ok_or_else(|| broken("it ends early"))?;
    let found = u32::from_be_bytes(*schema);
    if found > SCHEMA {
        return Err(StoreError::NewerSchema {
            found,
            known: SCHEMA,
        });
    }
    let end = export
        .len()
        .checked_sub(DIGEST_BYTES)
        .ok_or_else(|| broken("it ends early"))?;
    if Sha256::digest(&export[..end])[..] != export[end..] {
        return Err(broken("its checksum does not match"));
    }
    let mut rest = &export[OPENING.len() + 4..end];
    let head = decode_head(pop(&mut rest)?)?;
    let mut ops = Vec::new();
    while !rest.is_empty() {
        ops.push(decode_op(pop(&mut rest)?)?);
    }
    Ok((head, ops))
}

/// The commit that turns what is present into what was exported, and the head it ends at.
pub(super) fn replacement(
    present: (&Head, Vec<super::Key>),
    export: &[u8],
) -> Result<(Head, Commit), StoreError> {
    let (exported, puts) = read(export)?;
    let (head, keys) = present;
    let epoch = head.revision.epoch.max(exported.revision.epoch) + 1;
    let number = head.revision.number.max(exported.revision.number) + 1;
    let ops = keys.into_iter().map(Op::Delete).chain(puts).collect();
    let next = Head {
        fleet_id: exported.fleet_id,
        revision: Revision { epoch, number },
    };
    Ok((
        next,
        Commit {
            ops,
            epoch: Some(epoch),
            ..Commit::default()
        },
    ))
}

fn push(out: &mut Vec<u8>, piece: &[u8]) {
    out.extend_from_slice(
        &u32::try_from(piece.len())
            .expect("values are at most 4 MiB")
            .to_be_bytes(),
    );
    out.extend_from_slice(piece);
}

fn pop<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], StoreError> {
    let early = || StoreError::NotAnExport("a piece ends early".into());
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(early)?;
    let (piece, after) = after
        .split_at_checked(u32::from_be_bytes(*length) as usize)
        .ok_or_else(early)?;
    *rest = after;
    Ok(piece)
}

//! Request ids: a retry within a day finds its change done.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prism_proto::{convert::encode_spec, model::Violations};
use sha2::{Digest, Sha256};

use super::{
    CatalogError, Change, Image, Outcome, history,
    record::{encode_request, to_ms},
};
use crate::store::{Key, Op, Revision, Store};

/// How long a request id is remembered.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest request id.
pub(super) const MAX_ID_BYTES: usize = 128;

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) revision: Revision,
    pub(super) time: SystemTime,
    pub(super) digest: Bytes,
}

/// Returns what came of a change whose request id is known.
///
/// # Errors
/// [`CatalogError::Violations`] when the id is that of another change, or too long.
pub(super) async fn repeated(
    change: &Change,
    image: &Image,
    store: &dyn Store,
    now: SystemTime,
    secret_key: &[u8],
) -> Result<Option<Outcome>, CatalogError> {
    let id = &change.request_id;
    if id.len() > MAX_ID_BYTES {
        let text = format!("{} bytes are more than {MAX_ID_BYTES}", id.len());
        return Err(CatalogError::Violations(Violations::one(
            "request_id",
            text,
        )));
    }
    let Some(known) = image
        .requests
        .get(id)
        .filter(|known| !is_old(known, now) && !change.validate_only)
    else {
        return Ok(None);
    };
    if known.digest != digest(change) {
        let text = format!(
            "`{id}` was the id of another change, made at revision {}",
            known.revision
        );
        return Err(CatalogError::Violations(Violations::one(
            "request_id",
            text,
        )));
    }
    let entry = store
        .get(Key::History(known.revision))
        .await
        .map_err(CatalogError::Store)?;
    let entry = entry
        .map(|entry| history::shown(&entry, secret_key))
        .transpose()
        .map_err(CatalogError::Store)?;
    let changes = entry.map(|entry| entry.changes).unwrap_or_default();
    Ok(Some(Outcome {
        revision: known.revision,
        changes,
        warnings: Violations::new(),
    }))
}

/// Remembers a change, and forgets those of more than a day ago.
pub(super) fn ops(change: &Change, image: &Image, revision: Revision, now: SystemTime) -> Vec<Op> {
    let old = image
        .requests
        .iter()
        .filter(|(_, request)| is_old(request, now));
    let mut ops: Vec<Op> = old
        .map(|(id, _)| Op::Delete(Key::Request(id.clone())))
        .collect();
    if !change.request_id.is_empty() {
        let request = Request {
            revision,
            time: now,
            digest: digest(change),
        };
        ops.push(Op::Put(
            Key::Request(change.request_id.clone()),
            encode_request(&request),
        ));
    }
    ops
}

fn is_old(request: &Request, now: SystemTime) -> bool {
    to_ms(now).saturating_sub(to_ms(request.time)) >= KEPT_FOR.as_millis() as u64
}

/// Tells two changes apart by everything that decides what they do.
fn digest(change: &Change) -> Bytes {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    for write in &change.clusters {
        part(&encode_spec(&write.spec));
        part(write.etag.as_deref().unwrap_or_default().as_bytes());
    }
    part(b"deletes");
    for removal in &change.deletes {
        part(removal.name.as_bytes());
        part(removal.etag.as_deref().unwrap_or_default().as_bytes());
    }
    part(change.manifest.as_bytes());
    part(&[u8::from(change.prune)]);
    Bytes::copy_from_slice(&hasher.finalize())
}

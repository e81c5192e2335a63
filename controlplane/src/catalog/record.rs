//! Stored records to values and back.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prism_proto::{
    convert::{decode, draft_from_pb, encode, encode_resolved, spec_from_pb, spec_to_pb},
    model::{ClusterSpec, Draft, Violations, resource_hash},
    pb::store::v1 as pb,
};

use super::{StoredCluster, request::Request};
use crate::store::Revision;

/// What is stored of one cluster; the rest of a [`StoredCluster`] follows from it.
pub(super) struct ClusterRecord<'a> {
    pub(super) spec: &'a ClusterSpec,
    pub(super) uid: String,
    pub(super) changed: Revision,
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
    pub(super) author: &'a str,
    pub(super) reason: &'a str,
    pub(super) manifest: &'a str,
    pub(super) confirm_shrink_from: Option<Revision>,
}

impl ClusterRecord<'_> {
    /// The stored form.
    pub(super) fn encode(&self) -> Bytes {
        encode(&pb::ClusterRecord {
            spec: Some(spec_to_pb(self.spec)),
            uid: self.uid.clone(),
            changed: Some(place(self.changed)),
            create_time_ms: to_ms(self.created),
            update_time_ms: to_ms(self.updated),
            author: self.author.to_owned(),
            reason: self.reason.to_owned(),
            manifest: self.manifest.to_owned(),
            confirm_shrink_from: self.confirm_shrink_from.map(place),
        })
    }
}

/// Reads a cluster; the error says what is wrong.
pub(super) fn read_cluster(bytes: &[u8]) -> Result<StoredCluster, String> {
    let record: pb::ClusterRecord = decode(bytes).map_err(|error| error.to_string())?;
    let message = record.spec.as_ref().ok_or("there is no definition in it")?;
    let spec = spec_from_pb(message).map_err(|violations| violations.to_string())?;
    let revision = revision(record.changed.as_ref());
    let body = encode_resolved(&spec);
    Ok(StoredCluster {
        etag: etag(&record.uid, revision),
        hash: resource_hash("clusters", spec.name(), &body),
        spec,
        body,
        uid: record.uid,
        revision,
        created: from_ms(record.create_time_ms),
        updated: from_ms(record.update_time_ms),
        author: record.author,
        reason: record.reason,
        manifest: record.manifest,
        confirm_shrink_from: record.confirm_shrink_from.as_ref().map(revision_of),
    })
}

/// What is stored of one revision.
#[derive(Debug)]
pub(super) struct History {
    pub(super) time: SystemTime,
    pub(super) author: String,
    pub(super) reason: String,
    pub(super) request_id: String,
    pub(super) changes: Vec<(String, Option<Draft>, Option<Draft>)>,
}

/// The stored form of one change.
pub(super) fn change_record(
    name: &str,
    before: Option<&ClusterSpec>,
    after: Option<&ClusterSpec>,
) -> pb::ChangeRecord {
    pb::ChangeRecord {
        name: name.to_owned(),
        before: before.map(spec_to_pb),
        after: after.map(spec_to_pb),
    }
}

/// Reads what a revision was about; the error says what is wrong.
pub(super) fn read_history(bytes: &[u8]) -> Result<History, String> {
    let record: pb::HistoryRecord = decode(bytes).map_err(|error| error.to_string())?;
    let draft = |message: Option<_>| message.map(|message| draft_from_pb(&message)).transpose();
    let change =
        |change: pb::ChangeRecord| Ok((change.name, draft(change.before)?, draft(change.after)?));
    let changes: Result<_, Violations> = record.changes.into_iter().map(change).collect();
    Ok(History {
        time: from_ms(record.time_ms),
        author: record.author,
        reason: record.reason,
        request_id: record.request_id,
        changes: changes.map_err(|violations| violations.to_string())?,
    })
}

/// The stored form of a request.
pub(super) fn encode_request(request: &Request) -> Bytes {
    encode(&pb::RequestRecord {
        revision: Some(place(request.revision)),
        time_ms: to_ms(request.time),
        digest: request.digest.clone(),
    })
}

/// Reads a request; the error says what is wrong.
pub(super) fn read_request(bytes: &[u8]) -> Result<Request, String> {
    let record: pb::RequestRecord = decode(bytes).map_err(|error| error.to_string())?;
    Ok(Request {
        revision: revision(record.revision.as_ref()),
        time: from_ms(record.time_ms),
        digest: record.digest,
    })
}

/// Milliseconds since 1970; 0 for times before.
pub(super) fn to_ms(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(ms))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn etag(uid: &str, revision: Revision) -> String {
    format!(
        "{:016x}",
        resource_hash("etag", uid, revision.to_string().as_bytes())
    )
}

fn place(revision: Revision) -> pb::Place {
    pb::Place {
        epoch: revision.epoch,
        number: revision.number,
    }
}

fn revision_of(place: &pb::Place) -> Revision {
    Revision {
        epoch: place.epoch,
        number: place.number,
    }
}

fn revision(place: Option<&pb::Place>) -> Revision {
    place.map(revision_of).unwrap_or_default()
}

//! The kept history: what each revision changed, by whom and why.

use std::{collections::VecDeque, time::SystemTime};

use prism_proto::{convert::encode, pb::store::v1 as pb};

use super::{
    CatalogError, ClusterChange,
    record::{read_history, to_ms},
};
use crate::store::{Entry, Family, Key, Op, Revision, Store, StoreError};

/// One kept revision; secrets are shown as digests.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Its place.
    pub revision: Revision,
    /// When it was committed.
    pub time: SystemTime,
    /// Who made it.
    pub author: String,
    /// Why, in the author's words.
    pub reason: String,
    /// The writer's; empty when none.
    pub request_id: String,
    /// What it changed.
    pub changes: Vec<ClusterChange>,
}

/// Which revisions are kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept(VecDeque<Revision>);

impl Kept {
    /// The oldest revisions, those beyond `limit`.
    pub(super) fn beyond(&self, limit: usize) -> Vec<Revision> {
        self.0
            .iter()
            .take(self.0.len().saturating_sub(limit))
            .copied()
            .collect()
    }

    /// Takes note of a commit that added `newest` and removed the `pruned` oldest.
    pub(super) fn advance(&mut self, newest: Revision, pruned: usize) {
        self.0.drain(..pruned);
        self.0.push_back(newest);
    }
}

/// Asks the store which revisions are kept.
pub(super) async fn kept(store: &dyn Store) -> Result<Kept, CatalogError> {
    let listing = store
        .list(Family::History, usize::MAX)
        .await
        .map_err(CatalogError::Store)?;
    Ok(Kept(
        listing
            .entries
            .iter()
            .filter_map(|entry| revision_of(&entry.key))
            .collect(),
    ))
}

/// Reads the newest revisions, newest first.
pub(super) async fn read(
    store: &dyn Store,
    limit: usize,
    secret_key: &[u8],
) -> Result<Vec<HistoryEntry>, CatalogError> {
    let listing = store
        .list(Family::History, limit)
        .await
        .map_err(CatalogError::Store)?;
    let newest_first = listing.entries.iter().rev();
    newest_first
        .map(|entry| shown(entry, secret_key).map_err(CatalogError::Store))
        .collect()
}

/// Reads one entry as it may be shown.
pub(super) fn shown(entry: &Entry, secret_key: &[u8]) -> Result<HistoryEntry, StoreError> {
    let damaged = |what: String| StoreError::Damaged(format!("{}: {what}", entry.key));
    let history = read_history(&entry.value).map_err(damaged)?;
    let changes = history.changes.iter();
    let change = |(name, before, after): &(String, _, _)| {
        ClusterChange::new(
            name,
            Option::as_ref(before),
            Option::as_ref(after),
            secret_key,
        )
    };
    Ok(HistoryEntry {
        revision: revision_of(&entry.key).unwrap_or_default(),
        time: history.time,
        author: history.author,
        reason: history.reason,
        request_id: history.request_id,
        changes: changes.map(change).collect(),
    })
}

/// Keeps a revision that changes no cluster.
pub(super) fn op(revision: Revision, time: SystemTime, author: &str, reason: &str) -> Op {
    let record = pb::HistoryRecord {
        time_ms: to_ms(time),
        author: author.to_owned(),
        reason: reason.to_owned(),
        ..Default::default()
    };
    op_of(revision, &record)
}

/// Keeps a revision.
pub(super) fn op_of(revision: Revision, record: &pb::HistoryRecord) -> Op {
    Op::Put(Key::History(revision), encode(record))
}

fn revision_of(key: &Key) -> Option<Revision> {
    match key {
        Key::History(revision) => Some(*revision),
        _ => None,
    }
}

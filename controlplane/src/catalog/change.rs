//! What is asked of the catalog, and what came of it.

use prism_proto::model::{ClusterSpec, Draft, Violations};

use crate::store::Revision;

/// A set of definitions to make true: all or nothing.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Created or replaced.
    pub clusters: Vec<Write>,
    /// Removed; a name that is not there fails the whole.
    pub deletes: Vec<Removal>,
    /// Checks everything and writes nothing.
    pub validate_only: bool,
    /// Makes a retry idempotent for 24 h; empty: no check.
    pub request_id: String,
    /// Demands that this is the head.
    pub if_revision: Option<Revision>,
    /// Names the set; empty when none.
    pub manifest: String,
    /// Deletes clusters last applied under `manifest` that are not in `clusters`.
    pub prune: bool,
    /// Kept in the history.
    pub reason: String,
    /// Kept in the history.
    pub author: String,
    /// Asks for delivery at once, whatever the definitions say.
    pub instant: bool,
}

/// One cluster to create or replace.
#[derive(Clone, Debug)]
pub struct Write {
    /// The whole definition; shown digests stand for the stored secrets.
    pub spec: ClusterSpec,
    /// The etag that the writer read; `None`: no check.
    pub etag: Option<String>,
    /// Confirms that more than half of the endpoints go, from this revision of the cluster.
    pub confirm_shrink_from: Option<Revision>,
}

impl Write {
    /// Writes a definition whatever is stored.
    #[must_use]
    pub fn new(spec: ClusterSpec) -> Self {
        Self {
            spec,
            etag: None,
            confirm_shrink_from: None,
        }
    }
}

/// One cluster to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The cluster's name.
    pub name: String,
    /// The etag that the writer read; `None`: no check.
    pub etag: Option<String>,
}

/// What a change did, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The head after the change; the present one when nothing changed.
    pub revision: Revision,
    /// Every cluster of the change, in its order, then the pruned ones.
    pub changes: Vec<ClusterChange>,
    /// Advice, with paths such as `clusters[2].rollout`.
    pub warnings: Violations,
}

/// What happened to one cluster; secrets are shown as digests.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterChange {
    /// The cluster's name.
    pub name: String,
    /// What happened.
    pub kind: ChangeKind,
    /// `None` for a new cluster.
    pub before: Option<Draft>,
    /// `None` for a deleted cluster.
    pub after: Option<Draft>,
}

/// What happened to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The name was new.
    Created,
    /// The cluster is gone.
    Deleted,
    /// The definition was equal.
    Unchanged,
    /// The definition differed.
    Updated,
}

impl ClusterChange {
    /// Tells the kind from what was before and after.
    pub(super) fn new(
        name: &str,
        before: Option<&Draft>,
        after: Option<&Draft>,
        secret_key: &[u8],
    ) -> Self {
        let kind = match (before, after) {
            (None, _) => ChangeKind::Created,
            (_, None) => ChangeKind::Deleted,
            (Some(before), Some(after)) if before == after => ChangeKind::Unchanged,
            _ => ChangeKind::Updated,
        };
        let shown = |draft: Option<&Draft>| draft.map(|draft| draft.redacted(secret_key));
        Self {
            name: name.to_owned(),
            kind,
            before: shown(before),
            after: shown(after),
        }
    }
}

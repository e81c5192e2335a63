//! Places in the fleet's history, and the history itself.

use std::fmt;

use prism_proto::pb::admin::v1::{FleetRevision, Revision};
use serde::Serialize;

use super::{ChangeDocument, Show, Table, View, age_of, rfc3339};

/// A place in the fleet's history; written `EPOCH.REVISION`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RevisionPlace {
    /// Grows on restore or change of store.
    pub epoch: u64,
    /// Grows by one a commit.
    pub revision: u64,
}

impl RevisionPlace {
    /// Reads the message; absent is 0.0.
    pub fn of(message: Option<&FleetRevision>) -> Self {
        message.map_or_else(Self::default, |place| Self {
            epoch: place.epoch,
            revision: place.revision,
        })
    }

    /// Writes the message.
    pub fn message(self) -> FleetRevision {
        FleetRevision {
            epoch: self.epoch,
            revision: self.revision,
        }
    }
}

impl fmt::Display for RevisionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

/// One kept step of the history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RevisionDocument {
    /// Its place.
    pub revision: RevisionPlace,
    /// When it was committed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The writer's request id; empty when none.
    pub request_id: String,
    /// What it changed.
    pub changes: Vec<ChangeDocument>,
}

impl From<&Revision> for RevisionDocument {
    fn from(revision: &Revision) -> Self {
        Self {
            revision: RevisionPlace::of(revision.revision.as_ref()),
            time: revision.time.as_ref().map(|t| rfc3339(t.seconds, t.nanos)),
            author: revision.author.clone(),
            reason: revision.reason.clone(),
            request_id: revision.request_id.clone(),
            changes: revision.changes.iter().map(ChangeDocument::from).collect(),
        }
    }
}

/// The kept history, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RevisionsDocument {
    /// Its steps.
    pub revisions: Vec<RevisionDocument>,
}

impl Show for RevisionsDocument {
    fn text(&self, view: View) -> String {
        let mut heading = vec!["REVISION", "AGE", "AUTHOR", "CHANGES", "REASON"];
        if view.wide {
            heading.extend(["TIME", "REQUEST"]);
        }
        let mut table = Table::new(&heading);
        for revision in &self.revisions {
            let changes: Vec<String> = revision.changes.iter().map(ChangeDocument::short).collect();
            let mut row = vec![
                revision.revision.to_string(),
                age_of(revision.time.as_deref()),
                revision.author.clone(),
                changes.join(" "),
                revision.reason.clone(),
            ];
            if view.wide {
                row.push(revision.time.clone().unwrap_or_default());
                row.push(revision.request_id.clone());
            }
            table.row(row);
        }
        table.write()
    }

    fn names(&self) -> Vec<String> {
        self.revisions
            .iter()
            .map(|r| r.revision.to_string())
            .collect()
    }
}

//! What an apply or a delete changed, or would change.

use prism_proto::pb::admin::v1::{ChangeKind, ClusterChange};
use serde::Serialize;

use super::{RevisionPlace, Show, View, clusters::definition};
use crate::exit::Finding;

/// One changed cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeDocument {
    /// Its name.
    pub name: String,
    /// `created`, `updated`, `deleted` or `unchanged`.
    pub change: &'static str,
    /// The definition before, under the keys of the definitions file; absent for a new cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// The definition after; absent for a deleted cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}

impl ChangeDocument {
    /// Writes it as one word: `+new`, `~changed`, `-gone`.
    pub fn short(&self) -> String {
        let sign = match self.change {
            "created" => "+",
            "deleted" => "-",
            "updated" => "~",
            _ => "=",
        };
        format!("{sign}{}", self.name)
    }
}

impl From<&ClusterChange> for ChangeDocument {
    fn from(change: &ClusterChange) -> Self {
        Self {
            name: change.name.clone(),
            change: change_kind(change),
            before: change.before.as_ref().map(definition),
            after: change.after.as_ref().map(definition),
        }
    }
}

/// The word for what happened to a cluster.
pub fn change_kind(change: &ClusterChange) -> &'static str {
    match change.kind() {
        ChangeKind::Created => "created",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Unchanged => "unchanged",
        ChangeKind::Updated => "updated",
        ChangeKind::Unspecified => "unknown",
    }
}

/// Advice, and the place in the files it is about.
pub type WarningDocument = Finding;

/// What an apply or a delete did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangesDocument {
    /// The fleet's revision after the change; the head when nothing changed.
    pub revision: RevisionPlace,
    /// Nothing was written.
    pub dry_run: bool,
    /// Every cluster asked for, and those pruned.
    pub changes: Vec<ChangeDocument>,
    /// Advice that stopped nothing.
    pub warnings: Vec<WarningDocument>,
}

impl ChangesDocument {
    /// Says whether anything is, or would be, different.
    pub fn has_changes(&self) -> bool {
        self.changes
            .iter()
            .any(|change| change.change != "unchanged")
    }
}

impl Show for ChangesDocument {
    fn text(&self, view: View) -> String {
        let mut out = String::new();
        let suffix = if self.dry_run { " (dry run)" } else { "" };
        for change in &self.changes {
            out.push_str(&format!(
                "{} {}{suffix}\n",
                change.name,
                view.state(change.change)
            ));
        }
        let sentence = match (self.dry_run, self.has_changes()) {
            (true, _) => format!(
                "nothing written; the fleet is at revision {}",
                self.revision
            ),
            (false, true) => format!("the fleet is now at revision {}", self.revision),
            (false, false) => format!(
                "nothing to change; the fleet is at revision {}",
                self.revision
            ),
        };
        out.push_str(&sentence);
        out.push('\n');
        out
    }

    fn names(&self) -> Vec<String> {
        let changed = self
            .changes
            .iter()
            .filter(|change| change.change != "unchanged");
        changed.map(|change| change.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str, change: &'static str) -> ChangeDocument {
        ChangeDocument {
            name: name.into(),
            change,
            before: None,
            after: None,
        }
    }

    #[test]
    fn apply_tells_each_cluster_and_the_revision() {
        let document = ChangesDocument {
            revision: RevisionPlace {
                epoch: 1,
                revision: 7,
            },
            dry_run: false,
            changes: vec![changed("a", "created"), changed("b", "unchanged")],
            warnings: Vec::new(),
        };
        assert_eq!(
            document.text(View::default()),
            "a created\nb unchanged\nthe fleet is now at revision 1.7\n"
        );
        assert_eq!(document.names(), ["a"]);
    }

    #[test]
    fn dry_run_says_that_nothing_was_written() {
        let document = ChangesDocument {
            revision: RevisionPlace {
                epoch: 1,
                revision: 7,
            },
            dry_run: true,
            changes: vec![changed("a", "deleted")],
            warnings: Vec::new(),
        };
        assert_eq!(
            document.text(View::default()),
            "a deleted (dry run)\nnothing written; the fleet is at revision 1.7\n"
        );
    }
}

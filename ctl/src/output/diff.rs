//! Differences between what is and what would be, as unified diffs of the definitions file.

use prism_proto::pb::{
    admin::v1::ClusterChange,
    config::v1::{ClusterSpec, Secret, secret::Source},
};
use serde::Serialize;
use similar::TextDiff;

use super::{
    ChangeDocument, RevisionPlace, Show, View, change_kind, changes::WarningDocument,
    clusters::definitions,
};

/// Lines of context around a difference.
const CONTEXT: usize = 3;

/// What an apply would change, and the command that does exactly that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiffDocument {
    /// The fleet's revision that was compared with.
    pub revision: RevisionPlace,
    /// Clusters that would be created, updated or deleted.
    pub changes: Vec<ChangeDocument>,
    /// Advice that would stop nothing.
    pub warnings: Vec<WarningDocument>,
    /// Unified diffs of the definitions.
    pub diff: String,
    /// What to run to make it so.
    pub apply: String,
}

impl Show for DiffDocument {
    fn text(&self, view: View) -> String {
        if self.changes.is_empty() {
            return format!(
                "no differences; the fleet is at revision {}\n",
                self.revision
            );
        }
        let mut out = String::new();
        for line in self.diff.lines() {
            let code = match line.as_bytes() {
                [b'+', b'+', ..] | [b'-', b'-', ..] => "1",
                [b'+', ..] => "32",
                [b'-', ..] => "31",
                [b'@', ..] => "36",
                _ => "0",
            };
            let shown = if code == "0" {
                line.to_owned()
            } else {
                view.paint(code, line)
            };
            out.push_str(&shown);
            out.push('\n');
        }
        let count = |kind: &str| {
            self.changes
                .iter()
                .filter(|change| change.change == kind)
                .count()
        };
        out.push_str(&format!(
            "\n{} to create, {} to update, {} to delete; to apply exactly this:\n  {}\n",
            count("created"),
            count("updated"),
            count("deleted"),
            self.apply
        ));
        out
    }

    fn names(&self) -> Vec<String> {
        self.changes
            .iter()
            .map(|change| change.name.clone())
            .collect()
    }
}

/// Writes the unified diff of one changed cluster; empty when nothing differs. Shows no secret.
pub fn cluster_diff(change: &ClusterChange) -> String {
    let write = |spec: Option<&ClusterSpec>| {
        spec.map(|spec| definitions(&[&redacted(spec)]))
            .unwrap_or_default()
    };
    let (before, after) = (write(change.before.as_ref()), write(change.after.as_ref()));
    let kind = change_kind(change);
    let old = if before.is_empty() {
        "/dev/null".to_owned()
    } else {
        format!("{} (now)", change.name)
    };
    let new = if after.is_empty() {
        "/dev/null".to_owned()
    } else {
        format!("{} ({kind})", change.name)
    };
    let diff = TextDiff::from_lines(&before, &after);
    let mut unified = diff.unified_diff();
    unified.context_radius(CONTEXT).header(&old, &new);
    unified.to_string()
}

/// The control plane shows secrets as digests; whatever it does, none is shown from here.
fn redacted(spec: &ClusterSpec) -> ClusterSpec {
    let mut spec = spec.clone();
    let hide = |secret: &mut Option<Secret>| {
        if let Some(secret) = secret
            && matches!(secret.source, Some(Source::Plain(_)))
        {
            secret.source = Some(Source::Unchanged("secret:redacted".to_owned()));
        }
    };
    if let Some(auth) = &mut spec.auth {
        hide(&mut auth.password);
        auth.users
            .iter_mut()
            .for_each(|user| hide(&mut user.password));
    }
    if let Some(auth) = &mut spec.backend_auth {
        hide(&mut auth.password);
    }
    spec
}

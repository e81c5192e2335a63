//! What a change would do to the present image, once everything that speaks against it was asked.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use prism_proto::{
    model::{ClusterSpec, Violations},
    pb::store::v1 as pb,
};

use super::{
    CatalogError, Change, ChangeKind, ClusterChange, Image, Outcome, StoredCluster, check, history,
    record::{ClusterRecord, change_record, to_ms},
};
use crate::store::{Key, Op, Revision, random_uuid};

/// What a change does to one cluster.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) before: Option<Arc<StoredCluster>>,
    pub(super) after: Option<ClusterSpec>,
    pub(super) confirm_shrink_from: Option<Revision>,
}

/// What a change does.
#[derive(Debug)]
pub(super) struct Effect<'a> {
    change: &'a Change,
    now: SystemTime,
    steps: Vec<Step>,
    warnings: Violations,
}

impl<'a> Effect<'a> {
    /// Checks a change against the image, the whole result included.
    ///
    /// # Errors
    /// [`CatalogError::Violations`] with all that is wrong; else the first guard that refuses.
    pub(super) fn of(
        change: &'a Change,
        image: &Image,
        secret_key: &[u8],
        now: SystemTime,
    ) -> Result<Self, CatalogError> {
        check::size(change)?;
        let mut violations = check::names(change);
        let mut steps = writes(change, image, secret_key, &mut violations);
        let gone = removals(change, image);
        check::result(&steps, &gone, image, &mut violations)?;
        if !violations.is_empty() {
            return Err(CatalogError::Violations(violations));
        }
        check::presence(change, image)?;
        check::etags(change, image, now)?;
        for step in &steps {
            check::shrink(step)?;
        }
        let warnings = check::warnings(&steps, change.instant);
        steps.extend(gone);
        Ok(Self {
            change,
            now,
            steps,
            warnings,
        })
    }

    /// Whether nothing would be written.
    pub(super) fn is_empty(&self) -> bool {
        self.steps
            .iter()
            .all(|step| step.kind() == ChangeKind::Unchanged && !self.renames_manifest(step))
    }

    /// The operations that make it true, the history's included.
    ///
    /// # Errors
    /// [`CatalogError::Store`] when there are no random bytes for a uid.
    pub(super) fn ops(&self, next: Revision) -> Result<Vec<Op>, CatalogError> {
        let mut ops = Vec::new();
        for step in &self.steps {
            let key = Key::Cluster(step.name.clone());
            match &step.after {
                None => ops.push(Op::Delete(key)),
                Some(_) if step.kind() == ChangeKind::Unchanged && !self.renames_manifest(step) => {
                }
                Some(spec) => ops.push(Op::Put(key, self.record(step, spec, next)?.encode())),
            }
        }
        let changes = self
            .steps
            .iter()
            .filter(|step| step.kind() != ChangeKind::Unchanged);
        let record = pb::HistoryRecord {
            time_ms: to_ms(self.now),
            author: self.change.author.clone(),
            reason: self.change.reason.clone(),
            request_id: self.change.request_id.clone(),
            changes: changes
                .map(|step| change_record(&step.name, step.before_spec(), step.after.as_ref()))
                .collect(),
        };
        ops.push(history::op_of(next, &record));
        Ok(ops)
    }

    /// Says what was done, secrets shown as digests.
    pub(super) fn into_outcome(self, revision: Revision, secret_key: &[u8]) -> Outcome {
        let change = |step: &Step| {
            let (before, after) = (step.before_spec(), step.after.as_ref());
            ClusterChange::new(
                &step.name,
                before.map(ClusterSpec::draft),
                after.map(ClusterSpec::draft),
                secret_key,
            )
        };
        Outcome {
            revision,
            changes: self.steps.iter().map(change).collect(),
            warnings: self.warnings,
        }
    }

    /// Whether an equal definition was last applied under another name.
    fn renames_manifest(&self, step: &Step) -> bool {
        step.before
            .as_ref()
            .is_some_and(|before| before.manifest != self.change.manifest)
    }

    fn record<'b>(
        &'b self,
        step: &'b Step,
        spec: &'b ClusterSpec,
        next: Revision,
    ) -> Result<ClusterRecord<'b>, CatalogError> {
        let changed = ClusterRecord {
            spec,
            uid: step
                .before
                .as_ref()
                .map_or_else(random_uuid, |before| Ok(before.uid.clone()))
                .map_err(CatalogError::Store)?,
            changed: next,
            created: step
                .before
                .as_ref()
                .map_or(self.now, |before| before.created),
            updated: self.now,
            author: &self.change.author,
            reason: &self.change.reason,
            manifest: &self.change.manifest,
            confirm_shrink_from: step.confirm_shrink_from,
        };
        Ok(match &step.before {
            Some(before) if step.kind() == ChangeKind::Unchanged => ClusterRecord {
                changed: before.revision,
                updated: before.updated,
                author: &before.author,
                reason: &before.reason,
                confirm_shrink_from: before.confirm_shrink_from,
                ..changed
            },
            _ => changed,
        })
    }
}

impl Step {
    /// What happens to the definition.
    pub(super) fn kind(&self) -> ChangeKind {
        match (self.before_spec(), &self.after) {
            (None, _) => ChangeKind::Created,
            (_, None) => ChangeKind::Deleted,
            (Some(before), Some(after)) if before == after => ChangeKind::Unchanged,
            _ => ChangeKind::Updated,
        }
    }

    fn before_spec(&self) -> Option<&ClusterSpec> {
        self.before.as_ref().map(|before| &before.spec)
    }
}

/// One step for each write, with the stored secrets in place of shown digests.
fn writes(
    change: &Change,
    image: &Image,
    secret_key: &[u8],
    violations: &mut Violations,
) -> Vec<Step> {
    let step = |(index, write): (usize, &super::Write)| {
        let before = image.clusters.get(write.spec.name()).cloned();
        let stored = before.as_ref().map(|before| &before.spec);
        let after = restored(&write.spec, stored, secret_key).unwrap_or_else(|found| {
            violations.extend_under(&format!("clusters[{index}]"), found);
            write.spec.clone()
        });
        let name = write.spec.name().to_owned();
        Step {
            name,
            before,
            after: Some(after),
            confirm_shrink_from: write.confirm_shrink_from,
        }
    };
    change.clusters.iter().enumerate().map(step).collect()
}

fn restored(
    spec: &ClusterSpec,
    stored: Option<&ClusterSpec>,
    secret_key: &[u8],
) -> Result<ClusterSpec, Violations> {
    let mut draft = spec.draft().clone();
    draft.restore_secrets(stored.map(ClusterSpec::draft), secret_key)?;
    ClusterSpec::new(draft)
}

/// One step for each cluster that goes: those named, then those last applied under the manifest and not in it any more.
fn removals(change: &Change, image: &Image) -> Vec<Step> {
    let named: BTreeSet<&str> = change
        .deletes
        .iter()
        .map(|removal| removal.name.as_str())
        .collect();
    let written: BTreeSet<&str> = change
        .clusters
        .iter()
        .map(|write| write.spec.name())
        .collect();
    let prunes = change.prune && !change.manifest.is_empty();
    let pruned = image.clusters.iter().filter(|(name, cluster)| {
        let name = name.as_str();
        prunes
            && cluster.manifest == change.manifest
            && !written.contains(name)
            && !named.contains(name)
    });
    let named = named
        .iter()
        .filter_map(|name| image.clusters.get_key_value(*name));
    let gone = named.chain(pruned);
    gone.map(|(name, cluster)| Step {
        name: name.clone(),
        before: Some(cluster.clone()),
        after: None,
        confirm_shrink_from: None,
    })
    .collect()
}

//! Everything that can speak against a change.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use prism_proto::{
    convert::encode_spec,
    model::{
        ClusterSpec, Endpoint, MAX_CLUSTERS, MAX_MANIFEST_BYTES, Violation, Violations, check_fleet,
    },
};

use super::{CatalogError, Change, Image, StoredCluster, effect::Step};

/// Refuses a change that is too long.
pub(super) fn size(change: &Change) -> Result<(), CatalogError> {
    let bytes = change
        .clusters
        .iter()
        .map(|write| encode_spec(&write.spec).len())
        .sum();
    if bytes > MAX_MANIFEST_BYTES {
        return Err(CatalogError::TooLarge {
            bytes,
            limit: MAX_MANIFEST_BYTES,
        });
    }
    Ok(())
}

/// Finds names that stand twice, and a prune without a manifest.
pub(super) fn names(change: &Change) -> Violations {
    let mut violations = Violations::new();
    let mut seen = BTreeSet::new();
    for (index, write) in change.clusters.iter().enumerate() {
        let name = write.spec.name();
        if !seen.insert(name) {
            violations.push(
                format!("clusters[{index}].name"),
                format!("`{name}` stands twice"),
            );
        }
    }
    for (index, removal) in change.deletes.iter().enumerate() {
        if !seen.insert(&removal.name) {
            violations.push(
                format!("deletes[{index}].name"),
                format!("`{}` stands twice", removal.name),
            );
        }
    }
    if change.prune && change.manifest.is_empty() {
        violations.push(
            "manifest",
            "is needed for prune: it names what belongs together",
        );
    }
    violations
}

/// Checks all clusters there would be, taken together; of two that collide the written one is named.
pub(super) fn result(
    written: &[Step],
    gone: &[Step],
    image: &Image,
    violations: &mut Violations,
) -> Result<(), CatalogError> {
    let touched: BTreeSet<&str> = written
        .iter()
        .chain(gone)
        .map(|step| step.name.as_str())
        .collect();
    let stays = image
        .clusters
        .iter()
        .filter(|(name, _)| !touched.contains(name.as_str()));
    let mut places: Vec<(Option<usize>, &ClusterSpec)> =
        stays.map(|(_, cluster)| (None, &cluster.spec)).collect();
    let mut seen = BTreeSet::new();
    for (index, step) in written.iter().enumerate() {
        if let Some(spec) = step.after.as_ref().filter(|_| seen.insert(&step.name)) {
            places.push((Some(index), spec));
        }
    }
    if places.len() > MAX_CLUSTERS {
        return Err(CatalogError::TooManyClusters {
            count: places.len(),
            limit: MAX_CLUSTERS,
        });
    }
    let found = check_fleet(places.iter().map(|(_, spec)| *spec));
    found.into_iter().for_each(|violation| {
        let Violation { field, description } = in_request(violation, &places);
        violations.push(field, description);
    });
    Ok(())
}

/// Refuses to delete what is not there.
pub(super) fn presence(change: &Change, image: &Image) -> Result<(), CatalogError> {
    let missing = change
        .deletes
        .iter()
        .find(|removal| !image.clusters.contains_key(&removal.name));
    missing.map_or(Ok(()), |removal| {
        Err(CatalogError::NotFound {
            name: removal.name.clone(),
        })
    })
}

/// Refuses when a cluster was changed after its writer read it.
pub(super) fn etags(change: &Change, image: &Image, now: SystemTime) -> Result<(), CatalogError> {
    let written = change
        .clusters
        .iter()
        .map(|write| (write.spec.name(), &write.etag));
    let removed = change
        .deletes
        .iter()
        .map(|removal| (removal.name.as_str(), &removal.etag));
    for (name, etag) in written.chain(removed) {
        let Some(expected) = etag else { continue };
        let present = image.clusters.get(name);
        if present.is_none_or(|cluster| cluster.etag != *expected) {
            return Err(mismatch(name, present.map(AsRef::as_ref), image, now));
        }
    }
    Ok(())
}

fn mismatch(
    name: &str,
    present: Option<&StoredCluster>,
    image: &Image,
    now: SystemTime,
) -> CatalogError {
    let age = |cluster: &StoredCluster| now.duration_since(cluster.updated).unwrap_or_default();
    CatalogError::EtagMismatch {
        name: name.to_owned(),
        etag: present
            .map(|cluster| cluster.etag.clone())
            .unwrap_or_default(),
        revision: present.map_or(image.revision, |cluster| cluster.revision),
        author: present
            .map(|cluster| cluster.author.clone())
            .unwrap_or_default(),
        age: present.map_or(Duration::ZERO, age),
    }
}

/// Refuses to drop more than half of a cluster's endpoints by mistake.
///
/// An endpoint stays when its alias does, or its address when it has none; a cluster that becomes no smaller has moved, not
/// shrunk.
pub(super) fn shrink(step: &Step) -> Result<(), CatalogError> {
    let (Some(before), Some(after)) = (&step.before, &step.after) else {
        return Ok(());
    };
    let (present, next) = (
        before.spec.cluster().endpoints(),
        after.cluster().endpoints(),
    );
    let next_names: BTreeSet<String> = next.iter().map(identity).collect();
    let kept = present
        .iter()
        .filter(|endpoint| next_names.contains(&identity(endpoint)))
        .count();
    let shrinks = next.len() < present.len() && kept * 2 < present.len();
    if shrinks && step.confirm_shrink_from != Some(before.revision) {
        let (name, revision) = (step.name.clone(), before.revision);
        return Err(CatalogError::ShrinkGuard {
            name,
            revision,
            present: present.len(),
            kept,
        });
    }
    Ok(())
}

fn identity(endpoint: &Endpoint) -> String {
    endpoint
        .alias()
        .map_or_else(|| endpoint.addr().to_string(), str::to_owned)
}

/// Collects advice.
pub(super) fn warnings(steps: &[Step], instant: bool) -> Violations {
    let mut warnings = Violations::new();
    for (index, step) in steps.iter().enumerate() {
        let Some(after) = &step.after else { continue };
        let mut own = after.warnings();
        if let Some(before) = &step.before {
            moved_by_default(&before.spec, after, &mut own);
        }
        let applies = |warning: &Violation| !(instant && warning.field == "rollout");
        warnings.extend_under(
            &format!("clusters[{index}]"),
            own.into_iter().filter(applies).collect(),
        );
    }
    warnings
}

/// Warns when a key that is not written any more lets a default move the keys of a pool.
fn moved_by_default(before: &ClusterSpec, after: &ClusterSpec, warnings: &mut Violations) {
    let (old, new) = (before.cluster().sharding(), after.cluster().sharding());
    let draft = after.draft();
    let moves = "is not written any more, and its default places keys elsewhere: most of the cache will miss";
    if draft.hash_bytes.is_none() && old.hash_bytes != new.hash_bytes {
        warnings.push("hash_bytes", moves);
    }
    if draft.ketama_float.is_none() && old.ketama_float != new.ketama_float {
        warnings.push("ketama_float", moves);
    }
}

/// Turns `clusters[i]` of the whole result into the index of the request.
fn in_request(violation: Violation, places: &[(Option<usize>, &ClusterSpec)]) -> Violation {
    let Violation { field, description } = violation;
    let parts = field
        .strip_prefix("clusters[")
        .and_then(|rest| rest.split_once(']'));
    let place =
        parts.and_then(|(index, rest)| Some((places.get(index.parse::<usize>().ok()?)?, rest)));
    match place {
        Some(((Some(index), _), rest)) => Violation {
            field: format!("clusters[{index}]{rest}"),
            description,
        },
        Some(((None, spec), rest)) => Violation {
            field: String::new(),
            description: format!("stored cluster `{}`{rest}: {description}", spec.name()),
        },
        None => Violation { field, description },
    }
}

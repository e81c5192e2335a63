//! Requests that change definitions, as the catalog takes them.

use std::time::Duration;

use prism_proto::{
    convert::{encode, spec_from_pb, warnings_to_admin},
    model::{MAX_MANIFEST_BYTES, Violations},
    pb::admin::v1::{
        ApplyRequest, ApplyResponse, ClusterWrite, DeleteClustersRequest, DeleteClustersResponse,
    },
    status,
};
use tokio::time::timeout;
use tonic::Status;

use super::{
    Context,
    reply::{change, place, revision},
    status::from_catalog,
};
use crate::{
    catalog::{Change, Outcome, Removal, Write},
    store::Revision,
};

/// How long an answer waits for the feeds to be given what was committed.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(1);

/// Makes definitions true.
pub(super) async fn apply(
    context: &Context,
    request: ApplyRequest,
) -> Result<ApplyResponse, Status> {
    let bytes = encode(&request).len();
    if bytes > MAX_MANIFEST_BYTES {
        let text = format!("the request has {bytes} bytes, at most {MAX_MANIFEST_BYTES} are taken");
        return Err(status::resource_exhausted(
            "DEFINITIONS_TOO_LARGE",
            text,
            &[],
        ));
    }
    let change = read_apply(request).map_err(|wrong| status::invalid_argument(&wrong))?;
    let outcome = commit(context, change).await?;
    Ok(ApplyResponse {
        revision: Some(place(outcome.revision)),
        changes: outcome.changes.iter().map(self::change).collect(),
        warnings: warnings_to_admin(&outcome.warnings),
    })
}

/// Removes clusters.
pub(super) async fn delete(
    context: &Context,
    request: DeleteClustersRequest,
) -> Result<DeleteClustersResponse, Status> {
    let change = read_delete(request).map_err(|wrong| status::invalid_argument(&wrong))?;
    let outcome = commit(context, change).await?;
    Ok(DeleteClustersResponse {
        revision: Some(place(outcome.revision)),
        changes: outcome.changes.iter().map(self::change).collect(),
    })
}

async fn commit(context: &Context, change: Change) -> Result<Outcome, Status> {
    let applied = context.catalog.apply(change).await;
    let outcome = applied.map_err(|error| from_catalog(&error))?;
    published(context, outcome.revision).await;
    Ok(outcome)
}

/// Waits until the feeds know a revision, so that whoever asks next for data planes sees them behind it, not before it.
async fn published(context: &Context, revision: Revision) {
    let mut desired = context.desired.clone();
    let known = desired.wait_for(|desired| desired.revision() >= revision);
    // The change is durable either way.
    let _ = timeout(PUBLISHED_WITHIN, known).await;
}

/// Reads a request; everything that is wrong with any of its clusters is said.
fn read_apply(request: ApplyRequest) -> Result<Change, Violations> {
    let mut violations = Violations::new();
    let mut clusters = Vec::with_capacity(request.clusters.len());
    for (index, write) in request.clusters.into_iter().enumerate() {
        match read_write(write) {
            Ok(write) => clusters.push(write),
            Err(wrong) => violations.extend_under(&format!("clusters[{index}]"), wrong),
        }
    }
    violations.into_result(Change {
        clusters,
        deletes: Vec::new(),
        validate_only: request.validate_only,
        request_id: request.request_id,
        if_revision: request.if_revision.map(revision),
        manifest: request.manifest,
        prune: request.prune,
        reason: request.reason,
        author: request.author,
        instant: request.instant,
    })
}

fn read_write(write: ClusterWrite) -> Result<Write, Violations> {
    let Some(spec) = write.spec else {
        return Err(Violations::one("", "has no spec"));
    };
    Ok(Write {
        spec: spec_from_pb(&spec)?,
        etag: some_text(write.etag),
        confirm_shrink_from: write.confirm_shrink_from.map(revision),
    })
}

fn read_delete(request: DeleteClustersRequest) -> Result<Change, Violations> {
    let mut violations = Violations::new();
    if request.clusters.is_empty() {
        violations.push("clusters", "names no cluster");
    }
    let removal = |target: prism_proto::pb::admin::v1::DeleteTarget| Removal {
        name: target.name,
        etag: some_text(target.etag),
    };
    violations.into_result(Change {
        deletes: request.clusters.into_iter().map(removal).collect(),
        validate_only: request.validate_only,
        request_id: request.request_id,
        if_revision: request.if_revision.map(revision),
        reason: request.reason,
        author: request.author,
        ..Change::default()
    })
}

fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

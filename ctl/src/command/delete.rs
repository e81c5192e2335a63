//! `delete`: removes clusters, all of those named or none.

use prism_proto::pb::admin::v1::{DeleteClustersRequest, DeleteTarget};

use super::{
    acks::{self, Goal},
    request::{author, demanded, request_id},
};
use crate::{
    cli::{DeleteArgs, Target},
    client::Client,
    exit::{Exit, Failure},
    output::{ChangeDocument, ChangesDocument, Printer, RevisionPlace},
};

/// Deletes, prints what was deleted, and with `--wait` waits for the data planes.
pub(super) async fn run(
    client: &Client,
    printer: &Printer,
    args: &DeleteArgs,
) -> Result<Exit, Failure> {
    let Target::Clusters = args.target;
    let targets = args.names.iter().map(|name| DeleteTarget {
        name: name.clone(),
        etag: String::new(),
    });
    let request = DeleteClustersRequest {
        clusters: targets.collect(),
        validate_only: args.write.dry_run,
        request_id: request_id()?,
        if_revision: demanded(client, args.write.if_revision).await?,
        reason: args.write.reason.clone().unwrap_or_default(),
        author: author(),
    };
    let response = client.delete_clusters(request).await?;
    let document = ChangesDocument {
        revision: RevisionPlace::of(response.revision.as_ref()),
        dry_run: args.write.dry_run,
        changes: response.changes.iter().map(ChangeDocument::from).collect(),
        warnings: Vec::new(),
    };
    printer.show(&document)?;
    if !args.wait || args.write.dry_run {
        return Ok(Exit::Ok);
    }
    let goal = Goal {
        revision: document.revision,
        clusters: Some(args.names.iter().cloned().collect()),
        dataplanes: 0,
    };
    acks::wait(client, printer, &goal, args.timeout).await
}

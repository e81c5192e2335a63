//! `apply`: makes definitions true, all or none.

use prism_proto::pb::admin::v1::{ApplyRequest, ApplyResponse};

use super::{
    acks::{self, Goal},
    definitions::Definitions,
    request::{apply_request, confirm, demanded},
};
use crate::{
    cli::ApplyArgs,
    client::Client,
    exit::{Exit, Failure},
    output::{ChangeDocument, ChangesDocument, Printer, RevisionPlace},
};

/// Applies, prints what changed, and with `--wait` waits for the data planes.
pub(super) async fn run(
    client: &Client,
    printer: &Printer,
    args: &ApplyArgs,
) -> Result<Exit, Failure> {
    let definitions = Definitions::read(&args.change.files)?;
    let mut request = apply_request(client, &definitions, &args.change).await?;
    request.if_revision = demanded(client, args.write.if_revision).await?;
    request.reason = args.write.reason.clone().unwrap_or_default();
    request.validate_only = args.write.dry_run;
    if args.change.prune && !args.yes && !args.write.dry_run {
        guard_prune(client, printer, &definitions, &mut request).await?;
    }
    let response = client.apply(request).await;
    let response = response.map_err(|failure| definitions.locate(failure))?;
    let document = document(&response, &definitions, args.write.dry_run);
    for warning in &document.warnings {
        printer.note("warning", &warning.to_string());
    }
    printer.show(&document)?;
    if !args.wait || args.write.dry_run {
        return Ok(Exit::Ok);
    }
    let goal = Goal {
        revision: document.revision,
        clusters: Some(
            document
                .changes
                .iter()
                .map(|change| change.name.clone())
                .collect(),
        ),
        dataplanes: 0,
    };
    let ended = acks::wait(client, printer, &goal, args.timeout).await;
    ended.map_err(|failure| definitions.locate(failure))
}

/// Asks before anything is deleted, and pins the answer to the revision it was asked at.
async fn guard_prune(
    client: &Client,
    printer: &Printer,
    definitions: &Definitions,
    request: &mut ApplyRequest,
) -> Result<(), Failure> {
    let rehearsal = ApplyRequest {
        validate_only: true,
        request_id: String::new(),
        ..request.clone()
    };
    let response = client.apply(rehearsal).await;
    let response = response.map_err(|failure| definitions.locate(failure))?;
    let changes: Vec<ChangeDocument> = response.changes.iter().map(ChangeDocument::from).collect();
    let deleted = changes.iter().filter(|change| change.change == "deleted");
    let deleted: Vec<&str> = deleted.map(|change| change.name.as_str()).collect();
    if deleted.is_empty() {
        return Ok(());
    }
    confirm(printer, &format!("prune deletes {}", deleted.join(", ")))?;
    request.if_revision = response.revision;
    Ok(())
}

/// Tells an answer; warnings get the places they are about.
pub(super) fn document(
    response: &ApplyResponse,
    definitions: &Definitions,
    dry_run: bool,
) -> ChangesDocument {
    ChangesDocument {
        revision: RevisionPlace::of(response.revision.as_ref()),
        dry_run,
        changes: response.changes.iter().map(ChangeDocument::from).collect(),
        warnings: definitions.warnings(&response.warnings),
    }
}

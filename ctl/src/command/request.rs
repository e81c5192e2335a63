//! What every change carries: who, under which id, from which revision.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use prism_proto::pb::admin::v1::{ApplyRequest, ClusterWrite, FleetRevision};

use super::definitions::Definitions;
use crate::{
    cli::{ChangeArgs, RevisionArg},
    client::Client,
    exit::{Exit, Failure},
    output::Printer,
};

/// Builds the request that makes `definitions` true.
pub(super) async fn apply_request(
    client: &Client,
    definitions: &Definitions,
    change: &ChangeArgs,
) -> Result<ApplyRequest, Failure> {
    let mut confirmed = BTreeMap::new();
    if change.confirm_shrink {
        for cluster in client.clusters().await?.clusters {
            let name = cluster.spec.map(|spec| spec.name).unwrap_or_default();
            confirmed.insert(name, cluster.meta.and_then(|meta| meta.revision));
        }
    }
    let writes = definitions.specs().map(|spec| ClusterWrite {
        confirm_shrink_from: confirmed.get(&spec.name).copied().flatten(),
        spec: Some(spec),
        etag: String::new(),
    });
    Ok(ApplyRequest {
        clusters: writes.collect(),
        request_id: request_id()?,
        manifest: change.manifest.clone().unwrap_or_default(),
        prune: change.prune,
        instant: change.instant,
        author: author(),
        ..ApplyRequest::default()
    })
}

/// Turns a revision of the command line into one of the API; without an epoch, the fleet's current one is meant.
pub(super) async fn demanded(
    client: &Client,
    given: Option<RevisionArg>,
) -> Result<Option<FleetRevision>, Failure> {
    let Some(RevisionArg { epoch, revision }) = given else {
        return Ok(None);
    };
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => client.fleet().await?.revision.unwrap_or_default().epoch,
    };
    Ok(Some(FleetRevision { epoch, revision }))
}

/// A text that no other change carries, so that a retry is known as one.
pub(super) fn request_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Error, format!("no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Who makes the change, as the environment tells.
pub(super) fn author() -> String {
    let named = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    match named.filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => format!("uid-{}", rustix::process::getuid().as_raw()),
    }
}

/// Asks on the terminal; without one the answer is a failure that names the flag.
pub(super) fn confirm(printer: &Printer, question: &str) -> Result<(), Failure> {
    let refused = |text: &str| Failure::new(Exit::Precondition, format!("{question}: {text}"));
    if !printer.can_ask() {
        return Err(refused("needs --yes").hint("--dry-run shows what would happen"));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(refused("not confirmed, nothing changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Format, LogFormat};

    #[test]
    fn request_ids_differ() {
        assert_ne!(request_id(), request_id());
        assert_eq!(request_id().map(|id| id.len()), Ok(32));
    }

    #[test]
    fn nothing_asks_without_a_terminal() {
        let printer = Printer::new(Format::Table, LogFormat::Text);
        if printer.can_ask() {
            return;
        }
        let failure = confirm(&printer, "delete 2 clusters").expect_err("not confirmed");
        assert_eq!(failure.exit, Exit::Precondition);
        assert_eq!(failure.message, "delete 2 clusters: needs --yes");
    }
}

//! `wait`: returns once the fleet is as demanded.

use super::acks::{self, Goal};
use crate::{
    cli::WaitArgs,
    client::Client,
    exit::{Exit, Failure},
    output::{Printer, RevisionPlace},
};

/// Waits until every connected data plane has what it should have.
pub(super) async fn run(
    client: &Client,
    printer: &Printer,
    args: &WaitArgs,
) -> Result<Exit, Failure> {
    let crate::cli::Goal::Synced = args.goal;
    let fleet = client.fleet().await?;
    let goal = Goal {
        revision: RevisionPlace::of(fleet.revision.as_ref()),
        clusters: None,
        dataplanes: args.dataplanes,
    };
    acks::wait(client, printer, &goal, args.timeout).await
}

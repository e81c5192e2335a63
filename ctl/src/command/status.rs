//! `status`: how the fleet is, what is wrong first.

use crate::{
    client::Client,
    exit::{Exit, Failure},
    output::{DataplaneDocument, EndpointDocument, Printer, RevisionPlace, StatusDocument},
};

/// Gathers everything and prints one screen.
pub(super) async fn run(client: &Client, printer: &Printer) -> Result<Exit, Failure> {
    let fleet = client.fleet().await?;
    let dataplanes = client.dataplanes().await?;
    let clusters = client.clusters().await?;
    let endpoints = client.endpoints("").await?;
    let document = StatusDocument {
        fleet_id: fleet.fleet_id,
        revision: RevisionPlace::of(fleet.revision.as_ref()),
        build: fleet.build,
        store: fleet.store,
        healthy: false,
        alarms: fleet.alarms,
        clusters: clusters.clusters.len(),
        endpoints: endpoints.endpoints.len(),
        dataplanes: dataplanes
            .dataplanes
            .iter()
            .map(DataplaneDocument::from)
            .collect(),
        unhealthy_endpoints: endpoints
            .endpoints
            .iter()
            .map(EndpointDocument::from)
            .filter(EndpointDocument::is_unhealthy)
            .collect(),
    };
    printer.show(&document.judged())?;
    Ok(Exit::Ok)
}

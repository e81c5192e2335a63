//! Lists of any kind: fetched, filtered by name, compared.

use serde::Serialize;

use crate::{
    cli::{Format, GetArgs, Kind},
    client::Client,
    exit::{Exit, Failure},
    output::{
        ClustersDocument, DataplaneDocument, DataplanesDocument, EndpointDocument,
        EndpointsDocument, RevisionDocument, RevisionPlace, RevisionsDocument, Show, View,
    },
};

/// A list of any kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Listing {
    Clusters(ClustersDocument),
    Dataplanes(DataplanesDocument),
    Endpoints(EndpointsDocument),
    Revisions(RevisionsDocument),
}

impl Listing {
    /// Leaves out what changes all the time without meaning anything.
    pub(super) fn steady(mut self) -> Self {
        match &mut self {
            Self::Dataplanes(document) => document
                .dataplanes
                .iter_mut()
                .for_each(|d| d.last_seen = None),
            Self::Endpoints(document) => document.endpoints.iter_mut().for_each(|e| {
                e.latency_us = None;
                e.requests = 0;
                e.errors = 0;
                e.connect_failures = 0;
                e.figures = None;
                e.figures_error = None;
            }),
            Self::Clusters(_) | Self::Revisions(_) => {}
        }
        self
    }

    /// Says of each item, in order, whether it is not the same in `earlier`.
    pub(super) fn changed_since(&self, earlier: &Self) -> Vec<bool> {
        match (self, earlier) {
            (Self::Clusters(now), Self::Clusters(then)) => changed(&now.clusters, &then.clusters),
            (Self::Dataplanes(now), Self::Dataplanes(then)) => {
                changed(&now.dataplanes, &then.dataplanes)
            }
            (Self::Endpoints(now), Self::Endpoints(then)) => {
                changed(&now.endpoints, &then.endpoints)
            }
            (Self::Revisions(now), Self::Revisions(then)) => {
                changed(&now.revisions, &then.revisions)
            }
            _ => Vec::new(),
        }
    }
}

fn changed<T: PartialEq>(now: &[T], then: &[T]) -> Vec<bool> {
    now.iter().map(|item| !then.contains(item)).collect()
}

impl Show for Listing {
    fn text(&self, view: View) -> String {
        match self {
            Self::Clusters(document) => document.text(view),
            Self::Dataplanes(document) => document.text(view),
            Self::Endpoints(document) => document.text(view),
            Self::Revisions(document) => document.text(view),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Clusters(document) => document.names(),
            Self::Dataplanes(document) => document.names(),
            Self::Endpoints(document) => document.names(),
            Self::Revisions(document) => document.names(),
        }
    }

    fn toml(&self) -> Result<String, Failure> {
        match self {
            Self::Clusters(document) => document.toml(),
            Self::Dataplanes(document) => document.toml(),
            Self::Endpoints(document) => document.toml(),
            Self::Revisions(document) => document.toml(),
        }
    }
}

/// Asks for one kind and keeps what the command line names.
///
/// Endpoints are asked for their figures where `format` shows them.
pub(super) async fn fetch(
    client: &Client,
    args: &GetArgs,
    format: Format,
) -> Result<Listing, Failure> {
    let wanted = args.name.as_deref();
    let is_wanted = |names: &[&str]| wanted.is_none_or(|wanted| names.contains(&wanted));
    let (listing, count) = match args.kind {
        Kind::Clusters => {
            let mut document = ClustersDocument::from(&client.clusters().await?);
            document
                .clusters
                .retain(|cluster| is_wanted(&[&cluster.name]));
            let count = document.clusters.len();
            (Listing::Clusters(document), count)
        }
        Kind::Dataplanes => {
            let list = client.dataplanes().await?;
            let mut dataplanes: Vec<_> = list
                .dataplanes
                .iter()
                .map(DataplaneDocument::from)
                .collect();
            dataplanes.retain(|dataplane| is_wanted(&[&dataplane.id]));
            let (revision, count) = (RevisionPlace::of(list.revision.as_ref()), dataplanes.len());
            (
                Listing::Dataplanes(DataplanesDocument {
                    revision,
                    dataplanes,
                }),
                count,
            )
        }
        Kind::Endpoints => {
            let cluster = args.cluster.as_deref().unwrap_or_default();
            let list = match format {
                Format::Name | Format::Table => client.endpoints(cluster).await?,
                _ => client.endpoints_with_figures(cluster).await?,
            };
            let mut endpoints: Vec<_> = list.endpoints.iter().map(EndpointDocument::from).collect();
            endpoints.retain(|endpoint| is_wanted(&[&endpoint.addr, &endpoint.alias]));
            let count = endpoints.len();
            (Listing::Endpoints(EndpointsDocument { endpoints }), count)
        }
        Kind::Revisions => {
            let list = client.revisions(args.limit).await?;
            let mut revisions: Vec<_> = list.revisions.iter().map(RevisionDocument::from).collect();
            revisions.retain(|r| {
                is_wanted(&[&r.revision.to_string(), &r.revision.revision.to_string()])
            });
            let count = revisions.len();
            (Listing::Revisions(RevisionsDocument { revisions }), count)
        }
    };
    match (wanted, count) {
        (Some(name), 0) if !args.watch => Err(missing(args.kind, name)),
        _ => Ok(listing),
    }
}

fn missing(kind: Kind, name: &str) -> Failure {
    let what = match kind {
        Kind::Clusters => "cluster",
        Kind::Dataplanes => "data plane",
        Kind::Endpoints => "endpoint",
        Kind::Revisions => "kept revision",
    };
    Failure::new(Exit::Error, format!("there is no {what} `{name}`"))
}

//! Endpoints with their probed state.

use prism_proto::pb::admin::v1::{Endpoint, EndpointState};
use serde::Serialize;

use super::{FiguresDocument, Show, Table, View, age_of, figures, rfc3339};

/// One endpoint of one cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointDocument {
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its address.
    pub addr: String,
    /// Its name; empty when none.
    pub alias: String,
    /// `unknown`, `healthy`, `suspect`, `warming`, `ejected` or `misconfigured`.
    pub state: &'static str,
    /// When that state began, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Consecutive failed probes.
    pub failures: u32,
    /// The last probe's error; empty when it succeeded.
    pub last_error: String,
    /// The last successful probe's latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
    /// `primary`, `replica` or empty.
    pub role: String,
    /// The earliest time it can return, RFC 3339; absent when not ejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected_until: Option<String>,
    /// What it says it runs; empty when not known.
    pub server_version: String,
    /// Requests that data planes sent to it since the control plane started.
    pub requests: u64,
    /// Requests of those that failed by its fault.
    pub errors: u64,
    /// Connects of data planes that failed since the control plane started.
    pub connect_failures: u64,
    /// Why its figures could not be read; absent when they were, or were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures_error: Option<String>,
    /// What it says of itself; absent when not asked for or not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<FiguresDocument>,
}

impl EndpointDocument {
    /// Says whether someone should look at it.
    pub fn is_unhealthy(&self) -> bool {
        !matches!(self.state, "healthy" | "unknown")
    }

    /// Its alias and address, or its address alone.
    pub fn label(&self) -> String {
        match self.alias.is_empty() {
            true => self.addr.clone(),
            false => format!("{} ({})", self.alias, self.addr),
        }
    }
}

impl From<&Endpoint> for EndpointDocument {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            cluster: endpoint.cluster.clone(),
            addr: endpoint.addr.clone(),
            alias: endpoint.alias.clone(),
            state: state_word(endpoint.state()),
            since: endpoint.since.as_ref().map(|t| rfc3339(t.seconds, t.nanos)),
            failures: endpoint.failures,
            last_error: endpoint.last_error.clone(),
            latency_us: endpoint.latency.as_ref().map(|latency| {
                latency.seconds.unsigned_abs() * 1_000_000
                    + u64::from(latency.nanos.unsigned_abs()) / 1000
            }),
            role: endpoint.role.clone(),
            ejected_until: endpoint
                .ejected_until
                .as_ref()
                .map(|t| rfc3339(t.seconds, t.nanos)),
            server_version: endpoint.server_version.clone(),
            requests: endpoint.requests,
            errors: endpoint.errors,
            connect_failures: endpoint.connect_failures,
            figures_error: Some(endpoint.figures_error.clone()).filter(|error| !error.is_empty()),
            figures: endpoint.figures.as_ref().map(FiguresDocument::from),
        }
    }
}

fn state_word(state: EndpointState) -> &'static str {
    match state {
        EndpointState::Ejected => "ejected",
        EndpointState::Healthy => "healthy",
        EndpointState::Misconfigured => "misconfigured",
        EndpointState::Suspect => "suspect",
        EndpointState::Unknown | EndpointState::Unspecified => "unknown",
        EndpointState::Warming => "warming",
    }
}

/// Endpoints of all clusters, or of one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointsDocument {
    /// Sorted by cluster, then as defined.
    pub endpoints: Vec<EndpointDocument>,
}

impl Show for EndpointsDocument {
    fn text(&self, view: View) -> String {
        let mut heading = vec![
            "CLUSTER",
            "ENDPOINT",
            "STATE",
            "SINCE",
            "ROLE",
            "LATENCY",
            "LAST ERROR",
        ];
        if view.wide {
            heading.extend(["FAILURES", "EJECTED UNTIL", "RUNS"]);
            heading.extend(figures::HEADING);
        }
        let mut table = Table::new(&heading);
        for endpoint in &self.endpoints {
            let latency = endpoint
                .latency_us
                .map(|us| format!("{}.{}ms", us / 1000, us % 1000 / 100));
            let mut row = vec![
                endpoint.cluster.clone(),
                endpoint.label(),
                view.state(endpoint.state),
                age_of(endpoint.since.as_deref()),
                endpoint.role.clone(),
                latency.unwrap_or_default(),
                endpoint.last_error.clone(),
            ];
            if view.wide {
                row.push(endpoint.failures.to_string());
                row.push(endpoint.ejected_until.clone().unwrap_or_default());
                row.push(endpoint.server_version.clone());
                row.extend(figures::cells(endpoint));
            }
            table.row(row);
        }
        table.write()
    }

    fn names(&self) -> Vec<String> {
        self.endpoints
            .iter()
            .map(|endpoint| endpoint.addr.clone())
            .collect()
    }
}

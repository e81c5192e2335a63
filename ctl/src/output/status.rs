//! The state of the fleet on one screen: a summary, then whatever is wrong, then every data plane.

use serde::Serialize;

use super::{
    DataplaneDocument, EndpointDocument, RevisionPlace, Show, Table, View, age_of,
    dataplanes::HEADING,
};

/// How the fleet is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusDocument {
    /// The fleet's identity.
    pub fleet_id: String,
    /// The fleet's head.
    pub revision: RevisionPlace,
    /// The control plane's build.
    pub build: String,
    /// The kind of store and whether it takes writes.
    pub store: String,
    /// Nothing needs a look.
    pub healthy: bool,
    /// Conditions someone must look at.
    pub alarms: Vec<String>,
    /// Number of clusters.
    pub clusters: usize,
    /// Number of endpoints of all clusters.
    pub endpoints: usize,
    /// All data planes, those in trouble first.
    pub dataplanes: Vec<DataplaneDocument>,
    /// Endpoints that are not healthy.
    pub unhealthy_endpoints: Vec<EndpointDocument>,
}

impl StatusDocument {
    /// Puts what is wrong first and judges the whole.
    pub fn judged(mut self) -> Self {
        self.dataplanes
            .sort_by_key(|dataplane| rank(dataplane.state));
        let calm = self
            .dataplanes
            .iter()
            .all(|dataplane| dataplane.state == "synced");
        self.healthy = calm
            && !self.dataplanes.is_empty()
            && self.alarms.is_empty()
            && self.unhealthy_endpoints.is_empty();
        self
    }

    fn summary(&self) -> String {
        let short = self.fleet_id.get(..8).unwrap_or(&self.fleet_id);
        let count = |state: &str| self.dataplanes.iter().filter(|d| d.state == state).count();
        let mut states = Vec::new();
        for state in [
            "nacked",
            "foreign_fleet",
            "stale",
            "disconnected",
            "pending",
            "synced",
        ] {
            if count(state) > 0 {
                states.push(format!("{} {state}", count(state)));
            }
        }
        let states = if states.is_empty() {
            "none".to_owned()
        } else {
            states.join(", ")
        };
        let endpoints = match self.unhealthy_endpoints.len() {
            0 => format!("{}", self.endpoints),
            unhealthy => format!("{} ({unhealthy} unhealthy)", self.endpoints),
        };
        format!(
            "fleet {short}  revision {}  clusters {}  endpoints {endpoints}  data planes: {states}\n",
            self.revision, self.clusters
        )
    }
}

fn rank(state: &str) -> u8 {
    match state {
        "nacked" => 0,
        "foreign_fleet" => 1,
        "stale" => 2,
        "disconnected" => 3,
        "pending" => 4,
        _ => 5,
    }
}

impl Show for StatusDocument {
    fn text(&self, view: View) -> String {
        let mut out = self.summary();
        for alarm in &self.alarms {
            out.push_str(&format!("{} {alarm}\n", view.paint("31", "alarm")));
        }
        if !self.dataplanes.is_empty() {
            out.push('\n');
            out.push_str(&dataplanes(&self.dataplanes, view));
        }
        if !self.unhealthy_endpoints.is_empty() {
            out.push('\n');
            out.push_str(&endpoints(&self.unhealthy_endpoints, view));
        }
        if self.dataplanes.is_empty() {
            out.push_str("\nno data plane has connected yet\n");
        } else if self.healthy {
            out.push_str("\nall is well\n");
        }
        out
    }

    fn names(&self) -> Vec<String> {
        self.dataplanes
            .iter()
            .map(|dataplane| dataplane.id.clone())
            .collect()
    }
}

fn dataplanes(dataplanes: &[DataplaneDocument], view: View) -> String {
    let mut heading = HEADING.to_vec();
    if view.wide {
        heading.extend(["ZONE", "PEER", "BUILD"]);
    }
    let mut table = Table::new(&heading);
    for dataplane in dataplanes {
        let mut row = dataplane.row(view);
        if view.wide {
            row.extend([
                dataplane.zone.clone(),
                dataplane.peer.clone(),
                dataplane.build.clone(),
            ]);
        }
        table.row(row);
    }
    table.write()
}

fn endpoints(endpoints: &[EndpointDocument], view: View) -> String {
    let mut table = Table::new(&[
        "CLUSTER",
        "ENDPOINT",
        "STATE",
        "SINCE",
        "FAILURES",
        "LAST ERROR",
    ]);
    for endpoint in endpoints {
        table.row(vec![
            endpoint.cluster.clone(),
            endpoint.label(),
            view.state(endpoint.state),
            age_of(endpoint.since.as_deref()),
            endpoint.failures.to_string(),
            endpoint.last_error.clone(),
        ]);
    }
    table.write()
}

#[cfg(test)]
mod tests {
    use prism_proto::pb::admin::v1::{
        Dataplane, Endpoint, EndpointState, FieldViolation, FleetRevision, ResourceNack, SyncState,
    };

    use super::*;

    fn dataplane(id: &str, state: SyncState) -> Dataplane {
        Dataplane {
            id: id.into(),
            state: state.into(),
            acked: Some(FleetRevision {
                epoch: 1,
                revision: 12,
            }),
            clusters: 3,
            clients: 5,
            ..Dataplane::default()
        }
    }

    fn status(dataplanes: &[Dataplane], endpoints: &[Endpoint]) -> StatusDocument {
        StatusDocument {
            fleet_id: "3f2a91bc-0000-4000-8000-000000000000".into(),
            revision: RevisionPlace {
                epoch: 1,
                revision: 12,
            },
            build: "0.1.0".into(),
            store: "sled".into(),
            healthy: false,
            alarms: Vec::new(),
            clusters: 3,
            endpoints: 8,
            dataplanes: dataplanes.iter().map(DataplaneDocument::from).collect(),
            unhealthy_endpoints: endpoints.iter().map(EndpointDocument::from).collect(),
        }
        .judged()
    }

    #[test]
    fn trouble_comes_first_and_says_why() {
        let mut nacked = dataplane("dp-2", SyncState::Nacked);
        nacked.nacks.push(ResourceNack {
            kind: "clusters".into(),
            name: "pages".into(),
            violations: vec![FieldViolation {
                field: "listen_addr".into(),
                description: "address in use".into(),
            }],
            ..ResourceNack::default()
        });
        let dead = Endpoint {
            cluster: "sessions".into(),
            addr: "127.0.0.1:1".into(),
            alias: "redis-2".into(),
            state: EndpointState::Ejected.into(),
            failures: 3,
            last_error: "connection refused".into(),
            ..Endpoint::default()
        };
        let document = status(&[dataplane("dp-1", SyncState::Synced), nacked], &[dead]);
        let wanted = "\
fleet 3f2a91bc  revision 1.12  clusters 3  endpoints 8 (1 unhealthy)  data planes: 1 nacked, 1 synced

DATAPLANE   STATE    SINCE   ACKED   CLUSTERS   CLIENTS   LAST ERROR
dp-2        nacked   -       1.12    3          5         rejected clusters/pages: listen_addr: address in use
dp-1        synced   -       1.12    3          5         -

CLUSTER    ENDPOINT                STATE     SINCE   FAILURES   LAST ERROR
sessions   redis-2 (127.0.0.1:1)   ejected   -       3          connection refused
";
        assert_eq!(document.text(View::default()), wanted);
        assert!(!document.healthy);
    }

    #[test]
    fn calm_fleet_is_said_to_be_well() {
        let document = status(&[dataplane("dp-1", SyncState::Synced)], &[]);
        assert!(document.healthy);
        assert!(document.text(View::default()).ends_with("\nall is well\n"));
    }

    #[test]
    fn alarm_is_told_and_spoils_the_verdict() {
        let mut document = status(&[dataplane("dp-1", SyncState::Synced)], &[]);
        document.alarms.push("STORE_REGRESS".into());
        let document = document.judged();
        assert!(!document.healthy);
        assert!(
            document
                .text(View::default())
                .contains("alarm STORE_REGRESS\n")
        );
    }
}

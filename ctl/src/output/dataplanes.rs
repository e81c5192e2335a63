//! Data planes and how they stand to what they should have.

use std::collections::BTreeMap;

use prism_proto::pb::admin::v1::{Dataplane, ResourceNack, SyncState};
use serde::Serialize;

use super::{RevisionPlace, Show, Table, View, age_of, rfc3339};
use crate::exit::Finding;

/// A resource that a data plane rejected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NackDocument {
    /// `clusters`, `slotmaps` or `peers`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The rejected revision.
    pub revision: u64,
    /// Why.
    pub violations: Vec<Finding>,
    /// When the nack arrived, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

impl NackDocument {
    /// Writes it as one sentence.
    pub fn sentence(&self) -> String {
        let reasons: Vec<String> = self.violations.iter().map(Finding::to_string).collect();
        format!(
            "rejected {}/{}: {}",
            self.kind,
            self.name,
            reasons.join("; ")
        )
    }
}

impl From<&ResourceNack> for NackDocument {
    fn from(nack: &ResourceNack) -> Self {
        let violations = nack.violations.iter().map(|violation| Finding {
            field: violation.field.clone(),
            description: violation.description.clone(),
            ..Finding::default()
        });
        Self {
            kind: nack.kind.clone(),
            name: nack.name.clone(),
            revision: nack.revision,
            violations: violations.collect(),
            time: nack.time.as_ref().map(|t| rfc3339(t.seconds, t.nanos)),
        }
    }
}

/// What is known of one data plane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataplaneDocument {
    /// What it calls itself.
    pub id: String,
    /// Tells two runs of one id apart.
    pub instance: String,
    /// `synced`, `pending`, `stale`, `nacked`, `disconnected` or `foreign_fleet`.
    pub state: &'static str,
    /// When that state began, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The fleet revision it last acknowledged.
    pub acked: RevisionPlace,
    /// The fleet revision it should have.
    pub desired: RevisionPlace,
    /// Resources it rejects now.
    pub nacks: Vec<NackDocument>,
    /// The newest error about it; empty when none.
    pub last_error: String,
    /// When its stream began, RFC 3339; absent when disconnected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<String>,
    /// When anything last came from it, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Clusters it should serve.
    pub clusters: u32,
    /// Client connections it last reported.
    pub clients: u64,
    /// Endpoints it reports as ejected, as `cluster/endpoint`.
    pub ejected: Vec<String>,
    /// It has not been in sync since it started from disk.
    pub started_from_snapshot: bool,
    /// Where it says it stands.
    pub zone: String,
    /// What it says it is.
    pub labels: BTreeMap<String, String>,
    /// The address that cluster-aware clients are told.
    pub advertise: String,
    /// Its version text.
    pub build: String,
    /// Where its stream comes from.
    pub peer: String,
}

impl DataplaneDocument {
    /// Says whether it has a live stream.
    pub fn is_connected(&self) -> bool {
        self.state != "disconnected"
    }

    /// What is wrong with it, in words; empty when nothing is.
    pub fn trouble(&self) -> String {
        if !self.nacks.is_empty() {
            let sentences: Vec<String> = self.nacks.iter().map(NackDocument::sentence).collect();
            return sentences.join("; ");
        }
        self.last_error.clone()
    }
}

impl From<&Dataplane> for DataplaneDocument {
    fn from(dataplane: &Dataplane) -> Self {
        Self {
            id: dataplane.id.clone(),
            instance: dataplane.instance.clone(),
            state: state_word(dataplane.state()),
            since: dataplane
                .since
                .as_ref()
                .map(|t| rfc3339(t.seconds, t.nanos)),
            acked: RevisionPlace::of(dataplane.acked.as_ref()),
            desired: RevisionPlace::of(dataplane.desired.as_ref()),
            nacks: dataplane.nacks.iter().map(NackDocument::from).collect(),
            last_error: dataplane.last_error.clone(),
            connected_since: dataplane
                .connected_since
                .as_ref()
                .map(|t| rfc3339(t.seconds, t.nanos)),
            last_seen: dataplane
                .last_seen
                .as_ref()
                .map(|t| rfc3339(t.seconds, t.nanos)),
            clusters: dataplane.clusters,
            clients: dataplane.clients,
            ejected: dataplane.ejected.clone(),
            started_from_snapshot: dataplane.started_from_snapshot,
            zone: dataplane.zone.clone(),
            labels: dataplane.labels.clone(),
            advertise: dataplane.advertise.clone(),
            build: dataplane.build.clone(),
            peer: dataplane.peer.clone(),
        }
    }
}

fn state_word(state: SyncState) -> &'static str {
    match state {
        SyncState::Disconnected => "disconnected",
        SyncState::ForeignFleet => "foreign_fleet",
        SyncState::Nacked => "nacked",
        SyncState::Pending => "pending",
        SyncState::Stale => "stale",
        SyncState::Synced => "synced",
        SyncState::Unspecified => "unknown",
    }
}

/// What a line of every table of data planes begins with.
pub(super) const HEADING: [&str; 7] = [
    "DATAPLANE",
    "STATE",
    "SINCE",
    "ACKED",
    "CLUSTERS",
    "CLIENTS",
    "LAST ERROR",
];

impl DataplaneDocument {
    /// Returns the words below [`HEADING`].
    pub(super) fn row(&self, view: View) -> Vec<String> {
        vec![
            self.id.clone(),
            view.state(self.state),
            age_of(self.since.as_deref()),
            self.acked.to_string(),
            self.clusters.to_string(),
            self.clients.to_string(),
            self.trouble(),
        ]
    }
}

/// The data planes of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataplanesDocument {
    /// The fleet's head.
    pub revision: RevisionPlace,
    /// Sorted by id.
    pub dataplanes: Vec<DataplaneDocument>,
}

impl Show for DataplanesDocument {
    fn text(&self, view: View) -> String {
        let mut heading = HEADING.to_vec();
        if view.wide {
            heading.extend(["DESIRED", "ZONE", "LABELS", "PEER", "BUILD", "INSTANCE"]);
        }
        let mut table = Table::new(&heading);
        for dataplane in &self.dataplanes {
            let mut row = dataplane.row(view);
            if view.wide {
                let labels: Vec<String> = dataplane
                    .labels
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect();
                row.extend([
                    dataplane.desired.to_string(),
                    dataplane.zone.clone(),
                    labels.join(","),
                    dataplane.peer.clone(),
                    dataplane.build.clone(),
                    dataplane.instance.clone(),
                ]);
            }
            table.row(row);
        }
        table.write()
    }

    fn names(&self) -> Vec<String> {
        self.dataplanes
            .iter()
            .map(|dataplane| dataplane.id.clone())
            .collect()
    }
}

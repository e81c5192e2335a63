//! Clusters: their definitions as the definitions file has them, and how they stand.

use prism_proto::{
    convert::draft_from_pb,
    manifest::render_drafts,
    pb::{
        admin::v1::{Cluster, ClusterStatus, ListClustersResponse},
        config::v1::ClusterSpec,
    },
};
use serde::Serialize;
use serde_json::Value;

use super::{RevisionPlace, Show, Table, View, age_of, rfc3339};
use crate::exit::Failure;

/// How a cluster stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterStatusDocument {
    /// Connected data planes that should have it.
    pub selected: u32,
    /// How many of them acknowledged its current revision.
    pub synced: u32,
    /// How many of them rejected it.
    pub nacked: u32,
    /// Endpoints known.
    pub endpoints: u32,
    /// How many of them are ejected.
    pub ejected: u32,
}

impl From<&ClusterStatus> for ClusterStatusDocument {
    fn from(status: &ClusterStatus) -> Self {
        Self {
            selected: status.selected,
            synced: status.synced,
            nacked: status.nacked,
            endpoints: status.endpoints,
            ejected: status.ejected,
        }
    }
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterDocument {
    /// Its unique name.
    pub name: String,
    /// Tells two clusters of one name apart that lived one after the other.
    pub uid: String,
    /// Changes with every change of the cluster.
    pub etag: String,
    /// The fleet's revision at its last change.
    pub revision: RevisionPlace,
    /// When it was first applied, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
    /// When it last changed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<String>,
    /// Who changed it last.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The manifest it was last applied under; empty when none.
    pub manifest: String,
    /// What is observed of it.
    pub status: ClusterStatusDocument,
    /// What its author wrote, under the keys of the definitions file.
    pub definition: Value,
    #[serde(skip)]
    spec: ClusterSpec,
}

impl From<&Cluster> for ClusterDocument {
    fn from(cluster: &Cluster) -> Self {
        let meta = cluster.meta.clone().unwrap_or_default();
        let spec = cluster.spec.clone().unwrap_or_default();
        Self {
            name: spec.name.clone(),
            uid: meta.uid,
            etag: meta.etag,
            revision: RevisionPlace::of(meta.revision.as_ref()),
            create_time: meta.create_time.map(|t| rfc3339(t.seconds, t.nanos)),
            update_time: meta.update_time.map(|t| rfc3339(t.seconds, t.nanos)),
            author: meta.author,
            reason: meta.reason,
            manifest: meta.manifest,
            status: cluster
                .status
                .as_ref()
                .map(ClusterStatusDocument::from)
                .unwrap_or_default(),
            definition: definition(&spec),
            spec,
        }
    }
}

impl ClusterDocument {
    fn written(&self, key: &str) -> &str {
        self.definition
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Clusters of one revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClustersDocument {
    /// The fleet's.
    pub revision: RevisionPlace,
    /// Sorted by name.
    pub clusters: Vec<ClusterDocument>,
}

impl From<&ListClustersResponse> for ClustersDocument {
    fn from(list: &ListClustersResponse) -> Self {
        Self {
            revision: RevisionPlace::of(list.revision.as_ref()),
            clusters: list.clusters.iter().map(ClusterDocument::from).collect(),
        }
    }
}

impl Show for ClustersDocument {
    fn text(&self, view: View) -> String {
        let mut heading = vec![
            "CLUSTER",
            "TYPE",
            "LISTEN",
            "ENDPOINTS",
            "SYNCED",
            "REVISION",
            "AGE",
        ];
        if view.wide {
            heading.extend(["AUTHOR", "REASON", "MANIFEST", "ETAG"]);
        }
        let mut table = Table::new(&heading);
        for cluster in &self.clusters {
            let status = &cluster.status;
            let endpoints = match status.ejected {
                0 => status.endpoints.to_string(),
                ejected => format!(
                    "{} ({})",
                    status.endpoints,
                    view.paint("31", &format!("{ejected} ejected"))
                ),
            };
            let synced = match status.nacked {
                0 => format!("{}/{}", status.synced, status.selected),
                nacked => {
                    let nacked = view.paint("31", &format!("{nacked} nacked"));
                    format!("{}/{} ({nacked})", status.synced, status.selected)
                }
            };
            let mut row = vec![
                cluster.name.clone(),
                cluster.written("cache_type").to_owned(),
                cluster.written("listen_addr").to_owned(),
                endpoints,
                synced,
                cluster.revision.to_string(),
                age_of(cluster.update_time.as_deref()),
            ];
            if view.wide {
                row.extend([
                    cluster.author.clone(),
                    cluster.reason.clone(),
                    cluster.manifest.clone(),
                    cluster.etag.clone(),
                ]);
            }
            table.row(row);
        }
        table.write()
    }

    fn names(&self) -> Vec<String> {
        self.clusters
            .iter()
            .map(|cluster| cluster.name.clone())
            .collect()
    }

    fn toml(&self) -> Result<String, Failure> {
        let specs: Vec<&ClusterSpec> = self.clusters.iter().map(|cluster| &cluster.spec).collect();
        Ok(definitions(&specs))
    }
}

/// Writes definitions as a file that can be applied; one that cannot be read is told as a comment.
pub(super) fn definitions(specs: &[&ClusterSpec]) -> String {
    let mut drafts = Vec::new();
    let mut unread = String::new();
    for spec in specs {
        match draft_from_pb(spec) {
            Ok(draft) => drafts.push(draft),
            Err(violations) => unread.push_str(&format!("# {}: {violations}\n", spec.name)),
        }
    }
    format!("{unread}{}", render_drafts(&drafts))
}

/// Returns one definition under the keys of the definitions file.
pub(super) fn definition(spec: &ClusterSpec) -> Value {
    let read = toml::from_str::<Value>(&definitions(&[spec])).unwrap_or_default();
    read.pointer("/clusters/0").cloned().unwrap_or_default()
}

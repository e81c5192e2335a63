//! What the admin API shows of clusters, endpoints and history.

use std::time::SystemTime;

use prism_proto::{
    convert::draft_to_pb,
    pb::admin::v1::{
        self as pb, ChangeKind, Cluster, ClusterMeta, ClusterStatus, Endpoint, EndpointState,
        FleetRevision,
    },
};

use super::Context;
use crate::{
    catalog::{self, ClusterChange, HistoryEntry, Image, StoredCluster},
    health::{ClusterVerdict, EndpointStatus},
    store::Revision,
};

/// Writes a place in the history.
pub(super) fn place(revision: Revision) -> FleetRevision {
    FleetRevision {
        epoch: revision.epoch,
        revision: revision.number,
    }
}

/// Reads a place in the history.
pub(super) fn revision(place: FleetRevision) -> Revision {
    Revision {
        epoch: place.epoch,
        number: place.revision,
    }
}

/// Shows all clusters of an image, sorted by name.
pub(super) fn clusters(context: &Context, image: &Image) -> Vec<Cluster> {
    image
        .clusters
        .values()
        .map(|stored| cluster(context, stored))
        .collect()
}

/// Shows one cluster; secrets as digests.
pub(super) fn cluster(context: &Context, stored: &StoredCluster) -> Cluster {
    Cluster {
        meta: Some(meta(stored)),
        spec: Some(draft_to_pb(&context.catalog.shown(&stored.spec))),
        status: Some(observed(context, stored)),
    }
}

fn meta(stored: &StoredCluster) -> ClusterMeta {
    ClusterMeta {
        uid: stored.uid.clone(),
        etag: stored.etag.clone(),
        revision: Some(place(stored.revision)),
        create_time: Some(stored.created.into()),
        update_time: Some(stored.updated.into()),
        author: stored.author.clone(),
        reason: stored.reason.clone(),
        manifest: stored.manifest.clone(),
    }
}

fn observed(context: &Context, stored: &StoredCluster) -> ClusterStatus {
    let name = stored.spec.name();
    let selector = stored.spec.cluster().selector();
    let counts = context
        .fleet
        .cluster_counts(name, selector, stored.revision.number);
    let verdicts = context.verdicts.borrow();
    let known = verdicts
        .clusters
        .get(name)
        .map_or(&[][..], |verdict| &verdict.endpoints);
    let is_ejected = |endpoint: &&EndpointStatus| endpoint.state == EndpointState::Ejected;
    let defined = stored.spec.cluster().endpoints().len();
    let endpoints = if known.is_empty() {
        defined
    } else {
        known.len()
    };
    ClusterStatus {
        selected: counts.selected,
        synced: counts.synced,
        nacked: counts.nacked,
        endpoints: count(endpoints),
        ejected: count(known.iter().filter(is_ejected).count()),
    }
}

/// Shows the endpoints of one cluster: as probed, or as defined before the first probe.
pub(super) fn endpoints(
    stored: &StoredCluster,
    updated: SystemTime,
    verdict: Option<&ClusterVerdict>,
) -> Vec<Endpoint> {
    let cluster = stored.spec.name();
    let probed = verdict
        .map(|verdict| &verdict.endpoints[..])
        .unwrap_or_default();
    if !probed.is_empty() {
        return probed
            .iter()
            .map(|status| endpoint(cluster, status))
            .collect();
    }
    let defined = stored.spec.draft().endpoints.iter();
    defined
        .map(|endpoint| Endpoint {
            cluster: cluster.into(),
            addr: endpoint.addr.clone(),
            alias: endpoint.alias.clone().unwrap_or_default(),
            state: EndpointState::Unknown.into(),
            since: Some(updated.into()),
            ..Endpoint::default()
        })
        .collect()
}

fn endpoint(cluster: &str, status: &EndpointStatus) -> Endpoint {
    Endpoint {
        cluster: cluster.into(),
        addr: status.addr.clone(),
        alias: status.alias.clone(),
        state: status.state.into(),
        since: Some(status.since.into()),
        failures: status.failures,
        last_error: status.last_error.clone(),
        latency: status.latency.and_then(|latency| latency.try_into().ok()),
        role: status.role.clone(),
        ejected_until: status.ejected_until.map(Into::into),
        server_version: status.server_version.clone(),
        requests: status.traffic.requests,
        errors: status.traffic.errors,
        connect_failures: status.traffic.connect_failures,
        ..Endpoint::default()
    }
}

/// Shows one kept revision.
pub(super) fn history(entry: HistoryEntry) -> pb::Revision {
    pb::Revision {
        revision: Some(place(entry.revision)),
        time: Some(entry.time.into()),
        author: entry.author,
        reason: entry.reason,
        request_id: entry.request_id,
        changes: entry.changes.iter().map(change).collect(),
    }
}

/// Shows one change; secrets as digests.
pub(super) fn change(change: &ClusterChange) -> pb::ClusterChange {
    let kind = match change.kind {
        catalog::ChangeKind::Created => ChangeKind::Created,
        catalog::ChangeKind::Deleted => ChangeKind::Deleted,
        catalog::ChangeKind::Unchanged => ChangeKind::Unchanged,
        catalog::ChangeKind::Updated => ChangeKind::Updated,
    };
    pb::ClusterChange {
        name: change.name.clone(),
        kind: kind.into(),
        before: change.before.as_ref().map(draft_to_pb),
        after: change.after.as_ref().map(draft_to_pb),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

//! What a data plane tells of its clusters: what was counted since the last report, and what was seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prism_proto::pb::discovery::v1::{
    ClusterReport, EndpointReport, MovedReport, Report, ResourceVersion,
};

use crate::{
    cluster::Observed,
    metrics::{ClusterSums, ClusterTotals, EndpointSums},
};

/// Redirects of one cluster that one report names; the rest is learned from the refresh they cause.
const MAX_MOVED: usize = 1_024;

/// Turns totals into what happened since the last report.
#[derive(Debug, Default)]
pub struct Reporter {
    last: BTreeMap<String, ClusterTotals>,
}

impl Reporter {
    /// Returns the report of the time since the last one.
    pub fn report(
        &mut self,
        totals: Vec<ClusterTotals>,
        mut seen: BTreeMap<String, Observed>,
        quarantined: Vec<ResourceVersion>,
        window: Duration,
    ) -> Report {
        let mut clusters = Vec::new();
        let mut last = BTreeMap::new();
        for now in totals {
            let before = self.last.remove(&now.cluster).unwrap_or_default();
            let seen = seen.remove(&now.cluster).unwrap_or_default();
            clusters.push(cluster_report(&now, &before, seen));
            last.insert(now.cluster.clone(), now);
        }
        // Clusters that no client has touched yet have no totals but may have been seen.
        for (cluster, seen) in seen {
            let untouched = ClusterTotals {
                cluster,
                ..ClusterTotals::default()
            };
            clusters.push(cluster_report(&untouched, &ClusterTotals::default(), seen));
        }
        self.last = last;
        Report {
            clusters,
            window: window.try_into().ok(),
            quarantined,
        }
    }
}

fn cluster_report(now: &ClusterTotals, before: &ClusterTotals, seen: Observed) -> ClusterReport {
    let moved = seen.moved.iter().take(MAX_MOVED);
    ClusterReport {
        cluster: now.cluster.clone(),
        requests: grown(&now.sums, &before.sums, |sums| sums.requests_total),
        errors: grown(&now.sums, &before.sums, |sums| sums.errors_total),
        latency_buckets: latency(&now.sums, &before.sums),
        clients: now.sums.clients,
        endpoints: endpoint_reports(now, before, &seen),
        moved: moved
            .map(|(slot, addr)| MovedReport {
                slot: u32::from(*slot),
                addr: addr.clone(),
            })
            .collect(),
        refresh_wanted: seen.refresh_wanted,
    }
}

fn endpoint_reports(
    now: &ClusterTotals,
    before: &ClusterTotals,
    seen: &Observed,
) -> Vec<EndpointReport> {
    let none = EndpointSums::default();
    let labels = now.endpoints.keys().map(|label| (addr_of(label), label));
    let labels: BTreeMap<&str, &String> = labels.collect();
    let mut addrs: BTreeSet<&str> = labels.keys().copied().collect();
    addrs.extend(seen.ejected.iter().chain(&seen.vetoed).map(String::as_str));
    let report = |addr: &str| {
        let find = |totals: &ClusterTotals| {
            let sums = labels
                .get(addr)
                .and_then(|label| totals.endpoints.get(*label));
            sums.unwrap_or(&none).clone()
        };
        let (sums, before) = (find(now), find(before));
        EndpointReport {
            addr: addr.to_owned(),
            requests: grown(&sums, &before, |sums| sums.requests_total),
            errors: grown(&sums, &before, |sums| sums.errors_total),
            connect_failures: grown(&sums, &before, |sums| sums.connect_failures_total),
            ejected: seen.ejected.contains(addr),
            vetoed: seen.vetoed.contains(addr),
        }
    };
    let says_something = |report: &EndpointReport| {
        let counts = report.requests + report.errors + report.connect_failures;
        counts > 0 || report.ejected || report.vetoed
    };
    addrs
        .into_iter()
        .map(report)
        .filter(says_something)
        .collect()
}

/// Returns the address in a label such as `redis-2 (10.0.0.2:6379)`.
fn addr_of(label: &str) -> &str {
    match label.rsplit_once(" (") {
        Some((_, addr)) => addr.strip_suffix(')').unwrap_or(addr),
        None => label,
    }
}

fn grown<S>(now: &S, before: &S, read: impl Fn(&S) -> u64) -> u64 {
    read(now).saturating_sub(read(before))
}

/// Returns the counts by bucket since the last report, without the empty buckets at the end.
fn latency(now: &ClusterSums, before: &ClusterSums) -> Vec<u64> {
    let pairs = now.latency.buckets().iter().zip(before.latency.buckets());
    let mut buckets: Vec<_> = pairs
        .map(|(now, before)| now.saturating_sub(*before))
        .collect();
    let used = buckets
        .iter()
        .rposition(|&count| count > 0)
        .map_or(0, |last| last + 1);
    buckets.truncate(used);
    buckets
}

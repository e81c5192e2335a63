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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;

    fn report(reporter: &mut Reporter, registry: &Registry) -> ClusterReport {
        let report = reporter.report(
            registry.totals(),
            BTreeMap::new(),
            Vec::new(),
            Duration::from_secs(10),
        );
        report
            .clusters
            .into_iter()
            .next()
            .expect("one cluster has cells")
    }

    #[test]
    fn each_report_tells_what_happened_since_the_last() {
        let registry = Registry::new();
        let cluster = registry.cluster(0, "a");
        let endpoint = registry.endpoint(0, "a", "redis-1 (10.0.0.1:6379)");
        let mut reporter = Reporter::default();
        cluster.requests_total.add(5);
        cluster.latency.record(Duration::from_micros(3));
        endpoint.requests_total.add(4);
        endpoint.errors_total.inc();
        let first = report(&mut reporter, &registry);
        assert_eq!(
            (first.requests, first.latency_buckets),
            (5, vec![0, 0, 0, 1])
        );
        let sent = &first.endpoints[0];
        assert_eq!(
            (sent.addr.as_str(), sent.requests, sent.errors),
            ("10.0.0.1:6379", 4, 1)
        );
        cluster.requests_total.add(2);
        cluster.clients.set(3);
        let second = report(&mut reporter, &registry);
        assert_eq!((second.requests, second.clients), (2, 3));
        assert!(second.latency_buckets.is_empty());
        assert!(
            second.endpoints.is_empty(),
            "an endpoint without news is left out"
        );
    }

    #[test]
    fn what_was_seen_is_told_of_clusters_without_traffic_too() {
        let observed = Observed {
            moved: BTreeMap::from([(5, "10.0.0.2:6379".to_owned())]),
            ejected: BTreeSet::from(["10.0.0.1:6379".to_owned()]),
            refresh_wanted: true,
            ..Observed::default()
        };
        let seen = BTreeMap::from([("a".to_owned(), observed)]);
        let report = Reporter::default().report(Vec::new(), seen, Vec::new(), Duration::ZERO);
        let cluster = &report.clusters[0];
        assert!(cluster.refresh_wanted);
        assert_eq!(
            (cluster.moved[0].slot, cluster.moved[0].addr.as_str()),
            (5, "10.0.0.2:6379")
        );
        assert!(cluster.endpoints[0].ejected);
    }
}

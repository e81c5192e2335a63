//! Cells, sums and the text of a scrape.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::*;

fn sums_of(registry: &Registry, cluster: &str) -> ClusterTotals {
    let totals = registry.totals();
    let found = totals.into_iter().find(|t| t.cluster == cluster);
    found.expect("the cluster has cells")
}

#[test]
fn workers_are_added_up() {
    let registry = Registry::new();
    let (one, two) = (registry.cluster(0, "a"), registry.cluster(1, "a"));
    one.requests_total.add(3);
    two.requests_total.inc();
    one.clients.add(2);
    two.clients.add(5);
    two.clients.sub(1);
    let totals = sums_of(&registry, "a");
    assert_eq!(totals.sums.requests_total, 4);
    assert_eq!(totals.sums.clients, 6);
}

#[test]
fn same_worker_gets_the_same_cells() {
    let registry = Registry::new();
    let (one, again) = (registry.cluster(0, "a"), registry.cluster(0, "a"));
    assert!(Arc::ptr_eq(&one, &again));
}

#[test]
fn totals_stay_and_levels_go_with_their_owner() {
    let registry = Registry::new();
    let kept = registry.cluster(0, "a");
    let gone = registry.cluster(1, "a");
    let endpoint = registry.endpoint(1, "a", "127.0.0.1:1");
    kept.requests_total.inc();
    gone.requests_total.add(10);
    gone.clients.set(4);
    gone.latency.record(Duration::from_millis(1));
    endpoint.replies_total.add(7);
    endpoint.pending.set(2);
    drop((gone, endpoint));
    for _ in 0..2 {
        let totals = sums_of(&registry, "a");
        assert_eq!(totals.sums.requests_total, 11);
        assert_eq!(totals.sums.clients, 0);
        assert_eq!(totals.sums.latency.count(), 1);
        let endpoint = &totals.endpoints["127.0.0.1:1"];
        assert_eq!((endpoint.replies_total, endpoint.pending), (7, 0));
    }
    let again = registry.endpoint(1, "a", "127.0.0.1:1");
    again.replies_total.inc();
    assert_eq!(
        sums_of(&registry, "a").endpoints["127.0.0.1:1"].replies_total,
        8
    );
}

#[test]
fn cluster_without_owner_is_dropped() {
    let registry = Registry::new();
    let cells = registry.cluster(0, "a");
    cells.requests_total.inc();
    assert_eq!(registry.totals().len(), 1);
    drop(cells);
    assert!(registry.totals().is_empty());
}

#[test]
fn retired_endpoints_are_bounded() {
    let registry = Registry::new();
    let _cluster = registry.cluster(0, "a");
    for port in 0..3_000 {
        drop(registry.endpoint(0, "a", &format!("10.0.0.1:{port}")));
    }
    assert_eq!(sums_of(&registry, "a").endpoints.len(), 1_024);
}

#[test]
fn buckets_are_an_eighth_of_an_octave() {
    let cases: [(u64, usize); 9] = [
        (0, 0),
        (7, 7),
        (8, 8),
        (15, 15),
        (16, 16),
        (17, 16),
        (18, 17),
        ((1 << 26) - 1, 191),
        (1 << 26, 192),
    ];
    for (us, bucket) in cases {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(us));
        let mut totals = HistogramTotals::default();
        cell::Cell::add_to(&histogram, &mut totals);
        let found = totals.buckets().iter().position(|&n| n == 1);
        assert_eq!(found, Some(bucket), "{us} µs");
    }
}

#[test]
fn octaves_keep_every_count() {
    let histogram = Histogram::default();
    for power in 0..40 {
        histogram.record(Duration::from_micros(1 << power));
    }
    let mut totals = HistogramTotals::default();
    cell::Cell::add_to(&histogram, &mut totals);
    let octaves = totals.octaves();
    assert_eq!(octaves.iter().map(|(_, n)| n).sum::<u64>(), 40);
    assert_eq!(octaves[0], (8e-6, 3));
    assert_eq!(octaves[1], (16e-6, 1));
    assert_eq!(octaves.last(), Some(&(f64::INFINITY, 14)));
}

#[test]
fn scrape_names_every_metric_once() {
    let registry = Registry::new();
    let cluster = registry.cluster(0, "a");
    let endpoint = registry.endpoint(0, "a", "127.0.0.1:1");
    cluster.requests_total.add(5);
    endpoint.connections.set(2);
    registry.control().revision.set(9);
    let text = render(&registry).expect("a String takes everything");
    for line in [
        "prism_downstream_requests_total{cluster=\"a\"} 5",
        "prism_upstream_connections{cluster=\"a\",endpoint=\"127.0.0.1:1\"} 2",
        "prism_control_revision 9",
        "prism_downstream_request_duration_seconds_bucket{le=\"+Inf\",cluster=\"a\"} 0",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "{line} is missing in\n{text}"
        );
    }
    let types: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE")).collect();
    let names: BTreeSet<_> = types.iter().map(|l| l.split(' ').nth(2)).collect();
    assert_eq!(types.len(), names.len(), "a name is used twice");
    assert!(text.contains("process_cpu_seconds_total "));
}

//! What the proxy says of itself in the words of Memcached: `stats` and its kinds.

use std::{
    io::Write,
    sync::atomic::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::cluster::ClusterWorker;

/// Appends the answer to `stats` with the words behind it.
///
/// Figures are those of this cluster on this data plane, all workers taken together; those of one endpoint are the
/// endpoint's own and never mixed in.
pub(super) fn write_stats(out: &mut Vec<u8>, kind: &[u8], cluster: &ClusterWorker) {
    match figures(kind, cluster) {
        Some(_) if kind == b"reset" => out.extend_from_slice(b"RESET\r\n"),
        Some(figures) => write_all(out, &figures),
        None => out.extend_from_slice(b"CLIENT_ERROR prism: no such kind of stats\r\n"),
    }
}

/// Returns the figures of one kind, with their names; `None` when there is no such kind.
pub(super) fn figures(kind: &[u8], cluster: &ClusterWorker) -> Option<Vec<(&'static str, String)>> {
    Some(match kind {
        b"" => general(cluster),
        b"settings" => settings(cluster),
        b"proxy" => proxy(cluster),
        // Counters belong to whoever scrapes them: there is nothing to reset.
        b"conns" | b"items" | b"reset" | b"sizes" | b"slabs" => Vec::new(),
        _ => return None,
    })
}

fn write_all(out: &mut Vec<u8>, figures: &[(&str, String)]) {
    for (name, value) in figures {
        // A vector takes whatever is written.
        let _ = write!(out, "STAT {name} {value}\r\n");
    }
    out.extend_from_slice(b"END\r\n");
}

fn general(cluster: &ClusterWorker) -> Vec<(&'static str, String)> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_secs());
    let uptime = cluster.context.clock.now() / 1_000_000_000;
    let runtime = cluster.runtime();
    let mut figures = vec![
        ("pid", std::process::id().to_string()),
        ("uptime", uptime.to_string()),
        ("time", now.to_string()),
        (
            "version",
            concat!("prism-", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("pointer_size", usize::BITS.to_string()),
    ];
    if let Some(limit) = runtime.cluster.limits().max_clients {
        figures.push(("max_connections", limit.to_string()));
    }
    let clients = runtime.shared.clients.load(Ordering::Relaxed);
    figures.push(("curr_connections", clients.to_string()));
    figures.extend(proxy(cluster));
    figures
}

fn proxy(cluster: &ClusterWorker) -> Vec<(&'static str, String)> {
    let totals = cluster.context.registry.totals();
    let Some(totals) = totals
        .iter()
        .find(|totals| totals.cluster == cluster.name())
    else {
        return Vec::new();
    };
    let sums = &totals.sums;
    vec![
        ("total_connections", sums.connections_total.to_string()),
        (
            "rejected_connections",
            sums.clients_rejected_total.to_string(),
        ),
        ("bytes_read", sums.bytes_in_total.to_string()),
        ("bytes_written", sums.bytes_out_total.to_string()),
        ("prism_cluster", cluster.name().to_owned()),
        ("prism_endpoints", totals.endpoints.len().to_string()),
        ("prism_requests", sums.requests_total.to_string()),
        ("prism_errors", sums.errors_total.to_string()),
        ("prism_refused", sums.refused_total.to_string()),
    ]
}

fn settings(cluster: &ClusterWorker) -> Vec<(&'static str, String)> {
    let runtime = cluster.runtime();
    let limits = runtime.cluster.limits();
    vec![
        ("maxconns", limits.max_clients.unwrap_or(0).to_string()),
        ("inter", runtime.listen.to_string()),
        ("item_size_max", limits.max_request_bytes.to_string()),
        ("binding_protocol", "auto-negotiate".to_owned()),
    ]
}

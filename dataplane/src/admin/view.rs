//! What is served, as JSON; secrets are left out.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use prism_proto::model::Cluster;
use serde_json::{Value, json};

use crate::{
    cluster::{ClusterRuntime, EndpointHealth, Placement, Runtime, Topology},
    discovery::Facts,
};

/// Shows everything in service.
pub(super) fn config(id: &str, facts: &Facts, runtime: &Runtime) -> Value {
    let clusters: Vec<_> = runtime
        .clusters
        .values()
        .map(|cluster| show_cluster(cluster))
        .collect();
    json!({
        "id": id,
        "sync": facts.sync.word(),
        "control": facts.control,
        "fleet_id": facts.fleet_id,
        "epoch": facts.epoch,
        "revision": facts.revision,
        "last_error": facts.last_error,
        "generation": runtime.generation,
        "clusters": clusters,
    })
}

fn show_cluster(runtime: &ClusterRuntime) -> Value {
    let cluster = &runtime.cluster;
    let topology = runtime.shared.topology.load();
    json!({
        "name": cluster.name(),
        "revision": runtime.revision,
        "hash": format!("{:016x}", runtime.hash),
        "listen_addr": runtime.listen.to_string(),
        "cache_type": cluster.cache_type().to_string(),
        "clients": runtime.shared.clients.load(Relaxed),
        "password": cluster.password().is_some(),
        "users": names(cluster.users().iter().map(|user| &user.name)),
        "allow": names(cluster.allow()),
        "deny": names(cluster.deny()),
        "backend_password": cluster.backend().is_some(),
        "sharding": format!("{:?}", cluster.sharding()),
        "timeouts_ms": timeouts(cluster),
        "limits": format!("{:?}", cluster.limits()),
        "topology": show_topology(&topology),
    })
}

fn names<T: ToString>(list: impl IntoIterator<Item = T>) -> Vec<String> {
    list.into_iter().map(|each| each.to_string()).collect()
}

fn timeouts(cluster: &Cluster) -> Value {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let timeouts = cluster.timeouts();
    json!({
        "read_timeout": ms(timeouts.read),
        "write_timeout": ms(timeouts.write),
        "dead_after": ms(timeouts.dead_after),
        "dial_timeout": ms(timeouts.dial),
        "idle_timeout": timeouts.idle.map(ms),
        "tcp_keepalive": timeouts.tcp_keepalive.map(ms),
    })
}

fn show_topology(topology: &Topology) -> Value {
    let health = |health: EndpointHealth| match health {
        EndpointHealth::Ejected => "ejected",
        EndpointHealth::Healthy => "healthy",
        EndpointHealth::Warming => "warming",
    };
    let endpoints: Vec<_> = topology
        .endpoints
        .iter()
        .map(|endpoint| {
            json!({
                "addr": endpoint.addr.to_string(),
                "label": endpoint.label,
                "health": health(endpoint.health),
            })
        })
        .collect();
    let slots_owned = match &topology.placement {
        Placement::Ring(..) => None,
        Placement::Slots(owners) => Some(owned(owners, topology.endpoints.len())),
    };
    json!({
        "generation": topology.generation,
        "endpoints": endpoints,
        "slots_owned": slots_owned,
    })
}

/// Returns how many slots each endpoint owns, by its number.
fn owned(owners: &[u16], endpoints: usize) -> Vec<usize> {
    let mut counts = vec![0; endpoints];
    for owner in owners {
        if let Some(count) = counts.get_mut(usize::from(*owner)) {
            *count += 1;
        }
    }
    counts
}

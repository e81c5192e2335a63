//! What a client is shown as the nodes of a Redis Cluster: the data planes, each with its share of the slots.
//!
//! Every data plane serves every slot; shares only spread the clients. Addresses of endpoints have no place here.

use std::ops::RangeInclusive;

use prism_proto::{
    model::{ListenAddr, Peer, node_id},
    placement::SLOTS,
};

use crate::{cluster::ClusterWorker, downstream::local::Client};

/// One data plane as a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// 40 hex digits.
    pub(super) id: String,
    /// Where clients reach it; empty when that is the address they are connected to.
    pub(super) host: String,
    /// 0 on a unix socket.
    pub(super) port: u16,
    /// Its share; `None` once it is about to end.
    pub(super) slots: Option<RangeInclusive<u16>>,
    /// It is the one that answers.
    pub(super) is_own: bool,
}

/// Returns the nodes in the order of their slots; this one is always among them.
pub(super) fn nodes(client: &Client, cluster: &ClusterWorker) -> Vec<Node> {
    let runtime = cluster.runtime();
    let peers = runtime.shared.peers.load();
    let me = Peer {
        id: peers.own.id.clone(),
        host: own_host(client, peers.own.advertise.as_deref()),
        port: match (client.local_addr, &runtime.listen) {
            (Some(addr), _) => addr.port(),
            (None, ListenAddr::Tcp { port, .. }) => *port,
            (None, ListenAddr::Unix { .. }) => 0,
        },
    };
    let mut nodes = shares(peers.all(me.clone()), &me.id);
    if !nodes.iter().any(|node| node.is_own) {
        nodes.push(node(me, true, None));
    }
    nodes
}

/// Returns this data plane's id as a node.
pub(super) fn own_id(cluster: &ClusterWorker) -> String {
    node_id(&cluster.runtime().shared.peers.load().own.id)
}

fn own_host(client: &Client, advertise: Option<&str>) -> String {
    match (advertise, client.local_addr) {
        (Some(host), _) => host.to_owned(),
        (None, Some(addr)) => addr.ip().to_canonical().to_string(),
        (None, None) => String::new(),
    }
}

fn shares(peers: Vec<Peer>, own: &str) -> Vec<Node> {
    let count = peers.len().min(SLOTS);
    let bound = |index: usize| u16::try_from(index * SLOTS / count).unwrap_or(u16::MAX);
    let share = |(index, peer): (usize, Peer)| {
        let is_own = peer.id == own;
        node(peer, is_own, Some(bound(index)..=bound(index + 1) - 1))
    };
    peers
        .into_iter()
        .take(count)
        .enumerate()
        .map(share)
        .collect()
}

fn node(peer: Peer, is_own: bool, slots: Option<RangeInclusive<u16>>) -> Node {
    Node {
        id: node_id(&peer.id),
        host: peer.host,
        port: peer.port,
        slots,
        is_own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_node_whatever_their_number() {
        for count in [1, 2, 3, 7, 256] {
            let peer = |number: u16| Peer {
                id: format!("dp-{number}"),
                host: "10.0.0.1".into(),
                port: number,
            };
            let nodes = shares((1..=count).map(peer).collect(), "dp-1");
            let ranges = nodes.iter().filter_map(|node| node.slots.clone());
            let slots: Vec<_> = ranges.clone().flatten().collect();
            assert_eq!(slots, (0..16384).collect::<Vec<_>>(), "{count}");
            let sizes = ranges.map(|range| range.len());
            let (least, most) = (sizes.clone().min(), sizes.max());
            assert!(most <= least.map(|least| least + 1), "{count}");
            assert_eq!(nodes.iter().filter(|node| node.is_own).count(), 1);
        }
    }
}

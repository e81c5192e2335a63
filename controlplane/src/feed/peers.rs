//! Which data planes the clients of each Redis Cluster are told of.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use prism_proto::model::{CacheType, ListenAddr, MAX_PEERS, Peer, parse_host};

use crate::{catalog::Image, fleet::Serving};

/// The data planes that serve each Redis Cluster, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerLists {
    /// Grows with every change; never goes back, not even over a restart.
    pub stamp: u64,
    /// Whether data planes had the time to come back since the control plane started.
    pub is_settled: bool,
    /// The lists by id, of every cluster that is defined.
    pub clusters: BTreeMap<Arc<str>, Vec<Peer>>,
}

/// Returns the lists that follow from what is defined and who is in service, by id.
///
/// Of data planes at one address only the first is listed: clients could not tell them apart.
pub fn lists(image: &Image, serving: &[Serving]) -> BTreeMap<Arc<str>, Vec<Peer>> {
    let clusters = image.clusters.iter().map(|(name, stored)| {
        let cluster = stored.spec.cluster();
        (name, cluster.cache_type(), cluster.listen())
    });
    let clusters = clusters.filter(|(_, cache_type, _)| *cache_type == CacheType::RedisCluster);
    clusters
        .map(|(name, _, listen)| (Arc::from(name.as_str()), list(name, listen, serving)))
        .collect()
}

fn list(name: &str, listen: &ListenAddr, serving: &[Serving]) -> Vec<Peer> {
    let ListenAddr::Tcp { host, port } = listen else {
        // Nobody reaches a unix socket from elsewhere.
        return Vec::new();
    };
    let mut peers: Vec<Peer> = Vec::new();
    for one in serving.iter().filter(|one| one.clusters.contains(name)) {
        let Some(host) = host_of(one, host) else {
            continue;
        };
        if peers.len() == MAX_PEERS {
            break;
        }
        if peers.iter().all(|peer| peer.host != host) {
            let (id, port) = (one.id.clone(), *port);
            peers.push(Peer { id, host, port });
        }
    }
    peers
}

/// Returns where clients reach a data plane: what it says, else where it listens, else where it comes from.
fn host_of(one: &Serving, listen: &str) -> Option<String> {
    let is_anywhere = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let from = one.peer.parse::<SocketAddr>().ok();
    let from = from.map(|addr| addr.ip().to_canonical().to_string());
    let bound = match one.bind_ip.is_empty() {
        true => listen,
        false => &one.bind_ip,
    };
    let told = [Some(one.advertise.as_str()), Some(bound), from.as_deref()];
    let mut hosts = told.into_iter().flatten();
    hosts.find_map(|host| parse_host(host).ok().filter(|host| !is_anywhere(host)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn serving(number: u16, clusters: &[&str]) -> Serving {
        Serving {
            id: format!("dp-{number}"),
            advertise: String::new(),
            bind_ip: String::new(),
            peer: format!("10.0.0.{number}:40000"),
            clusters: Arc::new(clusters.iter().map(|name| Arc::from(*name)).collect()),
        }
    }

    fn hosts(listen: &str, serving: &[Serving]) -> Vec<String> {
        let listen = listen.parse().expect("an address");
        let peers = list("rc", &listen, serving);
        assert!(peers.iter().all(|peer| peer.port == 9001));
        peers.into_iter().map(|peer| peer.host).collect()
    }

    #[test]
    fn host_is_what_is_advertised_else_bound_else_where_it_comes_from() {
        let plain = serving(1, &["rc"]);
        let bound = Serving {
            bind_ip: "10.9.0.2".into(),
            ..serving(2, &["rc"])
        };
        let named = Serving {
            advertise: "proxy.example".into(),
            bind_ip: "10.9.0.3".into(),
            ..serving(3, &["rc"])
        };
        let wrong = Serving {
            advertise: "no host:1".into(),
            peer: "[::ffff:10.0.0.4]:1".into(),
            ..serving(4, &["rc"])
        };
        let all = [plain.clone(), bound, named, wrong];
        let expected = ["10.0.0.1", "10.9.0.2", "proxy.example", "10.0.0.4"];
        assert_eq!(hosts("0.0.0.0:9001", &all), expected);
        assert_eq!(hosts("[::]:9001", &all), expected);
        assert_eq!(hosts("10.7.0.1:9001", &[plain]), ["10.7.0.1"]);
    }

    #[test]
    fn only_those_that_serve_the_cluster_are_listed_each_address_once() {
        let twin = Serving {
            peer: "10.0.0.1:7".into(),
            ..serving(2, &["rc"])
        };
        let all = [serving(1, &["rc"]), twin, serving(3, &["other"])];
        assert_eq!(hosts("0.0.0.0:9001", &all), ["10.0.0.1"]);
        let unix = "unix:/run/rc".parse().expect("an address");
        assert!(list("rc", &unix, &all).is_empty());
    }

    #[test]
    fn lists_are_bounded() {
        let many: Vec<_> = (0..1000)
            .map(|number| Serving {
                advertise: format!("proxy-{number}"),
                ..serving(number, &["rc"])
            })
            .collect();
        assert_eq!(hosts("0.0.0.0:9001", &many).len(), MAX_PEERS);
        let distinct: BTreeSet<_> = hosts("0.0.0.0:9001", &many).into_iter().collect();
        assert_eq!(distinct.len(), MAX_PEERS);
    }
}

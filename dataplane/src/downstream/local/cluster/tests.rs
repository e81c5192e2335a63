//! What a client hears of the cluster, word by word.

use std::{rc::Rc, sync::Arc};

use prism_proto::model::{CacheType, ClusterSpec, Draft, EndpointDraft, Peer, node_id};
use tokio::{
    net::UnixStream,
    runtime::{Builder, LocalOptions},
};

use super::*;
use crate::{
    cluster::{ClusterRuntime, Own, Peers, TopologyHandle},
    inflight::Ticket,
    metrics::Registry,
    protocol::redis::command::find,
    upstream::{Kind, Stream, WorkerContext},
};

/// A client of a cluster on the data plane `dp-2`.
struct Bench {
    cluster: Rc<ClusterWorker>,
    client: Client,
    dialect: Dialect,
    _handle: TopologyHandle,
}

impl Bench {
    fn start(cache_type: CacheType) -> Self {
        let definition = ClusterSpec::new(Draft {
            name: "bench".into(),
            cache_type: Some(cache_type),
            listen_addr: "0.0.0.0:9001".into(),
            endpoints: vec![EndpointDraft {
                addr: "127.0.0.1:9".into(),
                ..EndpointDraft::default()
            }],
            ..Draft::default()
        });
        let definition = Arc::new(definition.unwrap().resolve());
        let registry = Registry::new();
        let (shared, handle) =
            TopologyHandle::start(Arc::clone(&definition), Arc::clone(&registry));
        let runtime = ClusterRuntime::new(definition, 0, 0, shared).unwrap();
        let context = Rc::new(WorkerContext::new(0, registry));
        let cluster = ClusterWorker::start(context, Arc::new(runtime));
        let (near, _) = UnixStream::pair().unwrap();
        let mut client = Client::new(&cluster, &Stream::Unix(near), Ticket::NOBODY);
        client.local_addr = Some("[::ffff:10.0.0.2]:9001".parse().unwrap());
        let bench = Self {
            cluster,
            client,
            dialect: Dialect::Resp2,
            _handle: handle,
        };
        bench.tell(Peers::default());
        bench
    }

    /// Changes the list of data planes.
    fn tell(&self, peers: Peers) {
        let own = Own {
            id: "dp-2".into(),
            advertise: peers.own.advertise.clone(),
        };
        let own = Arc::new(own);
        let shared = &self.cluster.runtime().shared;
        shared.peers.store(Arc::new(Peers { own, ..peers }));
    }

    /// Answers `CLUSTER` with these words; an error without its `-`.
    fn ask(&mut self, words: &str) -> String {
        let raw = format!("CLUSTER {words}").into_bytes();
        let mut args: Vec<Span> = Vec::new();
        let mut start = 0;
        for word in raw.split(|byte| *byte == b' ') {
            let end = start + u32::try_from(word.len()).unwrap();
            args.push(start..end);
            start = end + 1;
        }
        let asked = Asked {
            command: find(&raw, &args).unwrap_or_else(|_| panic!("{words}")),
            raw: &raw,
            args: &args,
            cluster: &self.cluster,
            kind: Kind {
                dialect: self.dialect,
                ..Kind::default()
            },
        };
        let mut out = Vec::new();
        let handler = handler(asked.command.name).expect("a handler");
        match handler(&mut self.client, &asked, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(words) => words.into_owned(),
        }
    }
}

fn run(test: impl AsyncFnOnce()) {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test());
}

fn listed(is_leaving: bool) -> Peers {
    let peer = |number: u16| Peer {
        id: format!("dp-{number}"),
        host: format!("10.0.0.{number}"),
        port: 9001,
    };
    Peers {
        listed: Arc::new([1, 2].map(peer).into()),
        is_leaving,
        ..Peers::default()
    }
}

const SUBCOMMANDS: [&str; 11] = [
    "HELP",
    "INFO",
    "KEYSLOT a",
    "LINKS",
    "MYID",
    "MYSHARDID",
    "NODES",
    "REPLICAS a",
    "SHARDS",
    "SLAVES a",
    "SLOTS",
];

#[test]
fn pool_has_no_cluster_support() {
    run(async || {
        let mut bench = Bench::start(CacheType::Redis);
        for words in SUBCOMMANDS {
            let answer = bench.ask(words);
            assert_eq!(
                answer, "ERR This instance has cluster support disabled",
                "{words}"
            );
        }
    });
}

#[test]
fn lone_data_plane_is_the_one_node() {
    run(async || {
        let mut bench = Bench::start(CacheType::RedisCluster);
        let id = node_id("dp-2");
        assert_eq!(bench.ask("MYID"), format!("$40\r\n{id}\r\n"));
        let slots = format!(
            "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$8\r\n10.0.0.2\r\n:9001\r\n$40\r\n{id}\r\n*0\r\n"
        );
        assert_eq!(bench.ask("SLOTS"), slots);
        let line = format!("{id} 10.0.0.2:9001@19001 myself,master - 0 0 1 connected 0-16383\n");
        assert_eq!(bench.ask("NODES"), format!("${}\r\n{line}\r\n", line.len()));
        let node = format!(
            "*14\r\n$2\r\nid\r\n$40\r\n{id}\r\n$4\r\nport\r\n:9001\r\n$2\r\nip\r\n$8\r\n10.0.0.2\r\n\
             $8\r\nendpoint\r\n$8\r\n10.0.0.2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
             $18\r\nreplication-offset\r\n:0\r\n$6\r\nhealth\r\n$6\r\nonline\r\n"
        );
        let shard = "*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n";
        assert_eq!(bench.ask("SHARDS"), format!("*1\r\n{shard}{node}"));
        let info = bench.ask("INFO");
        for field in [
            "state:ok",
            "slots_assigned:16384",
            "known_nodes:1",
            "size:1",
        ] {
            assert!(info.contains(&format!("cluster_{field}\r\n")), "{info}");
        }
    });
}

#[test]
fn data_planes_share_the_slots() {
    run(async || {
        let mut bench = Bench::start(CacheType::RedisCluster);
        bench.tell(listed(false));
        let nodes = bench.ask("NODES");
        let lines: Vec<_> = nodes.lines().skip(1).collect();
        let (first, second) = (node_id("dp-1"), node_id("dp-2"));
        let lines_expected = [
            format!("{first} 10.0.0.1:9001@19001 master - 0 0 1 connected 0-8191"),
            format!("{second} 10.0.0.2:9001@19001 myself,master - 0 0 2 connected 8192-16383"),
        ];
        assert_eq!(lines[..2], lines_expected);
        assert!(
            bench
                .ask("SLOTS")
                .starts_with("*2\r\n*3\r\n:0\r\n:8191\r\n")
        );
        assert!(bench.ask("SHARDS").starts_with("*2\r\n"));
        assert_eq!(bench.ask(&format!("REPLICAS {first}")), "*0\r\n");
        assert_eq!(bench.ask("REPLICAS a"), "ERR Unknown node a");
    });
}

#[test]
fn leaving_data_plane_sends_its_clients_to_the_others() {
    run(async || {
        let mut bench = Bench::start(CacheType::RedisCluster);
        bench.tell(listed(true));
        assert!(
            bench
                .ask("SLOTS")
                .starts_with("*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$8\r\n10.0.0.1")
        );
        let nodes = bench.ask("NODES");
        assert!(
            nodes.contains("myself,master - 0 0 2 connected\n"),
            "{nodes}"
        );
        assert!(
            bench
                .ask("INFO")
                .contains("cluster_known_nodes:2\r\ncluster_size:1\r\n")
        );
    });
}

#[test]
fn advertised_name_takes_the_place_of_the_address() {
    run(async || {
        let mut bench = Bench::start(CacheType::RedisCluster);
        let own = Own {
            advertise: Some("proxy.example".into()),
            ..Own::default()
        };
        bench.tell(Peers {
            own: Arc::new(own),
            ..Peers::default()
        });
        assert!(
            bench
                .ask("SLOTS")
                .contains("$13\r\nproxy.example\r\n:9001\r\n")
        );
        bench.tell(Peers::default());
        bench.client.local_addr = None;
        assert!(bench.ask("SLOTS").contains("$0\r\n\r\n:9001\r\n"));
    });
}

#[test]
fn resp3_has_maps_and_texts() {
    run(async || {
        let mut bench = Bench::start(CacheType::RedisCluster);
        bench.dialect = Dialect::Resp3;
        assert!(bench.ask("SLOTS").ends_with("\r\n%0\r\n"));
        let shards = bench.ask("SHARDS");
        assert!(
            shards.starts_with("*1\r\n%2\r\n$5\r\nslots\r\n"),
            "{shards}"
        );
        assert!(shards.contains("*1\r\n%7\r\n$2\r\nid\r\n"), "{shards}");
        for words in ["NODES", "INFO"] {
            let text = bench.ask(words);
            let (head, rest) = text.split_once("\r\n").unwrap();
            assert_eq!(head, format!("={}", rest.len() - 2), "{words}");
            assert!(rest.starts_with("txt:"), "{words}");
        }
    });
}

#[test]
fn keys_and_texts_are_answered_as_redis_does() {
    run(async || {
        let mut bench = Bench::start(CacheType::RedisCluster);
        assert_eq!(bench.ask("KEYSLOT foo{bar}"), ":5061\r\n");
        assert_eq!(bench.ask("LINKS"), "*0\r\n");
        let help = bench.ask("HELP");
        assert!(help.starts_with("*27\r\n+CLUSTER <subcommand> "), "{help}");
        for words in SUBCOMMANDS {
            let name = words.split(' ').next().unwrap_or_default();
            assert!(help.contains(&format!("\r\n+{name}")), "{name} in {help}");
        }
    });
}

//! Cluster-aware clients go through the fleet: its data planes are the nodes they see, and no endpoint is.

use std::{
    fs,
    process::Command,
    slice,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use prism_tests::{
    cluster::{Cluster, SLOTS},
    definitions,
    fleet::Fleet,
    ports,
    programs::DataPlane,
    raw::Raw,
    resp, wait,
};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, cluster::ClusterClient};
use rustix::process::Signal;

use crate::clients::{assert_success, python};

/// A data plane that died is left out within one and a half heartbeats.
const GONE: Duration = Duration::from_secs(20);

/// Two data planes in front of a Redis Cluster of three primaries.
struct Front {
    cluster: Cluster,
    fleet: Fleet,
    /// Where each data plane listens.
    listen: Vec<String>,
}

impl Front {
    fn start() -> Self {
        let cluster = Cluster::start(3);
        let fleet = Fleet::start(2);
        let (definition, listen) = fleet.listener();
        let text =
            definitions::cluster("slots", "redis_cluster", &definition, &cluster.seeds(), "");
        fleet.apply(&text);
        let front = Self {
            cluster,
            fleet,
            listen,
        };
        for addr in &front.listen {
            front.wait_nodes(addr, &front.listen, wait::LIMIT);
            let mut client = Raw::connect(addr);
            wait::until("all slots are served", wait::LIMIT, || {
                ["a", "b", "c"]
                    .iter()
                    .all(|key| client.ask(&format!("GET {key}")) == "$-1")
            });
        }
        front
    }

    #[track_caller]
    fn wait_nodes(&self, addr: &str, expected: &[String], limit: Duration) {
        let what = format!("{addr} names {expected:?}");
        wait::until(&what, limit, || nodes(addr) == expected);
    }

    fn port(&self) -> &str {
        ports::port_of(&self.listen[0])
    }
}

/// The addresses of the nodes that have slots, as `CLUSTER SLOTS` and `CLUSTER NODES` at `addr` agree on them.
#[track_caller]
fn nodes(addr: &str) -> Vec<String> {
    let mut client = Raw::connect(addr);
    // The list may change between both questions; then they are asked again.
    wait::eventually("both answers agree", wait::LIMIT, || {
        let slots = client.ask("CLUSTER SLOTS");
        let text = client.ask("CLUSTER NODES");
        let lines = text.lines().filter(|line| line.contains(" connected "));
        let addrs: Vec<_> = lines
            .filter_map(|line| line.split([' ', '@']).nth(1))
            .collect();
        let is_named = |addr: &&str| {
            let (host, port) = addr.split_once(':').expect("an address has a port");
            slots.contains(&format!("\r\n{host}\r\n:{port}\r\n"))
        };
        let is_agreed =
            slots.starts_with(&format!("*{}\r\n", addrs.len())) && addrs.iter().all(is_named);
        is_agreed.then(|| addrs.into_iter().map(str::to_owned).collect())
    })
}

const REDIS_PY: &str = r#"
import sys
from redis.cluster import RedisCluster
host, port, nodes = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
for protocol in (2, 3):
    for start in nodes:
        r = RedisCluster(host=start.split(":")[0], port=port, protocol=protocol)
        assert sorted(node.name for node in r.get_nodes()) == sorted(nodes), r.get_nodes()
        assert not r.get_replicas()
        keys = [f"key-{protocol}-{i}" for i in range(1000)]
        used = set()
        for key in keys:
            assert r.set(key, key)
            used.add(r.get_node_from_key(key).name)
        assert used == set(nodes), used
        assert all(r.get(key) == key.encode() for key in keys)
        p = r.pipeline()
        for key in keys:
            p.append(key, "!")
        assert p.execute() == [len(key) + 1 for key in keys]
        assert r.mget_nonatomic(keys) == [f"{key}!".encode() for key in keys]
        assert r.keyslot("foo{bar}") == 5061
        assert r.cluster_keyslot("foo{bar}") == 5061
        assert r.cluster_info()["cluster_state"] == "ok"
        assert set(r.cluster_nodes()) == set(nodes)
        assert r.delete(*keys) == len(keys)
        assert r.get_redis_connection(r.get_default_node()).connection_pool.connection_kwargs["port"] == port
        r.close()
"#;

#[test]
fn redis_py_cluster_works() {
    let front = Front::start();
    let output = python()
        .args(["-c", REDIS_PY, "127.0.0.1", front.port()])
        .arg(front.listen.join(","))
        .output()
        .expect("python runs");
    assert_success(&output);
}

#[test]
fn redis_rs_cluster_works() -> redis::RedisResult<()> {
    let front = Front::start();
    let start = |addr: &String| -> redis::RedisResult<ConnectionInfo> {
        let (host, port) = addr.rsplit_once(':').expect("an address has a port");
        let port = port.parse().expect("a port");
        ConnectionAddr::Tcp(host.to_owned(), port).into_connection_info()
    };
    for addr in &front.listen {
        let client = ClusterClient::new(vec![start(addr)?])?;
        let mut connection = client.get_connection()?;
        for index in 0..500 {
            let key = format!("key-{index}");
            let () = redis::cmd("SET")
                .arg(&key)
                .arg(index)
                .query(&mut connection)?;
        }
        for index in 0..500 {
            let key = format!("key-{index}");
            let value: i32 = redis::cmd("GET").arg(&key).query(&mut connection)?;
            assert_eq!(value, index);
        }
        let keys: Vec<_> = (0..100).map(|index| format!("key-{index}")).collect();
        let values: Vec<i32> = redis::cmd("MGET").arg(&keys).query(&mut connection)?;
        assert_eq!(values, (0..100).collect::<Vec<_>>());
        assert!(connection.check_connection());
    }
    Ok(())
}

#[test]
fn redis_cli_follows_no_redirect() {
    let front = Front::start();
    let run = |addr: &str, arguments: &[&str]| {
        let (host, port) = addr.rsplit_once(':').expect("an address has a port");
        let output = Command::new("redis-cli")
            .args(["-c", "-h", host, "-p", port])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        assert_success(&output).trim_end().to_owned()
    };
    for (index, key) in ["a", "b", "c", "d", "foo{bar}"].into_iter().enumerate() {
        let value = index.to_string();
        assert_eq!(run(&front.listen[0], &["SET", key, &value]), "OK");
        assert_eq!(run(&front.listen[1], &["GET", key]), value);
    }
    assert_eq!(
        run(&front.listen[0], &["-3", "CLUSTER", "KEYSLOT", "a"]),
        "15495"
    );
    let (host, port) = front.listen[1].rsplit_once(':').expect("a port");
    let check = Command::new("redis-cli")
        .args(["--cluster", "call", &format!("{host}:{port}"), "PING"])
        .output()
        .expect("redis-cli runs");
    let text = assert_success(&check);
    for addr in &front.listen {
        assert!(text.contains(&format!("{addr}: PONG")), "{text}");
    }
}

#[test]
fn every_slot_is_served_by_each_data_plane_and_no_reply_names_an_endpoint() {
    let front = Front::start();
    let seeds = front.cluster.seeds();
    let ports: Vec<_> = seeds.iter().map(|addr| ports::port_of(addr)).collect();
    let is_clean = |reply: &str| {
        let mut numbers = reply.split(|letter: char| !letter.is_ascii_digit());
        !numbers.any(|number| ports.contains(&number))
    };
    // A slot that moves makes redirects, which clients must not see.
    let slot = Cluster::slot("a");
    let from = front.cluster.first_owner(slot);
    front.cluster.move_slot(slot, from, (from + 1) % 3);
    let mut keys = vec![String::new(); usize::from(SLOTS)];
    let mut missing = keys.len();
    for number in 0.. {
        let key = number.to_string();
        let place = &mut keys[usize::from(Cluster::slot(&key))];
        if place.is_empty() {
            *place = key;
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    for addr in &front.listen {
        let mut client = Raw::connect(addr);
        for chunk in keys.chunks(512) {
            let requests: Vec<_> = chunk
                .iter()
                .flat_map(|key| resp::command(&["INCR", key]))
                .collect();
            client.send(&requests);
            let expected = if *addr == front.listen[0] { ":1" } else { ":2" };
            for key in chunk {
                assert_eq!(
                    client.reply(),
                    format!("{expected}\r\n").as_bytes(),
                    "{key}"
                );
            }
        }
        for hello in ["HELLO 2", "HELLO 3"] {
            assert!(client.ask(hello).contains("$7\r\ncluster\r\n"));
            for words in [
                "CLUSTER HELP",
                "CLUSTER INFO",
                "CLUSTER KEYSLOT a",
                "CLUSTER LINKS",
                "CLUSTER MYID",
                "CLUSTER MYSHARDID",
                "CLUSTER NODES",
                "CLUSTER SHARDS",
                "CLUSTER SLOTS",
                "CLUSTER MEET 127.0.0.1 1",
                "CLUSTER REPLICAS x",
                "CLUSTER FAILOVER",
                "CLUSTER COUNTKEYSINSLOT 5",
                "CLUSTER GETKEYSINSLOT 15495 10",
                "INFO replication",
                "INFO cluster",
                "ROLE",
                "READONLY",
                "READWRITE",
                "ASKING",
                "GET a",
                "MGET a b c",
            ] {
                let reply = client.ask(words);
                assert!(is_clean(&reply), "{words}: {reply}");
                assert!(!reply.starts_with("-MOVED"), "{words}: {reply}");
            }
        }
    }
}

#[test]
fn questions_about_a_slot_go_to_its_owner() {
    let front = Front::start();
    let mut client = Raw::connect(&front.listen[0]);
    for index in 0..5 {
        assert_eq!(client.ask(&format!("SET {{a}}{index} 1")), "+OK");
    }
    let slot = Cluster::slot("a");
    let owner = front.cluster.first_owner(slot);
    let mut owner = front.cluster.nodes[owner].client();
    for words in [
        format!("CLUSTER COUNTKEYSINSLOT {slot}"),
        format!("CLUSTER GETKEYSINSLOT {slot} 3"),
        format!("CLUSTER GETKEYSINSLOT {slot} 100"),
        format!("CLUSTER GETKEYSINSLOT {slot} 0"),
        format!("CLUSTER GETKEYSINSLOT {slot} -1"),
        format!("CLUSTER GETKEYSINSLOT {slot} x"),
        "CLUSTER GETKEYSINSLOT 16384 1".to_owned(),
        "CLUSTER GETKEYSINSLOT x x".to_owned(),
        "CLUSTER GETKEYSINSLOT 1".to_owned(),
        "CLUSTER COUNTKEYSINSLOT".to_owned(),
        "CLUSTER COUNTKEYSINSLOT x".to_owned(),
        "CLUSTER COUNTKEYSINSLOT -1".to_owned(),
        "CLUSTER COUNTKEYSINSLOT 16384".to_owned(),
        "CLUSTER COUNTKEYSINSLOT 01".to_owned(),
        "CLUSTER KEYSLOT {a}1".to_owned(),
        "CLUSTER KEYSLOT".to_owned(),
        "CLUSTER LINKS x".to_owned(),
        "CLUSTER REPLICAS x".to_owned(),
        "CLUSTER NOSUCH".to_owned(),
        "CLUSTER".to_owned(),
    ] {
        assert_eq!(client.ask(&words), owner.ask(&words), "{words}");
    }
    assert_eq!(client.ask(&format!("CLUSTER COUNTKEYSINSLOT {slot}")), ":5");
}

#[test]
fn draining_data_plane_leaves_the_answer_before_it_closes_and_comes_back() {
    let mut front = Front::start();
    let (stays, goes) = (front.listen[0].clone(), front.listen[1].clone());
    let is_closed = AtomicBool::new(false);
    thread::scope(|scope| {
        let (stays, goes, is_closed) = (&stays, &goes, &is_closed);
        scope.spawn(move || {
            wait::until("the drained data plane closes", wait::LIMIT, || {
                Raw::open(goes).is_err()
            });
            is_closed.store(true, Ordering::SeqCst);
            assert_eq!(nodes(stays), [stays.as_str()], "it closed before it left");
        });
        front.fleet.data_planes[1].process().signal(Signal::TERM);
    });
    assert!(is_closed.load(Ordering::SeqCst));
    let exit = front.fleet.data_planes[1].process().wait_exit(wait::LIMIT);
    assert!(exit.success(), "{exit:?}");
    front.fleet.data_planes[1] = Fleet::data_plane(&front.fleet.control, 2, &[]);
    for addr in &front.listen {
        front.wait_nodes(addr, &front.listen, wait::LIMIT);
    }
}

#[test]
fn dead_data_plane_leaves_the_answer_and_the_last_one_stands_without_a_control_plane() {
    let mut front = Front::start();
    let stays = front.listen[0].clone();
    front.fleet.control.process().kill();
    front.fleet.data_planes[1].process().kill();
    assert_eq!(nodes(&stays), front.listen, "nobody says anything else");
    front.fleet.control.restart();
    wait::until("the fleet is in step", wait::LIMIT, || {
        front.fleet.state("dp-1") == "synced"
    });
    assert_eq!(nodes(&stays), front.listen, "a list made in a hurry");
    // Until data planes had the time to come back the list that is held is the better one.
    front.wait_nodes(&stays, slice::from_ref(&stays), 3 * GONE);
    front.fleet.data_planes[1] = Fleet::data_plane(&front.fleet.control, 2, &[]);
    for addr in &front.listen {
        front.wait_nodes(addr, &front.listen, wait::LIMIT);
    }
    front.fleet.data_planes[1].process().kill();
    front.wait_nodes(&stays, slice::from_ref(&stays), GONE);
}

#[test]
fn data_plane_of_a_file_names_itself_as_it_is_advertised() {
    let cluster = Cluster::start(3);
    let listen = ports::free_addr();
    let text = definitions::cluster("slots", "redis_cluster", &listen, &cluster.seeds(), "");
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = folder.path().join("prism.toml");
    fs::write(&file, text).expect("the temporary folder is writable");
    let file = file.to_string_lossy();
    let alone = ["--bootstrap", &file, "--id", "alone"];
    let id = {
        let _data_plane = DataPlane::start(&alone);
        assert_eq!(nodes(&listen), [listen.as_str()]);
        Raw::connect(&listen).ask("CLUSTER MYID")
    };
    let named = [&alone[..], &["--advertise", "localhost"]].concat();
    let _data_plane = DataPlane::start(&named);
    assert_eq!(
        nodes(&listen),
        [format!("localhost:{}", ports::port_of(&listen))]
    );
    assert_eq!(
        Raw::connect(&listen).ask("CLUSTER MYID"),
        id,
        "ids are stable"
    );
}

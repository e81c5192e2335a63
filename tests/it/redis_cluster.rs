//! A Redis Cluster behind one listener: no redirect reaches a client, the last value wins, all keys can be asked at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use prism_tests::{
    cluster::Cluster, definitions, definitions::transcript, is_long, oracle::Oracle, ports,
    programs::DataPlane, raw::Raw, resp, wait,
};

/// A data plane in front of a Redis Cluster.
pub(crate) struct Front {
    pub(crate) cluster: Cluster,
    pub(crate) listen: String,
    pub(crate) data_plane: DataPlane,
}

impl Front {
    /// Waits until all slots are served.
    pub(crate) fn start(cluster: Cluster, more: &str) -> Self {
        let listen = ports::free_addr();
        let text = definitions::cluster("slots", "redis_cluster", &listen, &cluster.seeds(), more);
        let data_plane = DataPlane::bootstrap(&text);
        let front = Self {
            cluster,
            listen,
            data_plane,
        };
        wait::until("all slots are served", wait::LIMIT, || {
            let mut client = front.client();
            ["a", "b", "c", "d", "e"]
                .iter()
                .all(|key| client.ask(&format!("GET {key}")) == "$-1")
        });
        front
    }

    /// A connection to its listener.
    pub(crate) fn client(&self) -> Raw {
        Raw::connect(&self.listen)
    }
}

fn text(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).into_owned()
}

#[test]
fn commands_answer_as_one_server() {
    let front = Front::start(Cluster::start(3), "");
    let mut oracle = Oracle::new(&front.listen);
    let text = include_str!("../vectors/redis/single_key.txt");
    for run in 0..5 {
        for command in transcript(text, &format!("run-{run}:")) {
            oracle.check(&command);
        }
    }
    let keys: Vec<_> = (0..200).map(|index| format!("key-{index}")).collect();
    let set: Vec<_> = ["MSET".to_owned()]
        .into_iter()
        .chain(
            keys.iter()
                .skip(20)
                .flat_map(|key| [key.clone(), format!("value of {key}")]),
        )
        .collect();
    oracle.check(&set);
    let doubled = [&keys[..], &keys[50..80]].concat();
    for name in ["MGET", "EXISTS", "TOUCH", "DEL", "UNLINK", "MGET"] {
        let words: Vec<_> = [name.to_owned()]
            .into_iter()
            .chain(doubled.iter().cloned())
            .collect();
        oracle.check(&words);
    }
    oracle.check_words("MSET key-1 first key-2 x key-1 last");
    oracle.check_words("MGET key-1 key-2 key-1");
}

#[test]
fn moved_slot_is_learned_and_seen_by_no_client() {
    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    for key in ["a", "b", "c", "{a}1", "{b}2"] {
        assert_eq!(client.ask(&format!("SET {key} 1")), "+OK");
    }
    let slot = Cluster::slot("a");
    let from = front.cluster.first_owner(slot);
    front.cluster.move_slot(slot, from, (from + 1) % 3);
    assert_eq!(client.ask("GET a"), "$1\r\n1");
    assert_eq!(
        client.ask("MGET a b c {a}1"),
        "*4\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1"
    );
    assert_eq!(client.ask("SET a 2"), "+OK");
    assert_eq!(front.client().ask("GET a"), "$1\r\n2");
}

#[test]
fn migrating_slot_is_asked_at_both_ends() {
    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    for index in 0..20 {
        assert_eq!(client.ask(&format!("SET {{a}}{index} {index}")), "+OK");
    }
    let slot = Cluster::slot("a");
    let from = front.cluster.first_owner(slot);
    let to = (from + 1) % 3;
    front.cluster.begin_move(slot, from, to);
    front.cluster.move_keys(slot, from, to, 10);
    let keys: Vec<_> = (0..20).map(|index| format!("{{a}}{index}")).collect();
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(
            client.ask(&format!("GET {key}")),
            resp_text(&index.to_string())
        );
    }
    let many = client.ask(&format!("MGET {}", keys.join(" ")));
    let expected: String = (0..20)
        .map(|index| format!("{}\r\n", resp_text(&index.to_string())))
        .collect();
    assert_eq!(many, format!("*20\r\n{expected}").trim_end());
    assert_eq!(client.ask("SET {a}new 1"), "+OK");
    assert_eq!(client.ask("EXISTS {a}new {a}0 {a}none {a}19"), ":3");
    assert_eq!(client.ask("DEL {a}new {a}0 {a}19"), ":3");
    while front.cluster.move_keys(slot, from, to, 10) > 0 {}
    front.cluster.end_move(slot, from, to);
    assert_eq!(client.ask("GET {a}5"), "$1\r\n5");
}

fn resp_text(value: &str) -> String {
    String::from_utf8_lossy(&resp::bulk(value))
        .trim_end()
        .to_owned()
}

/// Pipelines `SET k 1…1000` on several connections while the slots of their keys move, and reads the last values.
fn last_value_wins(node_connections: usize) {
    let more = format!("node_connections = {node_connections}\nread_timeout = 10000");
    let front = Front::start(Cluster::start(3), &more);
    let keys = ["a", "b", "moving", "k"];
    let rounds = if is_long() { 20 } else { 4 };
    let mut homes: Vec<_> = keys
        .iter()
        .map(|key| front.cluster.first_owner(Cluster::slot(key)))
        .collect();
    for round in 0..rounds {
        thread::scope(|scope| {
            for key in keys {
                let front = &front;
                scope.spawn(move || set_1000(front, key, round));
            }
            for (key, home) in keys.iter().zip(&mut homes) {
                let next = (*home + 1 + round % 2) % 3;
                front.cluster.move_slot(Cluster::slot(key), *home, next);
                *home = next;
            }
        });
    }
}

fn set_1000(front: &Front, key: &str, round: usize) {
    let mut client = front.client();
    let mut writer = client.writer();
    thread::scope(|scope| {
        scope.spawn(move || {
            use std::io::Write as _;
            for value in 1..=1000 {
                let request = resp::command(&["SET", key, &format!("{round}-{value}")]);
                writer.write_all(&request).expect("the proxy reads");
                if value % 50 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
            }
            writer
                .write_all(&resp::command(&["GET", key]))
                .expect("the proxy reads");
        });
        for value in 1..=1000 {
            let reply = client.reply();
            assert_eq!(String::from_utf8_lossy(&reply), "+OK\r\n", "{key} {value}");
        }
        let last = format!("{round}-1000");
        assert_eq!(client.reply(), resp::bulk(&last), "{key} in its own order");
        assert_eq!(
            front.client().call(&["GET", key]),
            resp::bulk(&last),
            "{key} for others"
        );
    });
}

#[test]
fn last_value_wins_through_moving_slots() {
    last_value_wins(1);
}

#[test]
fn last_value_wins_with_several_node_connections() {
    last_value_wins(4);
}

#[test]
fn load_during_migrations_sees_no_redirect() {
    let front = Front::start(Cluster::start(3), "read_timeout = 10000");
    let deadline = Instant::now() + Duration::from_secs(if is_long() { 60 } else { 6 });
    thread::scope(|scope| {
        for number in 0..16 {
            let front = &front;
            scope.spawn(move || {
                let mut client = front.client();
                let mut round = 0;
                while Instant::now() < deadline {
                    let keys: Vec<_> = (0..8)
                        .map(|index| format!("{{t{index}}}:{number}"))
                        .collect();
                    let mut bytes = Vec::new();
                    for key in &keys {
                        bytes.extend(resp::command(&["SET", key, &round.to_string()]));
                        bytes.extend(resp::command(&["GET", key]));
                    }
                    let words: Vec<_> = ["MGET"]
                        .into_iter()
                        .chain(keys.iter().map(String::as_str))
                        .collect();
                    bytes.extend(resp::command(&words));
                    client.send(&bytes);
                    let value = resp::bulk(round.to_string());
                    for key in &keys {
                        assert_eq!(text(&client.reply()), "+OK\r\n", "{key}");
                        assert_eq!(text(&client.reply()), text(&value), "{key}");
                    }
                    assert_eq!(
                        client.reply(),
                        [b"*8\r\n".to_vec(), value.repeat(8)].concat()
                    );
                    round += 1;
                }
                assert!(round > 10, "{round} rounds");
            });
        }
        let mut homes: Vec<_> = (0..8)
            .map(|index| (Cluster::slot(&format!("t{index}")), 0))
            .map(|(slot, _)| (slot, front.cluster.first_owner(slot)))
            .collect();
        while Instant::now() + Duration::from_secs(1) < deadline {
            for (slot, home) in &mut homes {
                let next = (*home + 1) % 3;
                front.cluster.move_slot(*slot, *home, next);
                *home = next;
            }
        }
    });
}

#[test]
fn new_owner_is_found_when_a_seed_is_gone() {
    let cluster = Cluster::start(3);
    let listen = ports::free_addr();
    let mut seeds = vec![ports::free_addr()];
    seeds.extend(cluster.seeds());
    let text = definitions::cluster("slots", "redis_cluster", &listen, &seeds, "");
    let _data_plane = DataPlane::bootstrap(&text);
    let mut client = Raw::connect(&listen);
    wait::until("the cluster is served", wait::LIMIT, || {
        client.ask("SET a 1") == "+OK"
    });
}

#[test]
fn dead_node_fails_its_own_slots_only() {
    let mut cluster = Cluster::start(3);
    let mut front_seeds = cluster.seeds();
    front_seeds.rotate_left(1);
    let listen = ports::free_addr();
    let more = "read_timeout = 1000\nping_fail_limit = 0";
    let text = definitions::cluster("slots", "redis_cluster", &listen, &front_seeds, more);
    let _data_plane = DataPlane::bootstrap(&text);
    let mut client = Raw::connect(&listen);
    let keys: Vec<_> = (0..30).map(|index| format!("key-{index}")).collect();
    for key in &keys {
        wait::until("the cluster is served", wait::LIMIT, || {
            client.ask(&format!("SET {key} 1")) == "+OK"
        });
    }
    cluster.nodes[0].process().kill();
    for key in &keys {
        let reply = client.ask(&format!("GET {key}"));
        let is_dead = cluster.first_owner(Cluster::slot(key)) == 0;
        assert_eq!(reply.starts_with('-'), is_dead, "{key}: {reply}");
        assert!(!reply.starts_with("-MOVED"), "{reply}");
    }
}

#[test]
fn requests_wait_for_the_replica_that_takes_over() {
    let cluster = Cluster::start_with(3, 3, Duration::from_secs(2));
    let mut front = Front::start(cluster, "read_timeout = 20000");
    let mut client = front.client();
    let keys: Vec<_> = (0..60).map(|index| format!("key-{index}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&format!("SET {key} 1")), "+OK");
    }
    // Replication is asynchronous: what the replica has not, the cluster loses.
    wait::until("the replica has the writes", wait::LIMIT, || {
        let info = front.cluster.nodes[0].ask("INFO replication");
        let offset = |name: &str| {
            let (_, rest) = info.split_once(name)?;
            rest.split([',', '\r']).next()?.parse::<u64>().ok()
        };
        let written = offset("master_repl_offset:");
        written.is_some_and(|written| written > 0) && offset(",offset=") == written
    });
    front.cluster.nodes[0].process().kill();
    for key in &keys {
        assert_eq!(client.ask(&format!("GET {key}")), "$1\r\n1", "{key}");
    }
    assert_eq!(client.ask("SET key-1 2"), "+OK");
}

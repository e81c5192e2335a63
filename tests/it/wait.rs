//! WAIT: what a session wrote is on as many replicas as it is told.

use std::time::{Duration, Instant};

use prism_tests::{cluster::Cluster, oracle::Oracle, redis::Redis, resp, wait};

use crate::{pool::Pool, redis_cluster::Front};

/// A pool whose endpoints have a replica each, which follows.
struct Replicated {
    pool: Pool,
    replicas: Vec<Redis>,
}

impl Replicated {
    fn start(count: usize, more: &str) -> Self {
        let endpoints = Redis::start_many(count);
        let replica =
            |of: &Redis| Redis::start_with(&["--replicaof", "127.0.0.1", &of.port().to_string()]);
        let replicas: Vec<_> = endpoints.iter().map(replica).collect();
        for endpoint in &endpoints {
            wait::until("the replica follows", wait::LIMIT, || {
                endpoint.ask("INFO replication").contains("state=online")
            });
        }
        let pool = Pool::start_with(endpoints, more);
        Self { pool, replicas }
    }

    /// A key of each endpoint.
    fn keys(&self) -> Vec<String> {
        let mut client = self.pool.client();
        let endpoints = self.pool.endpoints.iter();
        let key = |redis: &Redis| {
            let mut keys = (0..).map(|number| format!("{}:{number}", number * 7919));
            keys.find(|key| {
                client.ask(&format!("SET {key} 1"));
                redis.ask(&format!("EXISTS {key}")) == ":1"
            })
        };
        endpoints
            .map(key)
            .map(|key| key.expect("some key is there"))
            .collect()
    }
}

#[test]
fn wait_tells_how_many_replicas_have_what_was_written() {
    let mut replicated = Replicated::start(1, "");
    let mut client = replicated.pool.client();
    assert_eq!(client.ask("SET a 1"), "+OK");
    assert_eq!(client.ask("WAIT 1 10000"), ":1");
    replicated.replicas[0].process().suspend();
    assert_eq!(client.ask("SET a 2"), "+OK");
    assert_eq!(client.ask("WAIT 1 100"), ":0");
    assert_eq!(
        client.ask("WAIT 1 100"),
        ":0",
        "asked again, it is still so"
    );
    let began = Instant::now();
    assert_eq!(client.ask("WAIT 0 10000"), ":0");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "nothing is waited for"
    );
    replicated.replicas[0].process().resume();
    assert_eq!(client.ask("WAIT 1 10000"), ":1");
    assert_eq!(client.ask("WAIT 2 100"), ":1");
}

#[test]
fn wait_is_behind_the_writes_that_were_sent_with_it() {
    let mut replicated = Replicated::start(2, "");
    let keys = replicated.keys();
    let mut client = replicated.pool.client();
    replicated.replicas[1].process().suspend();
    let mut bytes = resp::command(&["MSET", &keys[0], "2", &keys[1], "2"]);
    bytes.extend(resp::command(&["WAIT", "1", "100"]));
    bytes.extend(resp::command(&["PING"]));
    client.send(&bytes);
    assert_eq!(client.reply(), b"+OK\r\n");
    assert_eq!(client.reply(), b":0\r\n");
    assert_eq!(client.reply(), b"+PONG\r\n");
    replicated.replicas[1].process().resume();
}

#[test]
fn only_shards_that_were_written_to_are_asked() {
    let mut replicated = Replicated::start(2, "");
    let keys = replicated.keys();
    replicated.replicas[1].process().suspend();
    let (mut well, mut ill) = (replicated.pool.client(), replicated.pool.client());
    assert_eq!(well.ask(&format!("SET {} 2", keys[0])), "+OK");
    assert_eq!(ill.ask(&format!("SET {} 2", keys[1])), "+OK");
    assert_eq!(well.ask("WAIT 1 10000"), ":1");
    assert_eq!(ill.ask("WAIT 1 100"), ":0");
    assert_eq!(ill.ask(&format!("SET {} 2", keys[0])), "+OK");
    assert_eq!(ill.ask("WAIT 1 100"), ":0", "the fewest count");
    replicated.replicas[1].process().resume();
    assert_eq!(ill.ask("WAIT 1 10000"), ":1");
}

#[test]
fn replicas_of_a_redis_cluster_are_waited_for() {
    let cluster = Cluster::start_with(3, 3, Duration::from_secs(15));
    let mut front = Front::start(cluster, "");
    let owner = front.cluster.first_owner(Cluster::slot("a"));
    let mut client = front.client();
    assert_eq!(client.ask("SET a 1"), "+OK");
    assert_eq!(client.ask("WAIT 1 10000"), ":1");
    front.cluster.nodes[3 + owner].process().suspend();
    assert_eq!(client.ask("SET a 2"), "+OK");
    assert_eq!(client.ask("WAIT 1 100"), ":0");
    front.cluster.nodes[3 + owner].process().resume();
    assert_eq!(client.ask("WAIT 1 10000"), ":1");
}

#[test]
fn nobody_waits_with_a_client_that_waits() {
    let mut replicated = Replicated::start(1, "node_connections = 1\nmax_leases = 2");
    replicated.replicas[0].process().suspend();
    for _ in 0..5 {
        let mut waiting = replicated.pool.client();
        assert_eq!(waiting.ask("SET a 1"), "+OK");
        waiting.send(&resp::command(&["WAIT", "1", "0"]));
        let mut other = replicated.pool.client();
        assert_eq!(other.ask("GET a"), "$1\r\n1");
        drop(waiting);
        wait::until("the private connection is given back", wait::LIMIT, || {
            let clients = replicated.pool.endpoints[0].ask("INFO clients");
            clients.contains("blocked_clients:0")
        });
    }
    let mut waiting = replicated.pool.client();
    assert_eq!(waiting.ask("SET a 1"), "+OK");
    waiting.send(&resp::command(&["WAIT", "1", "0"]));
    replicated.replicas[0].process().resume();
    assert_eq!(waiting.reply(), b":1\r\n");
}

#[test]
fn client_that_waits_can_be_unblocked() {
    let mut replicated = Replicated::start(1, "");
    replicated.replicas[0].process().suspend();
    let (mut waiting, mut other) = (replicated.pool.client(), replicated.pool.client());
    let id = waiting.ask("CLIENT ID").replace(':', "");
    assert_eq!(waiting.ask("SET a 1"), "+OK");
    for (how, expected) in [
        ("TIMEOUT", ":0\r\n"),
        (
            "ERROR",
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n",
        ),
    ] {
        waiting.send(&resp::command(&["WAIT", "1", "0"]));
        wait::until("the client is unblocked", wait::LIMIT, || {
            other.ask(&format!("CLIENT UNBLOCK {id} {how}")) == ":1"
        });
        assert_eq!(String::from_utf8_lossy(&waiting.reply()), expected);
    }
    assert_eq!(waiting.ask("GET a"), "$1\r\n1");
    replicated.replicas[0].process().resume();
    assert_eq!(waiting.ask("WAIT 1 10000"), ":1");
}

#[test]
fn wait_answers_as_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    for words in [
        "WAIT 0 0",
        "WAIT 0 100",
        "WAIT 1 10",
        "SET a 1",
        "WAIT 1 10",
        "WAIT -1 10",
        "WAIT x 1",
        "WAIT 1 x",
        "WAIT x -1",
        "WAIT 1 -1",
        "WAIT 1.5 1",
        "WAIT 0 9223372036854775807",
        "WAIT 99999999999999999999 1",
        "WAIT",
        "WAIT 1",
    ] {
        oracle.check_words(words);
    }
}

#[test]
fn dead_shard_that_was_written_to_is_named() {
    let mut pool = Pool::start(1);
    let mut client = pool.client();
    assert_eq!(client.ask("SET a 1"), "+OK");
    pool.endpoints[0].process().kill();
    let reply = client.ask("WAIT 1 100");
    assert!(
        reply.starts_with("-ERR prism: endpoint redis-1 "),
        "{reply}"
    );
}

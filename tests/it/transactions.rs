//! Transactions: what is queued runs together and alone, as at one server, or not at all.

use std::thread;

use prism_tests::{
    cluster::Cluster,
    definitions::tagged,
    is_long,
    oracle::Oracle,
    raw::Raw,
    redis::Redis,
    resp::{self, pipeline, text},
};

use crate::{pool::Pool, redis_cluster::Front};

const LINES: &str = include_str!("../vectors/redis/transactions.txt");

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";
const CROSSSLOT: &str = "-CROSSSLOT Keys in request don't hash to the same slot";

/// Asks for the same transactions one line at a time, and all at once, in both dialects.
fn check_lines(listen: &str) {
    let mut oracle = Oracle::new(listen);
    for tag in ["{a}", "{bc}", "{def}", "{x1}", "{user:333}"] {
        for line in tagged(LINES, tag) {
            oracle.check_words(&line);
        }
    }
    for (dialect, tag) in [
        ("HELLO 3", "{g}"),
        ("HELLO 2", "{hi}"),
        ("HELLO 3", "{jkl}"),
    ] {
        oracle.skip(&pipeline(&[dialect]), 1);
        // RESET would end the dialect.
        let lines: Vec<_> = tagged(LINES, tag)
            .into_iter()
            .filter(|line| line != "RESET")
            .collect();
        oracle.check_bytes(&pipeline(&lines), lines.len());
    }
}

/// A pool that honours hash tags.
pub(crate) fn pool(count: usize) -> Pool {
    Pool::start_with(Redis::start_many(count), "hash_tag = \"{}\"")
}

#[test]
fn transactions_of_a_pool_are_those_of_one_server() {
    let pool = pool(3);
    check_lines(&pool.listen);
    for redis in &pool.endpoints {
        assert_ne!(redis.ask("DBSIZE"), ":0", "every endpoint holds keys");
    }
}

#[test]
fn transactions_of_a_redis_cluster_are_those_of_one_server() {
    check_lines(&Front::start(Cluster::start(3), "").listen);
}

#[test]
fn transaction_over_shards_is_refused_when_it_is_queued() {
    let pool = pool(3);
    let front = Front::start(Cluster::start(3), "");
    for mut client in [pool.client(), front.client()] {
        assert_eq!(client.ask("MULTI"), "+OK");
        let keys: Vec<_> = (0..20).map(|index| format!("key-{index}")).collect();
        let set = |key: &String| client.ask(&format!("SET {key} 1"));
        let replies: Vec<_> = keys.iter().map(set).collect();
        assert_eq!(replies[0], "+QUEUED");
        assert!(
            replies.iter().any(|reply| reply == CROSSSLOT),
            "{replies:?}"
        );
        assert_eq!(client.ask("EXEC"), ABORTED);
        assert_eq!(client.ask("MULTI"), "+OK");
        assert_eq!(client.ask(&format!("DEL {}", keys.join(" "))), CROSSSLOT);
        assert_eq!(client.ask("EXEC"), ABORTED);
        assert_eq!(client.ask(&format!("EXISTS {}", keys.join(" "))), ":0");
    }
}

#[test]
fn key_count_that_is_none_sends_no_transaction_after_other_words() {
    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    for request in [
        "ZDIFFSTORE {b}zset2 +1 1 {b}zset2",
        "ZINTERCARD x 3 {c}zset2 {c}zset1",
    ] {
        assert_eq!(client.ask("MULTI"), "+OK");
        assert_eq!(client.ask("SET {b}a 1"), "+QUEUED");
        let refusal = client.ask(request);
        assert!(
            refusal.ends_with("does not say where its keys are"),
            "{refusal}"
        );
        assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    }
    assert_eq!(client.ask("GET {b}a"), "$-1");
}

#[test]
fn what_belongs_to_a_connection_is_refused_in_a_transaction() {
    let pool = pool(2);
    let mut client = pool.client();
    for line in [
        "SELECT 1",
        "SUBSCRIBE a",
        "CLIENT REPLY OFF",
        "HELLO 3",
        "DBSIZE",
        "MONITOR",
        "AUTH x",
    ] {
        assert_eq!(client.ask("MULTI"), "+OK");
        assert_eq!(client.ask("SET a 1"), "+QUEUED");
        let reply = client.ask(line);
        assert!(reply.starts_with("-ERR prism: "), "{line}: {reply}");
        assert_eq!(client.ask("EXEC"), ABORTED, "{line}");
    }
    assert_eq!(client.ask("GET a"), "$-1");
}

#[test]
fn transaction_of_too_many_bytes_is_refused() {
    let pool = Pool::start_with(Redis::start_many(1), "max_request_bytes = 2048");
    let mut client = pool.client();
    assert_eq!(client.ask("MULTI"), "+OK");
    let value = "x".repeat(900);
    assert_eq!(client.ask(&format!("SET a {value}")), "+QUEUED");
    assert_eq!(client.ask(&format!("SET a {value}")), "+QUEUED");
    let reply = client.ask(&format!("SET a {value}"));
    assert_eq!(
        reply,
        "-ERR prism: transaction is over the limit of 2048 bytes"
    );
    assert_eq!(client.ask("EXEC"), ABORTED);
    assert_eq!(client.ask("GET a"), "$-1");
}

#[test]
fn queued_errors_of_an_endpoint_abort_the_transaction() {
    let redis = Redis::start_with(&["--maxmemory", "1"]);
    let pool = Pool::start_with(vec![redis], "");
    let mut client = pool.client();
    assert_eq!(client.ask("MULTI"), "+OK");
    assert_eq!(client.ask("SET a 1"), "+QUEUED");
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.ask("GET a"), "$-1");
}

#[test]
fn transaction_is_one_clients_own_and_runs_alone() {
    let pool = pool(1);
    let (mut one, mut other) = (pool.client(), pool.client());
    assert_eq!(one.ask("MULTI"), "+OK");
    assert_eq!(one.ask("SET a one"), "+QUEUED");
    assert_eq!(other.ask("SET a other"), "+OK");
    assert_eq!(other.ask("GET a"), "$5\r\nother");
    assert_eq!(one.ask("EXEC"), "*1\r\n+OK");
    assert_eq!(other.ask("GET a"), "$3\r\none");
    assert_eq!(one.ask("MULTI"), "+OK");
    assert_eq!(one.ask("SET a lost"), "+QUEUED");
    drop(one);
    // Two numbers that only change together are never seen apart, whatever else travels on the connection.
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = pool.client();
                for _ in 0..if is_long() { 20_000 } else { 500 } {
                    client.send(&pipeline(&["MULTI", "INCR x", "INCR y", "EXEC", "GET z"]));
                    let replies: [_; 5] = std::array::from_fn(|_| text(&client.reply()));
                    let [.., exec, _] = &replies;
                    let numbers: Vec<_> = exec.lines().skip(1).collect();
                    assert!(
                        numbers.len() == 2 && numbers[0] == numbers[1],
                        "{replies:?}"
                    );
                }
            });
        }
    });
    assert_eq!(other.ask("GET a"), "$3\r\none");
}

#[test]
fn large_transaction_is_sent_and_answered_whole() {
    let pool = pool(2);
    let mut oracle = Oracle::new(&pool.listen);
    let value = vec![b'v'; 300_000];
    let mut bytes = pipeline(&["MULTI"]);
    for _ in 0..10 {
        bytes.extend(resp::command(&[b"SET".as_slice(), b"a", &value]));
        bytes.extend(resp::command(&["GET", "a"]));
    }
    bytes.extend(pipeline(&["EXEC", "STRLEN a"]));
    let replies = oracle.check_bytes(&bytes, 23);
    assert!(replies[21].len() > 3_000_000);
}

#[test]
fn transaction_finds_a_slot_that_moved() {
    let front = Front::start(Cluster::start(3), "");
    let slot = Cluster::slot("a");
    let from = front.cluster.first_owner(slot);
    let to = (from + 1) % 3;
    let run = |client: &mut Raw| {
        for line in ["SET {a}1 x", "PING", "APPEND {a}1 y", "GET {a}1"] {
            if line.starts_with("SET") {
                assert_eq!(client.ask("MULTI"), "+OK");
            }
            assert_eq!(client.ask(line), "+QUEUED");
        }
        assert_eq!(client.ask("EXEC"), "*4\r\n+OK\r\n+PONG\r\n:2\r\n$2\r\nxy");
    };
    let mut client = front.client();
    run(&mut client);
    front.cluster.begin_move(slot, from, to);
    run(&mut client);
    while front.cluster.move_keys(slot, from, to, 10) > 0 {}
    // The keys are at the target, which is to be asked.
    run(&mut client);
    client.send(&pipeline(&[
        "SET {a}2 1",
        "MULTI",
        "INCR {a}2",
        "INCR {a}2",
        "EXEC",
        "GET {a}2",
    ]));
    let replies: [_; 6] = std::array::from_fn(|_| text(&client.reply()));
    assert_eq!(replies[4..], ["*2\r\n:2\r\n:3", "$1\r\n3"]);
    while front.cluster.move_keys(slot, from, to, 10) > 0 {}
    front.cluster.end_move(slot, from, to);
    run(&mut client);
    run(&mut front.client());
    assert!(front.data_plane.metric("prism_upstream_moved_total") >= 1.0);
}

#[test]
fn numbers_of_transactions_stay_equal_while_their_slot_moves() {
    let front = Front::start(Cluster::start(3), "read_timeout = 10000");
    let slot = Cluster::slot("a");
    let home = front.cluster.first_owner(slot);
    let rounds = if is_long() { 20 } else { 2 };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = front.client();
                    for _ in 0..300 {
                        client.send(&pipeline(&["MULTI", "INCR {a}x", "INCR {a}y", "EXEC"]));
                        let replies: [_; 4] = std::array::from_fn(|_| text(&client.reply()));
                        let numbers: Vec<_> = replies[3].lines().skip(1).collect();
                        assert!(
                            numbers.len() == 2 && numbers[0] == numbers[1],
                            "{replies:?}"
                        );
                    }
                })
            })
            .collect();
        for round in 0..rounds {
            front
                .cluster
                .move_slot(slot, (home + round) % 3, (home + round + 1) % 3);
        }
        for client in clients {
            client.join().expect("every transaction ran whole");
        }
    });
    assert_eq!(
        front.client().ask("MGET {a}x {a}y"),
        "*2\r\n$3\r\n900\r\n$3\r\n900"
    );
}

#[test]
fn command_that_only_endpoints_know_is_queued_too() {
    let endpoints = (0..2).map(|_| Redis::start_with(&["--rename-command", "GETSET", "SWAP"]));
    let pool = Pool::start_with(endpoints.collect(), "");
    let mut client = pool.client();
    for line in ["MULTI", "SET a 1", "SWAP a 2", "GET a"] {
        let expected = if line == "MULTI" { "+OK" } else { "+QUEUED" };
        assert_eq!(client.ask(line), expected, "{line}");
    }
    assert_eq!(client.ask("EXEC"), "*3\r\n+OK\r\n$1\r\n1\r\n$1\r\n2");
    assert_eq!(client.ask("MULTI"), "+OK");
    assert!(client.ask("SWAP a").starts_with("-ERR wrong number"));
    assert_eq!(client.ask("EXEC"), ABORTED);
}

//! WATCH: a transaction runs only if what it stands on is as it was, or answers that it is not.

use prism_tests::{
    cluster::Cluster,
    oracle::Oracle,
    programs::DataPlane,
    redis::Redis,
    resp::{pipeline, text},
    wait,
};

use crate::{pool::Pool, redis_cluster::Front, transactions::pool};

#[test]
fn watched_keys_are_watched_as_by_one_server() {
    let pool = pool(3);
    let front = Front::start(Cluster::start(3), "");
    for listen in [&pool.listen, &front.listen] {
        let mut oracle = Oracle::new(listen);
        for dialect in ["HELLO 3", "HELLO 2"] {
            oracle.skip(&pipeline(&[dialect]), 1);
            let lines = [
                // Nobody changes it.
                "SET {a}1 0",
                "WATCH {a}1 {a}2",
                "GET {a}1",
                "MULTI",
                "INCR {a}1",
                "EXEC",
                // It changes it itself, before MULTI.
                "WATCH {a}1",
                "INCR {a}1",
                "MULTI",
                "INCR {a}1",
                "EXEC",
                // What was told counts no more.
                "WATCH {a}1",
                "INCR {a}1",
                "UNWATCH",
                "MULTI",
                "INCR {a}1",
                "EXEC",
                "WATCH {a}1",
                "INCR {a}1",
                "MULTI",
                "DISCARD",
                "MULTI",
                "INCR {a}1",
                "EXEC",
                "WATCH {a}1",
                "WATCH {a}2",
                "SET {a}2 x",
                "MULTI",
                "EXEC",
                "WATCH {a}1",
                "MULTI",
                "EXEC",
                "WATCH {a}1",
                "INCR {a}1",
                "MULTI",
                "NOSUCH",
                "EXEC",
                "MULTI",
                "INCR {a}1",
                "EXEC",
                "WATCH {a}1",
                "INCR {a}1",
                "MULTI",
                "EXEC x",
                "MULTI",
                "INCR {a}1",
                "EXEC",
                "WATCH {a}1",
                "MULTI",
                "WATCH {a}2",
                "UNWATCH",
                "LPUSH {a}1 wrong",
                "EXEC",
                "DISCARD",
                "UNWATCH",
                "GET {a}1",
            ];
            for line in lines {
                oracle.check_words(line);
            }
            oracle.check_bytes(&pipeline(&lines), lines.len());
        }
        let lines = [
            "WATCH {a}1",
            "INCR {a}1",
            "RESET",
            "MULTI",
            "INCR {a}1",
            "EXEC",
        ];
        oracle.check_bytes(&pipeline(&lines), lines.len());
    }
    for data_plane in [&pool.data_plane, &front.data_plane] {
        no_leases(data_plane);
    }
}

/// Keys that are not all at one place.
fn many_keys() -> String {
    let keys: Vec<_> = (0..20).map(|index| format!("key-{index}")).collect();
    keys.join(" ")
}

/// Waits until no private connection is in use.
fn no_leases(data_plane: &DataPlane) {
    wait::until("private connections are given back", wait::LIMIT, || {
        data_plane.metric("prism_upstream_leases") == 0.0
    });
}

#[test]
fn change_by_another_client_ends_a_watched_transaction() {
    let pool = pool(3);
    let front = Front::start(Cluster::start(3), "");
    for (mut one, mut other) in [
        (pool.client(), pool.client()),
        (front.client(), front.client()),
    ] {
        for (change, expected) in [
            ("SET a 2", "*-1"),
            ("GET a", "*1\r\n+OK"),
            ("SET b 2", "*1\r\n+OK"),
        ] {
            assert_eq!(one.ask("WATCH a"), "+OK");
            assert_eq!(one.ask("MULTI"), "+OK");
            assert_eq!(one.ask("SET a 1"), "+QUEUED");
            other.ask(change);
            assert_eq!(one.ask("EXEC"), expected, "{change}");
            // The other client's transactions know nothing of the watch.
            other.send(&pipeline(&["MULTI", "SET a 3", "EXEC"]));
            let replies: [_; 3] = std::array::from_fn(|_| text(&other.reply()));
            assert_eq!(replies[2], "*1\r\n+OK");
        }
        assert_eq!(one.ask("GET a"), "$1\r\n3");
        assert_eq!(one.ask("WATCH a"), "+OK");
        assert!(
            one.ask(&format!("WATCH {}", many_keys()))
                .starts_with("-CROSSSLOT")
        );
        assert_eq!(
            one.ask("WATCH"),
            "-ERR wrong number of arguments for 'watch' command"
        );
    }
}

#[test]
fn watched_key_that_moves_counts_as_changed() {
    let front = Front::start(Cluster::start(3), "");
    let slot = Cluster::slot("a");
    let from = front.cluster.first_owner(slot);
    let to = (from + 1) % 3;
    let (mut one, mut other) = (front.client(), front.client());
    assert_eq!(one.ask("SET a 1"), "+OK");
    assert_eq!(one.ask("WATCH a"), "+OK");
    front.cluster.move_slot(slot, from, to);
    assert_eq!(other.ask("GET a"), "$1\r\n1");
    assert_eq!(one.ask("MULTI"), "+OK");
    assert_eq!(one.ask("SET a 2"), "+QUEUED");
    assert_eq!(one.ask("EXEC"), "*-1");
    assert_eq!(one.ask("GET a"), "$1\r\n1");
    // From here on it is watched where it is, and while the slot is on its way back.
    front.cluster.begin_move(slot, to, from);
    for key in ["a", "{a}new"] {
        for (change, expected) in [("SET {a}other 2", "*1\r\n+OK"), ("SET @ 5", "*-1")] {
            assert_eq!(one.ask(&format!("WATCH {key}")), "+OK");
            assert_eq!(other.ask(&change.replace('@', key)), "+OK");
            assert_eq!(one.ask("MULTI"), "+OK");
            assert_eq!(one.ask(&format!("SET {key} 2")), "+QUEUED");
            assert_eq!(one.ask("EXEC"), expected, "{key} {change}");
            other.ask("DEL {a}new");
        }
    }
    while front.cluster.move_keys(slot, to, from, 10) > 0 {}
    front.cluster.end_move(slot, to, from);
}

#[test]
fn lost_connection_counts_as_a_change() {
    let pool = pool(1);
    let mut client = pool.client();
    assert_eq!(client.ask("WATCH a"), "+OK");
    assert_eq!(client.ask("MULTI"), "+OK");
    assert_eq!(client.ask("SET a 1"), "+QUEUED");
    pool.endpoints[0].ask("CLIENT KILL TYPE normal");
    assert_eq!(client.ask("EXEC"), "*-1");
    wait::until("the shared connection is open again", wait::LIMIT, || {
        client.ask("GET a") == "$-1"
    });
    no_leases(&pool.data_plane);
}

#[test]
fn watch_does_not_cross_databases_and_is_bounded() {
    let pool = Pool::start_with(Redis::start_many(1), "max_leases = 1");
    let mut client = pool.client();
    assert_eq!(client.ask("WATCH a"), "+OK");
    assert_eq!(client.ask("SELECT 1"), "+OK");
    assert_eq!(client.ask("MULTI"), "+OK");
    assert_eq!(client.ask("SET a 1"), "+QUEUED");
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    no_leases(&pool.data_plane);
    // The bound is one of each worker, of which there may be two.
    let mut clients: Vec<_> = (0..12).map(|_| pool.client()).collect();
    let replies: Vec<_> = clients
        .iter_mut()
        .map(|client| client.ask("WATCH a"))
        .collect();
    let served: Vec<_> = (0..12).filter(|&at| replies[at] == "+OK").collect();
    assert!(matches!(served.len(), 1 | 2), "{replies:?}");
    for reply in replies.iter().filter(|reply| *reply != "+OK") {
        assert!(
            reply.ends_with("has 1 private connections in use already"),
            "{reply}"
        );
    }
    assert_eq!(clients[served[0]].ask("UNWATCH"), "+OK");
    wait::until("a place is free", wait::LIMIT, || {
        clients[served[0]].ask("WATCH a") == "+OK"
    });
    drop(clients);
    no_leases(&pool.data_plane);
}

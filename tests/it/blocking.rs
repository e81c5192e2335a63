//! Commands that wait for others: they answer as one server, hold nobody up, and leave nothing behind.

use std::{
    thread,
    time::{Duration, Instant},
};

use prism_tests::{
    cluster::Cluster,
    dice::Dice,
    is_long,
    oracle::Oracle,
    programs::DataPlane,
    raw::Raw,
    redis::Redis,
    resp::{pipeline, text},
    wait,
};

use crate::{redis_cluster::Front, transactions::pool};

fn send(client: &mut Raw, line: &str) {
    client.send(&pipeline(&[line]));
}

/// Waits until so many private connections are in use.
fn leases(data_plane: &DataPlane, count: u32) {
    wait::until("private connections in use", wait::LIMIT, || {
        data_plane.metric("prism_upstream_leases") == f64::from(count)
    });
}

/// Waits until so many clients wait at the endpoints.
fn blocked<'a>(endpoints: impl Iterator<Item = &'a Redis> + Clone, count: usize) {
    wait::until("clients wait at the endpoints", wait::LIMIT, || {
        let told = endpoints.clone().map(|redis| {
            let info = redis.ask("INFO clients");
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("blocked_clients:"));
            line.and_then(|count| count.trim().parse::<usize>().ok())
        });
        told.map(Option::unwrap_or_default).sum::<usize>() == count
    });
}

const LINES: [&str; 36] = [
    "BLPOP {a}l 0.01",
    "BRPOP {a}l {a}m 0.01",
    "BLMOVE {a}l {a}m LEFT RIGHT 0.01",
    "BRPOPLPUSH {a}l {a}m 0.01",
    "BLMPOP 0.01 2 {a}l {a}m LEFT",
    "BZPOPMIN {a}z 0.01",
    "BZPOPMAX {a}z {a}y 0.01",
    "BZMPOP 0.01 1 {a}z MIN",
    "XREAD BLOCK 10 STREAMS {a}s $",
    "XREAD COUNT 1 BLOCK 10 STREAMS {a}s {a}t 0 0",
    "RPUSH {a}l 1 2 3 4 5 6",
    "BLPOP {a}none {a}l 0",
    "BRPOP {a}l 0",
    "BLMOVE {a}l {a}m LEFT RIGHT 0",
    "BRPOPLPUSH {a}l {a}m 0",
    "BLMPOP 0 2 {a}none {a}m LEFT COUNT 2",
    "LRANGE {a}l 0 -1",
    "ZADD {a}z 1 a 2 b 3 c 4 d",
    "BZPOPMIN {a}z 0",
    "BZPOPMAX {a}none {a}z 0",
    "BZMPOP 0 1 {a}z MAX COUNT 2",
    "XADD {a}s 1-1 f v",
    "XREAD BLOCK 0 STREAMS {a}s 0",
    "XGROUP CREATE {a}s g 0",
    "XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS {a}s >",
    "XREADGROUP GROUP g c BLOCK 10 STREAMS {a}s >",
    "BLPOP {a}l -1",
    "BLPOP {a}l x",
    "BLPOP {a}l 1e400",
    "BLPOP {a}s 0",
    "BLMPOP 0.01 0 {a}l LEFT",
    "BLMPOP 0.01 1 {a}l MIDDLE",
    "XREAD BLOCK -1 STREAMS {a}s 0",
    "XREAD BLOCK a STREAMS {a}s 0",
    "XREAD BLOCK 10 STREAMS {a}s",
    "BLPOP {a}l",
];

#[test]
fn blocking_commands_answer_as_one_server() {
    let pool = pool(3);
    let front = Front::start(Cluster::start(3), "");
    for listen in [&pool.listen, &front.listen] {
        let mut oracle = Oracle::new(listen);
        for dialect in ["HELLO 2", "HELLO 3"] {
            oracle.skip(&pipeline(&[dialect]), 1);
            for line in LINES {
                oracle.check_words(line);
            }
            let names = ["l", "m", "z", "s"].map(|name| format!("{{a}}{name}"));
            oracle.check_words(&format!("DEL {}", names.join(" ")));
            // A loop of waits does not stay behind its own writes.
            let lines = [
                "LPUSH {b}l a b",
                "BLPOP {b}l 0",
                "PING",
                "BRPOP {b}l 0",
                "BRPOP {b}l 0.01",
                "PING",
            ];
            oracle.check_bytes(&pipeline(&lines), lines.len());
        }
        let mut client = Raw::connect(listen);
        let keys: Vec<_> = (0..20).map(|index| format!("key-{index}")).collect();
        let keys = keys.join(" ");
        let starts = "0 ".repeat(20);
        for line in [
            format!("BLPOP {keys} 0"),
            format!("BLMPOP 0 20 {keys} LEFT"),
            format!("XREAD BLOCK 0 STREAMS {keys} {starts}"),
        ] {
            assert!(client.ask(&line).starts_with("-CROSSSLOT"), "{line}");
        }
    }
    leases(&pool.data_plane, 0);
    leases(&front.data_plane, 0);
}

#[test]
fn waiting_clients_are_served_in_their_order_and_hold_nobody_up() {
    let pool = pool(2);
    let mut clients: Vec<_> = (0..5).map(|_| pool.client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        send(client, "BLPOP {a}l 0");
        blocked(pool.endpoints.iter(), index + 1);
    }
    leases(&pool.data_plane, 5);
    let mut other = pool.client();
    for index in 0..5 {
        assert_eq!(other.ask("GET {a}x"), "$-1");
        assert_eq!(other.ask(&format!("RPUSH {{a}}l {index}")), ":1");
    }
    for (index, client) in clients.iter_mut().enumerate() {
        assert_eq!(
            text(&client.reply()),
            format!("*2\r\n$4\r\n{{a}}l\r\n$1\r\n{index}")
        );
        assert_eq!(client.ask("PING"), "+PONG");
    }
    leases(&pool.data_plane, 0);
    // A wait after a wait dials no more; the questions themselves are connections too.
    let accepted = || {
        let told = pool.endpoints.iter().map(|redis| {
            let info = redis.ask("INFO stats");
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("total_connections_received:"));
            line.and_then(|count| count.trim().parse::<usize>().ok())
        });
        told.map(Option::unwrap_or_default).sum::<usize>()
    };
    clients[0].ask("BLPOP {a}l 0.01");
    let before = accepted();
    for _ in 0..20 {
        assert_eq!(clients[0].ask("BLPOP {a}l 0.01"), "*-1");
    }
    let dialled = accepted() - before;
    assert!(dialled < 10, "{dialled} connections for 20 waits");
}

#[test]
fn client_unblock_ends_a_wait_as_at_one_server() {
    let pool = pool(2);
    let mut other = pool.client();
    for (how, expected) in [
        ("", "*-1"),
        ("TIMEOUT", "*-1"),
        ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        let mut client = pool.client();
        let id = client.ask("CLIENT ID");
        let unblock = format!("CLIENT UNBLOCK {} {how}", &id[1..]);
        assert_eq!(other.ask(&unblock), ":0");
        send(&mut client, "BLPOP a 0");
        blocked(pool.endpoints.iter(), 1);
        assert_eq!(other.ask(&unblock), ":1", "{how}");
        assert_eq!(text(&client.reply()), expected, "{how}");
        assert_eq!(client.ask("PING"), "+PONG");
        assert_eq!(other.ask(&unblock), ":0");
    }
    blocked(pool.endpoints.iter(), 0);
    leases(&pool.data_plane, 0);
}

#[test]
fn client_that_leaves_stops_waiting() {
    let pool = pool(1);
    for is_half in [false, true] {
        let mut client = pool.client();
        send(&mut client, "BLPOP a 0");
        blocked(pool.endpoints.iter(), 1);
        match is_half {
            true => client.finish(),
            false => drop(client),
        }
        blocked(pool.endpoints.iter(), 0);
        leases(&pool.data_plane, 0);
    }
    let mut client = pool.client();
    assert_eq!(client.ask("LPUSH a kept"), ":1");
    assert_eq!(client.ask("LLEN a"), ":1");
}

#[test]
fn wait_goes_where_the_slot_goes() {
    let front = Front::start(Cluster::start(3), "");
    let slot = Cluster::slot("a");
    let mut from = front.cluster.first_owner(slot);
    let nodes = || front.cluster.nodes.iter();
    let mut other = front.client();
    for line in [
        "BLPOP a 0",
        "BRPOP {a}b a 30",
        "XREAD BLOCK 0 STREAMS {a}s 0",
        "XREAD BLOCK 0 STREAMS {a}s $",
    ] {
        let to = (from + 1) % 3;
        let mut client = front.client();
        send(&mut client, line);
        blocked(nodes(), 1);
        front.cluster.move_slot(slot, from, to);
        from = to;
        if line.ends_with('$') {
            assert!(
                text(&client.reply()).starts_with("-ERR prism: the stream moved"),
                "{line}"
            );
            continue;
        }
        if line.starts_with('X') {
            other.ask("XADD {a}s 1-1 f v");
            assert!(text(&client.reply()).ends_with("$1\r\nf\r\n$1\r\nv"));
            other.ask("DEL {a}s");
        } else {
            assert_eq!(other.ask("LPUSH a x"), ":1");
            assert_eq!(text(&client.reply()), "*2\r\n$1\r\na\r\n$1\r\nx");
        }
    }
    // A client that does not know of the move finds its way, on the way too.
    let to = (from + 1) % 3;
    front.cluster.begin_move(slot, from, to);
    let mut client = front.client();
    for line in ["BLPOP a 0", "XREAD BLOCK 0 STREAMS a $"] {
        send(&mut client, line);
        blocked(nodes(), 1);
        match line.starts_with('X') {
            true => other.ask("XADD a 1-1 f v"),
            false => other.ask("LPUSH a x"),
        };
        assert!(text(&client.reply()).starts_with('*'), "{line}");
    }
    front.cluster.end_move(slot, from, to);
    leases(&front.data_plane, 0);
}

#[test]
fn wait_outlives_its_connection() {
    let pool = pool(1);
    let mut client = pool.client();
    let mut other = pool.client();
    let start = Instant::now();
    send(&mut client, "BLPOP a 30");
    blocked(pool.endpoints.iter(), 1);
    pool.endpoints[0].ask("CLIENT KILL TYPE normal");
    blocked(pool.endpoints.iter(), 1);
    wait::until("the shared connection is open again", wait::LIMIT, || {
        other.ask("LPUSH a x") == ":1"
    });
    assert_eq!(text(&client.reply()), "*2\r\n$1\r\na\r\n$1\r\nx");
    assert!(start.elapsed() < Duration::from_secs(29));
    leases(&pool.data_plane, 0);
}

#[test]
fn clients_that_come_and_go_leave_no_connection_in_use() {
    let pool = pool(2);
    let churns = if is_long() { 2500 } else { 75 };
    let lines = [
        "WATCH {a}1",
        "MULTI",
        "SET {a}1 2",
        "EXEC",
        "UNWATCH",
        "DISCARD",
        "GET {a}1",
        "RESET",
        "BLPOP {a}l 0.02",
        "BLPOP {b}l 0",
        "BLPOP {d}never 0",
        "LPUSH {b}l x",
        "WATCH {b}1 {b}2",
        "XREAD BLOCK 5 STREAMS {c} $",
    ];
    thread::scope(|scope| {
        for seed in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                let mut dice = Dice::new(seed);
                for _ in 0..churns {
                    let mut client = pool.client();
                    let picked: Vec<_> =
                        (0..1 + dice.below(8)).map(|_| *dice.pick(&lines)).collect();
                    client.send(&pipeline(&picked));
                    // What waits for ever waits until the client leaves.
                    if !picked[0].ends_with(" 0") && dice.below(2) == 0 {
                        client.reply();
                    }
                    if dice.below(4) == 0 {
                        client.finish();
                    }
                }
            });
        }
    });
    leases(&pool.data_plane, 0);
    blocked(pool.endpoints.iter(), 0);
    let mut client = pool.client();
    client.ask("DEL {b}l");
    assert_eq!(client.ask("WATCH {a}1"), "+OK");
    client.send(&pipeline(&[
        "MULTI",
        "SET {a}1 9",
        "EXEC",
        "BLPOP {b}l 0.01",
    ]));
    let replies: [_; 4] = std::array::from_fn(|_| text(&client.reply()));
    assert_eq!(replies[2..], ["*1\r\n+OK", "*-1"]);
}

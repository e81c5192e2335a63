//! What the proxy tells of its clients and of itself, on all workers, compared with a real server where that can be.

use std::{collections::BTreeMap, time::Duration};

use prism_tests::{raw::Raw, redis::Redis, resp, wait};

use crate::pool::Pool;

/// Enough clients that no worker is without one, whatever the kernel deals out.
const MANY: usize = 24;

/// Time in which nothing is to come.
const SILENCE: Duration = Duration::from_millis(200);

fn clients(pool: &Pool) -> Vec<Raw> {
    (0..MANY).map(|_| pool.client()).collect()
}

fn id(client: &mut Raw) -> u64 {
    let reply = client.ask("CLIENT ID");
    reply[1..].parse().expect("an id is a number")
}

/// The worker that a client's number names.
fn worker(id: u64) -> u64 {
    id % 1024
}

fn lines(reply: &str) -> Vec<BTreeMap<String, String>> {
    let fields = |line: &str| {
        let pairs = line.split(' ').filter_map(|field| field.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let lines = reply.lines().filter(|line| line.starts_with("id="));
    lines.map(fields).collect()
}

#[test]
fn lists_tell_of_the_clients_of_all_workers() {
    let pool = Pool::start(1);
    let mut clients = clients(&pool);
    let ids: Vec<u64> = clients.iter_mut().map(id).collect();
    assert!(ids.iter().any(|id| worker(*id) == 0));
    assert!(ids.iter().any(|id| worker(*id) == 1));
    let mut asker = pool.client();
    let own = id(&mut asker);
    asker.ask("CLIENT SETNAME asker");
    let reply = asker.ask("CLIENT LIST");
    let listed = lines(&reply);
    assert_eq!(listed.len(), MANY + 1);
    for id in &ids {
        let found = listed.iter().find(|line| line["id"] == id.to_string());
        assert_eq!(found.expect("every client is listed")["cmd"], "client|id");
    }
    let mine = listed.iter().find(|line| line["id"] == own.to_string());
    let mine = mine.expect("the asker is listed");
    assert_eq!((&*mine["name"], &*mine["cmd"]), ("asker", "client|list"));
    assert_eq!(mine["laddr"], pool.listen);
    // In the order asked for, twice if asked for twice, nothing on those who are not there.
    let (first, last) = (ids[0], ids[MANY - 1]);
    let reply = asker.ask(&format!("CLIENT LIST ID {last} 7 {first} {last}"));
    let found: Vec<_> = lines(&reply)
        .iter()
        .map(|line| line["id"].clone())
        .collect();
    assert_eq!(
        found,
        [last.to_string(), first.to_string(), last.to_string()]
    );
    assert_eq!(lines(&asker.ask("CLIENT LIST TYPE normal")).len(), MANY + 1);
    assert_eq!(asker.ask("CLIENT LIST TYPE replica"), "$0");
}

#[test]
fn killed_clients_are_closed_and_counted() {
    let pool = Pool::start(1);
    let mut clients = clients(&pool);
    let ids: Vec<u64> = clients.iter_mut().map(id).collect();
    let mut asker = pool.client();
    let addr = lines(&asker.ask(&format!("CLIENT LIST ID {}", ids[0])))[0]["addr"].clone();
    assert_eq!(asker.ask(&format!("CLIENT KILL {addr}")), "+OK");
    assert_eq!(
        asker.ask(&format!("CLIENT KILL ID {} LADDR {}", ids[1], pool.listen)),
        ":1"
    );
    assert_eq!(
        asker.ask(&format!("CLIENT KILL ID {} ADDR {addr}", ids[2])),
        ":0"
    );
    for client in &mut clients[..2] {
        assert!(client.is_closed_within(wait::LIMIT));
    }
    assert_eq!(clients[2].ask("PING"), "+PONG");
    let rest = format!(":{}", MANY - 2);
    assert_eq!(asker.ask("CLIENT KILL TYPE normal"), rest);
    for client in &mut clients[2..] {
        assert!(client.is_closed_within(wait::LIMIT));
    }
    // The one that asks has its reply before it closes, and what it sent behind is not served.
    asker.send(b"CLIENT KILL TYPE normal SKIPME no\r\nSET late 1\r\n");
    assert_eq!(asker.rest(), b":1\r\n");
    assert_eq!(pool.client().ask("EXISTS late"), ":0");
}

#[test]
fn client_that_wants_no_replies_has_none_and_others_have_theirs() {
    let pool = Pool::start(2);
    let mut oracle = prism_tests::oracle::Oracle::new(&pool.listen);
    let mut other = pool.client();
    // Both sides end with a reply that only comes in its turn when nothing came before.
    for transcript in [
        "CLIENT REPLY SKIP|SET a 1|ECHO end",
        "CLIENT REPLY SKIP|PING|ECHO end",
        "CLIENT REPLY SKIP|CLIENT REPLY SKIP|PING|ECHO end",
        "CLIENT REPLY SKIP|NOSUCH|ECHO end",
        "CLIENT REPLY SKIP|CLIENT REPLY foo|ECHO end",
        "CLIENT REPLY SKIP|MSET a 1 b 2 c 3 d 4|MGET a b c d",
        "CLIENT REPLY SKIP|MGET a b c d e f g h|GET a",
        "CLIENT REPLY SKIP|RESET|ECHO end",
        "CLIENT REPLY OFF|RESET",
        "CLIENT REPLY SKIP||ECHO end",
    ] {
        oracle.check_bytes(&requests(transcript), 1);
        assert_eq!(other.ask("ECHO mine"), "$4\r\nmine");
    }
    for (transcript, replies) in [
        (
            "CLIENT REPLY OFF|SET a 5|GET a|MGET a b|CLIENT REPLY SKIP|PING|NOSUCH|CLIENT LIST|CLIENT REPLY ON|GET a",
            2,
        ),
        ("CLIENT REPLY SKIP|CLIENT REPLY ON|PING", 2),
        (
            "CLIENT REPLY SKIP|CLIENT REPLY OFF|PING|CLIENT REPLY ON|GET a",
            2,
        ),
    ] {
        oracle.check_bytes(&requests(transcript), replies);
        assert_eq!(other.ask("GET a"), "$1\r\n5");
    }
    let mut quiet = pool.client();
    quiet.send(b"CLIENT REPLY OFF\r\nSET a 6\r\nQUIT\r\n");
    assert_eq!(quiet.rest(), b"");
    assert_eq!(other.ask("GET a"), "$1\r\n6");
}

/// Inline requests, given with `|` between them.
fn requests(transcript: &str) -> Vec<u8> {
    format!("{transcript}|").replace('|', "\r\n").into_bytes()
}

#[test]
fn pause_holds_requests_of_all_workers_in_order() {
    let pool = Pool::start(1);
    let mut asker = pool.client();
    assert_eq!(asker.ask("SET n 0"), "+OK");
    let mut clients = clients(&pool);
    assert_eq!(asker.ask("CLIENT PAUSE 60000 WRITE"), "+OK");
    for client in &mut clients {
        assert_eq!(client.ask("GET n"), "$1\r\n0", "reads go on");
        client.send(b"INCR n\r\nGET n\r\nPING\r\n");
    }
    for client in &mut clients {
        client.set_read_limit(SILENCE / 10);
        assert!(
            client.try_reply().is_err(),
            "a write waits, and what follows it"
        );
        client.set_read_limit(wait::LIMIT);
    }
    assert_eq!(asker.ask("GET n"), "$1\r\n0");
    assert_eq!(asker.ask("CLIENT UNPAUSE"), "+OK");
    let mut seen: Vec<u32> = Vec::new();
    for client in &mut clients {
        let written = String::from_utf8_lossy(&client.reply()).into_owned();
        let written: u32 = written[1..]
            .trim_end()
            .parse()
            .expect("INCR tells a number");
        seen.push(written);
        client.reply();
        assert_eq!(client.reply(), b"+PONG\r\n");
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=MANY as u32).collect::<Vec<_>>());
}

#[test]
fn pause_of_everything_ends_in_time() {
    let pool = Pool::start(1);
    let (mut asker, mut clients) = (pool.client(), clients(&pool));
    let start = std::time::Instant::now();
    assert_eq!(asker.ask("CLIENT PAUSE 400"), "+OK");
    for client in &mut clients {
        client.send(b"PING\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.reply(), b"+PONG\r\n");
    }
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert_eq!(asker.ask("PING"), "+PONG");
}

#[test]
fn client_that_is_held_long_loses_nothing() {
    let pool = Pool::start_with(Redis::start_many(1), "idle_timeout = 300");
    let (mut asker, mut client) = (pool.client(), pool.client());
    assert_eq!(asker.ask("CLIENT PAUSE 1200 WRITE"), "+OK");
    client.send(b"SET a 1\r\nGET a\r\n");
    assert_eq!(client.reply(), b"+OK\r\n");
    assert_eq!(client.reply(), b"$1\r\n1\r\n");
}

#[test]
fn slow_requests_of_all_workers_are_told_as_redis_does() {
    let pool = Pool::start_with(
        Redis::start_many(1),
        "slowlog_log_slower_than = 0\nslowlog_max_len = 30",
    );
    let mut clients = clients(&pool);
    let value = "x".repeat(200);
    for (index, client) in clients.iter_mut().enumerate() {
        client.ask(&format!("CLIENT SETNAME c{index}"));
        client.ask(&format!("SET key-{index} {value}"));
    }
    let mut asker = pool.client();
    assert_eq!(asker.ask("SLOWLOG LEN"), format!(":{MANY}"));
    let reply = asker.ask("SLOWLOG GET -1");
    assert!(reply.starts_with(&format!("*{MANY}\r\n*6\r\n")), "{reply}");
    let cut = format!("{}... (72 more bytes)", "x".repeat(128));
    for index in 0..MANY {
        let argv = format!(
            "$3\r\nSET\r\n${}\r\nkey-{index}\r\n${}\r\n{cut}\r\n",
            format!("key-{index}").len(),
            cut.len()
        );
        assert!(reply.contains(&argv), "{argv} in {reply}");
        assert!(reply.contains(&format!("\r\nc{index}")), "c{index}");
    }
    // Newest first, every number once.
    let ids: Vec<u64> = reply
        .split("*6\r\n:")
        .skip(1)
        .filter_map(|entry| entry.split("\r\n").next()?.parse().ok())
        .collect();
    assert_eq!(ids, (0..MANY as u64).rev().collect::<Vec<_>>());
    assert_eq!(asker.ask("SLOWLOG GET 2").matches("*6\r\n").count(), 2);
    assert_eq!(asker.ask("SLOWLOG GET").matches("*6\r\n").count(), 10);
    // No more are kept than the definition says, whoever has them.
    for client in &mut clients {
        client.ask("GET a");
    }
    assert_eq!(asker.ask("SLOWLOG LEN"), ":30");
    assert_eq!(asker.ask("SLOWLOG RESET"), "+OK");
    assert_eq!(asker.ask("SLOWLOG LEN"), ":0");
    assert_eq!(asker.ask("SLOWLOG GET"), "*0");
}

#[test]
fn fast_requests_and_secrets_are_not_in_the_slow_log() {
    let pool = Pool::start_with(Redis::start_many(1), "password = \"sesame\"");
    let mut client = pool.client();
    assert_eq!(client.ask("AUTH sesame"), "+OK");
    client.ask("SET a 1");
    assert_eq!(client.ask("SLOWLOG LEN"), ":0", "10 ms is far");
    let pool = Pool::start_with(
        Redis::start_many(1),
        "password = \"sesame\"\nslowlog_log_slower_than = 0",
    );
    let mut client = pool.client();
    assert_eq!(client.ask("AUTH sesame"), "+OK");
    client.ask("HELLO 2 AUTH default sesame");
    client.ask("GET a");
    let reply = client.ask("SLOWLOG GET -1");
    assert!(
        reply.starts_with("*1\r\n") && !reply.contains("sesame"),
        "{reply}"
    );
    let bytes = resp::command(&["CONFIG", "GET", "*"]);
    client.send(&bytes);
    let all = String::from_utf8_lossy(&client.reply()).into_owned();
    assert!(
        all.contains("maxclients") && !all.contains("sesame"),
        "{all}"
    );
}

#[test]
fn requests_given_up_are_in_the_slow_log() {
    let mut pool = Pool::start_with(
        Redis::start_many(1),
        "read_timeout = 200\nslowlog_log_slower_than = 100000",
    );
    let mut client = pool.client();
    assert_eq!(client.ask("SET a 1"), "+OK");
    pool.endpoints[0].process().suspend();
    let reply = client.ask("GET a");
    assert!(reply.contains("did not answer within 200 ms"), "{reply}");
    let log = client.ask("SLOWLOG GET");
    assert!(
        log.starts_with("*1\r\n") && log.contains("*2\r\n$3\r\nGET\r\n$1\r\na"),
        "{log}"
    );
    pool.endpoints[0].process().resume();
}

//! Every bound is kept, named in the error, and hits only the one who passed it.

use std::{
    thread,
    time::{Duration, Instant},
};

use prism_tests::{raw::Raw, redis::Redis, resp, wait};
use rustix::process::Signal;

use crate::pool::Pool;

/// A key for each of two endpoints, found by asking which of them holds it.
fn key_of_each(pool: &Pool) -> [String; 2] {
    let mut client = pool.client();
    let mut keys = [String::new(), String::new()];
    for index in 0..200 {
        let key = format!("key-{index}");
        assert_eq!(client.ask(&format!("SET {key} 1")), "+OK");
        let at = usize::from(pool.endpoints[0].ask(&format!("EXISTS {key}")) == ":0");
        keys[at] = key;
    }
    assert!(keys.iter().all(|key| !key.is_empty()));
    keys
}

#[test]
fn client_beyond_max_clients_gets_an_error_and_is_closed() {
    let pool = Pool::start_with(Redis::start_many(1), "max_clients = 5");
    let mut clients: Vec<_> = (0..5).map(|_| pool.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "+PONG");
    }
    let refused = String::from_utf8_lossy(&pool.client().rest()).into_owned();
    assert!(
        refused.starts_with("-ERR ") && refused.contains("clients"),
        "{refused:?}"
    );
    drop(clients.pop());
    wait::until("a place is free again", wait::LIMIT, || {
        Raw::open(&pool.listen).is_ok_and(|mut client| {
            client.try_send(b"PING\r\n").is_ok()
                && client.try_reply().is_ok_and(|reply| reply == b"+PONG\r\n")
        })
    });
}

#[test]
fn stopped_endpoint_is_a_named_error_at_the_deadline_and_others_are_unharmed() {
    let mut pool = Pool::start_with(
        Redis::start_many(2),
        "read_timeout = 500\nping_fail_limit = 0",
    );
    let [dead, alive] = key_of_each(&pool);
    pool.endpoints[0].process().suspend();
    let mut client = pool.client();
    let begun = Instant::now();
    let requests: Vec<_> = [&alive, &dead, &alive]
        .iter()
        .flat_map(|key| resp::command(&["GET", key]))
        .collect();
    client.send(&requests);
    assert_eq!(client.reply(), resp::bulk("1"));
    assert!(
        begun.elapsed() < Duration::from_millis(400),
        "an earlier reply waits for nobody"
    );
    let error = String::from_utf8_lossy(&client.reply()).into_owned();
    let waited = begun.elapsed();
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
    assert!(
        error.contains(&pool.endpoints[0].addr()) && error.contains("500 ms"),
        "{error}"
    );
    assert!(
        waited >= Duration::from_millis(450) && waited < Duration::from_secs(2),
        "{waited:?}"
    );
    assert_eq!(client.reply(), resp::bulk("1"));
    pool.endpoints[0].process().resume();
    wait::until("the endpoint serves again", wait::LIMIT, || {
        client.call(&["GET", &dead]) == resp::bulk("1")
    });
}

#[test]
fn late_reply_reaches_nobody() {
    let mut pool = Pool::start_with(
        Redis::start_many(1),
        "read_timeout = 300\ndead_after = 10000\nping_fail_limit = 0",
    );
    let mut client = pool.client();
    for round in 0..4 {
        assert_eq!(client.ask(&format!("SET late {round}")), "+OK");
        pool.endpoints[0].process().suspend();
        let error = client.ask("GET late");
        assert!(error.starts_with("-ERR prism: "), "{error}");
        client.send(b"SET other 1\r\n");
        pool.endpoints[0].process().resume();
        assert_eq!(client.reply(), b"+OK\r\n");
        assert_eq!(
            client.ask(&format!("PING {round}")),
            format!("$1\r\n{round}")
        );
        assert_eq!(client.ask("GET late"), format!("$1\r\n{round}"));
    }
}

#[test]
fn refused_connection_fails_at_once_and_heals() {
    let mut pool = Pool::start_with(Redis::start_many(1), "ping_fail_limit = 0");
    let mut client = pool.client();
    assert_eq!(client.ask("SET a 1"), "+OK");
    pool.endpoints[0].process().kill();
    let begun = Instant::now();
    let error = client.ask("GET a");
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    pool.endpoints[0].restart();
    wait::until("the endpoint serves again", Duration::from_secs(5), || {
        client.ask("GET a") == "$-1"
    });
}

#[test]
fn client_that_does_not_read_is_closed_and_others_are_unharmed() {
    let pool = Pool::start_with(Redis::start_many(1), "client_buffer_bytes = \"1MiB\"");
    let mut other = pool.client();
    let value = vec![b'v'; 256 * 1024];
    assert_eq!(other.call(&[b"SET", b"big".as_slice(), &value]), b"+OK\r\n");
    let mut lazy = pool.client();
    let requests = b"GET big\r\n".repeat(400);
    lazy.send(&requests);
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(other.ask("PING"), "+PONG");
        assert_eq!(other.call(&["STRLEN", "big"]), b":262144\r\n");
        assert!(begun.elapsed() < Duration::from_secs(1));
        thread::yield_now();
    }
    // Either its requests are no longer read, or it is closed: what it has not taken stays bounded.
    let memory = resident_bytes(pool.data_plane.pid());
    assert!(memory < 100 << 20, "{memory} bytes");
}

/// What `pid` holds in memory.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("linux tells it");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number");
    kib * 1024
}

#[test]
fn oversized_request_is_an_error() {
    let pool = Pool::start_with(Redis::start_many(1), "max_request_bytes = \"1MiB\"");
    let mut client = pool.client();
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2000000\r\n");
    let error = String::from_utf8_lossy(&client.reply()).into_owned();
    assert!(error.starts_with("-ERR"), "{error}");
    assert_eq!(pool.client().ask("PING"), "+PONG");
}

#[test]
fn full_queue_of_an_endpoint_is_a_named_error_at_once() {
    let more = "max_pending = 10\nread_timeout = 3000\nping_fail_limit = 0";
    let mut pool = Pool::start_with(Redis::start_many(1), more);
    let mut client = pool.client();
    assert_eq!(client.ask("SET a 1"), "+OK");
    pool.endpoints[0].process().suspend();
    let mut clients: Vec<_> = (0..30).map(|_| pool.client()).collect();
    let begun = Instant::now();
    for client in &mut clients {
        client.send(b"GET a\r\n");
    }
    wait::until("the queue is full", Duration::from_secs(2), || {
        clients.iter_mut().any(|client| {
            client.set_read_limit(Duration::from_millis(5));
            client.try_reply().is_ok_and(|reply| {
                String::from_utf8_lossy(&reply).starts_with("-ERR prism: endpoint redis-1 (")
            })
        })
    });
    assert!(begun.elapsed() < Duration::from_secs(2));
    pool.endpoints[0].process().resume();
    wait::until("the endpoint serves again", wait::LIMIT, || {
        client.ask("GET a") == "$1\r\n1"
    });
}

#[test]
fn silent_client_is_closed_after_idle_timeout() {
    let pool = Pool::start_with(Redis::start_many(1), "idle_timeout = 300");
    let mut client = pool.client();
    assert_eq!(client.ask("PING"), "+PONG");
    assert!(client.is_closed_within(Duration::from_secs(5)));
}

#[test]
fn drain_answers_what_was_asked_and_ends_with_0() {
    let mut pool = Pool::start(3);
    let listen = pool.listen.clone();
    let clients: Vec<_> = (0..20)
        .map(|number| {
            let mut client = Raw::connect(&listen);
            thread::spawn(move || {
                let mut answered = 0;
                loop {
                    let asked = client.try_send(
                        format!("SET key-{number} {answered}\r\nGET key-{number}\r\n").as_bytes(),
                    );
                    if asked.is_err() {
                        return answered;
                    }
                    match client.try_reply() {
                        Ok(reply) => assert_eq!(reply, b"+OK\r\n"),
                        Err(_) => return answered,
                    }
                    let value = client
                        .try_reply()
                        .expect("a request that was read is answered");
                    assert_eq!(value, resp::bulk(answered.to_string()));
                    answered += 1;
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    pool.data_plane.process().signal(Signal::TERM);
    let status = pool.data_plane.process().wait_exit(Duration::from_secs(35));
    assert_eq!(status.code(), Some(0));
    for client in clients {
        let answered = client.join().expect("no client lost a reply");
        assert!(answered > 10, "{answered}");
    }
}

#[test]
fn drain_refuses_new_clients_at_once() {
    let mut pool = Pool::start(1);
    let mut client = pool.client();
    assert_eq!(client.ask("PING"), "+PONG");
    pool.data_plane.process().signal(Signal::TERM);
    wait::until("the listener is closed", Duration::from_secs(5), || {
        Raw::open(&pool.listen).is_err()
    });
}

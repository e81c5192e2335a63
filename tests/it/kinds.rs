//! Databases and dialects: each client has its own, and no other client notices.

use std::time::Duration;

use prism_tests::{oracle::Oracle, raw::Raw, resp::pipeline};

use crate::pool::Pool;

#[test]
fn selected_database_is_that_of_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    let lines = [
        "SET a 0",
        "SELECT 1",
        "GET a",
        "SET a 1",
        "MSET b 1 c 1 d 1 e 1",
        "SELECT 16",
        "SELECT 15",
        "MGET a b c d e",
        "SELECT 1",
        "MGET a b c d e f",
        "GET a",
        "SELECT 0",
        "GET a",
        "SELECT 1",
        "DEL a b c d",
        "EXISTS a e",
    ];
    oracle.check_bytes(&pipeline(&lines), lines.len());
}

#[test]
fn selected_database_is_one_clients_own() {
    let pool = Pool::start(2);
    let (mut one, mut other) = (pool.client(), pool.client());
    assert_eq!(one.ask("SELECT 3"), "+OK");
    assert_eq!(one.ask("SET a three"), "+OK");
    assert_eq!(other.ask("GET a"), "$-1");
    assert_eq!(other.ask("SET a zero"), "+OK");
    assert_eq!(one.ask("GET a"), "$5\r\nthree");
    assert_eq!(one.ask("RESET"), "+RESET");
    assert_eq!(one.ask("GET a"), "$4\r\nzero");
    one.ask("SELECT 3");
    drop(one);
    for _ in 0..10 {
        assert_eq!(pool.client().ask("GET a"), "$4\r\nzero");
    }
}

#[test]
fn dialect_is_that_of_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    oracle.check_words("HSET h f v");
    oracle.check_words("ZADD z 1.5 m");
    oracle.check_words("SADD s m");
    let values = [
        "HGETALL h",
        "ZSCORE z m",
        "SMEMBERS s",
        "GET none",
        "MGET none a none2",
        "LPOP none 1",
    ];
    let mut lines = values.to_vec();
    // Only the reply to HELLO itself differs.
    oracle.skip(&pipeline(&["HELLO 3"]), 1);
    lines.push("PING");
    oracle.check_bytes(&pipeline(&lines), lines.len());
    oracle.skip(&pipeline(&["HELLO 2"]), 1);
    oracle.check_bytes(&pipeline(&lines), lines.len());
}

#[test]
fn dialect_is_one_clients_own() {
    let pool = Pool::start(1);
    let (mut one, mut other) = (pool.client(), pool.client());
    one.ask("HSET h f v");
    assert!(one.ask("HELLO 3").starts_with('%'));
    assert!(one.ask("HGETALL h").starts_with("%1"));
    assert!(other.ask("HGETALL h").starts_with("*2"));
    assert_eq!(one.ask("GET none"), "_");
    assert_eq!(one.ask("RESET"), "+RESET");
    assert_eq!(one.ask("GET none"), "$-1");
    assert!(
        Raw::connect(&pool.listen)
            .ask("HGETALL h")
            .starts_with("*2")
    );
}

#[test]
fn what_a_client_sent_before_it_closed_its_side_is_served() {
    let pool = Pool::start(2);
    let mut client = pool.client();
    client.send(&pipeline(&[
        "SET a 1", "SELECT 2", "SET a 2", "HELLO 3", "GET b", "SELECT 0", "GET a",
    ]));
    client.finish();
    let replies = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(
        replies.starts_with("+OK\r\n+OK\r\n+OK\r\n%7\r\n"),
        "{replies}"
    );
    assert!(replies.ends_with("_\r\n+OK\r\n$1\r\n1\r\n"), "{replies}");
    assert!(client.is_closed_within(Duration::from_secs(1)));
}

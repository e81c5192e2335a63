//! PRISM EXPLAIN: what it says of a request is what the request then does.

use std::collections::BTreeMap;

use prism_tests::{cluster::Cluster, raw::Raw, redis::Redis};

use crate::{pool::Pool, redis_cluster::Front};

/// What is told of a request, by name.
fn explain(client: &mut Raw, line: &str) -> BTreeMap<String, String> {
    let reply = client.ask(&format!("PRISM EXPLAIN {line}"));
    let words: Vec<_> = reply.split("\r\n").skip(1).collect();
    // Every word has its length in a line before it.
    let words: Vec<_> = words.chunks(2).filter_map(|pair| pair.get(1)).collect();
    let pairs = words
        .chunks(2)
        .map(|pair| (pair[0].to_string(), pair[1].to_string()));
    pairs.collect()
}

/// Takes the addresses out of the names of endpoints.
fn without_addresses(text: &str) -> String {
    let names = text
        .split(", ")
        .map(|name| name.split(" (").next().unwrap_or_default());
    names.collect::<Vec<_>>().join(" ")
}

fn told(client: &mut Raw, line: &str, names: &[&str]) -> Vec<String> {
    let told = explain(client, line);
    let value = |name: &&str| {
        let value = told.get(*name).cloned().unwrap_or_default();
        match *name {
            "endpoint" => without_addresses(&value),
            _ => value,
        }
    };
    names.iter().map(value).collect()
}

#[test]
fn key_is_where_it_is_said_to_be() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    for index in 0..20 {
        let key = format!("{index}-key");
        let told = told(
            &mut client,
            &format!("SET {key} v"),
            &[
                "command",
                "class",
                "keys",
                "route",
                "endpoint",
                "read_policy",
            ],
        );
        assert_eq!(
            client.ask(&format!("EXISTS {key}")),
            ":0",
            "nothing was sent"
        );
        assert_eq!(client.ask(&format!("SET {key} v")), "+OK");
        let holder = pool
            .endpoints
            .iter()
            .position(|redis| redis.ask(&format!("EXISTS {key}")) == ":1");
        let endpoint = format!("redis-{}", holder.expect("one holds it") + 1);
        assert_eq!(
            told,
            ["set", "SINGLE-W", "1", "one endpoint", &endpoint, "primary"]
        );
    }
}

#[test]
fn refusal_is_told_in_the_words_the_client_would_hear() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    let apart: Vec<_> = (0..20).map(|index| format!("{index}-key")).collect();
    for line in [
        format!("SUNION {}", apart.join(" ")),
        format!("ZUNION 20 {}", apart.join(" ")),
        "GET".into(),
        "GET a b".into(),
        "MSET a".into(),
        "SHUTDOWN".into(),
        "ACL SETUSER x".into(),
        "CLUSTER INFO".into(),
        "SORT a BY w_*".into(),
        "NOSUCH a".into(),
        "XGROUP NOSUCH a".into(),
    ] {
        let told = explain(&mut client, &line);
        let refused = told.get("refused").cloned().unwrap_or_default();
        assert_eq!(format!("-{refused}"), client.ask(&line), "{line}");
    }
    assert_eq!(
        client.ask("PRISM EXPLAIN"),
        "-ERR wrong number of arguments for 'prism|explain' command"
    );
    assert!(
        client
            .ask("PRISM NOSUCH")
            .starts_with("-ERR unknown subcommand 'NOSUCH'")
    );
}

#[test]
fn routes_are_told_by_class() {
    let server = Redis::start_with(&["--rename-command", "GET", "PRISMGET"]);
    let mut endpoints = Redis::start_many(2);
    endpoints.insert(0, server);
    let pool = Pool::start_with(endpoints, "");
    let mut client = pool.client();
    let apart: Vec<_> = (0..20).map(|index| format!("{index}-key")).collect();
    for (line, expected) in [
        (
            format!("DEL {}", apart.join(" ")),
            ["SPLIT", "divided", "redis-1 redis-2 redis-3"],
        ),
        ("PING".into(), ["LOCAL", "the proxy itself", ""]),
        (
            "PRISM EXPLAIN GET a".into(),
            ["LOCAL", "the proxy itself", ""],
        ),
        (
            "EVAL return(1) 0".into(),
            [
                "SCRIPT",
                "one endpoint, if the script can do without the others",
                "",
            ],
        ),
        (
            "ZUNION 0 a".into(),
            ["SAME-NUMKEYS", "any endpoint, which will refuse it", ""],
        ),
    ] {
        assert_eq!(
            told(&mut client, &line, &["class", "route", "endpoint"]),
            expected,
            "{line}"
        );
    }
    let learned = told(
        &mut client,
        "PRISMGET 1-key",
        &["command", "class", "keys", "route"],
    );
    assert_eq!(learned, ["get", "learned", "1", "one endpoint"]);
    assert_eq!(
        told(&mut client, "SORT 1-key STORE 1-key", &["keys"]),
        ["1 3"]
    );
}

#[test]
fn only_administrators_are_told() {
    let more = "auth = { users = [{ username = \"app\", password = \"a\", commands = [\"+@all\", \"-@admin\"], keys = [\"~*\"] }, \
        { username = \"op\", password = \"o\", commands = [\"+@admin\", \"+get\"], keys = [\"~o:*\"] }] }";
    let pool = Pool::start_with(Redis::start_many(1), more);
    let mut app = pool.client();
    assert_eq!(app.ask("AUTH app a"), "+OK");
    assert!(app.ask("PRISM EXPLAIN GET a").starts_with("-NOPERM"));
    let mut operator = pool.client();
    assert_eq!(operator.ask("AUTH op o"), "+OK");
    assert_eq!(told(&mut operator, "GET o:1", &["endpoint"]), ["redis-1"]);
    for line in ["GET a", "SET o:1 v"] {
        let refused = told(&mut operator, line, &["refused"]);
        assert_eq!(format!("-{}", refused[0]), operator.ask(line), "{line}");
        assert!(refused[0].starts_with("NOPERM"));
    }
}

#[test]
fn slot_and_its_owner_are_told_of_a_redis_cluster() {
    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    let slot = told(&mut client, "GET a", &["slot", "refused"]);
    assert_eq!(slot, ["15495", ""]);
    assert_eq!(client.ask("HELLO 3").chars().next(), Some('%'));
    assert!(client.ask("PRISM EXPLAIN GET a").starts_with('%'));
}

//! What reads of several keys answer when a shard is away: an error that names it, nothing, or an error a key.

use prism_tests::{
    definitions, memcached::Memcached, ports, programs::DataPlane, raw::Raw, redis::Redis,
};

use crate::pool::Pool;

const KEYS: usize = 40;

/// A pool of three that keeps its keys in place, one of them killed; returns what each key answers alone.
fn crippled(policy: &str) -> (Pool, Vec<String>) {
    let more =
        format!("multi_key_policy = {policy:?}\nping_fail_limit = 0\non_ejection = \"fail\"\n");
    let mut pool = Pool::start_with(Redis::start_many(3), &more);
    let mut client = pool.client();
    for index in 0..KEYS {
        assert_eq!(client.ask(&format!("SET k{index} {index}")), "+OK");
    }
    let alive: Vec<_> = (0..KEYS)
        .map(|index| pool.endpoints[0].ask(&format!("GET k{index}")))
        .map(|reply| if reply == "$-1" { "there" } else { "away" }.to_owned())
        .collect();
    assert!(alive.contains(&"there".to_owned()) && alive.contains(&"away".to_owned()));
    pool.endpoints[0].process().kill();
    (pool, alive)
}

/// The elements of an array reply, bulk strings joined with their headers.
fn elements(reply: &str) -> Vec<String> {
    let mut lines = reply.split("\r\n").skip(1);
    let mut elements = Vec::new();
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        match line {
            "$-1" => elements.push("nil".to_owned()),
            line if line.starts_with('$') => {
                elements.push(lines.next().unwrap_or_default().to_owned())
            }
            line => elements.push(line.to_owned()),
        }
    }
    elements
}

fn mget(client: &mut Raw) -> String {
    let keys: Vec<_> = (0..KEYS).map(|index| format!("k{index}")).collect();
    client.ask(&format!("MGET {}", keys.join(" ")))
}

#[test]
fn nil_answers_as_if_the_keys_of_a_dead_shard_were_absent() {
    let (pool, alive) = crippled("nil");
    let mut client = pool.client();
    for _ in 0..20 {
        let found = elements(&mget(&mut client));
        assert_eq!(found.len(), KEYS);
        for (index, (found, state)) in found.iter().zip(&alive).enumerate() {
            let expected = if state == "away" {
                "nil".to_owned()
            } else {
                index.to_string()
            };
            assert_eq!(*found, expected, "k{index}");
        }
    }
    let away = alive
        .iter()
        .position(|state| state == "away")
        .expect("one is");
    assert_eq!(client.ask(&format!("MGET k{away}")), "*1\r\n$-1");
    assert_eq!(
        client.ask(&format!("MGET k{away} k{away}")),
        "*2\r\n$-1\r\n$-1"
    );
    let error = client.ask(&format!("GET k{away}"));
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
    let error = client.ask("DEL k0 k1 k2 k3 k4 k5 k6 k7 k8 k9");
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
}

#[test]
fn error_stands_in_the_place_of_each_key_of_a_dead_shard() {
    let (pool, alive) = crippled("error");
    let mut client = pool.client();
    for _ in 0..20 {
        let found = elements(&mget(&mut client));
        assert_eq!(found.len(), KEYS);
        for (index, (found, state)) in found.iter().zip(&alive).enumerate() {
            match state.as_str() {
                "away" => assert!(
                    found.starts_with("-ERR prism: endpoint redis-1 ("),
                    "{found}"
                ),
                _ => assert_eq!(*found, index.to_string()),
            }
        }
    }
}

#[test]
fn fail_names_the_dead_shard() {
    let (pool, _) = crippled("fail");
    let mut client = pool.client();
    let error = mget(&mut client);
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn miss_of_memcached_leaves_out_the_keys_of_a_dead_shard() {
    let mut endpoints = Memcached::start_many(2);
    let servers: Vec<_> = endpoints
        .iter()
        .map(|one| format!("{}:1", one.addr()))
        .collect();
    let listen = ports::free_addr();
    let more = "multi_key_policy = \"miss\"\nping_fail_limit = 0\non_ejection = \"fail\"";
    let text = definitions::cluster("pool", "memcache", &listen, &servers, more);
    let _data_plane = DataPlane::bootstrap(&text);
    let mut client = Raw::connect(&listen);
    let mut get = String::from("get");
    for index in 0..KEYS {
        client.send(format!("set {index}-key 0 0 1\r\nx\r\n").as_bytes());
        assert_eq!(client.line(), "STORED\r\n");
        get.push_str(&format!(" {index}-key"));
    }
    get.push_str("\r\n");
    endpoints[0].process().kill();
    let mut found = Vec::new();
    client.send(get.as_bytes());
    loop {
        let line = client.line();
        if line == "END\r\n" {
            break;
        }
        assert!(line.starts_with("VALUE "), "{line}");
        found.push(line);
        assert_eq!(client.line(), "x\r\n");
    }
    assert!(!found.is_empty() && found.len() < KEYS, "{found:?}");
    let mut alone = 0;
    for index in 0..KEYS {
        client.send(format!("get {index}-key\r\n").as_bytes());
        let line = client.line();
        if line != "END\r\n" {
            assert!(line.starts_with("VALUE"), "{line}");
            assert_eq!(
                (client.line(), client.line()),
                ("x\r\n".into(), "END\r\n".into())
            );
            alone += 1;
        }
    }
    assert_eq!(alone, found.len());
}

//! Commands without keys: one reply of all shards, equal to that of one server.

use prism_tests::{cluster::Cluster, oracle::Oracle, redis::Redis, resp};

use crate::{pool::Pool, redis_cluster::Front};

/// A library of functions.
const LIBRARY: &str =
    "#!lua name=lib\nredis.register_function('echo', function(keys, args) return args[1] end)";

/// Asks a proxy in front of several shards, and one server, for what concerns all keys.
fn check_all_shards(listen: &str) {
    let mut oracle = Oracle::new(listen);
    oracle.check_words("DBSIZE");
    oracle.check_words("RANDOMKEY");
    oracle.check_words("KEYS *");
    for index in 0..50 {
        oracle.check_words(&format!("SET key-{index} {index}"));
    }
    oracle.check_words("DBSIZE");
    oracle.check_words("KEYS key-17");
    oracle.check_words("KEYS none*");
    let mut client = oracle.truth.client();
    let mut keys = [
        client.call(&["KEYS", "key-1*"]),
        oracle.proxy().call(&["KEYS", "key-1*"]),
    ]
    .map(|reply| String::from_utf8_lossy(&reply).into_owned())
    .map(|reply| reply.lines().map(str::to_owned).collect::<Vec<_>>());
    for keys in &mut keys {
        keys.sort();
    }
    assert_eq!(keys[0], keys[1]);

    for words in [
        "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db none",
        "SCRIPT KILL",
        "SCRIPT FLUSH HARD",
        "SCRIPT FLUSH ASYNC",
        "FUNCTION KILL",
        "FUNCTION STATS",
        "FUNCTION DUMP",
        "FUNCTION DELETE none",
        "FUNCTION RESTORE broken",
        "FUNCTION LIST",
        "MEMORY PURGE",
        "MODULE LIST",
        "LOLWUT VERSION 1",
        "FLUSHALL LATER",
        "FLUSHDB SYNC SYNC",
        "DBSIZE 1",
        "KEYS",
    ] {
        oracle.check_words(words);
    }
    oracle.check(&["SCRIPT", "LOAD", "return 1"]);
    oracle.check_words("SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db none");
    oracle.check(&["SCRIPT", "LOAD", "return return"]);
    oracle.check(&["FUNCTION", "LOAD", LIBRARY]);
    oracle.check(&["FUNCTION", "LOAD", LIBRARY]);
    oracle.check_words("FUNCTION LIST LIBRARYNAME lib WITHCODE");
    oracle.check_words("FUNCTION STATS");
    oracle.check_words("FUNCTION DELETE lib");
    oracle.check_words("FUNCTION LIST");
    oracle.check_words("SCRIPT FLUSH SYNC");
    oracle.check_words("SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db");

    let pipeline = [
        "SET a 1",
        "FLUSHALL",
        "DBSIZE",
        "SET b 1",
        "DBSIZE",
        "FLUSHDB ASYNC",
        "GET b",
    ];
    let bytes: Vec<u8> = pipeline
        .iter()
        .flat_map(|line| resp::command(&line.split(' ').collect::<Vec<_>>()))
        .collect();
    oracle.check_bytes(&bytes, pipeline.len());
    oracle.check_words("RANDOMKEY");
}

#[test]
fn all_shards_of_a_pool_answer_as_one_server() {
    check_all_shards(&Pool::start(3).listen);
}

#[test]
fn pool_of_one_answers_as_that_server() {
    check_all_shards(&Pool::start(1).listen);
}

#[test]
fn all_primaries_of_a_redis_cluster_answer_as_one_server() {
    check_all_shards(&Front::start(Cluster::start(3), "").listen);
}

#[test]
fn dialect_and_database_of_the_session_hold_for_all_shards() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    oracle.skip(&resp::command(&["HELLO", "3"]), 1);
    oracle.check_words("SELECT 2");
    for words in [
        "RANDOMKEY",
        "FUNCTION STATS",
        "SET a 1",
        "SET b 2",
        "DBSIZE",
        "KEYS a",
    ] {
        oracle.check_words(words);
    }
    oracle.check_words("SELECT 0");
    oracle.check_words("DBSIZE");
    oracle.check_words("SET c 3");
    oracle.check_words("FLUSHDB");
    oracle.check_words("SELECT 2");
    oracle.check_words("DBSIZE");
}

#[test]
fn random_key_is_of_any_shard() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    for index in 0..30 {
        client.ask(&format!("SET {}:{index} 1", index * 7919));
    }
    let mut homes = [0; 3];
    for _ in 0..200 {
        let reply = client.ask("RANDOMKEY");
        let key = reply.lines().last().expect("a key");
        let home = pool
            .endpoints
            .iter()
            .position(|one| one.ask(&format!("EXISTS {key}")) == ":1");
        homes[home.expect("the key exists")] += 1;
    }
    assert!(homes.iter().all(|count| *count > 5), "{homes:?}");
}

#[test]
fn dead_shard_is_named_and_nothing_partial_is_told() {
    let mut pool = Pool::start(3);
    let mut client = pool.client();
    for index in 0..20 {
        client.ask(&format!("SET key-{index} 1"));
    }
    pool.endpoints[1].process().kill();
    for words in [
        "DBSIZE",
        "KEYS *",
        "RANDOMKEY",
        "FLUSHALL",
        "SCRIPT EXISTS a",
        "SCRIPT KILL",
        "FUNCTION STATS",
    ] {
        let reply = client.ask(words);
        assert!(
            reply.starts_with("-ERR prism: endpoint redis-2 "),
            "{words}: {reply}"
        );
    }
    let reply = client.ask("FLUSHALL");
    assert!(reply.ends_with("(done by 2 of 3 endpoints)"), "{reply}");
}

#[test]
fn error_of_one_shard_names_it() {
    let mut endpoints = Redis::start_many(3);
    endpoints[2] = Redis::start_with(&["--rename-command", "DBSIZE", ""]);
    let pool = Pool::start_with(endpoints, "");
    let reply = pool.client().ask("DBSIZE");
    assert!(
        reply.starts_with("-ERR endpoint redis-3 (") && reply.contains("unknown command"),
        "{reply}"
    );
}

#[test]
fn keys_beyond_the_largest_reply_are_an_error() {
    let pool = Pool::start_with(Redis::start_many(2), "max_reply_bytes = 4096");
    let mut client = pool.client();
    for index in 0..260 {
        client.ask(&format!("SET {}:{index} 1", index * 7919));
    }
    let reply = client.ask("KEYS *");
    assert!(reply.contains("more than max_reply_bytes"), "{reply}");
    assert_eq!(client.ask("DBSIZE"), ":260");
}

#[test]
fn keys_that_are_more_than_the_client_buffer_arrive() {
    let pool = Pool::start_with(Redis::start_many(3), "client_buffer_bytes = 65536");
    let mut client = pool.client();
    let words: Vec<_> = (0..20_000)
        .flat_map(|index| [format!("{}:{index}", index * 7919), "1".to_owned()])
        .collect();
    let set = [&["MSET".to_owned()], &words[..]].concat();
    assert_eq!(client.call(&set), b"+OK\r\n");
    let reply = client.call(&["KEYS", "*"]);
    assert!(reply.starts_with(b"*20000\r\n"));
    assert!(reply.len() > 4 * 65536);
    assert_eq!(client.ask("DBSIZE"), ":20000");
}

#[test]
fn running_script_is_seen_and_killed_past_everybody_else() {
    let pool = Pool::start_with(Redis::start_many(2), "read_timeout = 20000");
    let (mut busy, mut other) = (pool.client(), pool.client());
    busy.send(&resp::command(&["EVAL", "while true do end", "1", "a"]));
    prism_tests::wait::until("the script is killed", prism_tests::wait::LIMIT, || {
        other.ask("SCRIPT KILL") == "+OK"
    });
    let reply = String::from_utf8_lossy(&busy.reply()).into_owned();
    assert!(reply.contains("Script killed by user"), "{reply}");
    assert_eq!(
        other.ask("SCRIPT KILL"),
        "-NOTBUSY No scripts in execution right now."
    );
}

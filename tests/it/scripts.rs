//! Scripts and functions on several shards: known everywhere, run where their keys are, refused where they would lie.

use prism_tests::{cluster::Cluster, oracle::Oracle, redis::Redis, resp};

use crate::{pool::Pool, redis_cluster::Front};

const ONE: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
const SET: &str = "return redis.call('set', KEYS[1], ARGV[1])";
const SET_SHA: &str = "55b22c0d0cedf3866879ce7c854970626dcef0c3";
const GET: &str = "return redis.call('get', KEYS[1])";
const GET_SHA: &str = "4e6d8fc8bb01276962cce5371fa795a7763657ae";

fn check_without_keys(listen: &str) {
    let mut oracle = Oracle::new(listen);
    oracle.check_words(&format!("EVALSHA {ONE} 0"));
    for script in [
        "return 1",
        "return {ARGV[1], #ARGV}",
        "return redis.call('ping')",
        "return redis.sha1hex('a')",
        "retur 1",
        "return redis.error_reply('MY word')",
    ] {
        oracle.check(&["EVAL", script, "0", "a", "b"]);
        oracle.check(&["EVAL_RO", script, "0", "a", "b"]);
    }
    oracle.check_words(&format!("EVALSHA {ONE} 0"));
    oracle.check_words(&format!("EVALSHA_RO {} 0 x", ONE.to_uppercase()));
    for numkeys in ["x", "-1", "3", "00", "+0", "0.0"] {
        oracle.check(&["EVAL", "return 1", numkeys]);
    }
    oracle.check_words("EVALSHA short 0");
    oracle.check(&["SCRIPT", "LOAD", "return 'loaded'"]);
    oracle.check(&["EVALSHA", "b534286061d4b9e4026607613b95c06c06015ae8", "0"]);
}

#[test]
fn scripts_without_keys_run_on_a_pool() {
    check_without_keys(&Pool::start(3).listen);
    check_without_keys(&Pool::start(1).listen);
}

#[test]
fn scripts_without_keys_run_on_a_redis_cluster() {
    check_without_keys(&Front::start(Cluster::start(3), "").listen);
}

#[test]
fn script_that_would_see_part_of_the_keys_is_refused() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    for script in [
        "return redis.call('set','a',1)",
        "return redis.call(ARGV[1])",
        SET,
    ] {
        let reply = String::from_utf8_lossy(&client.call(&["EVAL", script, "0"])).into_owned();
        assert!(
            reply.starts_with("-ERR prism: a script called without keys"),
            "{reply}"
        );
    }
    assert_eq!(client.ask("DBSIZE"), ":0");
    assert!(
        client
            .ask("FCALL f 0")
            .starts_with("-ERR prism: a script called without keys")
    );

    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    let reply = client.call(&["EVAL", "return redis.call('dbsize')", "0"]);
    let reply = String::from_utf8_lossy(&reply).into_owned();
    assert!(
        reply.starts_with("-ERR prism: a script runs on one endpoint"),
        "{reply}"
    );
    let mut homes = 0;
    for index in 0..20 {
        let script = format!("return redis.call('set', 'key-{index}', 1)");
        let reply = client.call(&["EVAL", &script, "0"]);
        homes += usize::from(reply.starts_with(b"+OK"));
    }
    assert_eq!(
        client.ask("DBSIZE"),
        format!(":{homes}"),
        "others were errors"
    );

    let one = Pool::start(1);
    let mut oracle = Oracle::new(&one.listen);
    oracle.check(&["EVAL", "return redis.call('set','a',1)", "0"]);
    oracle.check(&["EVAL", "return redis.call('dbsize')", "0"]);
}

#[test]
fn functions_run_where_they_are_loaded() {
    let library = "#!lua name=lib\nredis.register_function{function_name='show', \
                   callback=function(keys, args) return {keys, args} end, flags={'no-writes'}}";
    let (pool, one) = (Pool::start(3), Pool::start(1));
    let front = Front::start(Cluster::start(3), "");
    for listen in [&pool.listen, &one.listen, &front.listen] {
        let mut oracle = Oracle::new(listen);
        oracle.check_words("FCALL show 1 a b");
        oracle.check(&["FUNCTION", "LOAD", library]);
        for key in ["a", "1:7919", "2:15838", "3:23757"] {
            oracle.check_words(&format!("FCALL show 1 {key} x"));
            oracle.check_words(&format!("FCALL_RO show 1 {key} x"));
        }
        if *listen != pool.listen {
            oracle.check_words("FCALL show 0 x");
            oracle.check_words("FCALL none 0 x");
        }
        let dump = oracle.check(&["FUNCTION", "DUMP"]);
        let start = dump
            .iter()
            .position(|&byte| byte == b'\n')
            .expect("a bulk string")
            + 1;
        let payload = &dump[start..dump.len() - 2];
        oracle.check_words("FUNCTION FLUSH");
        oracle.check_words("FCALL show 1 a b");
        oracle.check(&[b"FUNCTION", &b"RESTORE"[..], payload]);
        oracle.check_words("FCALL show 1 a b");
        oracle.check(&[b"FUNCTION", &b"RESTORE"[..], payload]);
    }
}

fn check_healed(listen: &str, endpoints: &[Redis]) {
    let mut oracle = Oracle::new(listen);
    let keys: Vec<_> = (1..20)
        .map(|index| format!("{}:{index}", index * 7919))
        .collect();
    oracle.check(&["EVAL", SET, "1", &keys[0], "first"]);
    for key in &keys {
        oracle.check(&["EVALSHA", SET_SHA, "1", key, key]);
    }
    oracle.check(&["SCRIPT", "LOAD", GET]);
    for redis in endpoints {
        redis.ask("SCRIPT FLUSH");
    }
    for key in &keys {
        oracle.check(&["EVALSHA_RO", &GET_SHA.to_uppercase(), "1", key]);
    }
    oracle.check_words("SCRIPT FLUSH");
    for key in &keys {
        oracle.check(&["EVALSHA", GET_SHA, "1", key]);
    }
}

#[test]
fn script_that_an_endpoint_does_not_know_is_sent_whole() {
    let pool = Pool::start(3);
    check_healed(&pool.listen, &pool.endpoints);
    let healed = pool
        .data_plane
        .metric("prism_upstream_scripts_replayed_total");
    assert!(healed >= 3.0, "{healed}");
}

#[test]
fn script_that_a_node_does_not_know_is_sent_whole() {
    let front = Front::start(Cluster::start(3), "");
    check_healed(&front.listen, &front.cluster.nodes);
}

#[test]
fn unknown_script_is_not_run_behind_what_came_after_it() {
    let pool = Pool::start(1);
    let mut client = pool.client();
    client.call(&["EVAL", SET, "1", "a", "old"]);
    pool.endpoints[0].ask("SCRIPT FLUSH");
    let mut bytes = resp::command(&["EVALSHA", SET_SHA, "1", "a", "new"]);
    bytes.extend(resp::command(&["GET", "a"]));
    client.send(&bytes);
    assert!(client.reply().starts_with(b"-NOSCRIPT "));
    assert_eq!(client.reply(), b"$3\r\nold\r\n");
    assert_eq!(client.ask("GET a"), "$3\r\nold");
}

//! Commands of several keys and scripts: served where their keys meet, refused where they do not.

use prism_tests::{cluster::Cluster, definitions::tagged, oracle::Oracle, redis::Redis};

use crate::{pool::Pool, redis_cluster::Front};

/// Requests whose keys are found by counts, words and options; `@` stands for a hash tag.
const LINES: &str = include_str!("../vectors/redis/together.txt");

const CROSSSLOT: &str = "-CROSSSLOT Keys in request don't hash to the same slot";

fn check_lines(oracle: &mut Oracle) {
    for tag in [
        "{a}",
        "{bc}",
        "{def}",
        "{x1}",
        "{y22}",
        "{user:333}",
        "{tag}",
    ] {
        for line in tagged(LINES, tag) {
            oracle.check_words(&line);
        }
    }
}

#[test]
fn keys_that_meet_are_served_by_a_pool_as_by_one_server() {
    let pool = Pool::start_with(Redis::start_many(3), "hash_tag = \"{}\"");
    check_lines(&mut Oracle::new(&pool.listen));
    for redis in &pool.endpoints {
        assert_ne!(redis.ask("DBSIZE"), ":0", "every endpoint holds keys");
    }
}

#[test]
fn keys_that_meet_are_served_by_a_redis_cluster_as_by_one_server() {
    let front = Front::start(Cluster::start(3), "");
    let mut oracle = Oracle::new(&front.listen);
    for tag in ["{a}", "{bc}", "{def}"] {
        // A Redis Cluster has its own words for sorting by other keys.
        let lines = tagged(LINES, tag)
            .into_iter()
            .filter(|line| !line.contains('*'));
        for line in lines {
            oracle.check_words(&line);
        }
    }
}

#[test]
fn keys_apart_are_refused_wherever_they_stand() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    let filler = |count: usize, name: &str| {
        let names: Vec<_> = (0..count).map(|index| format!("{name}-{index}")).collect();
        names.join(" ")
    };
    let keys = filler(20, "key");
    let ids = vec!["0"; 20].join(" ");
    for line in [
        format!("ZUNION 20 {keys}"),
        format!("ZUNIONSTORE d 20 {keys}"),
        format!("SINTERCARD 20 {keys} LIMIT 1"),
        format!("LMPOP 20 {keys} LEFT"),
        format!("ZMPOP 20 {keys} MIN"),
        format!("EVAL return(1) 20 {keys} x"),
        format!("EVALSHA_RO {} 20 {keys}", "0".repeat(40)),
        format!("FCALL f 20 {keys}"),
        format!("XREAD COUNT 1 STREAMS {keys} {ids}"),
        format!("XREADGROUP GROUP g c STREAMS {keys} {ids}"),
    ] {
        assert_eq!(client.ask(&line), CROSSSLOT, "{line}");
    }
    let apart = (0..100).find(|index| {
        let answer = client.ask(&format!("SORT key-0 STORE other-{index}"));
        assert!(answer == CROSSSLOT || answer == ":0", "{answer}");
        answer == CROSSSLOT
    });
    let other = format!("other-{}", apart.expect("two of 100 keys are apart"));
    for line in [
        format!("SORT key-0 STORE key-0 STORE {other}"),
        format!("SORT key-0 STORE {other} STORE key-0"),
        format!("GEORADIUS key-0 0 0 1 m STORE key-0 STORE {other}"),
        format!("GEORADIUS key-0 0 0 1 m STOREDIST key-0 ASC STORE {other}"),
        format!("GEORADIUSBYMEMBER key-0 m 1 m STORE {other}"),
    ] {
        assert_eq!(client.ask(&line), CROSSSLOT, "{line}");
    }
}

#[test]
fn sort_never_passes_over_keys_of_other_endpoints() {
    let pool = Pool::start(3);
    let mut client = pool.client();
    assert_eq!(client.ask("RPUSH list 2 1"), ":2");
    for line in [
        "SORT list BY w_*",
        "SORT list GET o_*",
        "SORT_RO list GET # GET o_*->f",
    ] {
        let reply = client.ask(line);
        assert!(
            reply.starts_with("-ERR prism: BY and GET of SORT"),
            "{line}: {reply}"
        );
    }
    assert!(client.ask("SORT list BY nosort GET #").starts_with("*2"));
    let single = Pool::start(1);
    let mut oracle = Oracle::new(&single.listen);
    for line in [
        "RPUSH list 1 2",
        "MSET w_1 2 w_2 1",
        "SORT list BY w_*",
        "SORT list GET w_*",
    ] {
        oracle.check_words(line);
    }
}

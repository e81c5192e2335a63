//! Commands that the table does not have, played by commands that a server knows under another name.

use prism_tests::{cluster::Cluster, redis::Redis, wait};

use crate::{pool::Pool, redis_cluster::Front};

/// Options of a server that has some commands under names of ours.
const RENAMED: [&str; 24] = [
    "--rename-command",
    "GET",
    "PRISMGET",
    "--rename-command",
    "SET",
    "PRISMSET",
    "--rename-command",
    "SUNION",
    "PRISM.SUNION",
    "--rename-command",
    "ZUNION",
    "PRISM.ZUNION",
    "--rename-command",
    "FLUSHALL",
    "PRISMFLUSH",
    "--rename-command",
    "WATCH",
    "PRISMWATCH",
    "--rename-command",
    "BLPOP",
    "PRISMBLPOP",
    "--rename-command",
    "SORT",
    "PRISMSORT",
];

fn renamed() -> Redis {
    Redis::start_with(&RENAMED)
}

fn calls(redis: &Redis, name: &str) -> usize {
    let stats = redis.ask("INFO commandstats");
    let line = stats
        .lines()
        .find(|line| line.starts_with(&format!("cmdstat_{name}:")));
    let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[test]
fn command_that_only_the_endpoints_know_is_forwarded_by_its_keys() {
    let pool = Pool::start_with((0..3).map(|_| renamed()).collect(), "");
    let mut client = pool.client();
    for index in 0..60 {
        assert_eq!(client.ask(&format!("PRISMSET {index}-key {index}")), "+OK");
    }
    for redis in &pool.endpoints {
        assert_ne!(redis.ask("DBSIZE"), ":0", "every endpoint holds keys");
    }
    for index in 0..60 {
        let value = client.ask(&format!("prismget {index}-key"));
        assert!(value.ends_with(&format!("\n{index}")), "{value}");
    }
    assert_eq!(client.ask("EXISTS 1-key"), ":1");
}

#[test]
fn name_is_asked_once_and_requests_behind_it_keep_their_order() {
    let pool = Pool::start_with(vec![renamed()], "");
    let mut client = pool.client();
    client.send(b"SADD s a\r\nPRISMSET k v\r\nPRISMGET k\r\nSCARD s\r\nPRISMGET k\r\nPING\r\n");
    for reply in [
        ":1\r\n",
        "+OK\r\n",
        "$1\r\nv\r\n",
        ":1\r\n",
        "$1\r\nv\r\n",
        "+PONG\r\n",
    ] {
        assert_eq!(String::from_utf8_lossy(&client.reply()), reply);
    }
    for _ in 0..20 {
        assert_eq!(client.ask("PRISMGET k"), "$1\r\nv");
    }
    let asked = calls(&pool.endpoints[0], "command|info");
    assert!(
        (2..=4).contains(&asked),
        "two names, asked by two workers at most: {asked}"
    );
}

#[test]
fn keys_that_do_not_meet_are_refused_whoever_knows_the_command() {
    let pool = Pool::start_with((0..3).map(|_| renamed()).collect(), "hash_tag = \"{}\"");
    let mut client = pool.client();
    assert_eq!(client.ask("SADD {t}a x"), ":1");
    assert_eq!(client.ask("PRISM.SUNION {t}a {t}b"), "*1\r\n$1\r\nx");
    assert_eq!(client.ask("PRISM.ZUNION 1 {t}a"), "*1\r\n$1\r\nx");
    let crossslot = "-CROSSSLOT Keys in request don't hash to the same slot";
    let apart: Vec<_> = (0..20).map(|index| format!("{index}-key")).collect();
    let apart = apart.join(" ");
    assert_eq!(client.ask(&format!("PRISM.SUNION {apart}")), crossslot);
    assert_eq!(client.ask(&format!("PRISM.ZUNION 20 {apart}")), crossslot);
    let reply = client.ask("PRISM.ZUNION 9 a b");
    assert!(
        reply.starts_with("-ERR prism: the keys of this 'prism.zunion'"),
        "{reply}"
    );
}

#[test]
fn what_must_not_travel_with_others_is_refused_under_any_name() {
    let pool = Pool::start_with(vec![renamed()], "");
    let mut client = pool.client();
    assert_eq!(client.ask("PRISMSET kept 1"), "+OK");
    for (line, why) in [
        (
            "PRISMFLUSH",
            "'prismflush' is 'flushall' under another name",
        ),
        (
            "PRISMWATCH kept",
            "'prismwatch' is 'watch' under another name",
        ),
        (
            "PRISMBLPOP kept 0",
            "'prismblpop' is 'blpop' under another name",
        ),
        (
            "PRISMSORT kept BY w_*",
            "'prismsort' is 'sort' under another name",
        ),
    ] {
        let expected = format!("-ERR prism: {why}: it is not forwarded");
        assert_eq!(client.ask(line), expected);
    }
    assert_eq!(client.ask("EXISTS kept"), ":1");
}

#[test]
fn name_nobody_knows_is_refused_as_by_one_server_and_asked_once() {
    let pool = Pool::start(1);
    let server = Redis::start();
    let (mut truth, mut client) = (server.client(), pool.client());
    for _ in 0..20 {
        for line in ["NOSUCH", "NoSuch a b", "nosuch|get x"] {
            assert_eq!(client.ask(line), truth.ask(line), "{line}");
        }
    }
    let asked = calls(&pool.endpoints[0], "command|info");
    assert!(
        (2..=4).contains(&asked),
        "two names, asked by two workers at most: {asked}"
    );
}

#[test]
fn arguments_are_counted_as_the_endpoint_counts_them() {
    let pool = Pool::start_with(vec![renamed()], "");
    let mut truth = pool.endpoints[0].client();
    let mut client = pool.client();
    for line in ["PRISMGET", "PRISMGET a b", "PRISMSET a", "PRISM.ZUNION 1"] {
        assert_eq!(client.ask(line), truth.ask(line), "{line}");
    }
}

#[test]
fn strangers_and_limited_users_learn_nothing() {
    let more = "auth = { password = \"pw\", users = [{ username = \"reader\", password = \"r\", \
        commands = [\"+@read\"], keys = [\"~r:*\"] }] }";
    let pool = Pool::start_with(vec![renamed()], more);
    let mut client = pool.client();
    let reply = client.ask("PRISMGET r:1");
    assert!(
        reply.starts_with("-ERR unknown command 'PRISMGET'"),
        "{reply}"
    );
    assert_eq!(calls(&pool.endpoints[0], "command|info"), 0);
    assert_eq!(client.ask("AUTH pw"), "+OK");
    assert_eq!(client.ask("PRISMGET r:1"), "$-1");
    let mut reader = pool.client();
    assert_eq!(reader.ask("AUTH reader r"), "+OK");
    assert_eq!(reader.ask("PRISMGET r:1"), "$-1");
    for line in ["PRISMGET w:1", "PRISMSET r:1 v"] {
        let reply = reader.ask(line);
        assert!(reply.starts_with("-NOPERM"), "{line}: {reply}");
    }
}

#[test]
fn name_whose_endpoint_is_away_is_an_error_and_learned_later() {
    let mut pool = Pool::start_with(vec![renamed()], "ping_fail_limit = 0");
    let mut client = pool.client();
    pool.endpoints[0].process().kill();
    let reply = client.ask("PRISMGET a");
    assert!(reply.starts_with("-ERR prism: endpoint"), "{reply}");
    pool.endpoints[0].restart();
    wait::until("the command is known", wait::LIMIT, || {
        client.ask("PRISMGET a") == "$-1"
    });
}

#[test]
fn redis_cluster_is_asked_too() {
    let front = Front::start(Cluster::start(3), "");
    let mut client = front.client();
    let reply = client.ask("NOSUCH a");
    assert!(
        reply.starts_with("-ERR unknown command 'NOSUCH'"),
        "{reply}"
    );
}

#[test]
fn session_that_hears_channels_may_not_send_it_either() {
    let pool = Pool::start_with(vec![renamed()], "");
    let (mut client, mut truth) = (pool.client(), pool.endpoints[0].client());
    for line in ["PRISMGET a", "SUBSCRIBE channel", "PRISMGET a", "NOSUCH a"] {
        assert_eq!(client.ask(line), truth.ask(line), "{line}");
    }
}

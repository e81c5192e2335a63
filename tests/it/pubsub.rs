//! Channels and patterns: confirmed and delivered as one server does, over pools, clusters and workers.

use std::{thread, time::Duration};

use prism_tests::{cluster::Cluster, oracle::Oracle, raw::Raw, redis::Redis, resp};

use crate::{pool::Pool, redis_cluster::Front};

pub(crate) fn frame(client: &mut Raw) -> String {
    String::from_utf8_lossy(&client.reply()).into_owned()
}

/// A push, or the array of RESP2, of these words; a number is an integer.
pub(crate) fn array(kind: char, words: &[&str]) -> String {
    let mut text = format!("{kind}{}\r\n", words.len());
    for word in words {
        match word.strip_prefix(':') {
            Some(number) => text.push_str(&format!(":{number}\r\n")),
            None => text.push_str(&format!("${}\r\n{word}\r\n", word.len())),
        }
    }
    text
}

/// Subscribes to one name, after which its messages arrive.
#[track_caller]
pub(crate) fn subscribe(client: &mut Raw, word: &str, name: &str) {
    client.send(&resp::line(&format!("{word} {name}")));
    let confirmed = frame(client);
    assert!(confirmed.starts_with(&format!("*3\r\n${}\r\n{word}\r\n", word.len())));
}

/// Sends `line` to both and compares so many answers.
#[track_caller]
fn check(oracle: &mut Oracle, line: &str, answers: usize) {
    oracle.check_bytes(&resp::line(line), answers);
}

/// Has another client send a message to the subscriber of each, and compares what arrives.
#[track_caller]
fn publish(oracle: &mut Oracle, listen: &str, line: &str, messages: usize) {
    let mut truth = oracle.truth.client();
    assert_eq!(truth.ask(line), Raw::connect(listen).ask(line), "{line}");
    oracle.check_bytes(b"", messages);
}

#[test]
fn transcript_is_that_of_one_server() {
    let pool = Pool::start(1);
    let mut oracle = Oracle::new(&pool.listen);
    for (line, answers) in [
        ("UNSUBSCRIBE", 1),
        ("PUNSUBSCRIBE", 1),
        ("SUNSUBSCRIBE", 1),
        ("UNSUBSCRIBE x y", 2),
        ("SUBSCRIBE", 1),
        ("SUBSCRIBE a a b", 3),
        ("SUBSCRIBE a", 1),
        ("PSUBSCRIBE p*", 1),
        ("SSUBSCRIBE s a", 2),
        ("PING", 1),
        ("PING hi", 1),
        ("PING a b", 1),
        ("GET x", 1),
        ("CONFIG GET x", 1),
        ("NOSUCH", 1),
        ("GET", 1),
        ("HELLO 3", 1),
        ("PUBLISH a x", 1),
        ("MULTI", 1),
    ] {
        check(&mut oracle, line, answers);
    }
    let listen = &pool.listen;
    publish(&mut oracle, listen, "PUBLISH a hi", 1);
    publish(&mut oracle, listen, "PUBLISH p1 hi", 1);
    publish(&mut oracle, listen, "SPUBLISH a hi", 1);
    publish(&mut oracle, listen, "PUBLISH none hi", 0);
    for (line, answers) in [
        ("UNSUBSCRIBE b nosuch", 2),
        ("UNSUBSCRIBE", 1),
        ("UNSUBSCRIBE", 1),
        ("SUNSUBSCRIBE q s", 2),
        ("SUNSUBSCRIBE", 1),
        ("GET x", 1),
        ("PUNSUBSCRIBE", 1),
        ("GET x", 1),
        ("SUBSCRIBE a", 1),
        ("RESET", 1),
        ("PING", 1),
    ] {
        check(&mut oracle, line, answers);
    }
    publish(&mut oracle, listen, "PUBLISH a gone", 0);
    check(&mut oracle, "SUBSCRIBE a", 1);
    check(&mut oracle, "QUIT", 1);
    assert!(oracle.proxy().is_closed_within(Duration::from_secs(5)));
}

#[test]
fn transcript_in_resp3_is_that_of_one_server() {
    let pool = Pool::start(1);
    let mut oracle = Oracle::new(&pool.listen);
    oracle.skip(&resp::line("HELLO 3"), 1);
    for (line, answers) in [
        ("SUBSCRIBE a", 1),
        ("PSUBSCRIBE a*", 1),
        ("SSUBSCRIBE a", 1),
        ("PING", 1),
        ("PING x", 1),
        ("GET x", 1),
    ] {
        check(&mut oracle, line, answers);
    }
    let info = oracle.proxy().ask("CLIENT INFO");
    assert!(
        info.contains(" flags=P ") && info.contains(" sub=1 psub=1 ssub=1 "),
        "{info}"
    );
    let listen = &pool.listen;
    publish(&mut oracle, listen, "PUBLISH a hi", 2);
    publish(&mut oracle, listen, "SPUBLISH a hi", 1);
    for (line, answers) in [
        ("UNSUBSCRIBE", 1),
        ("UNSUBSCRIBE", 1),
        ("PUNSUBSCRIBE", 1),
        ("PUNSUBSCRIBE", 1),
        ("SUNSUBSCRIBE", 1),
        ("SUNSUBSCRIBE", 1),
        ("SUBSCRIBE b", 1),
    ] {
        check(&mut oracle, line, answers);
    }
    oracle.skip(&resp::line("HELLO 2"), 1);
    check(&mut oracle, "GET x", 1);
    publish(&mut oracle, listen, "PUBLISH b hi", 1);
}

#[test]
fn pubsub_tells_of_channels_as_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    for line in [
        "PUBSUB HELP",
        "PUBSUB NUMSUB",
        "PUBSUB NUMSUB a a b",
        "PUBSUB CHANNELS",
        "PUBSUB NUMPAT",
        "PUBSUB SHARDNUMSUB",
        "PUBSUB SHARDNUMSUB a",
        "PUBSUB SHARDCHANNELS",
        "PUBSUB CHANNELS a b",
        "PUBSUB SHARDCHANNELS a b",
        "PUBSUB NUMPAT x",
        "PUBSUB FOO",
        "PUBSUB",
        "PUBLISH a",
        "PUBLISH nobody x",
        "SPUBLISH nobody x",
    ] {
        oracle.check_words(line);
    }
    let (mut truth, mut proxy) = (oracle.truth.client(), pool.client());
    for (word, name) in [
        ("subscribe", "a"),
        ("psubscribe", "p*"),
        ("ssubscribe", "s"),
    ] {
        subscribe(&mut truth, word, name);
        subscribe(&mut proxy, word, name);
    }
    for line in [
        "PUBSUB NUMSUB a b",
        "PUBSUB CHANNELS",
        "PUBSUB CHANNELS b*",
        "PUBSUB NUMPAT",
        "PUBSUB SHARDNUMSUB a s",
        "PUBSUB SHARDCHANNELS",
    ] {
        oracle.check_words(line);
    }
}

/// Subscribers of channels and patterns, on whichever worker they meet, get each message once and in order.
fn deliver_to_all(listen: &str, word: &str, publish: &str) {
    const CHANNELS: usize = 12;
    let channels: Vec<_> = (0..CHANNELS).map(|number| format!("{number}-c")).collect();
    let mut subscribers: Vec<_> = (0..8).map(|_| Raw::connect(listen)).collect();
    for (number, client) in subscribers.iter_mut().enumerate() {
        // Each has another order, so that names are known to some before others.
        for at in 0..CHANNELS {
            subscribe(client, word, &channels[(at + number) % CHANNELS]);
        }
    }
    let mut patterns: Vec<_> = (0..4).map(|_| Raw::connect(listen)).collect();
    for client in &mut patterns {
        subscribe(client, "psubscribe", "*-c");
    }
    let is_sharded = publish == "SPUBLISH";
    let mut publishers: Vec<_> = (0..3).map(|_| Raw::connect(listen)).collect();
    for round in 0..20 {
        for (at, channel) in channels.iter().enumerate() {
            let client = &mut publishers[at % 3];
            let reply = client.ask(&format!("{publish} {channel} {round}"));
            assert!(reply.starts_with(':'), "{reply}");
        }
    }
    let message = if is_sharded { "smessage" } else { "message" };
    for client in &mut subscribers {
        let mut frames: Vec<_> = (0..20 * CHANNELS).map(|_| frame(client)).collect();
        assert_eq!(
            client.ask("PING"),
            "*2\r\n$4\r\npong\r\n$0",
            "nothing came twice"
        );
        for channel in &channels {
            let of_channel = |frame: &String| frame.contains(&format!("\r\n{channel}\r\n"));
            let (mine, rest): (Vec<_>, Vec<_>) = frames.into_iter().partition(of_channel);
            let expected: Vec<_> = (0..20)
                .map(|round| array('*', &[message, channel, &round.to_string()]))
                .collect();
            assert_eq!(mine, expected);
            frames = rest;
        }
    }
    for client in patterns.iter_mut().filter(|_| !is_sharded) {
        let mut frames: Vec<_> = (0..20 * CHANNELS).map(|_| frame(client)).collect();
        assert_eq!(
            client.ask("PING"),
            "*2\r\n$4\r\npong\r\n$0",
            "nothing came twice"
        );
        frames.sort();
        let rounds = (0..20).map(|round| round.to_string());
        let of_round = |round: String| {
            let of_channel =
                move |channel: &String| array('*', &["pmessage", "*-c", channel, &round]);
            channels.iter().map(of_channel).collect::<Vec<_>>()
        };
        let mut expected: Vec<_> = rounds.flat_map(of_round).collect();
        expected.sort();
        assert_eq!(frames, expected);
    }
}

#[test]
fn message_reaches_every_subscriber_of_a_pool_once() {
    let pool = Pool::start(3);
    deliver_to_all(&pool.listen, "subscribe", "PUBLISH");
    deliver_to_all(&pool.listen, "ssubscribe", "SPUBLISH");
}

#[test]
fn message_reaches_every_subscriber_of_a_redis_cluster_once() {
    let slots = Front::start(Cluster::start(3), "");
    deliver_to_all(&slots.listen, "subscribe", "PUBLISH");
    deliver_to_all(&slots.listen, "ssubscribe", "SPUBLISH");
    // Channels of several slots in one request, which Redis Cluster itself refuses.
    let mut client = Raw::connect(&slots.listen);
    client.send(&resp::line("SSUBSCRIBE a b c"));
    for (name, count) in [("a", ":1"), ("b", ":2"), ("c", ":3")] {
        assert_eq!(frame(&mut client), array('*', &["ssubscribe", name, count]));
    }
}

#[test]
fn message_sent_after_the_confirmation_arrives() {
    let pool = Pool::start(3);
    for number in 0..50 {
        let (mut client, mut publisher) = (pool.client(), pool.client());
        let name = format!("{number}-fresh");
        subscribe(&mut client, "subscribe", &name);
        assert_eq!(publisher.ask(&format!("PUBLISH {name} x")), ":1");
        assert_eq!(frame(&mut client), array('*', &["message", &name, "x"]));
    }
}

#[test]
fn pushes_come_between_replies_and_never_inside_one() {
    let pool = Pool::start(2);
    let value = "v".repeat(40_000);
    let mut client = pool.client();
    assert_eq!(client.ask(&format!("SET k {value}")), "+OK");
    assert!(client.ask("HELLO 3").starts_with('%'));
    client.send(&resp::line("SUBSCRIBE a"));
    assert_eq!(frame(&mut client), array('>', &["subscribe", "a", ":1"]));
    let listen = pool.listen.clone();
    let publishing = thread::spawn(move || {
        let mut publisher = Raw::connect(&listen);
        for number in 0..300 {
            assert_eq!(publisher.ask(&format!("PUBLISH a {number}")), ":1");
        }
    });
    let mut writer = client.writer();
    let asking = thread::spawn(move || {
        let line = resp::line("GET k").repeat(300);
        std::io::Write::write_all(&mut writer, &line).expect("the connection takes bytes");
    });
    let (mut replies, mut pushes) = (0, 0);
    let expected = format!("$40000\r\n{value}\r\n");
    while replies < 300 || pushes < 300 {
        let next = frame(&mut client);
        if next.starts_with('>') {
            assert_eq!(next, array('>', &["message", "a", &pushes.to_string()]));
            pushes += 1;
        } else {
            assert!(next == expected, "a reply is torn");
            replies += 1;
        }
    }
    asking.join().expect("requests are sent");
    publishing.join().expect("messages are sent");
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn clients_see_nothing_of_each_others_subscriptions() {
    let pool = Pool::start(2);
    let (mut one, mut other) = (pool.client(), pool.client());
    subscribe(&mut one, "subscribe", "a");
    subscribe(&mut other, "subscribe", "b");
    let mut publisher = pool.client();
    for number in 0..20 {
        publisher.ask(&format!("PUBLISH a {number}"));
        publisher.ask(&format!("PUBLISH b {number}"));
        publisher.ask("SET a 1");
    }
    for (client, name) in [(&mut one, "a"), (&mut other, "b")] {
        for number in 0..20 {
            let message = array('*', &["message", name, &number.to_string()]);
            assert_eq!(frame(client), message);
        }
        assert_eq!(client.ask("PING"), "*2\r\n$4\r\npong\r\n$0");
    }
    // What one gives up the other keeps.
    let mut both = pool.client();
    subscribe(&mut both, "subscribe", "b");
    assert_eq!(both.ask("RESET"), "+RESET");
    publisher.ask("PUBLISH b last");
    assert_eq!(frame(&mut other), array('*', &["message", "b", "last"]));
    assert_eq!(both.ask("PING"), "+PONG");
}

#[test]
fn confirmations_and_messages_reach_a_client_that_wants_no_replies() {
    let pool = Pool::start(1);
    let mut oracle = Oracle::new(&pool.listen);
    for (line, answers) in [
        ("CLIENT REPLY OFF", 0),
        ("SUBSCRIBE a", 1),
        ("PING", 0),
        ("UNSUBSCRIBE a", 1),
        ("CLIENT REPLY SKIP", 0),
        ("SUBSCRIBE b c", 2),
    ] {
        check(&mut oracle, line, answers);
    }
    publish(&mut oracle, &pool.listen, "PUBLISH b hi", 1);
}

#[test]
fn endpoints_tell_of_keys_wherever_they_are() {
    let options = ["--notify-keyspace-events", "KEA"];
    let endpoints = (0..3).map(|_| Redis::start_with(&options)).collect();
    let pool = Pool::start_with(endpoints, "");
    let (mut one, mut all) = (pool.client(), pool.client());
    subscribe(&mut one, "subscribe", "__keyevent@0__:set");
    subscribe(&mut all, "psubscribe", "__keyspace@0__:*");
    let mut writer = pool.client();
    let mut keys: Vec<_> = (0..30).map(|number| format!("key-{number:02}")).collect();
    for key in &keys {
        assert_eq!(writer.ask(&format!("SET {key} 1")), "+OK");
    }
    let mut told: Vec<_> = (0..30).map(|_| frame(&mut one)).collect();
    told.sort();
    let of_key = |key: &String| array('*', &["message", "__keyevent@0__:set", key]);
    assert_eq!(told, keys.iter().map(of_key).collect::<Vec<_>>());
    told = (0..30).map(|_| frame(&mut all)).collect();
    told.sort();
    for key in &mut keys {
        let channel = format!("__keyspace@0__:{key}");
        *key = array('*', &["pmessage", "__keyspace@0__:*", &channel, "set"]);
    }
    assert_eq!(told, keys);
}

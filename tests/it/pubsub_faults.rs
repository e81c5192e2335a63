//! Subscriptions when things go wrong: slots move, endpoints end, clients do not read, sessions come and go.

use std::time::Duration;

use prism_tests::{cluster::Cluster, definitions, ports, raw::Raw, redis::Redis, resp, wait};

use crate::{
    pool::{Pool, servers},
    pubsub::{array, frame, subscribe},
    redis_cluster::Front,
};

/// Longest time between a message and its receipt in a quiet test.
const SOON: Duration = Duration::from_millis(200);

#[test]
fn subscription_follows_its_slot() {
    let slots = Front::start(Cluster::start(3), "");
    let name = "channel";
    let slot = Cluster::slot(name);
    let (mut shard, mut plain) = (Raw::connect(&slots.listen), Raw::connect(&slots.listen));
    subscribe(&mut shard, "ssubscribe", name);
    subscribe(&mut plain, "subscribe", name);
    let mut publisher = Raw::connect(&slots.listen);
    assert_eq!(publisher.ask(&format!("SPUBLISH {name} before")), ":1");
    assert_eq!(frame(&mut shard), array('*', &["smessage", name, "before"]));
    let from = slots.cluster.first_owner(slot);
    slots.cluster.move_slot(slot, from, (from + 1) % 3);
    let mut sent = 0;
    wait::until("the new owner's messages arrive", wait::LIMIT, || {
        sent += 1;
        let reply = publisher.ask(&format!("SPUBLISH {name} {sent}"));
        assert!(reply.starts_with(':'), "{reply}");
        reply == ":1"
    });
    assert_eq!(
        frame(&mut shard),
        array('*', &["smessage", name, &sent.to_string()])
    );
    assert!(
        slots
            .data_plane
            .metric("prism_upstream_subscription_gaps_total")
            >= 1.0
    );
    // A channel of all nodes does not care who has the slot.
    publisher.ask(&format!("PUBLISH {name} still"));
    assert_eq!(frame(&mut plain), array('*', &["message", name, "still"]));
    assert_eq!(plain.ask("PING"), "*2\r\n$4\r\npong\r\n$0");
    assert_eq!(shard.ask("PING"), "*2\r\n$4\r\npong\r\n$0");
}

#[test]
fn channel_moves_to_another_node_when_its_own_is_gone() {
    let mut slots = Front::start(Cluster::start(3), "");
    let name = "channel";
    let owner = slots.cluster.first_owner(Cluster::slot(name));
    let (mut client, mut pattern) = (Raw::connect(&slots.listen), Raw::connect(&slots.listen));
    subscribe(&mut client, "subscribe", name);
    subscribe(&mut pattern, "psubscribe", "chan*");
    slots.cluster.nodes[owner].process().kill();
    let other = &slots.cluster.nodes[(owner + 1) % 3];
    let mut sent = 0;
    client.set_read_limit(SOON);
    let received = wait::eventually("messages arrive from another node", wait::LIMIT, || {
        sent += 1;
        other.ask(&format!("PUBLISH {name} {sent}"));
        client.try_reply().ok()
    });
    let received = String::from_utf8_lossy(&received).into_owned();
    assert_eq!(received, array('*', &["message", name, &sent.to_string()]));
    // A name that nobody knew finds a node too.
    let mut fresh = Raw::connect(&slots.listen);
    subscribe(&mut fresh, "subscribe", name);
    subscribe(&mut fresh, "psubscribe", "c*");
}

#[test]
fn restarted_endpoint_is_subscribed_to_again() {
    let mut pool = Pool::start(2);
    let mut client = pool.client();
    subscribe(&mut client, "subscribe", "a");
    subscribe(&mut client, "psubscribe", "a*");
    subscribe(&mut client, "ssubscribe", "a");
    for endpoint in &mut pool.endpoints {
        endpoint.restart();
    }
    let mut publisher = pool.client();
    let count = |publisher: &mut Raw, line: &str| publisher.ask(line);
    wait::until("the channel and the pattern are back", wait::LIMIT, || {
        count(&mut publisher, "PUBSUB NUMSUB a").ends_with(":1")
            && count(&mut publisher, "PUBSUB SHARDNUMSUB a").ends_with(":1")
            && pool
                .endpoints
                .iter()
                .all(|redis| redis.ask("PUBSUB NUMPAT") == ":1")
    });
    assert_eq!(publisher.ask("PUBLISH a again"), ":2");
    assert_eq!(publisher.ask("SPUBLISH a again"), ":1");
    let mut frames: Vec<_> = (0..3).map(|_| frame(&mut client)).collect();
    frames.sort();
    let expected = [
        array('*', &["message", "a", "again"]),
        array('*', &["smessage", "a", "again"]),
        array('*', &["pmessage", "a*", "a", "again"]),
    ];
    assert_eq!(frames, expected);
    assert!(
        pool.data_plane
            .metric("prism_upstream_subscription_gaps_total")
            >= 3.0
    );
}

#[test]
fn subscriber_that_does_not_read_is_closed_and_no_other() {
    let pool = Pool::start_with(Redis::start_many(1), "client_buffer_bytes = \"1MiB\"");
    let (mut slow, mut quick) = (pool.client(), pool.client());
    subscribe(&mut slow, "subscribe", "a");
    subscribe(&mut quick, "subscribe", "a");
    let payload = "p".repeat(64 * 1024);
    let line = resp::line(&format!("PUBLISH a {payload}"));
    let expected = array('*', &["message", "a", &payload]);
    let mut publisher = pool.client();
    let mut sent = 0;
    wait::until("the slow one is closed", wait::LIMIT, || {
        for _ in 0..20 {
            publisher.send(&line);
            assert!(publisher.reply().starts_with(b":"));
            assert!(
                frame(&mut quick) == expected,
                "the quick one misses nothing"
            );
        }
        sent += 20;
        pool.data_plane
            .metric("prism_downstream_closed_slow_connections_total")
            == 1.0
    });
    assert!(sent < 2000, "{sent} messages");
    assert_eq!(quick.ask("PING"), "*2\r\n$4\r\npong\r\n$0");
    let read = slow.rest().len();
    assert!(read < sent * payload.len(), "{read} bytes");
}

#[test]
fn sessions_that_come_and_go_leave_nothing_upstream() {
    let pool = Pool::start(2);
    for number in 0..300 {
        let mut client = pool.client();
        let name = format!("n{}", number % 7);
        match number % 4 {
            0 => subscribe(&mut client, "subscribe", &name),
            1 => subscribe(&mut client, "psubscribe", &name),
            2 => subscribe(&mut client, "ssubscribe", &name),
            // Gone before the confirmation.
            _ => client.send(&resp::line(&format!(
                "SUBSCRIBE {name} x{number} y{number}"
            ))),
        }
        if number % 8 == 0 {
            client.send(&resp::line("UNSUBSCRIBE"));
            assert_eq!(
                frame(&mut client),
                array('*', &["unsubscribe", &name, ":0"])
            );
        }
    }
    wait::until("no subscription is left", wait::LIMIT, || {
        pool.endpoints.iter().all(|redis| {
            redis.ask("PUBSUB CHANNELS") == "*0"
                && redis.ask("PUBSUB SHARDCHANNELS") == "*0"
                && redis.ask("PUBSUB NUMPAT") == ":0"
        })
    });
    wait::until("subscription connections are closed", wait::LIMIT, || {
        let clients = |redis: &Redis| redis.ask("CLIENT LIST TYPE pubsub");
        pool.endpoints.iter().all(|redis| clients(redis) == "$0")
    });
}

#[test]
fn silent_subscriber_outlives_the_idle_timeout() {
    let pool = Pool::start_with(Redis::start_many(1), "idle_timeout = 600");
    let (mut client, mut idle) = (pool.client(), pool.client());
    subscribe(&mut client, "subscribe", "a");
    assert_eq!(idle.ask("PING"), "+PONG");
    assert!(idle.is_closed_within(Duration::from_secs(5)));
    assert_eq!(pool.client().ask("PUBLISH a x"), ":1");
    assert_eq!(frame(&mut client), array('*', &["message", "a", "x"]));
}

#[test]
fn endpoint_that_is_gone_is_an_error_and_nothing_is_subscribed() {
    let mut pool = Pool::start(1);
    pool.endpoints[0].process().kill();
    let mut client = pool.client();
    let reply = client.ask("SUBSCRIBE a b");
    assert!(reply.starts_with("-ERR prism: endpoint "), "{reply}");
    assert!(reply.contains(" cannot be reached: "), "{reply}");
    assert_eq!(client.ask("PING"), "+PONG");
    assert_eq!(
        client.ask("UNSUBSCRIBE"),
        "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0"
    );
}

#[test]
fn names_move_to_an_endpoint_that_joins() {
    let pool = Pool::start_with(Redis::start_many(2), "");
    let (mut client, mut pattern) = (pool.client(), pool.client());
    // The beginning of a name spreads more than its end.
    let names: Vec<_> = (0..40).map(|number| format!("{number}-name")).collect();
    client.send(&resp::line(&format!("SUBSCRIBE {}", names.join(" "))));
    for _ in &names {
        frame(&mut client);
    }
    subscribe(&mut pattern, "psubscribe", "*-name");
    let fresh = Redis::start();
    let mut all = servers(&pool.endpoints);
    all.push(format!("{}:1 redis-3", fresh.addr()));
    let text = definitions::redis("pool", &pool.listen, &all, "");
    pool.data_plane.rewrite(&text);
    let holders = || pool.endpoints.iter().chain([&fresh]);
    let place = |name: &String| {
        let holds = |redis: &&Redis| redis.ask(&format!("PUBSUB NUMSUB {name}")).ends_with(":1");
        holders().filter(holds).count()
    };
    wait::until("each name is on one endpoint again", wait::LIMIT, || {
        fresh.ask("PUBSUB CHANNELS") != "*0"
            && holders().all(|redis| redis.ask("PUBSUB NUMPAT") == ":1")
            && names.iter().all(|name| place(name) == 1)
    });
    let mut publisher = pool.client();
    for name in &names {
        assert_eq!(publisher.ask(&format!("PUBLISH {name} x")), ":2", "{name}");
    }
    let mut expected: Vec<_> = names
        .iter()
        .map(|name| array('*', &["message", name, "x"]))
        .collect();
    let mut frames: Vec<_> = names.iter().map(|_| frame(&mut client)).collect();
    expected.sort();
    frames.sort();
    assert_eq!(frames, expected);
    for _ in &names {
        assert!(frame(&mut pattern).contains("pmessage"));
    }
    for client in [&mut client, &mut pattern] {
        assert_eq!(client.ask("PING"), "*2\r\n$4\r\npong\r\n$0");
    }
}

#[test]
fn pool_that_is_gone_leaves_no_connection() {
    let pool = Pool::start(1);
    let mut client = pool.client();
    subscribe(&mut client, "subscribe", "a");
    let of_channels = |redis: &Redis| {
        let clients = redis.ask("CLIENT LIST");
        let is_ours = |line: &&str| line.contains("subscribe") || line.contains("sub=1");
        clients.lines().filter(is_ours).count()
    };
    assert_eq!(of_channels(&pool.endpoints[0]), 1);
    let other = definitions::redis("other", &ports::free_addr(), &servers(&pool.endpoints), "");
    pool.data_plane.rewrite(&other);
    assert!(client.is_closed_within(wait::LIMIT));
    wait::until("the connection is closed", wait::LIMIT, || {
        of_channels(&pool.endpoints[0]) == 0
    });
}

#[test]
fn shard_channel_follows_the_replica_that_takes_over() {
    let cluster = Cluster::start_with(3, 3, Duration::from_secs(2));
    let mut slots = Front::start(cluster, "read_timeout = 20000");
    let name = "channel";
    let owner = slots.cluster.first_owner(Cluster::slot(name));
    let mut client = Raw::connect(&slots.listen);
    subscribe(&mut client, "ssubscribe", name);
    slots.cluster.nodes[owner].process().kill();
    let mut publisher = Raw::connect(&slots.listen);
    let mut sent = 0;
    wait::until("the replica's messages arrive", wait::LIMIT, || {
        sent += 1;
        publisher.ask(&format!("SPUBLISH {name} {sent}")) == ":1"
    });
    let message = array('*', &["smessage", name, &sent.to_string()]);
    assert_eq!(frame(&mut client), message);
    assert_eq!(client.ask("PING"), "*2\r\n$4\r\npong\r\n$0");
}

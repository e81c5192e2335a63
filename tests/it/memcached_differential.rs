//! Random text, meta and binary requests of several clients: through a pool the answers of one memcached, or a clear error.

use std::time::Duration;

use prism_dataplane::protocol::memcache::{binary::operation, command};
use prism_tests::{
    definitions,
    differential::{
        Pace,
        memcache::{OPTIONS, Plan, Tally, names, run},
    },
    memcached::Memcached,
    ports,
    programs::DataPlane,
};

use crate::differential::{asked_pace, assert_no_difference, say};

/// How long one run takes in the ordinary suite, in seconds.
const SECONDS: u64 = 12;

/// What presents a password: the server to compare with asks for none, and reads on in the wrong place.
const UNSENT: [&str; 2] = ["0x21", "0x22"];

/// Compares a pool of `count` endpoints with one memcached.
#[track_caller]
fn compare(count: usize, more: &str) {
    let endpoints: Vec<_> = (0..count)
        .map(|_| Memcached::start_with(&OPTIONS))
        .collect();
    let addrs: Vec<_> = endpoints.iter().map(Memcached::addr).collect();
    let listen = ports::free_addr();
    let text = definitions::cluster("pool", "memcache", &listen, &addrs, more);
    let _data_plane = DataPlane::bootstrap(&text);
    let tally = run(Plan {
        proxy: &listen,
        is_server: false,
        endpoints: &addrs,
        pace: asked_pace(SECONDS),
    });
    say(&tally.to_string());
    assert!(tally.compared > 0, "nothing was compared");
    assert_no_difference(&tally.differences);
}

#[test]
fn pool_answers_as_one_memcached() {
    compare(3, "");
}

#[test]
fn pool_of_one_answers_as_one_memcached() {
    compare(1, "");
}

#[test]
fn pool_that_joins_no_gets_answers_as_one_memcached() {
    compare(3, "join_gets = false");
}

/// Runs for three seconds with a memcached in the proxy's place.
fn compare_servers(options: &[&str]) -> Tally {
    let other = Memcached::start_with(&[&OPTIONS, options].concat());
    run(Plan {
        proxy: &other.addr(),
        is_server: true,
        endpoints: &[other.addr()],
        pace: Pace {
            seed: 1,
            time: Duration::from_secs(3),
        },
    })
}

#[test]
fn wrong_answers_are_seen_and_told_briefly() {
    let tally = compare_servers(&["-I", "2m"]);
    let told = tally.differences.told().first().expect("it takes more");
    assert!(told.lines().count() < 70, "{told}");
}

#[test]
fn one_memcached_answers_as_another() {
    assert_no_difference(&compare_servers(&[]).differences);
}

#[test]
fn every_command_and_operation_is_sent() {
    let sent = names();
    let commands = command::all().iter().map(|command| command.name.to_owned());
    let operations = (0..=u8::MAX).filter_map(operation);
    let operations = operations.map(|operation| format!("{:#04x}", operation.opcode));
    let missing: Vec<_> = commands
        .chain(operations)
        .filter(|name| !sent.contains(name) && !UNSENT.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

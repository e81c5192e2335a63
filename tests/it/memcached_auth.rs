//! Clients of Memcached that must authenticate: every word and every close as of a real memcached with `-Y` or `-S`.

use std::time::Duration;

use prism_tests::{memcached::Memcached, raw::Raw};

use crate::{
    access::{User, auth},
    memcached::Pool,
    memcached_access::said,
    memcached_binary::{packet, plain, reply},
};

const LIMIT: Duration = Duration::from_secs(5);

const USERS: &[User] = &[
    ("app", "secret", &["+@all"], &["~*"]),
    ("bob", "hunter2", &["+@all"], &["~*"]),
];

const WORDS: [(&str, &str); 2] = [("app", "secret"), ("bob", "hunter2")];

const LIST: u8 = 0x20;
const AUTH: u8 = 0x21;
const STEP: u8 = 0x22;

fn pool() -> Pool {
    Pool::start_with(2, &auth(USERS, "root"))
}

/// What is answered to `piece`: a line, or nothing more for ever.
fn line(client: &mut Raw, piece: &[u8]) -> String {
    if client.try_send(piece).is_err() {
        return "closed".to_owned();
    }
    let end = |bytes: &[u8]| bytes.windows(2).position(|end| end == b"\r\n");
    match client.take(|bytes| end(bytes).map(|at| at + 2)) {
        Ok(line) => String::from_utf8_lossy(&line).into_owned(),
        Err(_) => "closed".to_owned(),
    }
}

/// Sends each piece to both once the one before is answered, and compares the answers; returns the last.
#[track_caller]
fn check_text(proxy: &str, truth: &str, pieces: &[&[u8]]) -> String {
    let (mut proxy, mut truth) = (Raw::connect(proxy), Raw::connect(truth));
    let mut last = String::new();
    for piece in pieces {
        let expected = line(&mut truth, piece);
        last = line(&mut proxy, piece);
        let shown = String::from_utf8_lossy(piece);
        assert_eq!(
            last, expected,
            "proxy (left) and memcached differ at {shown:?}"
        );
    }
    last
}

#[test]
fn text_clients_come_in_as_to_memcached() {
    let (pool, truth) = (pool(), Memcached::with_text_users(&WORDS));
    let login = b"set k 0 0 10\r\napp secret\r\n";
    let long = [b"get ", "x".repeat(4000).as_bytes(), b"\r\n"].concat();
    let endless = "x".repeat(2049).into_bytes();
    let after: [&[u8]; 5] = [
        login,
        b"get k\r\n",
        b"set k 0 0 11\r\nbob hunter2\r\n",
        b"add k 0 0 1\r\nx\r\n",
        b"touch k 100\r\n",
    ];
    let refused: [&[u8]; 12] = [
        b"get k\r\n",
        b"quit\r\n",
        b"version\r\n",
        b"mn\r\n",
        b"mg k v\r\n",
        b"flush_all\r\n",
        b"stats\r\n",
        b"\r\n",
        &long,
        b"SET k 0 0 10\r\n",
        b"set k 0 0 9\r\napp wrong\r\n",
        login,
    ];
    let odd: [&[u8]; 12] = [
        b"set k 0 0 10x\r\n",
        b"set k 0 0 -1\r\n",
        b"set k 0 10\r\n",
        b"set k 0 0 0\r\n\r\n",
        b"set k 0 0 3\r\napp\r\n",
        b"set k 0 0 11\r\napp\0secret!\r\n",
        b"set k 0 0 10\r\napp secretXY",
        b"set k 0 0 10\r\nApp secret\r\n",
        b"set k 0 0 11\r\nbob secret2\r\n",
        b"set k 0 0 11\r\napp secret2\r\n",
        b"set k 0 0 8\r\nnobody x\r\n",
        b"set k x y \t+14 noreply\n  app  secret \r\n",
    ];
    for (pieces, last) in [
        (&after[..], "TOUCHED\r\n"),
        (&refused[..], "STORED\r\n"),
        (&odd[..], "STORED\r\n"),
        (&[b"get k\r\n", &endless], "closed"),
    ] {
        let found = check_text(&pool.listen, &truth.addr(), pieces);
        assert_eq!(found, last);
    }
}

#[test]
fn every_line_before_the_login_is_answered_by_one() {
    let pool = pool();
    let mut client = Raw::connect(&pool.listen);
    client.send(b"get a\r\nset a 0 0 3\r\na b\r\nset k 0 0 10\r\napp secret\r\nset a 0 0 1\r\nx\r\nget a\r\n");
    assert_eq!(said(&mut client), "CLIENT_ERROR unauthenticated");
    assert_eq!(said(&mut client), "CLIENT_ERROR authentication failure");
    assert_eq!(said(&mut client), "STORED");
    assert_eq!(said(&mut client), "STORED");
    assert_eq!(said(&mut client), "VALUE a 0 1");
    assert_eq!(said(&mut client), "x");
    assert_eq!(said(&mut client), "END");
    let mut huge = Raw::connect(&pool.listen);
    huge.send(b"set k 0 0 70000\r\n");
    huge.send(&[b'x'; 70_000]);
    huge.send(b"\r\nset k 0 0 10\r\napp secret\r\n");
    assert_eq!(said(&mut huge), "SERVER_ERROR object too large for cache");
    assert_eq!(said(&mut huge), "STORED", "all of it was thrown away");
}

/// The packets of one connection, and whether it is closed behind the last answer.
type Talk = (Vec<Vec<u8>>, bool);

fn sasl(opcode: u8, name: &str, value: &[u8]) -> Vec<u8> {
    packet(opcode, &[], name, value, 7)
}

fn login(value: &[u8]) -> Vec<u8> {
    sasl(AUTH, "PLAIN", value)
}

#[track_caller]
fn check_binary(proxy: &str, truth: &str, (packets, is_closed): &Talk) {
    let (mut proxy, mut truth) = (Raw::connect(proxy), Raw::connect(truth));
    for packet in packets {
        truth.send(packet);
        proxy.send(packet);
        let (mut expected, mut found) = (reply(&mut truth), reply(&mut proxy));
        if packet[1] == 0x0b {
            // Each names its own version; only how it went is compared.
            (expected, found) = (expected[..8].to_vec(), found[..8].to_vec());
        }
        assert_eq!(
            found, expected,
            "proxy (left) and memcached differ at {packet:?}"
        );
    }
    if *is_closed {
        assert!(
            truth.is_closed_within(LIMIT),
            "memcached closes: {packets:?}"
        );
        assert!(
            proxy.is_closed_within(LIMIT),
            "the proxy closes: {packets:?}"
        );
        return;
    }
    // Both still answer.
    for client in [&mut truth, &mut proxy] {
        client.send(&plain(0x0b, ""));
        assert_eq!(reply(client)[6..8], [0, 0], "{packets:?}");
    }
}

#[test]
fn binary_clients_come_in_as_to_memcached() {
    let (pool, truth) = (pool(), Memcached::with_sasl_users(&WORDS));
    let (good, bad) = (login(b"\0app\0secret"), login(b"\0app\0wrong"));
    let get = plain(0x00, "a");
    let key = "x".repeat(251);
    let mut talks: Vec<Talk> = vec![
        (vec![plain(0x0b, "")], false),
        (vec![sasl(LIST, "", b"")], false),
        (vec![sasl(LIST, "x", b"")], true),
        (vec![sasl(LIST, "", b"x")], true),
        (vec![sasl(AUTH, "", b"\0app\0secret")], true),
        (vec![sasl(STEP, "", b"")], true),
        (vec![packet(AUTH, &[0; 4], "PLAIN", b"x", 7)], true),
        (vec![sasl(AUTH, &key, b"x")], true),
        (
            vec![sasl(AUTH, &key[..40], b"x"), good.clone(), get.clone()],
            false,
        ),
        (vec![good.clone(), get.clone()], false),
        (vec![bad.clone(), good.clone(), get.clone()], false),
        (vec![good.clone(), bad.clone(), get.clone()], true),
        (vec![login(b"app\0app\0secret"), get.clone()], false),
        (vec![login(b"\0bob\0hunter2"), get.clone()], false),
        (
            vec![
                login(b""),
                sasl(STEP, "PLAIN", b"\0app\0secret"),
                get.clone(),
            ],
            false,
        ),
        (
            vec![
                login(b""),
                sasl(STEP, "OTHER", b"\0app\0secret"),
                get.clone(),
            ],
            false,
        ),
        (
            vec![
                login(b""),
                sasl(STEP, "PLAIN", b"\0app\0wrong"),
                get.clone(),
            ],
            true,
        ),
        (vec![login(b""), get.clone()], true),
        (vec![login(b""), good.clone(), get.clone()], false),
        (vec![good.clone(), login(b""), get.clone()], true),
        (
            vec![sasl(STEP, "PLAIN", b"\0app\0secret"), get.clone()],
            true,
        ),
        (
            vec![sasl(AUTH, "plain", b"\0app\0secret"), get.clone()],
            false,
        ),
        (
            vec![sasl(AUTH, "PLAIN\0x", b"\0app\0secret"), get.clone()],
            false,
        ),
        (vec![good, sasl(0x50, "", b""), get], false),
    ];
    for value in [
        &b"other\0app\0secret"[..],
        b"app\0secret",
        b"\0\0secret",
        b"\0app\0",
        b"\0app",
        b"\0\0",
        b"\0app\0secret\0",
        b"\0app\0secret\0x",
        b"\0APP\0secret",
        b"\0app\0hunter2",
        b"\0nobody\0secret",
        &[b'x'; 70_000],
    ] {
        talks.push((vec![login(value)], false));
    }
    for name in ["PLAI", "PLAINX", "ANONYMOUS", "PL\0AIN"] {
        talks.push((vec![sasl(AUTH, name, b"\0app\0secret")], false));
    }
    // Without a login every other operation is the last one, whatever it is and whatever its lengths.
    for opcode in (0x00..0x28).filter(|opcode| ![0x0b, LIST, AUTH, STEP].contains(opcode)) {
        talks.push((vec![plain(opcode, "a")], true));
    }
    talks.push((vec![packet(0x01, &[0; 8], "a", b"x", 7)], true));
    for talk in &talks {
        check_binary(&pool.listen, &truth.addr(), talk);
    }
}

#[test]
fn nobody_authenticates_where_nothing_asks_for_it() {
    let pool = Pool::start(1);
    let long = [b'x'; 2000];
    for talk in [
        (vec![sasl(LIST, "", b"")], false),
        (vec![login(b"\0app\0secret"), plain(0x00, "a")], false),
        (vec![login(&long), sasl(STEP, "x", b"y")], false),
        (vec![sasl(AUTH, "", b"")], true),
    ] {
        check_binary(&pool.listen, &pool.truth_addr(), &talk);
    }
}

#[test]
fn password_alone_is_that_of_the_user_default() {
    let pool = Pool::start_with(1, "password = \"with blank\"\n");
    let mut text = Raw::connect(&pool.listen);
    // A word of text ends at a blank, here as in memcached.
    text.send(b"set k 0 0 18\r\ndefault with blank\r\n");
    assert_eq!(said(&mut text), "CLIENT_ERROR authentication failure");
    let mut binary = Raw::connect(&pool.listen);
    binary.send(&login(b"\0other\0with blank"));
    assert_eq!(reply(&mut binary)[6..8], [0, 0x20]);
    binary.send(&login(b"\0default\0with blank"));
    assert_eq!(reply(&mut binary)[6..8], [0, 0]);
    binary.send(&plain(0x0c, "a"));
    assert_eq!(reply(&mut binary)[6..8], [0, 1]);
}

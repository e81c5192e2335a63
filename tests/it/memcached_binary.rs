//! The binary protocol through a pool, against a real memcached.

use prism_tests::raw::Raw;

use crate::memcached::Pool;

/// Bytes of a header.
const HEADER: usize = 24;

/// Marks the end of a comparison.
const MARK: u32 = 0xfeed;

const NOOP: u8 = 0x0a;

/// One request.
pub(crate) fn packet(opcode: u8, extras: &[u8], key: &str, value: &[u8], opaque: u32) -> Vec<u8> {
    let body = extras.len() + key.len() + value.len();
    let mut out = vec![0x80, opcode];
    out.extend(u16::try_from(key.len()).expect("short").to_be_bytes());
    out.extend([u8::try_from(extras.len()).expect("short"), 0, 0, 0]);
    out.extend(u32::try_from(body).expect("short").to_be_bytes());
    out.extend(opaque.to_be_bytes());
    out.extend([0; 8]);
    out.extend(extras);
    out.extend(key.as_bytes());
    out.extend(value);
    out
}

/// A request without extras and value.
pub(crate) fn plain(opcode: u8, key: &str) -> Vec<u8> {
    packet(opcode, &[], key, &[], u32::from(opcode) + 1000)
}

/// A storage request; flags 5, no expiry.
pub(crate) fn store(opcode: u8, key: &str, value: &[u8]) -> Vec<u8> {
    packet(
        opcode,
        &[0, 0, 0, 5, 0, 0, 0, 0],
        key,
        value,
        u32::from(opcode) + 2000,
    )
}

/// An increment by one, from ten.
fn count(opcode: u8, key: &str) -> Vec<u8> {
    let mut extras = [0; 20];
    (extras[7], extras[15]) = (1, 10);
    packet(opcode, &extras, key, &[], 77)
}

/// A touch or get-and-touch that lets the value live for ever.
fn touch(opcode: u8, key: &str) -> Vec<u8> {
    packet(opcode, &[0; 4], key, &[], 78)
}

/// Reads one packet, its CAS blanked: every memcached counts for itself.
pub(crate) fn reply(client: &mut Raw) -> Vec<u8> {
    let whole = |bytes: &[u8]| {
        let len = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
        let whole = HEADER + len as usize;
        (bytes.len() >= whole).then_some(whole)
    };
    let mut packet = client.take(whole).expect("a packet comes");
    let has_cas = packet[16..24].iter().any(|byte| *byte != 0);
    packet[16..24].fill(u8::from(has_cas));
    packet
}

/// Everything up to the mark.
fn until_mark(client: &mut Raw) -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    loop {
        let packet = reply(client);
        if packet[12..16] == MARK.to_be_bytes() {
            return replies;
        }
        replies.push(packet);
    }
}

/// Sends `requests` to both and compares every reply.
#[track_caller]
fn check(proxy: &mut Raw, truth: &mut Raw, requests: &[Vec<u8>]) -> usize {
    let mut bytes = requests.concat();
    bytes.extend(packet(NOOP, &[], "", &[], MARK));
    proxy.send(&bytes);
    truth.send(&bytes);
    let (replies, expected) = (until_mark(proxy), until_mark(truth));
    assert_eq!(
        replies, expected,
        "proxy (left) and memcached differ at {requests:?}"
    );
    replies.len()
}

#[test]
fn binary_requests_answer_as_one_memcached() {
    let pool = Pool::start(3);
    let (mut proxy, mut truth) = (Raw::connect(&pool.listen), Raw::connect(&pool.truth_addr()));
    let unknown = packet(0x50, &[], "", &[], 9);
    let script = [
        vec![
            plain(0x00, "a"),
            plain(0x09, "a"),
            plain(0x0c, "a"),
            plain(0x0d, "a"),
        ],
        vec![
            store(0x01, "a", b"hi"),
            plain(0x00, "a"),
            plain(0x09, "a"),
            plain(0x0c, "a"),
            plain(0x0d, "a"),
        ],
        vec![
            store(0x02, "a", b"x"),
            store(0x12, "a", b"x"),
            store(0x12, "b", b"x"),
            store(0x03, "none", b"x"),
        ],
        vec![
            store(0x11, "q", b"quiet"),
            store(0x13, "q", b"again"),
            plain(0x00, "q"),
        ],
        vec![
            packet(0x0e, &[], "q", b"-end", 4),
            packet(0x19, &[], "q", b"!", 5),
            packet(0x0f, &[], "q", b"_", 6),
        ],
        vec![packet(0x1a, &[], "none", b"_", 7), plain(0x00, "q")],
        vec![
            count(0x05, "n"),
            count(0x05, "n"),
            count(0x06, "n"),
            count(0x15, "n"),
            count(0x16, "n"),
            plain(0x00, "n"),
        ],
        vec![count(0x05, "a"), count(0x15, "a")],
        vec![
            touch(0x1c, "n"),
            touch(0x1d, "n"),
            touch(0x23, "n"),
            touch(0x1e, "none"),
            touch(0x24, "none"),
            touch(0x24, "n"),
        ],
        vec![
            plain(0x04, "a"),
            plain(0x04, "a"),
            plain(0x14, "a"),
            plain(0x14, "b"),
        ],
        vec![unknown, plain(NOOP, ""), plain(0x20, "")],
        vec![plain(0x10, "nosuch"), plain(0x10, "reset")],
        vec![store(0x01, "a b\r\n", b"x"), plain(0x0c, "a b\r\n")],
        vec![
            store(0x01, "large", &vec![b'x'; 2_000_000]),
            store(0x11, "large", &vec![b'x'; 2_000_000]),
        ],
        vec![
            store(0x11, "fits", &vec![b'y'; 900_000]),
            plain(0x09, "fits"),
        ],
        vec![
            plain(0x08, ""),
            packet(0x08, &[0; 4], "", &[], 3),
            plain(0x18, ""),
            plain(0x00, "q"),
            plain(0x00, "n"),
        ],
    ];
    let replies: usize = script
        .iter()
        .map(|requests| check(&mut proxy, &mut truth, requests))
        .sum();
    assert!(replies > 40, "{replies}");
}

#[test]
fn pipelined_quiet_requests_answer_as_one_memcached() {
    let pool = Pool::start(3);
    let (mut proxy, mut truth) = (Raw::connect(&pool.listen), Raw::connect(&pool.truth_addr()));
    let mut requests = Vec::new();
    for index in 0..300_u32 {
        let key = format!("key-{}", index % 90);
        let value = vec![b'v'; index as usize % 50];
        requests.push(match index % 5 {
            0 => packet(0x11, &[0; 8], &key, &value, index),
            1 | 2 => packet(0x0d, &[], &key, &[], index),
            3 => packet(0x14, &[], &format!("key-{}", index % 30), &[], index),
            _ => packet(0x00, &[], &key, &[], index),
        });
    }
    assert!(check(&mut proxy, &mut truth, &requests) > 60);
}

#[test]
fn requests_that_memcached_closes_over_close_no_shared_connection() {
    let pool = Pool::start(1);
    let mut other = Raw::connect(&pool.listen);
    // A body shorter than its key.
    let mut long_key = plain(0x00, "abcdefghi");
    long_key[11] = 3;
    let mut unknown = long_key.clone();
    unknown[1] = 0x55;
    for bad in [
        long_key,
        unknown,
        packet(0x00, &[0; 4], "a", &[], 1),
        packet(0x01, &[0; 4], "a", b"x", 2),
        packet(0x00, &[], &"k".repeat(251), &[], 3),
        packet(0x00, &[], "", &[], 4),
        packet(NOOP, &[], "", b"zz", 5),
    ] {
        let (mut proxy, mut truth) = (Raw::connect(&pool.listen), Raw::connect(&pool.truth_addr()));
        proxy.send(&bad);
        truth.send(&bad);
        assert_eq!(reply(&mut proxy), reply(&mut truth));
        assert_eq!((proxy.rest(), truth.rest()), (Vec::new(), Vec::new()));
        other.send(&plain(NOOP, ""));
        assert_eq!(reply(&mut other)[1], NOOP);
    }
    let mut leaving = Raw::connect(&pool.listen);
    leaving.send(&[store(0x11, "a", b"x"), plain(0x0c, "a"), plain(0x07, "")].concat());
    assert_eq!(
        (reply(&mut leaving)[1], reply(&mut leaving)[1]),
        (0x0c, 0x07)
    );
    assert_eq!(leaving.rest(), Vec::<u8>::new());
}

#[test]
fn dead_endpoint_is_a_packet_with_words() {
    let mut pool = Pool::start_with(1, "ping_fail_limit = 0");
    let mut client = Raw::connect(&pool.listen);
    client.send(&store(0x01, "a", b"x"));
    assert_eq!(reply(&mut client)[6..8], [0, 0]);
    let gone = pool.endpoints.remove(0);
    let addr = gone.addr();
    drop(gone);
    for request in [plain(0x00, "a"), plain(0x0d, "a"), plain(0x08, "")] {
        client.send(&request);
        let failure = reply(&mut client);
        assert_eq!((failure[0], failure[1]), (0x81, request[1]));
        assert_eq!(failure[6..8], [0, 0x84]);
        assert_eq!(failure[12..16], request[12..16]);
        let words = String::from_utf8_lossy(&failure[HEADER..]).into_owned();
        assert!(
            words.starts_with("prism: ") && words.contains(&addr),
            "{words}"
        );
    }
    client.send(&plain(NOOP, ""));
    assert_eq!(reply(&mut client)[1], NOOP);
}

#[test]
fn text_and_binary_clients_share_their_values() {
    let pool = Pool::start(2);
    let (mut text, mut binary) = (Raw::connect(&pool.listen), Raw::connect(&pool.listen));
    for index in 0..20 {
        text.send(format!("set key-{index} 5 0 2\r\nhi\r\n").as_bytes());
        assert_eq!(text.line(), "STORED\r\n");
        binary.send(&plain(0x00, &format!("key-{index}")));
        assert!(reply(&mut binary).ends_with(b"\0\0\0\x05hi"));
    }
    binary.send(&plain(0x0b, ""));
    assert!(reply(&mut binary).ends_with(env!("CARGO_PKG_VERSION").as_bytes()));
    binary.send(&plain(0x10, ""));
    let mut names = Vec::new();
    loop {
        let figure = reply(&mut binary);
        let len = usize::from(u16::from_be_bytes([figure[2], figure[3]]));
        if len == 0 {
            break;
        }
        names.push(String::from_utf8_lossy(&figure[HEADER..HEADER + len]).into_owned());
    }
    assert!(
        names.iter().any(|name| name == "curr_connections"),
        "{names:?}"
    );
}

//! Meta requests and the commands without a key through a pool, against a real memcached.

use prism_tests::raw::Raw;

use crate::memcached::Pool;

/// Each is sent whole; the replies are those of one memcached. Times to live are long, so that no second matters.
const TRANSCRIPT: [&str; 51] = [
    "mg a\r\n",
    "mg a v\r\n",
    "mg a q\r\nmn\r\n",
    "ms a 2\r\nhi\r\n",
    "mg a\r\nmg a q\r\nmn\r\n",
    "mg a v q\r\nmn\r\n",
    "mg a v k q O123 s f\r\nmg none v k q O124\r\nmg a k O125\r\nmn\r\n",
    "mg a  v\r\n",
    "mg a t v\r\n",
    "ms a 2 q\r\nho\r\nmn\r\n",
    "ms a 2 ME\r\nhi\r\n",
    "ms a 2 q ME\r\nhi\r\nmn\r\n",
    "ms a 2 MA\r\nhi\r\nmg a v\r\n",
    "ms a 2 MX\r\nhi\r\nmn\r\n",
    "ms a 2 C99 q\r\nhi\r\nmn\r\n",
    "ms zz 2 C99 q\r\nhi\r\nmn\r\n",
    "ms a 2 k O1\r\nhi\r\n",
    "ms a 2 T100 F7\r\nhi\r\nmg a f v\r\n",
    "ms a 2 Tx\r\nhi\r\nmn\r\n",
    "ms a 0\r\n\r\nmg a v s\r\n",
    "ms a 02\r\nhi\r\nmn\r\n",
    "ms a\r\n",
    "ms a 2\r\nhixx\r\nmn\r\n",
    "ms a 2 q\r\nhixx\r\nmn\r\n",
    "md a q\r\nmn\r\n",
    "md a q\r\nmn\r\n",
    "md a\r\n",
    "ms n 1\r\n1\r\nma n q\r\nma n v q\r\nma n\r\nma n v\r\n",
    "ma none q\r\nma none\r\nmn\r\n",
    "ma n MD D3 v\r\n",
    "ma n D-1\r\n",
    "ma made N0 J5 v\r\nma made N0 J5 v\r\n",
    "me none\r\n",
    "me YQ== x b\r\n",
    "me YQ== b x\r\n",
    "me YQ== bb\r\n",
    "me\r\nmg\r\nms\r\nmd\r\nma\r\n",
    "mn\r\nmn x\r\nmn q\r\n",
    "ms Zm9v 2 b\r\nhi\r\nmg foo v\r\nmg Zm9v b k v\r\nget foo\r\n",
    "ms YQ== 2 b\r\nhi\r\nmg a v\r\nmg YQ== b v k\r\nmg YR== b v k\r\nmg YQ b v\r\n",
    "mg !!! b\r\nms !!! 2 b\r\nhi\r\nmn\r\n",
    "set other 0 0 2\r\nhi\r\nmg -b3RoZXI= b v k\r\nmg --b3RoZXI= b v k\r\nmg b3R!oZXI= b v k\r\nmg {b3RoZXI=} b v k\r\nmg b3RoZX:I= b v k\r\nmg .b3RoZXI= b v k\r\nmg b3RoZXI=ZZZZ b v k\r\nmg b3RoZXI=Z b v\r\nmg Y=== b v\r\n",
    "mg a zz y\r\nmg a v v\r\nmg a E5\r\nmn\r\n",
    "mg fresh N30 v\r\nmg fresh v\r\nmg fresh v q\r\nmn\r\n",
    "mg a Oaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa k q\r\nmn\r\n",
    "MG a\r\n",
    "mg qq\r\nmd qq\r\n",
    "verbosity\r\nverbosity 1\r\nverbosity x\r\nverbosity 1 noreply\r\n",
    "set f 0 0 1\r\nx\r\nflush_all noreply\r\nget f\r\nflush_all 0 noreply\r\n",
    "flush_all x\r\nflush_all noreply 0\r\nflush_all 1 2 3\r\nflush_all\r\nflush_all 0\r\n",
    "mg a v\r\nmg n v\r\nget foo\r\n",
];

#[test]
fn meta_requests_answer_as_one_memcached() {
    let mut pool = Pool::start(3);
    for line in TRANSCRIPT {
        pool.check(line);
    }
}

#[test]
fn pipelined_quiet_requests_answer_as_one_memcached() {
    let mut pool = Pool::start(3);
    let mut all = String::new();
    for index in 0..200 {
        let quiet = if index % 3 == 0 { " q" } else { "" };
        all += &format!("ms key-{index} 3{quiet} O{index}\r\nabc\r\n");
        all += &format!("mg key-{} v k q O{index}\r\n", index * 2);
        all += &format!("md key-{}{quiet} k\r\n", index / 2);
        all += "get key-1 key-150\r\n";
    }
    all += "mn\r\n";
    let reply = pool.check(&all);
    assert!(
        reply.ends_with("MN\r\n") && reply.contains("VA 3 kkey-"),
        "{reply}"
    );
}

#[test]
fn oversized_keys_and_values_leave_the_connection_in_step() {
    let mut pool = Pool::start(2);
    let key = "k".repeat(251);
    for name in ["mg", "md", "ma", "me"] {
        pool.check(&format!("{name} {key}\r\nmn\r\n"));
    }
    let large = "x".repeat(2_000_000);
    pool.check(&format!("ms a 2000000\r\n{large}\r\nmn\r\n"));
    pool.check(&format!("ms a 2000000 q\r\n{large}\r\nmn\r\n"));
    let fits = "y".repeat(900_000);
    pool.check(&format!(
        "ms a 900000 q\r\n{fits}\r\nmg a v\r\nmg a v q\r\nmn\r\n"
    ));
    // One memcached takes the data of such a request for commands; here it is thrown away.
    let mut client = Raw::connect(&pool.listen);
    client.send(format!("ms {key} 2\r\nhi\r\nms a -1\r\nmn\r\n").as_bytes());
    let words = "CLIENT_ERROR bad command line format\r\n";
    assert_eq!(
        (client.line().as_str(), client.line().as_str()),
        (words, words)
    );
    assert_eq!(client.line(), "MN\r\n");
}

#[test]
fn flush_reaches_every_endpoint_or_says_which_did_not() {
    let mut pool = Pool::start_with(3, "ping_fail_limit = 0");
    let mut client = Raw::connect(&pool.listen);
    for index in 0..30 {
        client.send(format!("set key-{index} 0 0 1\r\nx\r\n").as_bytes());
        assert_eq!(client.line(), "STORED\r\n");
    }
    client.send(b"flush_all\r\n");
    assert_eq!(client.line(), "OK\r\n");
    for index in 0..30 {
        client.send(format!("get key-{index}\r\n").as_bytes());
        assert_eq!(client.line(), "END\r\n");
    }
    let gone = pool.endpoints.remove(1);
    let addr = gone.addr();
    drop(gone);
    client.send(b"flush_all\r\nmn\r\n");
    let reply = client.line();
    assert!(
        reply.starts_with("SERVER_ERROR prism: ") && reply.contains(&addr),
        "{reply}"
    );
    assert_eq!(client.line(), "MN\r\n");
}

#[test]
fn stats_are_the_proxys_own() {
    let pool = Pool::start(2);
    let mut client = Raw::connect(&pool.listen);
    let mut ask = |line: &str| {
        client.send(format!("{line}\r\n").as_bytes());
        let end = |bytes: &[u8]| {
            let is_over = bytes.ends_with(b"END\r\n")
                || !bytes.starts_with(b"STAT") && bytes.ends_with(b"\r\n");
            is_over.then_some(bytes.len())
        };
        String::from_utf8(client.take(end).expect("stats end")).expect("text")
    };
    let stats = ask("stats");
    for name in [
        "pid",
        "uptime",
        "time",
        "version",
        "curr_connections",
        "prism_requests",
    ] {
        assert!(stats.contains(&format!("STAT {name} ")), "{stats}");
    }
    assert!(ask("stats settings").contains("STAT maxconns 0\r\n"));
    for kind in ["items", "slabs", "sizes", "conns"] {
        assert_eq!(ask(&format!("stats {kind}")), "END\r\n");
    }
    assert_eq!(ask("stats reset"), "RESET\r\n");
    assert!(ask("stats nonsense").starts_with("CLIENT_ERROR "));
}

#[test]
fn many_flags_put_no_other_client_out_of_step() {
    let pool = Pool::start(1);
    let (mut client, mut other) = (Raw::connect(&pool.listen), Raw::connect(&pool.listen));
    for count in [16, 17, 18, 30] {
        // Memcached would run what stands in the data.
        let line = format!("ms a 11{}\r\n", " k".repeat(count));
        client.send(format!("{line}flush_all\r\n\r\nmn\r\n").as_bytes());
        other.send(b"set b 0 0 1\r\nx\r\nget b\r\n");
        let error = client.line();
        assert!(error.starts_with("CLIENT_ERROR "), "{count}: {error}");
        assert_eq!(client.line(), "MN\r\n", "{count}");
        let lines: Vec<_> = (0..4).map(|_| other.line()).collect();
        assert_eq!(lines, ["STORED\r\n", "VALUE b 0 1\r\n", "x\r\n", "END\r\n"]);
    }
}

#[test]
fn line_end_in_a_key_is_in_no_answer() {
    let pool = Pool::start(1);
    let (mut client, mut other) = (Raw::connect(&pool.listen), Raw::connect(&pool.listen));
    // The key, stored in binary, is `a\r\nEN\r\n`.
    let mut packet = vec![0x80, 0x01, 0, 7, 8];
    packet.extend([0, 0, 0, 0, 0, 0, 16]);
    packet.resize(24 + 8, 0);
    packet.extend(b"a\r\nEN\r\nx");
    let mut binary = Raw::connect(&pool.listen);
    binary.send(&packet);
    assert_eq!(binary.bytes(24)[6..8], [0, 0]);
    for request in [
        "mg YQ0KRU4NCg== b k",
        "me YQ0KRU4NCg== b",
        "md YQ0KRU4NCg== b q k",
    ] {
        client.send(format!("{request}\r\nmn\r\n").as_bytes());
        other.send(b"mg none O1\r\nmn\r\n");
        let error = client.line();
        assert!(
            error.starts_with("SERVER_ERROR prism: "),
            "{request}: {error}"
        );
        assert_eq!(client.line(), "MN\r\n");
        assert_eq!([other.line(), other.line()], ["EN O1\r\n", "MN\r\n"]);
    }
    client.send(b"mg YQ0KRU4NCg== b v\r\n");
    assert_eq!([client.line(), client.line()], ["VA 1\r\n", "x\r\n"]);
}

//! Wrong and odd Memcached requests, one by one: the words of a real memcached, and the connection stays in step.

use crate::memcached::Pool;

/// Longest key and one more.
const LONG: usize = 251;

#[track_caller]
fn check_all(cases: &[&str]) {
    let mut pool = Pool::start(3);
    for case in cases {
        pool.check(&format!("{case}\r\n"));
    }
}

#[test]
fn wrong_numbers_answer_as_one_memcached() {
    check_all(&[
        "incr a",
        "set a 0 0 1\r\n5",
        "incr a -1",
        "incr a x",
        "incr a 18446744073709551616",
        "incr a 1 2",
        "incr a 1 noreply x",
        "touch a",
        "touch a x",
        "touch a x noreply",
        "touch a 1 2",
        "gat",
        "gat 0",
        "gat x",
        "gat x a",
        "gats 99999999999999999999 a",
        "gat -1 a",
        "delete a b",
        "delete a noreply x",
        "delete",
        "flush_all 5x",
        "flush_all 1 2 3",
        "verbosity",
        "verbosity x",
        "verbosity 1 2",
        "verbosity 1 2 3",
        "cas a 0 0 1\r\nx",
        "cas none 0 0 1 5\r\nx",
        "cas none 0 0 1 5 noreply\r\nx",
    ]);
}

#[test]
fn wrong_lengths_and_lines_answer_as_one_memcached() {
    let many: Vec<_> = (0..10_000).map(|number| format!("k{number}")).collect();
    let large = "x".repeat(2_000_000);
    check_all(&[
        "set",
        "set a 0 0",
        "set a 0 0 -1",
        "set a 0 0 2147483646",
        "set a 0 0 2147483648",
        "set a 0 0 4294967295",
        "set a 0 0 1 noreply x\r\nx",
        "set a 0 0 3\r\nabcdef",
        &format!("set a 0 0 2000000 noreply\r\n{large}\r\nget a"),
        &format!("append none 0 0 2000000\r\n{large}"),
        &format!("ms a 2000000 q\r\n{large}"),
        "",
        &" ".repeat(200),
        &format!("{}get a", " ".repeat(99)),
        "\0",
        "GET a",
        "get a\tb",
        "get a\rb",
        "get  a   b ",
        "get",
        &format!("get {}", many.join(" ")),
        &format!("gets {}", many.join(" ")),
        &"x".repeat(2000),
    ]);
}

#[test]
fn wrong_meta_requests_answer_as_one_memcached() {
    let long = "k".repeat(LONG);
    check_all(&[
        "mg",
        "ms",
        "md",
        "ma",
        "me",
        "ms a",
        "ms a S1\r\nx",
        "ms a 1\r\nx",
        "mg a x",
        "mg a v v",
        "mg a q x",
        &format!("mg a O{}", "o".repeat(31)),
        &format!("mg a O{}", "o".repeat(32)),
        &format!("mg {long}"),
        &format!("mg a{}", " k".repeat(20)),
        "mg a b",
        "mg YQ=b b",
        "mg YR== b k v",
        "ms a 1 MX\r\nx",
        "ms a 1 M\r\nx",
        "ms a 1 C\r\nx",
        "ms a 1 S2\r\nx",
        "ms a 1 Tx\r\nx",
        "ms a 1 k b\r\nx",
        "ms a 1 T0\r\nx\r\nmg a t v",
        "ms none 1 q MR\r\nx",
        "ms none 1 q MA\r\nx",
        "mg none k O2 q v\r\nmg a k O1 q v",
        "md none q\r\nmd a q\r\nmd a",
        "ma n N0 J5\r\nma n D2 v\r\nma n MD D100 v t\r\nma n q",
        "ma n Mx",
        "ma n Dx",
        "ma none q",
        "ma none J5",
        "ms i 5 I\r\nhello\r\nmd i I T1000\r\nmg i v\r\nmg i v",
        "mg vivid N1000 v\r\nmg vivid N1000 v\r\nmg vivid v",
        "me none",
        "md a x",
    ]);
}

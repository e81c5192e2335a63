//! Parts of requests and what their replies make.

use super::super::request::RequestDecoder;
use super::*;
use crate::protocol::message::Limits;

fn part_of(kind: SplitKind, words: &[&str], indexes: &[u32]) -> String {
    let mut raw = Vec::new();
    write_array_header(&mut raw, words.len());
    words.iter().for_each(|word| write_bulk(&mut raw, word));
    let mut decoder = RequestDecoder::new(Limits::default());
    decoder.decode(&raw).unwrap();
    let mut out = Vec::new();
    append_part(&mut out, kind, &raw, decoder.args(), indexes);
    String::from_utf8(out).unwrap()
}

fn merged(kind: SplitKind, parts: &[(&[u32], &str)], errors: PartErrors) -> String {
    let keys = parts.iter().map(|(indexes, _)| indexes.len()).sum();
    let parts: Vec<_> = parts
        .iter()
        .map(|(indexes, reply)| Part {
            indexes,
            reply: reply.as_bytes(),
        })
        .collect();
    let mut out = b"before".to_vec();
    let merging = Merging {
        dialect: Dialect::Resp2,
        errors,
        keys,
    };
    merge(&mut out, kind, &parts, merging);
    String::from_utf8(out.split_off(6)).unwrap()
}

#[test]
fn part_carries_its_keys_only() {
    let part = part_of(SplitKind::Mget, &["mget", "a", "b", "a"], &[0, 2]);
    assert_eq!(part, "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\na\r\n");
    let part = part_of(
        SplitKind::Mset,
        &["MSET", "a", "1", "b", "2", "c", ""],
        &[1, 2],
    );
    assert_eq!(
        part,
        "*5\r\n$4\r\nMSET\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$0\r\n\r\n"
    );
}

#[test]
fn keys_are_counted_by_the_arguments_they_take() {
    for (kind, argc, keys) in [
        (SplitKind::Del, 1, None),
        (SplitKind::Del, 3, Some(2)),
        (SplitKind::Mset, 3, Some(1)),
        (SplitKind::Mset, 4, None),
        (SplitKind::Mset, 5, Some(2)),
        (SplitKind::Mset, 0, None),
    ] {
        assert_eq!(kind.key_count(argc), keys, "{kind:?} {argc}");
    }
    assert_eq!(SplitKind::Mset.argument_of(1), 3);
    assert_eq!(SplitKind::Exists.argument_of(1), 2);
}

#[test]
fn arrays_are_put_in_the_order_of_keys() {
    let parts: [(&[u32], &str); 2] = [
        (&[1, 3], "*2\r\n$1\r\nb\r\n$-1\r\n"),
        (&[0, 2], "*2\r\n$1\r\na\r\n$1\r\nc\r\n"),
    ];
    let reply = merged(SplitKind::Mget, &parts, PartErrors::Fail);
    assert_eq!(reply, "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$-1\r\n");
}

#[test]
fn failed_part_of_an_array_follows_the_policy() {
    let parts: [(&[u32], &str); 3] = [
        (&[1], "*1\r\n$1\r\nb\r\n"),
        (&[0, 3], "-ERR prism: x\r\n"),
        (&[2], "-LOADING y\r\n"),
    ];
    let reply = |errors| merged(SplitKind::Mget, &parts, errors);
    assert_eq!(reply(PartErrors::Fail), "-ERR prism: x\r\n");
    assert_eq!(
        reply(PartErrors::Nil),
        "*4\r\n$-1\r\n$1\r\nb\r\n$-1\r\n$-1\r\n"
    );
    assert_eq!(
        reply(PartErrors::Element),
        "*4\r\n-ERR prism: x\r\n$1\r\nb\r\n-LOADING y\r\n-ERR prism: x\r\n"
    );
}

#[test]
fn refusal_of_a_shard_is_no_missing_key() {
    let parts: [(&[u32], &str); 3] = [
        (&[1], "*1\r\n$1\r\nb\r\n"),
        (&[0], "-LOADING x\r\n"),
        (&[2], "-NOPERM y\r\n"),
    ];
    let reply = merged(SplitKind::Mget, &parts, PartErrors::Nil);
    assert_eq!(reply, "-NOPERM y\r\n");
}

#[test]
fn sums_and_oks_fail_with_their_first_error() {
    let cases = [
        (SplitKind::Del, ":2\r\n", ":1\r\n", ":3\r\n"),
        (SplitKind::Exists, ":0\r\n", ":0\r\n", ":0\r\n"),
        (SplitKind::Touch, ":2\r\n", "-ERR a\r\n", "-ERR a\r\n"),
        (SplitKind::Unlink, "-ERR a\r\n", "-ERR b\r\n", "-ERR a\r\n"),
        (SplitKind::Mset, "+OK\r\n", "+OK\r\n", "+OK\r\n"),
        (SplitKind::Mset, "+OK\r\n", "-OOM x\r\n", "-OOM x\r\n"),
    ];
    for (kind, first, second, whole) in cases {
        for errors in [PartErrors::Fail, PartErrors::Nil, PartErrors::Element] {
            assert_eq!(
                merged(kind, &[(&[0], first), (&[1], second)], errors),
                whole,
                "{kind:?}"
            );
        }
    }
}

#[test]
fn reply_of_a_wrong_type_is_never_merged() {
    let cases: [(SplitKind, &[u32], &str); 7] = [
        (SplitKind::Mget, &[0], "+OK\r\n"),
        (SplitKind::Mget, &[0, 1], "*1\r\n$1\r\na\r\n"),
        (SplitKind::Mget, &[0], "$-1\r\n"),
        (SplitKind::Del, &[0], "+OK\r\n"),
        (SplitKind::Mset, &[0], ":1\r\n"),
        (SplitKind::Mget, &[0, 0], "*2\r\n$1\r\na\r\n$1\r\na\r\n"),
        (SplitKind::Mget, &[7], "*1\r\n$1\r\na\r\n"),
    ];
    for (kind, indexes, reply) in cases {
        let whole = merged(kind, &[(indexes, reply)], PartErrors::Nil);
        assert!(
            whole.starts_with("-ERR prism: "),
            "{kind:?} {reply:?} made {whole:?}"
        );
    }
}

#[test]
fn null_is_in_the_dialect_of_the_client() {
    let parts = [Part {
        indexes: &[0],
        reply: b"-LOADING x\r\n",
    }];
    let mut out = Vec::new();
    let merging = Merging {
        dialect: Dialect::Resp3,
        errors: PartErrors::Nil,
        keys: 1,
    };
    merge(&mut out, SplitKind::Mget, &parts, merging);
    assert_eq!(out, b"*1\r\n_\r\n");
}

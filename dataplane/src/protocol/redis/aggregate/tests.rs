//! Replies of shards and the one reply they make.

use super::*;

fn answers<'a>(replies: &'a [&'a str]) -> Vec<Answer<'a>> {
    let names = ["one", "two", "three", "four", "five", "six"];
    let named = names.into_iter().zip(replies);
    named
        .map(|(shard, reply)| Answer {
            shard,
            reply: reply.as_bytes(),
        })
        .collect()
}

fn gathered(how: Gather, replies: &[&str]) -> String {
    let mut out = Vec::new();
    gather(&mut out, how, &answers(replies));
    String::from_utf8(out).expect("text")
}

const CONCAT: Gather = Gather::Concat { limit: 100 };

#[test]
fn replies_of_shards_become_one() {
    let cases: [(Gather, &[&str], &str); 15] = [
        (Gather::Alike, &["+OK\r\n", "+OK\r\n"], "+OK\r\n"),
        (Gather::Sum, &[":2\r\n", ":0\r\n", ":40\r\n"], ":42\r\n"),
        (Gather::Smallest, &[":2\r\n", ":0\r\n"], ":0\r\n"),
        (Gather::Largest, &[":2\r\n", ":7\r\n", ":4\r\n"], ":7\r\n"),
        (
            CONCAT,
            &[
                "*1\r\n$1\r\na\r\n",
                "*0\r\n",
                "*2\r\n$0\r\n\r\n$2\r\n\n\n\r\n",
            ],
            "*3\r\n$1\r\na\r\n$0\r\n\r\n$2\r\n\n\n\r\n",
        ),
        (CONCAT, &["*0\r\n", "*0\r\n"], "*0\r\n"),
        (
            Gather::Each,
            &["*2\r\n:1\r\n:0\r\n", "*2\r\n:1\r\n:1\r\n"],
            "*2\r\n:1\r\n:0\r\n",
        ),
        (
            Gather::OneSucceeded,
            &["-NOTBUSY No\r\n", "+OK\r\n"],
            "+OK\r\n",
        ),
        (
            Gather::OneSucceeded,
            &["-NOTBUSY No\r\n", "-NOTBUSY No\r\n"],
            "-NOTBUSY No\r\n",
        ),
        (
            Gather::OneSucceeded,
            &["-NOTBUSY No\r\n", "-UNKILLABLE it wrote\r\n"],
            "-UNKILLABLE endpoint two: it wrote\r\n",
        ),
        (
            Gather::Running,
            &["*2\r\n+r\r\n$-1\r\n", "*2\r\n+r\r\n*0\r\n"],
            "*2\r\n+r\r\n*0\r\n",
        ),
        (
            Gather::Running,
            &["%1\r\n+r\r\n_\r\n", "%1\r\n+r\r\n_\r\n"],
            "%1\r\n+r\r\n_\r\n",
        ),
        (
            Gather::Sum,
            &[":1\r\n", "+x\r\n"],
            "-ERR prism: the endpoints' replies to this command do not fit together\r\n",
        ),
        (
            Gather::Alike,
            &["+a\r\n", "+b\r\n"],
            "-ERR prism: the endpoints' replies to this command do not fit together\r\n",
        ),
        (Gather::Alike, &["!5\r\nERR a\r\n"], "!5\r\nERR a\r\n"),
    ];
    for (how, replies, expected) in cases {
        assert_eq!(gathered(how, replies), expected, "{how:?} {replies:?}");
    }
}

#[test]
fn error_of_a_shard_names_it_unless_all_say_the_same() {
    let syntax = "-ERR syntax error\r\n";
    assert_eq!(gathered(Gather::Alike, &[syntax, syntax]), syntax);
    assert_eq!(
        gathered(
            Gather::Alike,
            &["+OK\r\n", "-MISCONF cannot save\r\n", "+OK\r\n"]
        ),
        "-MISCONF endpoint two: cannot save (done by 2 of 3 endpoints)\r\n"
    );
    assert_eq!(
        gathered(Gather::Sum, &[":1\r\n", "!9\r\nOOM no no\r\n"]),
        "-OOM endpoint two: no no\r\n"
    );
    assert_eq!(
        gathered(
            CONCAT,
            &["*0\r\n", "-ERR prism: endpoint two is ejected\r\n"]
        ),
        "-ERR prism: endpoint two is ejected\r\n"
    );
    assert_eq!(
        gathered(Gather::Sum, &["-LOADING a\r\n", "-LOADING b\r\n"]),
        "-LOADING endpoint one: a\r\n"
    );
}

#[test]
fn keys_beyond_the_limit_are_an_error() {
    let many = format!("*10\r\n{}", "$1\r\na\r\n".repeat(10));
    let reply = gathered(CONCAT, &[&many, &many]);
    assert!(
        reply.starts_with("-ERR prism: the reply has 150 bytes"),
        "{reply}"
    );
}

#[test]
fn chosen_key_is_one_of_all_keys_alike() {
    let chosen = |replies: &[&str], random| {
        let mut out = Vec::new();
        choose(&mut out, &answers(replies), random, Dialect::Resp2);
        String::from_utf8(out).expect("text")
    };
    let replies = [":1\r\n", "+a\r\n", ":0\r\n", "$-1\r\n", ":3\r\n", "+c\r\n"];
    let drawn: Vec<_> = (0..8).map(|random| chosen(&replies, random)).collect();
    assert_eq!(drawn.iter().filter(|key| *key == "+a\r\n").count(), 2);
    assert_eq!(drawn.iter().filter(|key| *key == "+c\r\n").count(), 6);
    assert_eq!(
        chosen(&[":0\r\n", "$-1\r\n", ":2\r\n", "$-1\r\n"], 1),
        "$-1\r\n"
    );
    assert_eq!(
        chosen(&[":1\r\n", "+a\r\n", "-ERR no\r\n", "$-1\r\n"], 0),
        "-ERR endpoint three: no\r\n"
    );
}

//! Replies whole, cut, wrong and large, and the values in them.

use super::*;

fn decode(expect: Expect, buf: &[u8]) -> Result<Option<usize>, ReplyError> {
    match ReplyDecoder::new(Limits::default()).decode(expect, buf)? {
        Progress::Complete { len } => Ok(Some(len)),
        Progress::NeedMore { at_least } => {
            assert!(at_least > buf.len());
            Ok(None)
        }
    }
}

#[test]
fn replies_end_where_they_do_however_they_are_cut() {
    let cases: [(Expect, &[u8]); 13] = [
        (Expect::Line, b"STORED\r\n"),
        (Expect::Line, b"12\r\n"),
        (Expect::Line, b"ERROR\r\n"),
        (Expect::Line, b"SERVER_ERROR object too large for cache\r\n"),
        (Expect::Line, b"VERSION 1.6.18\r\n"),
        (Expect::Retrieval, b"END\r\n"),
        (Expect::Retrieval, b"VALUE a 0 5\r\nEND\r\n\r\nEND\r\n"),
        (
            Expect::Retrieval,
            b"VALUE a 0 0\r\n\r\nVALUE b 4294967295 1 123\r\nx\r\nEND\r\n",
        ),
        (Expect::Retrieval, b"ERROR\r\n"),
        (
            Expect::Retrieval,
            b"CLIENT_ERROR bad command line format\r\n",
        ),
        (Expect::Retrieval, b"SERVER_ERROR x\r\n"),
        (
            Expect::Retrieval,
            b"VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory\r\n",
        ),
        (
            Expect::Retrieval,
            b"VALUE a 0 13\r\nVALUE a 0 1\r\n\r\nEND\r\n",
        ),
    ];
    for (expect, raw) in cases {
        let mut followed = raw.to_vec();
        followed.extend_from_slice(b"END\r\n");
        assert_eq!(
            decode(expect, &followed).unwrap(),
            Some(raw.len()),
            "{}",
            raw.escape_ascii()
        );
        let mut decoder = ReplyDecoder::new(Limits::default());
        for cut in 0..raw.len() {
            let piece = raw.get(..cut).unwrap();
            let progress = decoder.decode(expect, piece).unwrap();
            assert!(matches!(progress, Progress::NeedMore { at_least } if at_least > cut));
        }
        assert!(!decoder.is_idle());
        let progress = decoder.decode(expect, raw).unwrap();
        assert_eq!(progress, Progress::Complete { len: raw.len() });
        assert!(decoder.is_idle());
    }
}

#[test]
fn what_does_not_answer_the_request_is_an_error() {
    let cases: [(Expect, &[u8]); 12] = [
        (Expect::Line, b"END\r\n"),
        (Expect::Line, b"\r\n"),
        (Expect::Line, b"STORED\n"),
        (Expect::Line, b"VALUE a 0 1\r\n"),
        (Expect::Retrieval, b"STORED\r\n"),
        (Expect::Retrieval, b"VALUE a 0\r\n"),
        (Expect::Retrieval, b"VALUE a 0 x\r\n"),
        (Expect::Retrieval, b"VALUE a 0 -1\r\n"),
        (Expect::Retrieval, b"VALUE a 0 1\r\nxyz"),
        (Expect::Retrieval, b"END\n"),
        (Expect::Retrieval, b"ERRORS\r\n"),
        (Expect::Retrieval, b"VALUE a 0 999999999999\r\n"),
    ];
    for (expect, raw) in cases {
        assert_eq!(
            decode(expect, raw).unwrap_err(),
            ReplyError::Unexpected,
            "{}",
            raw.escape_ascii()
        );
    }
}

#[test]
fn limits_hold() {
    let limits = Limits {
        max_reply_bytes: 30,
        ..Limits::default()
    };
    let decode = |raw: &[u8]| ReplyDecoder::new(limits).decode(Expect::Retrieval, raw);
    assert_eq!(
        decode(b"VALUE a 0 14\r\n").unwrap(),
        Progress::NeedMore { at_least: 30 }
    );
    let error = decode(b"VALUE a 0 15\r\n").unwrap_err();
    assert_eq!(
        error,
        ReplyError::TooLarge {
            declared: 31,
            limit: 30
        }
    );
    let line = vec![b'x'; MAX_LINE + 1];
    let error = ReplyDecoder::new(Limits::default())
        .decode(Expect::Line, &line)
        .unwrap_err();
    assert_eq!(error, ReplyError::LineTooLong { limit: MAX_LINE });
}

#[test]
fn values_are_read_out_of_replies() {
    let reply = b"VALUE a 0 5\r\nEND\r\n\r\nVALUE bb 7 0 99\r\n\r\nSERVER_ERROR x\r\n";
    let mut all = values(reply);
    let first = all.next().unwrap();
    assert_eq!((first.key, first.data), (&b"a"[..], &b"END\r\n"[..]));
    assert_eq!(first.block, b"VALUE a 0 5\r\nEND\r\n\r\n");
    let second = all.next().unwrap();
    assert_eq!((second.key, second.data), (&b"bb"[..], &b""[..]));
    assert_eq!(all.next(), None);
    assert_eq!(all.rest(), b"SERVER_ERROR x\r\n");
    assert!(is_error(all.rest()));
    assert!(!is_error(reply));
}

#[test]
fn values_of_several_clients_are_bounded_each_by_itself() {
    let limits = Limits {
        max_reply_bytes: 20,
        ..Limits::default()
    };
    let value = |len: usize| format!("VALUE a 0 {len}\r\n{}\r\n", "x".repeat(len));
    let decode = |expect, reply: String| ReplyDecoder::new(limits).decode(expect, reply.as_bytes());
    let many = [value(5), value(5), "END\r\n".to_owned()].concat();
    let len = many.len();
    let progress = decode(Expect::Joined, many.clone()).expect("within");
    assert_eq!(progress, Progress::Complete { len });
    assert!(decode(Expect::Retrieval, many).is_err());
    let large = [value(5), value(6)].concat();
    let error = decode(Expect::Joined, large).expect_err("too large");
    let (declared, limit) = (21, 20);
    assert_eq!(error, ReplyError::TooLarge { declared, limit });
}

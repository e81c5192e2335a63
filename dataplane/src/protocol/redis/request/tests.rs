//! Requests whole, cut, wrong and large.

use proptest::prelude::*;

use super::super::super::message::bytes_of;
use super::*;

/// Bytes of each argument, and how many bytes the request took.
type Seen = (Vec<Vec<u8>>, usize);

fn decoder() -> RequestDecoder {
    RequestDecoder::new(Limits::default())
}

fn seen(decoder: &mut RequestDecoder, buf: &[u8], len: usize) -> Seen {
    let rebuilt = decoder.take_rebuilt();
    let raw = rebuilt.as_deref().unwrap_or(buf);
    let args = decoder.args().iter();
    (args.map(|span| bytes_of(raw, span).to_vec()).collect(), len)
}

/// Decodes `buf` given in one piece; `None` if it is not complete.
fn whole(buf: &[u8]) -> Result<Option<Seen>, RequestError> {
    let mut decoder = decoder();
    match decoder.decode(buf)? {
        Progress::Complete { len } => Ok(Some(seen(&mut decoder, buf, len))),
        Progress::NeedMore { at_least } => {
            assert!(at_least > buf.len());
            Ok(None)
        }
    }
}

/// Decodes `buf` given byte by byte.
fn in_bytes(buf: &[u8]) -> Result<Option<Seen>, RequestError> {
    let mut decoder = decoder();
    for end in 0..=buf.len() {
        let piece = buf.get(..end).unwrap();
        match decoder.decode(piece)? {
            Progress::Complete { len } => return Ok(Some(seen(&mut decoder, piece, len))),
            Progress::NeedMore { at_least } => assert!(at_least > end),
        }
    }
    Ok(None)
}

fn array(args: &[&[u8]]) -> Vec<u8> {
    let mut raw = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        raw.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        raw.extend_from_slice(arg);
        raw.extend_from_slice(b"\r\n");
    }
    raw
}

fn args(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

#[test]
fn arguments_are_located_in_place() {
    let raw = array(&[b"GET", b"key"]);
    let mut pipeline = raw.clone();
    pipeline.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut decoder = decoder();
    let progress = decoder.decode(&pipeline).unwrap();
    assert_eq!(progress, Progress::Complete { len: raw.len() });
    assert_eq!(decoder.args(), [8..11, 17..20]);
    assert!(decoder.is_idle());
    let rest = pipeline.get(raw.len()..).unwrap();
    assert_eq!(
        decoder.decode(rest).unwrap(),
        Progress::Complete { len: 14 }
    );
    assert_eq!(decoder.args().first(), Some(&(8..12)));
}

#[test]
fn requests_cut_at_every_byte_are_the_same() {
    let requests: [&[u8]; 8] = [
        &array(&[b"SET", b"k\r\ney", b"", b"\x00\xff"]),
        b"*0\r\n",
        b"*-1\r\n",
        b"PING\r\n",
        b"set \"a\\x00b\" 'c d'\n",
        b"\r\n",
        b"   \r\n",
        b"*2\r\n$4\r\nECHO\r\n$11\r\n*1\r\n$1\r\nx\r\n\r\n",
    ];
    for raw in requests {
        let seen = whole(raw).unwrap();
        assert!(seen.is_some(), "{}", raw.escape_ascii());
        assert_eq!(in_bytes(raw).unwrap(), seen, "{}", raw.escape_ascii());
        assert_eq!(seen.unwrap().1, raw.len());
        for cut in 0..raw.len() {
            assert_eq!(whole(raw.get(..cut).unwrap()).unwrap(), None);
        }
    }
}

#[test]
fn requests_of_nothing_are_skipped() {
    for raw in [
        &b"*0\r\n"[..],
        b"*-1\r\n",
        b"*-5\r\n",
        b"\r\n",
        b"\n",
        b"  \r\n",
    ] {
        assert_eq!(whole(raw).unwrap(), Some((Vec::new(), raw.len())));
    }
}

/// Seen on redis-server 7.0.15, which closes the connection after each.
#[test]
fn protocol_errors_have_the_words_of_redis() {
    let long_count = format!("*{}", "1".repeat(64 * 1024));
    let long_length = format!("*1\r\n${}", "1".repeat(64 * 1024));
    let long_inline = "x".repeat(64 * 1024 + 1);
    let cases: [(&[u8], &str); 21] = [
        (b"*\r\n", "invalid multibulk length"),
        (b"*a\r\n", "invalid multibulk length"),
        (b"*03\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1\r\nx\r\n", "expected '$', got 'x'"),
        (b"*1\r\n+4\r\nPING\r\n", "expected '$', got '+'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (b"*1\r\n$a\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"get \"a\r\n", "unbalanced quotes in request"),
        (b"get \"a\"b\r\n", "unbalanced quotes in request"),
        (b"get 'a\r\n", "unbalanced quotes in request"),
        (long_count.as_bytes(), "too big mbulk count string"),
        (long_length.as_bytes(), "too big bulk count string"),
        (long_inline.as_bytes(), "too big inline request"),
    ];
    for (raw, text) in cases {
        let error = whole(raw).unwrap_err();
        let reply = format!("-ERR Protocol error: {text}\r\n");
        assert_eq!(error.reply(), reply.as_bytes(), "{}", raw.escape_ascii());
        if raw.len() < 100 {
            assert_eq!(in_bytes(raw).unwrap_err(), error);
        }
    }
}

/// Redis takes these; endpoints of other makes may not, or may read them differently.
#[test]
fn line_ends_that_could_be_read_two_ways_are_errors() {
    let cases: [(&[u8], RequestError); 4] = [
        (b"*1\r\n$4\r\nPINGxx", RequestError::MissingLineEnd),
        (b"*1\rX$4\r\nPING\r\n", RequestError::InvalidMultibulkLength),
        (b"*1\r\n$4\rXPING\r\n", RequestError::InvalidBulkLength),
        (b"pi\0ng\r\n", RequestError::NulInline),
    ];
    for (raw, error) in cases {
        assert_eq!(whole(raw).unwrap_err(), error, "{}", raw.escape_ascii());
        assert_eq!(in_bytes(raw).unwrap_err(), error, "{}", raw.escape_ascii());
    }
}

#[test]
fn http_is_closed_without_a_word() {
    for raw in [&b"POST / HTTP/1.1\r\n"[..], b"Host: a\r\n"] {
        assert_eq!(whole(raw).unwrap_err(), RequestError::CrossProtocol);
        assert_eq!(RequestError::CrossProtocol.reply(), b"");
    }
}

/// Seen on redis-server 7.0.15 through `ECHO`.
#[test]
fn inline_words_are_those_of_redis() {
    let cases: [(&[u8], &[&[u8]]); 12] = [
        (b"echo \"\\x41\\n\\t\\q\\x4\"\r\n", &[b"echo", b"A\n\tqx4"]),
        (b"echo 'a\\x41'\r\n", &[b"echo", b"a\\x41"]),
        (b"echo 'a\\'b'\r\n", &[b"echo", b"a'b"]),
        (b"echo a\"b c\"\r\n", &[b"echo", b"ab c"]),
        (b"echo \"\"\r\n", &[b"echo", b""]),
        (b"ECHO a\tb\r\n", &[b"ECHO", b"a", b"b"]),
        (b"\"\" a\r\n", &[b"", b"a"]),
        (b"ping\n", &[b"ping"]),
        (b"ping\r\r\n", &[b"ping"]),
        (b"  ping  \r\n", &[b"ping"]),
        (
            b"echo \"\\xfF\\b\\a\\r\\\"\"\r\n",
            &[b"echo", b"\xff\x08\x07\r\""],
        ),
        (b"echo a\x0bb\r\n", &[b"echo", b"a\x0bb"]),
    ];
    for (raw, words) in cases {
        let expected = Some((args(words), raw.len()));
        assert_eq!(whole(raw).unwrap(), expected, "{}", raw.escape_ascii());
    }
}

#[test]
fn inline_request_is_rebuilt_as_an_array() {
    let mut decoder = decoder();
    decoder.decode(b"set k \"v w\"\r\n").unwrap();
    assert_eq!(
        decoder.take_rebuilt().unwrap(),
        array(&[b"set", b"k", b"v w"])
    );
    decoder.decode(&array(&[b"GET", b"k"])).unwrap();
    assert_eq!(decoder.take_rebuilt(), None);
}

#[test]
fn limits_hold() {
    let limits = Limits {
        max_args: 3,
        max_request_bytes: 64,
        ..Limits::default()
    };
    let decode = |raw: &[u8]| RequestDecoder::new(limits).decode(raw);
    assert!(decode(&array(&[b"a", b"b", b"c"])).is_ok());
    assert_eq!(
        decode(b"*4\r\n").unwrap_err(),
        RequestError::InvalidMultibulkLength
    );
    let fits = decode(b"*2\r\n$3\r\nSET\r\n$44\r\n").unwrap();
    assert_eq!(fits, Progress::NeedMore { at_least: 64 });
    let error = decode(b"*2\r\n$3\r\nSET\r\n$45\r\n").unwrap_err();
    assert_eq!(
        error,
        RequestError::TooLarge {
            declared: 65,
            limit: 64
        }
    );
    assert!(
        error
            .reply()
            .starts_with(b"-ERR prism: request of 65 bytes")
    );
}

#[test]
fn request_over_the_limit_can_be_discarded() {
    let limits = Limits {
        max_request_bytes: 40,
        ..Limits::default()
    };
    let large = array(&[b"MSET", b"a", &[b'x'; 60], b"b", &[b'\r'; 9], b"c", b""]);
    let next = array(&[b"PING"]);
    let raw = [large.clone(), next.clone()].concat();
    for piece in 1..raw.len() {
        let mut decoder = RequestDecoder::new(limits);
        let (mut start, mut end) = (0, 0);
        while decoder.decode(raw.get(..end).unwrap()).is_ok() {
            end = (end + piece).min(raw.len());
        }
        loop {
            let discarded = decoder.discard(raw.get(start..end).unwrap()).unwrap();
            start += discarded.consumed;
            if discarded.is_done {
                break;
            }
            end = (end + piece).min(raw.len());
        }
        assert_eq!(start, large.len(), "pieces of {piece}");
        let progress = decoder.decode(&next).unwrap();
        assert_eq!(progress, Progress::Complete { len: next.len() });
        assert_eq!(decoder.args().len(), 1);
    }
}

#[test]
fn discarding_stops_at_what_is_no_argument() {
    let limits = Limits {
        max_request_bytes: 20,
        ..Limits::default()
    };
    let mut decoder = RequestDecoder::new(limits);
    let raw = b"*2\r\n$30\r\n012345678901234567890123456789\r\n+1\r\n";
    assert!(matches!(
        decoder.decode(raw),
        Err(RequestError::TooLarge { .. })
    ));
    assert_eq!(
        decoder.discard(raw).unwrap_err(),
        RequestError::ExpectedBulk { got: b'+' }
    );
}

#[test]
fn declared_length_is_asked_for() {
    let progress = decoder().decode(b"*2\r\n$3\r\nGET\r\n$100\r\nab").unwrap();
    assert_eq!(
        progress,
        Progress::NeedMore {
            at_least: 19 + 100 + 2
        }
    );
}

#[test]
fn large_value_in_small_pieces_is_scanned_once() {
    let value = vec![b'x'; 64 * 1024 * 1024];
    let raw = array(&[b"SET", b"k", &value]);
    let mut decoder = decoder();
    let mut end = 1;
    while decoder.decode(raw.get(..end).unwrap()).unwrap()
        != (Progress::Complete { len: raw.len() })
    {
        end = (end + 16 * 1024).min(raw.len());
    }
    assert!(decoder.steps < 100, "{} bytes looked at", decoder.steps);
}

#[test]
fn many_arguments_in_small_pieces_are_scanned_once() {
    let words: Vec<&[u8]> = vec![b"key"; 100_000];
    let raw = array(&words);
    let mut decoder = decoder();
    let mut end = 0;
    while decoder.decode(raw.get(..end).unwrap()).unwrap()
        != (Progress::Complete { len: raw.len() })
    {
        end = (end + 7).min(raw.len());
    }
    assert_eq!(decoder.args().len(), words.len());
    assert!(
        decoder.steps <= raw.len(),
        "{} of {} bytes looked at",
        decoder.steps,
        raw.len()
    );
    decoder.shrink();
    assert!(decoder.args.capacity() <= QUIET_ARGS);
}

#[test]
fn long_inline_line_in_small_pieces_is_scanned_once() {
    let raw = format!("echo {}\n", "x".repeat(60_000)).into_bytes();
    let mut decoder = decoder();
    for end in 0..=raw.len() {
        decoder.decode(raw.get(..end).unwrap()).unwrap();
    }
    assert!(decoder.steps <= raw.len());
}

#[test]
fn long_line_of_a_count_in_small_pieces_is_scanned_once() {
    for start in ["*", "*1\r\n$"] {
        let raw = format!("{start}{}", "1".repeat(60_000)).into_bytes();
        let mut decoder = decoder();
        for end in 0..=raw.len() {
            decoder.decode(raw.get(..end).unwrap()).unwrap();
        }
        assert!(
            decoder.steps <= raw.len() + 10,
            "{} bytes looked at",
            decoder.steps
        );
    }
}

proptest! {
    #[test]
    fn any_arguments_come_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12)) {
        let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let raw = array(&borrowed);
        let expected = Some((words.clone(), raw.len()));
        prop_assert_eq!(whole(&raw).unwrap(), expected.clone());
        prop_assert_eq!(in_bytes(&raw).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_the_same_whole_and_cut(raw in prop::collection::vec(prop::sample::select(b"*$-0123\r\n ax\"'\\".to_vec()), 0..60)) {
        match (whole(&raw), in_bytes(&raw)) {
            (Ok(whole), Ok(cut)) => prop_assert_eq!(whole, cut),
            (Err(whole), Err(cut)) => prop_assert_eq!(whole, cut),
            (whole, cut) => prop_assert!(false, "{:?} against {:?}", whole, cut),
        }
    }
}

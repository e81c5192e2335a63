//! Replies whole, cut, nested, wrong and large; reading and writing them.

use proptest::prelude::*;

use super::super::super::message::{Limits, Progress};
use super::*;

fn decoder() -> ReplyDecoder {
    ReplyDecoder::new(Limits::default())
}

fn whole(buf: &[u8]) -> Result<Option<usize>, ReplyError> {
    match decoder().decode(buf)? {
        Progress::Complete { len } => Ok(Some(len)),
        Progress::NeedMore { at_least } => {
            assert!(at_least > buf.len());
            Ok(None)
        }
    }
}

fn in_bytes(buf: &[u8]) -> Result<Option<usize>, ReplyError> {
    let mut decoder = decoder();
    for end in 0..=buf.len() {
        match decoder.decode(buf.get(..end).unwrap())? {
            Progress::Complete { len } => return Ok(Some(len)),
            Progress::NeedMore { at_least } => assert!(at_least > end),
        }
    }
    Ok(None)
}

#[test]
fn replies_end_where_they_do_however_they_are_cut() {
    let replies: [&[u8]; 30] = [
        b"+OK\r\n",
        b"+a\rb\r\n",
        b"-ERR no\r\n",
        b":-12\r\n",
        b"$0\r\n\r\n",
        b"$5\r\na\r\nb\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\na\r\n$-1\r\n",
        b"*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n+x\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5e3\r\n",
        b"(123456789012345678901234567890\r\n",
        b"!5\r\nERR a\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        b"%0\r\n",
        b"~1\r\n+a\r\n",
        b"~0\r\n",
        b">2\r\n+message\r\n+x\r\n",
        b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n",
        b"|0\r\n+OK\r\n",
        b"*1\r\n|1\r\n+a\r\n:1\r\n+x\r\n",
        b"|1\r\n+a\r\n%1\r\n+b\r\n:1\r\n*2\r\n:1\r\n:2\r\n",
        b"*3\r\n%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n_\r\n#f\r\n",
        b"*1\r\n*1\r\n*1\r\n*0\r\n",
        b"$10\r\n0123456789\r\n",
        b"+\r\n",
    ];
    for raw in replies {
        let mut followed = raw.to_vec();
        followed.extend_from_slice(b"+NEXT\r\n");
        assert_eq!(
            whole(&followed).unwrap(),
            Some(raw.len()),
            "{}",
            raw.escape_ascii()
        );
        assert_eq!(
            in_bytes(&followed).unwrap(),
            Some(raw.len()),
            "{}",
            raw.escape_ascii()
        );
        for cut in 0..raw.len() {
            assert_eq!(
                whole(raw.get(..cut).unwrap()).unwrap(),
                None,
                "{} {cut}",
                raw.escape_ascii()
            );
        }
    }
}

#[test]
fn what_is_no_reply_is_an_error() {
    let cases: [(&[u8], ReplyError); 13] = [
        (b"OK\r\n", ReplyError::UnknownKind { kind: b'O' }),
        (b"\r\n", ReplyError::UnknownKind { kind: b'\r' }),
        (b".\r\n", ReplyError::UnknownKind { kind: b'.' }),
        (b"$a\r\n", ReplyError::BadLength { kind: '$' }),
        (b"$-2\r\n", ReplyError::BadLength { kind: '$' }),
        (b"$?\r\n", ReplyError::BadLength { kind: '$' }),
        (b"$01\r\n", ReplyError::BadLength { kind: '$' }),
        (b"!-1\r\n", ReplyError::BadLength { kind: '!' }),
        (b"%-1\r\n", ReplyError::BadLength { kind: '%' }),
        (
            b"*1111111111111111111111111111",
            ReplyError::BadLength { kind: '*' },
        ),
        (b"$1\r\nabc\r\n", ReplyError::MissingLineEnd),
        (b"*1\rX:1\r\n", ReplyError::BadLength { kind: '*' }),
        (b"*1\r\n?\r\n", ReplyError::UnknownKind { kind: b'?' }),
    ];
    for (raw, error) in cases {
        assert_eq!(whole(raw).unwrap_err(), error, "{}", raw.escape_ascii());
        assert_eq!(in_bytes(raw).unwrap_err(), error, "{}", raw.escape_ascii());
    }
}

#[test]
fn limits_hold() {
    let limits = Limits {
        max_depth: 3,
        max_elements: 5,
        max_reply_bytes: 40,
        ..Limits::default()
    };
    let decode = |raw: &[u8]| ReplyDecoder::new(limits).decode(raw);
    assert!(decode(b"*1\r\n*1\r\n*1\r\n:1\r\n").is_ok());
    assert_eq!(
        decode(b"*1\r\n*1\r\n*1\r\n*1\r\n").unwrap_err(),
        ReplyError::TooDeep { limit: 3 }
    );
    assert_eq!(
        decode(b"*6\r\n").unwrap_err(),
        ReplyError::TooMany {
            declared: 6,
            limit: 5
        }
    );
    assert_eq!(
        decode(b"%3\r\n").unwrap_err(),
        ReplyError::TooMany {
            declared: 6,
            limit: 5
        }
    );
    assert!(decode(b"$33\r\n").is_ok());
    assert_eq!(
        decode(b"$34\r\n").unwrap_err(),
        ReplyError::TooLarge {
            declared: 41,
            limit: 40
        }
    );
    assert_eq!(
        decode(&[b'+'; 41]).unwrap_err(),
        ReplyError::TooLarge {
            declared: 41,
            limit: 40
        }
    );
    let huge = format!("${}\r\n", i64::MAX);
    assert!(matches!(
        decode(huge.as_bytes()),
        Err(ReplyError::TooLarge { .. })
    ));
    let most = format!("%{}\r\n", i64::MAX);
    assert!(matches!(
        decode(most.as_bytes()),
        Err(ReplyError::TooMany { .. })
    ));
}

#[test]
fn declared_length_is_asked_for() {
    let progress = decoder().decode(b"*2\r\n:1\r\n$1000\r\nabc").unwrap();
    assert_eq!(
        progress,
        Progress::NeedMore {
            at_least: 15 + 1000 + 2
        }
    );
}

#[test]
fn decoder_is_idle_between_replies() {
    let mut decoder = decoder();
    assert!(decoder.is_idle());
    decoder.decode(b"$1000\r\n").unwrap();
    assert!(!decoder.is_idle());
    decoder.reset();
    assert!(decoder.is_idle());
    decoder.decode(b"*1\r\n:1\r\n").unwrap();
    assert!(decoder.is_idle());
    decoder.decode(b"+").unwrap();
    assert!(!decoder.is_idle());
}

#[test]
fn array_of_100_000_in_small_pieces_is_scanned_once() {
    let mut raw = b"*100000\r\n".to_vec();
    for _ in 0..50_000 {
        raw.extend_from_slice(b"$5\r\nvalue\r\n+OK\r\n");
    }
    let mut decoder = decoder();
    let mut end = 0;
    while decoder.decode(raw.get(..end).unwrap()).unwrap()
        != (Progress::Complete { len: raw.len() })
    {
        end = (end + 3).min(raw.len());
    }
    assert!(
        decoder.steps() <= raw.len(),
        "{} of {} bytes looked at",
        decoder.steps(),
        raw.len()
    );
}

#[test]
fn string_of_64_mib_in_small_pieces_is_not_scanned() {
    let mut raw = b"$67108864\r\n".to_vec();
    raw.resize(raw.len() + 67_108_864, b'\r');
    raw.extend_from_slice(b"\r\n");
    let mut decoder = decoder();
    let mut end = 0;
    while decoder.decode(raw.get(..end).unwrap()).unwrap()
        != (Progress::Complete { len: raw.len() })
    {
        end = (end + 16 * 1024).min(raw.len());
    }
    assert!(decoder.steps() < 50, "{} bytes looked at", decoder.steps());
}

#[test]
fn long_line_in_small_pieces_is_scanned_once() {
    let raw = format!("+{}\r\n", "x\r".repeat(30_000)).into_bytes();
    let mut decoder = decoder();
    for end in 0..=raw.len() {
        decoder.decode(raw.get(..end).unwrap()).unwrap();
    }
    assert!(decoder.is_idle());
    assert!(
        decoder.steps() <= 2 * raw.len(),
        "{} bytes looked at",
        decoder.steps()
    );
}

#[test]
fn error_kinds_are_told_by_their_first_word() {
    let cases: [(&[u8], Option<ErrorKind<'_>>); 18] = [
        (b"+OK\r\n", None),
        (b"$-1\r\n", None),
        (
            b"-MOVED 3999 127.0.0.1:6381\r\n",
            Some(ErrorKind::Moved {
                slot: 3999,
                addr: "127.0.0.1:6381",
            }),
        ),
        (
            b"-MOVED 16383 :6381\r\n",
            Some(ErrorKind::Moved {
                slot: 16383,
                addr: ":6381",
            }),
        ),
        (
            b"-ASK 0 [::1]:6381\r\n",
            Some(ErrorKind::Ask {
                slot: 0,
                addr: "[::1]:6381",
            }),
        ),
        (b"-MOVED 16384 a:1\r\n", Some(ErrorKind::Other)),
        (b"-MOVED x a:1\r\n", Some(ErrorKind::Other)),
        (b"-MOVED 1\r\n", Some(ErrorKind::Other)),
        (b"-MOVEDX 1 a:1\r\n", Some(ErrorKind::Other)),
        (
            b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
            Some(ErrorKind::TryAgain),
        ),
        (
            b"-CLUSTERDOWN Hash slot not served\r\n",
            Some(ErrorKind::ClusterDown),
        ),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            Some(ErrorKind::Loading),
        ),
        (
            b"-READONLY You can't write against a read only replica.\r\n",
            Some(ErrorKind::ReadOnly),
        ),
        (
            b"-MASTERDOWN Link with MASTER is down\r\n",
            Some(ErrorKind::MasterDown),
        ),
        (
            b"-NOAUTH Authentication required.\r\n",
            Some(ErrorKind::NoAuth),
        ),
        (
            b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            Some(ErrorKind::WrongPass),
        ),
        (
            b"-NOPROTO unsupported protocol version\r\n",
            Some(ErrorKind::NoProto),
        ),
        (
            b"!17\r\nCLUSTERDOWN it is\r\n",
            Some(ErrorKind::ClusterDown),
        ),
    ];
    for (raw, kind) in cases {
        assert_eq!(error_kind(raw), kind, "{}", raw.escape_ascii());
    }
    assert_eq!(error_kind(b"-\r\n"), Some(ErrorKind::Other));
}

#[test]
fn values_are_read_out_of_replies() {
    assert_eq!(integer(b":42\r\n"), Some(42));
    assert_eq!(integer(b":-42\r\n"), Some(-42));
    assert_eq!(integer(b"$1\r\n4\r\n"), None);
    assert_eq!(bulk_string(b"$3\r\na\r\n\r\n"), Some(&b"a\r\n"[..]));
    assert_eq!(bulk_string(b"$-1\r\n"), None);
    assert_eq!(bulk_string(b"+PONG\r\n"), Some(&b"PONG"[..]));
    assert_eq!(bulk_string(b":1\r\n"), None);
    let elements: Vec<_> = array_elements(b"*3\r\n$1\r\na\r\n*1\r\n:1\r\n$-1\r\n")
        .unwrap()
        .collect();
    assert_eq!(elements, [&b"$1\r\na\r\n"[..], b"*1\r\n:1\r\n", b"$-1\r\n"]);
    assert_eq!(array_elements(b"%1\r\n+a\r\n:1\r\n").unwrap().count(), 2);
    assert!(array_elements(b"$1\r\na\r\n").is_none());
    assert_eq!(array_elements(b"*0\r\n").unwrap().count(), 0);
}

#[test]
fn replies_are_written_in_the_dialect_of_the_client() {
    let mut out = Vec::new();
    write_error(&mut out, "ERR a\r\nb");
    write_simple(&mut out, "OK");
    write_integer(&mut out, i64::MIN);
    write_bulk(&mut out, "a\r\n");
    write_array_header(&mut out, 2);
    for dialect in [Dialect::Resp2, Dialect::Resp3] {
        write_map_header(&mut out, 1, dialect);
        write_null(&mut out, dialect);
        write_null_array(&mut out, dialect);
    }
    let expected = "-ERR a  b\r\n+OK\r\n:-9223372036854775808\r\n$3\r\na\r\n\r\n*2\r\n\
                    *2\r\n$-1\r\n*-1\r\n%1\r\n_\r\n_\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// A value of any type, as raw bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        "[+:,#(_-][a-z0-9]{0,8}".prop_map(|text| format!("{text}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
            let mut out = Vec::new();
            write_bulk(&mut out, bytes);
            out
        }),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let kind = prop::sample::select(b"*~>%|".to_vec());
        (kind, prop::collection::vec(inner, 0..5)).prop_map(|(kind, mut values)| {
            let spare = match kind {
                b'%' => values.len() % 2,
                b'|' => (values.len() + 1) % 2,
                _ => 0,
            };
            values.extend(vec![b":7\r\n".to_vec(); spare]);
            let count = if matches!(kind, b'%' | b'|') {
                values.len() / 2
            } else {
                values.len()
            };
            let header = format!("{}{count}\r\n", char::from(kind));
            [header.into_bytes(), values.concat()].concat()
        })
    })
}

proptest! {
    #[test]
    fn any_reply_is_delimited(raw in value(), rest in prop::collection::vec(any::<u8>(), 0..8)) {
        let followed = [raw.clone(), rest].concat();
        prop_assert_eq!(whole(&followed).unwrap(), Some(raw.len()));
        prop_assert_eq!(in_bytes(&followed).unwrap(), Some(raw.len()));
    }

    #[test]
    fn any_bytes_are_the_same_whole_and_cut(raw in prop::collection::vec(prop::sample::select(b"*$%|+:-012\r\na".to_vec()), 0..60)) {
        match (whole(&raw), in_bytes(&raw)) {
            (Ok(whole), Ok(cut)) => prop_assert_eq!(whole, cut),
            (Err(_), Err(_)) => {}
            (whole, cut) => prop_assert!(false, "{:?} against {:?}", whole, cut),
        }
    }
}

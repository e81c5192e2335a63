//! Requests whole, cut, wrong and large.

use proptest::prelude::*;

use super::super::super::message::bytes_of;
use super::{meta::MAX_FLAGS, *};

/// Everything a decoder tells of one request.
#[derive(Debug, PartialEq)]
struct Seen {
    located: Located,
    keys: Vec<Vec<u8>>,
    noreply: bool,
    exptime: Vec<u8>,
    line: Vec<u8>,
    data: Vec<u8>,
    len: usize,
}

fn decoder() -> RequestDecoder {
    RequestDecoder::new(Limits::default())
}

fn seen(decoder: &RequestDecoder, buf: &[u8], len: usize) -> Seen {
    let bytes = |span| bytes_of(buf, span).to_vec();
    Seen {
        located: decoder.located(),
        keys: decoder.keys().iter().map(bytes).collect(),
        noreply: decoder.is_noreply(),
        exptime: bytes(decoder.exptime()),
        line: bytes(decoder.line_span()),
        data: bytes(decoder.data_span()),
        len,
    }
}

fn whole(buf: &[u8]) -> Result<Option<Seen>, RequestError> {
    let mut decoder = decoder();
    match decoder.decode(buf)? {
        Progress::Complete { len } => Ok(Some(seen(&decoder, buf, len))),
        Progress::NeedMore { at_least } => {
            assert!(at_least > buf.len());
            Ok(None)
        }
    }
}

fn in_bytes(buf: &[u8]) -> Result<Option<Seen>, RequestError> {
    let mut decoder = decoder();
    for end in 0..=buf.len() {
        let piece = buf.get(..end).unwrap();
        match decoder.decode(piece)? {
            Progress::Complete { len } => return Ok(Some(seen(&decoder, piece, len))),
            Progress::NeedMore { at_least } => assert!(at_least > end),
        }
    }
    Ok(None)
}

fn command(raw: &[u8]) -> Seen {
    let seen = whole(raw).unwrap().unwrap();
    assert!(
        matches!(seen.located, Located::Command(_)),
        "{} was {:?}",
        raw.escape_ascii(),
        seen.located
    );
    assert_eq!(in_bytes(raw).unwrap().unwrap(), seen);
    seen
}

/// The replies of every request in `raw`, one after the other, as a connection would give them; `?` where a
/// request is good.
fn replies(raw: &[u8]) -> String {
    let mut decoder = decoder();
    let (mut rest, mut out) = (raw, String::new());
    while let Ok(Progress::Complete { len }) = decoder.decode(rest) {
        let swallowed = match decoder.located() {
            Located::Command(_) if decoder.is_noreply() => 0,
            Located::Command(_) => {
                out.push('?');
                0
            }
            Located::Refused { reply, swallow } => {
                out.push_str(std::str::from_utf8(reply).unwrap());
                swallow
            }
        };
        rest = rest.get(len + swallowed..).unwrap_or_default();
    }
    out.replace("CLIENT_ERROR bad command line format\r\n", "format ")
        .replace("\r\n", " ")
}

#[test]
fn retrievals_have_their_keys_and_time() {
    let seen = command(b"get a bb  c \r\n");
    assert_eq!(
        (seen.keys, seen.len),
        (vec![b"a".to_vec(), b"bb".to_vec(), b"c".to_vec()], 14)
    );
    let seen = command(b"  gats -1 a noreply\n");
    assert_eq!(seen.exptime, b"-1");
    assert_eq!(seen.keys, [b"a".to_vec(), b"noreply".to_vec()]);
    assert!(!seen.noreply);
    let seen = command(b"get a\rb\x80\t\r\r\n");
    assert_eq!(seen.keys, [b"a\rb\x80\t\r".to_vec()]);
}

#[test]
fn storage_has_its_key_and_data() {
    let seen = command(b"set k 1 -1 5\r\na\r\nb\n\r\n");
    assert_eq!(
        (seen.keys, seen.data, seen.len),
        (vec![b"k".to_vec()], b"a\r\nb\n".to_vec(), 21)
    );
    assert_eq!(seen.line, b"set k 1 -1 5");
    assert!(!seen.noreply);
    let seen = command(b"cas k 0 0 0 12 noreply\r\n\r\n");
    assert_eq!((seen.noreply, seen.data), (true, Vec::new()));
    let seen = command(b"set noreply 0 0 +01 x\n1\r\n");
    assert_eq!(
        (seen.noreply, seen.keys),
        (false, vec![b"noreply".to_vec()])
    );
}

#[test]
fn keyed_commands_have_their_key() {
    for (raw, noreply) in [
        (&b"delete a\r\n"[..], false),
        (b"delete noreply\r\n", false),
        (b"delete a 0 noreply\r\n", true),
        (b"incr a 1\r\n", false),
        (b"decr a 1 noreply\r\n", true),
        (b"touch a 0 x\r\n", false),
    ] {
        let seen = command(raw);
        assert_eq!(
            (seen.keys.len(), seen.noreply),
            (1, noreply),
            "{}",
            raw.escape_ascii()
        );
    }
}

/// As memcached 1.6.18 answers, but that a block of data behind a wrong storage line is swallowed where its length is
/// known, instead of being taken for requests.
#[test]
fn refusals_have_the_words_of_memcached_and_stay_in_step() {
    let k = "k".repeat(251);
    let cases = [
        ("get\r\n", "ERROR "),
        ("gets \r\n", "ERROR "),
        ("gat\r\n", "ERROR "),
        ("gat 0\r\n", "END "),
        ("gat x\r\n", "CLIENT_ERROR invalid exptime argument "),
        ("GET a\r\n", "ERROR "),
        ("get\ta\r\n", "ERROR "),
        ("\r\n", "ERROR "),
        ("\n", "ERROR "),
        ("foo noreply\r\n", "ERROR "),
        (&format!("get a {k} b\r\n"), "format "),
        (&format!("gat 0 {k}\r\n"), "format "),
        ("get a\0b\r\n", "format "),
        (&format!("set {k} 0 0 3\r\nabc\r\n"), "format "),
        (&format!("set {k} 0 0 3 noreply\r\nabc\r\n"), ""),
        ("set a 0 0\r\nabc\r\n", "ERROR ERROR "),
        ("set a 0 0 3 noreply x\r\nabc\r\n", "ERROR ERROR "),
        ("set a 0 0 -1\r\nabc\r\n", "format ERROR "),
        ("set a 0 0 -1 noreply\r\nabc\r\n", "ERROR "),
        ("set a 0 0 3x\r\nabc\r\n", "format ERROR "),
        ("set a x 0 3\r\nabc\r\n", "format "),
        ("set a -1 0 3\r\nabc\r\n", "format "),
        ("set a 4294967296 0 3\r\nabc\r\n", "format "),
        ("set a 0 x 3\r\nabc\r\n", "format "),
        ("set a 0 0 2147483646\r\n", "format "),
        ("cas a 0 0 3\r\nabc\r\n", "ERROR ERROR "),
        ("cas a 0 0 3 x\r\nabc\r\n", "format "),
        ("cas a 0 0 3 1 noreply x\r\nabc\r\n", "ERROR ERROR "),
        ("set a 0 9223372036854775808 3\r\nabc\r\n", "format "),
        (
            "set a 0 0 3\r\nabcd\r\n",
            "CLIENT_ERROR bad data chunk ERROR ",
        ),
        (
            "set a 0 0 3\r\nabcdefgh\r\n",
            "CLIENT_ERROR bad data chunk ERROR ",
        ),
        (
            "set a 0 0 3\r\nab\r\nxx\r\n",
            "CLIENT_ERROR bad data chunk ERROR ",
        ),
        ("set a 0 0 3 noreply\r\nabcdefgh\r\n", "ERROR "),
        ("set a 0 0 3\nabc\n\n", "CLIENT_ERROR bad data chunk "),
        ("delete\r\n", "ERROR "),
        ("delete a b c d\r\n", "ERROR "),
        (&format!("delete {k}\r\n"), "format "),
        (&format!("delete {k} noreply\r\n"), ""),
        ("touch a\r\n", "ERROR "),
        ("incr a\r\n", "ERROR "),
        ("decr a 1 2 3\r\n", "ERROR "),
        (
            "slabs automove 1\r\n",
            "SERVER_ERROR prism: slabs belongs to one endpoint and is always refused ",
        ),
        ("watch noreply\r\n", ""),
        ("flush_all 1 2 3\r\n", "ERROR "),
        ("verbosity 1 2 3\r\n", "ERROR "),
        ("flush_all x\r\n", "CLIENT_ERROR invalid exptime argument "),
        ("mg\r\n", "ERROR "),
        ("me\r\n", "format "),
        ("ms a x\r\n", "format "),
        ("ms a 2 q\r\nabcd\r\n", "CLIENT_ERROR bad data chunk ERROR "),
    ];
    for (raw, expected) in cases {
        let followed = format!("{raw}version\r\n");
        assert_eq!(
            replies(followed.as_bytes()),
            format!("{expected}?"),
            "{raw:?}"
        );
        let whole = whole(raw.as_bytes()).unwrap();
        assert_eq!(in_bytes(raw.as_bytes()).unwrap(), whole, "{raw:?}");
    }
}

#[test]
fn line_that_stays_silent_without_its_noreply_is_not_sent_on() {
    for raw in [
        &b"delete a noreply noreply\r\n"[..],
        b"incr a noreply noreply\r\n",
    ] {
        assert_eq!(whole(raw).unwrap().unwrap().located, refused(b""));
    }
}

#[test]
fn data_behind_too_many_flags_are_swallowed() {
    let line = |flags: usize| format!("ms a 2{}\r\n", " k".repeat(flags)).into_bytes();
    let many = line(MAX_FLAGS + 1);
    let mut decoder = decoder();
    let progress = decoder.decode(&many).unwrap();
    assert_eq!(progress, Progress::Complete { len: many.len() });
    let swallowed = Located::Refused {
        reply: b"CLIENT_ERROR options flags too long\r\n",
        swallow: 4,
    };
    assert_eq!(decoder.located(), swallowed);
    let most = [line(MAX_FLAGS), b"xx\r\n".to_vec()].concat();
    assert!(matches!(
        whole(&most).unwrap().unwrap().located,
        Located::Command(_)
    ));
}

#[test]
fn value_over_the_limit_is_swallowed() {
    let limits = Limits {
        max_request_bytes: 100,
        ..Limits::default()
    };
    let line = b"set a 0 0 1000\r\n";
    for (raw, answer) in [(&line[..], TOO_LARGE), (b"set a 0 0 1000 noreply\r\n", b"")] {
        let mut decoder = RequestDecoder::new(limits);
        let progress = decoder.decode(raw).unwrap();
        assert_eq!(progress, Progress::Complete { len: raw.len() });
        assert_eq!(
            decoder.located(),
            Located::Refused {
                reply: answer,
                swallow: 1002
            }
        );
    }
}

#[test]
fn long_lines_are_for_get_and_gets_only() {
    let keys = "key ".repeat(5000);
    for (raw, is_sound) in [
        (format!("get {keys}\r\n"), true),
        (format!("{}gets {keys}\r\n", " ".repeat(100)), true),
        (format!("{}get {keys}\r\n", " ".repeat(101)), false),
        (format!("gat 0 {keys}\r\n"), false),
        (format!("set {keys}\r\n"), false),
        (format!("{}\n", "x".repeat(2048)), true),
        (format!("{}\n", "x".repeat(2049)), false),
    ] {
        assert_eq!(whole(raw.as_bytes()).is_ok(), is_sound, "{}", raw.len());
        assert_eq!(in_bytes(raw.as_bytes()), whole(raw.as_bytes()));
    }
    assert_eq!(
        whole(&[b'x'; 2049]).unwrap_err(),
        RequestError::LineTooLong { limit: 2048 }
    );
    assert_eq!(whole(&[b'x'; 2048]).unwrap(), None);
}

#[test]
fn high_byte_behind_a_request_is_text() {
    let mut decoder = decoder();
    decoder.decode(b"get a\r\n").unwrap();
    assert_eq!(
        decoder.decode(b"\x80\r\n").unwrap(),
        Progress::Complete { len: 3 }
    );
    assert_eq!(decoder.located(), refused(ERROR));
}

#[test]
fn large_value_and_long_get_in_small_pieces_are_scanned_once() {
    let mut set = b"set a 0 0 67108864\r\n".to_vec();
    set.resize(set.len() + 67_108_864, b'\n');
    set.extend_from_slice(b"\r\n");
    let get = format!("get {}\r\n", "key ".repeat(100_000)).into_bytes();
    for (raw, piece, most) in [(set, 16 * 1024, 50), (get.clone(), 7, get.len())] {
        let mut decoder = decoder();
        let mut end = 0;
        while decoder.decode(raw.get(..end).unwrap()).unwrap()
            != (Progress::Complete { len: raw.len() })
        {
            end = (end + piece).min(raw.len());
        }
        assert!(
            decoder.steps <= most,
            "{} of {} bytes looked at",
            decoder.steps,
            raw.len()
        );
    }
}

#[test]
fn debug_request_takes_its_key_for_base64_by_one_flag_in_one_place() {
    for (raw, expected) in [
        (&b"me YQ== b\r\n"[..], true),
        (b"me YQ== b x\r\n", true),
        (b"me YQ== x b\r\n", false),
        (b"me YQ== bb\r\n", false),
        (b"mg YQ== x bb\r\n", true),
    ] {
        let mut decoder = RequestDecoder::new(Limits::default());
        decoder.decode(raw).expect("a request");
        assert_eq!(decoder.is_base64(), expected, "{}", raw.escape_ascii());
    }
}

#[test]
fn every_command_is_found_by_its_name() {
    for row in super::super::command::all() {
        assert_eq!(lookup(row.name.as_bytes()), Some(row));
        assert!(row.refusal.ends_with(b"\r\n"));
    }
}

proptest! {
    #[test]
    fn any_storage_comes_back(key in "[a-z]{1,250}", data in prop::collection::vec(any::<u8>(), 0..60), flags in any::<u32>()) {
        let mut raw = format!("set {key} {flags} 0 {}\r\n", data.len()).into_bytes();
        raw.extend_from_slice(&data);
        raw.extend_from_slice(b"\r\n");
        let seen = command(&raw);
        prop_assert_eq!(seen.keys, [key.into_bytes()]);
        prop_assert_eq!((seen.data, seen.len), (data, raw.len()));
    }

    #[test]
    fn any_bytes_are_the_same_whole_and_cut(words in prop::collection::vec(prop::sample::select(vec![" ", "get", "set", "a", "0", "1", "2", "\r", "\n", "\r\n", "noreply", "delete", "gat"]), 0..24)) {
        let raw = words.concat().into_bytes();
        prop_assert_eq!(whole(&raw), in_bytes(&raw));
        let spaced = words.join(" ").into_bytes();
        prop_assert_eq!(whole(&spaced), in_bytes(&spaced));
    }
}

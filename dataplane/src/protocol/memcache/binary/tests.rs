//! Requests that are sound and those that are not; replies cut at every byte.

use super::*;
use crate::protocol::message::{Limits, Progress};

/// A request with the given lengths in its header and that many bytes behind it.
fn request(opcode: u8, key: u16, extras: u8, body: u32) -> Vec<u8> {
    let mut packet = vec![REQUEST, opcode];
    packet.extend(key.to_be_bytes());
    packet.extend([extras, 0, 0, 0]);
    packet.extend(body.to_be_bytes());
    packet.extend(7_u32.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend(vec![b'k'; body as usize]);
    packet
}

fn located(packet: &[u8]) -> Located {
    let mut decoder = RequestDecoder::new(Limits::default());
    decoder.decode(packet).expect("a request");
    decoder.located()
}

#[test]
fn request_is_complete_with_its_last_byte() {
    let packet = request(1, 3, 8, 20);
    let mut decoder = RequestDecoder::new(Limits::default());
    for len in 0..packet.len() {
        let progress = decoder
            .decode(packet.get(..len).unwrap_or_default())
            .expect("a request");
        assert!(
            matches!(progress, Progress::NeedMore { at_least } if at_least > len),
            "{len}"
        );
    }
    let progress = decoder.decode(&packet).expect("a request");
    assert_eq!(progress, Progress::Complete { len: packet.len() });
    assert_eq!(decoder.key(), 32..35);
    assert_eq!(decoder.header().map(|header| header.opaque), Some(7));
}

#[test]
fn lengths_that_an_endpoint_closes_over_are_refused() {
    let invalid = Located::Refused {
        status: Status::InvalidArguments,
        swallow: None,
    };
    for (opcode, key, extras, body) in [
        (0x00, 0, 0, 0),
        (0x00, 251, 0, 251),
        (0x00, 1, 4, 5),
        (0x00, 1, 0, 4),
        (0x01, 1, 4, 9),
        (0x01, 0, 8, 9),
        (0x04, 1, 0, 2),
        (0x05, 1, 2, 3),
        (0x08, 0, 2, 2),
        (0x0a, 0, 0, 2),
        (0x0b, 1, 0, 1),
        (0x0f, 1, 4, 6),
        (0x1c, 1, 0, 1),
    ] {
        assert_eq!(
            located(&request(opcode, key, extras, body)),
            invalid,
            "{opcode:#x}"
        );
    }
    for (opcode, key, extras, body) in [
        (0x00, 250, 0, 250),
        (0x01, 1, 8, 9),
        (0x08, 0, 0, 0),
        (0x08, 0, 4, 4),
    ] {
        let found = located(&request(opcode, key, extras, body));
        assert!(matches!(found, Located::Operation(_)), "{opcode:#x}");
    }
}

#[test]
fn body_shorter_than_its_key_is_unknown() {
    let unknown = Located::Refused {
        status: Status::UnknownCommand,
        swallow: None,
    };
    for opcode in [0x00, 0x01, 0x50] {
        assert_eq!(located(&request(opcode, 50, 0, 1)), unknown);
    }
}

#[test]
fn unknown_operation_is_swallowed() {
    let unknown = Located::Refused {
        status: Status::UnknownCommand,
        swallow: Some(6),
    };
    assert_eq!(located(&request(0x50, 1, 0, 6)), unknown);
    assert!(
        RequestDecoder::new(Limits::default())
            .decode(b"get a\r\n")
            .is_err()
    );
}

#[test]
fn reply_is_complete_with_its_last_byte() {
    let packet = Packet {
        opcode: 0,
        opaque: 1,
        status: Status::Ok,
        key: b"",
        value: b"value",
    };
    let mut reply = Vec::new();
    packet.write(&mut reply);
    let decoder = ReplyDecoder::new(Limits::default());
    for len in 0..reply.len() {
        let progress = decoder
            .decode(reply.get(..len).unwrap_or_default())
            .expect("a reply");
        assert!(
            matches!(progress, Progress::NeedMore { at_least } if at_least > len),
            "{len}"
        );
    }
    let twice = [&reply[..], &reply].concat();
    let progress = decoder.decode(&twice).expect("a reply");
    assert_eq!(progress, Progress::Complete { len: reply.len() });
    assert!(decoder.decode(b"VALUE").is_err());
}

#[test]
fn quiet_operations_leave_unsaid_what_is_usual() {
    for (quiet, loud, unsaid) in [
        (0x09, 0x00, Status::NotFound),
        (0x0d, 0x0c, Status::NotFound),
        (0x1e, 0x1d, Status::NotFound),
        (0x24, 0x23, Status::NotFound),
        (0x11, 0x01, Status::Ok),
        (0x14, 0x04, Status::Ok),
        (0x1a, 0x0f, Status::Ok),
    ] {
        let (quiet, loud) = (operation(quiet), operation(loud));
        let (quiet, loud) = (quiet.expect("known"), loud.expect("known"));
        assert_eq!((quiet.loud, quiet.unsaid()), (loud.opcode, Some(unsaid)));
        assert_eq!((loud.is_quiet(), loud.unsaid()), (false, None));
        assert_eq!(
            (quiet.extras, quiet.has_value, quiet.write, quiet.command),
            (loud.extras, loud.has_value, loud.write, loud.command)
        );
    }
}

#[test]
fn request_that_has_begun_ends_where_its_header_says() {
    for (opcode, extras, before, after) in [
        (0x01, 8, Entry::Unguarded, Entry::Shut),
        (0x21, 0, Entry::Shut, Entry::Unguarded),
    ] {
        let packet = request(opcode, 5, extras, 40);
        let mut decoder = RequestDecoder::new(Limits::default());
        decoder.set_entry(before);
        let progress = decoder
            .decode(packet.get(..50).unwrap_or_default())
            .expect("a request");
        assert_eq!(progress, Progress::NeedMore { at_least: 64 });
        decoder.set_entry(after);
        let progress = decoder.decode(&packet).expect("a request");
        assert_eq!(progress, Progress::Complete { len: 64 });
        assert!(matches!(decoder.located(), Located::Operation(_)));
        decoder.set_entry(after);
        decoder.decode(&packet).expect("a request");
        assert!(matches!(decoder.located(), Located::Refused { .. }));
    }
}

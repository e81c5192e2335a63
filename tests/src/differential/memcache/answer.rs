//! Answers read off a connection: lines, values and packets, up to a mark.

use std::io::{self, ErrorKind};

use crate::raw::Raw;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Binary,
    Text,
}

/// Bytes of a packet's header.
pub(super) const HEADER: usize = 24;

/// Comes back with the answer that ends a batch.
const MARK: u32 = 0xfeed_face;

/// What came of one batch on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Lines, each value's line with its data, packets.
    pub(super) units: Vec<Vec<u8>>,
    /// How the connection ended, if it did before the mark.
    pub(super) end: Option<String>,
}

impl Dialect {
    /// The request whose answer ends a batch.
    pub(super) fn mark(self) -> Vec<u8> {
        match self {
            Self::Binary => {
                let mut packet = vec![0; HEADER];
                (packet[0], packet[1]) = (0x80, 0x0a);
                packet[12..16].copy_from_slice(&MARK.to_be_bytes());
                packet
            }
            Self::Text => b"mn\r\nmg end-of-batch k\r\n".to_vec(),
        }
    }

    fn is_mark(self, unit: &[u8]) -> bool {
        match self {
            Self::Binary => unit.get(12..16) == Some(&MARK.to_be_bytes()),
            Self::Text => unit == b"EN kend-of-batch\r\n",
        }
    }

    /// Where the first unit ends.
    fn unit(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Binary => {
                let body = bytes.get(8..12)?.try_into().ok()?;
                let end = HEADER + u32::from_be_bytes(body) as usize;
                (bytes.len() >= end).then_some(end)
            }
            Self::Text => {
                let line = bytes.iter().position(|byte| *byte == b'\n')? + 1;
                let end = line + data_len(&bytes[..line]).map_or(0, |len| len + 2);
                (bytes.len() >= end).then_some(end)
            }
        }
    }

    /// Reads until the mark, or until the connection ends.
    pub(super) fn read(self, client: &mut Raw) -> Answers {
        let mut answers = Answers::default();
        loop {
            match client.take(|bytes| self.unit(bytes)) {
                Ok(unit) if self.is_mark(&unit) => return answers,
                Ok(unit) => answers.units.push(unit),
                Err(error) => {
                    answers.end = Some(told(&error));
                    return answers;
                }
            }
        }
    }
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        // What was sent behind the end makes the difference, and that is a matter of time.
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            "closed".to_owned()
        }
        _ => format!("silent: {error}"),
    }
}

/// The length of the data behind a line of text, if some follow.
fn data_len(line: &[u8]) -> Option<usize> {
    let mut words = words(line);
    let at = match words.next()? {
        b"VALUE" => 2,
        b"VA" => 0,
        _ => return None,
    };
    std::str::from_utf8(words.nth(at)?).ok()?.parse().ok()
}

/// The words of a line without its end.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = line.iter().position(|byte| *byte == b'\n');
    let line = &line[..end.unwrap_or(line.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.split(|byte| *byte == b' ')
}

//! What is sent: requests whose bytes may be other ones for each side.

use super::{
    super::text::text,
    learned::{Learned, Side},
};

/// A part of a request.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Other bytes for each side: first those for the proxy.
    Apart([Vec<u8>; 2]),
    /// The same bytes for both.
    Same(Vec<u8>),
    /// A CAS number that was learned of a key, in eight bytes or in digits.
    Token {
        key: Vec<u8>,
        age: usize,
        form: Form,
    },
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bytes,
    Digits,
}

/// One request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    /// What it is counted as.
    pub(super) name: String,
    /// The keys it is about.
    pub(super) keys: Vec<Vec<u8>>,
    /// Comes back with the answers to it, in binary.
    pub(super) opaque: u32,
    pub(super) pieces: Vec<Piece>,
    /// The connection closes over it: nothing comes behind it.
    pub(super) is_last: bool,
}

/// Requests that one client sends in one go.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) client: usize,
    pub(super) requests: Vec<Request>,
}

impl Request {
    /// A request called `name`.
    pub(super) fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            pieces: vec![Piece::Same(bytes.into())],
            ..Self::default()
        }
    }

    /// Whether a server notes an access, and may hold on to the value for a while.
    pub(super) fn is_read(&self) -> bool {
        const READS: [&str; 15] = [
            "get", "gets", "gat", "gats", "mg", "0x00", "0x09", "0x0c", "0x0d", "0x1d", "0x1e",
            "0x23", "0x24", "touch", "0x1c",
        ];
        READS.contains(&self.name.as_str())
    }

    /// Whether it counts.
    pub(super) fn is_count(&self) -> bool {
        const COUNTS: [&str; 7] = ["incr", "decr", "ma", "0x05", "0x06", "0x15", "0x16"];
        COUNTS.contains(&self.name.as_str())
    }

    /// Whether it adds to a value.
    pub(super) fn is_addition(&self) -> bool {
        const ADDITIONS: [&str; 6] = ["append", "prepend", "0x0e", "0x0f", "0x19", "0x1a"];
        const MODES: [&[u8]; 4] = [b" MA", b" Ma", b" MP", b" Mp"];
        let has_mode = |piece: &Piece| match piece {
            Piece::Same(bytes) => bytes.windows(3).any(|three| MODES.contains(&three)),
            _ => false,
        };
        ADDITIONS.contains(&self.name.as_str())
            || self.name == "ms" && self.pieces.iter().any(has_mode)
    }

    /// Its bytes for one side, which hears what `part` is meant to hear.
    pub(super) fn bytes(&self, side: Side, part: Side, learned: &Learned) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Apart(both) => bytes.extend_from_slice(&both[part as usize]),
                Piece::Same(same) => bytes.extend_from_slice(same),
                Piece::Token { key, age, form } => {
                    let token = learned.token(key, *age)[side as usize];
                    match form {
                        Form::Bytes => bytes.extend_from_slice(&token.to_be_bytes()),
                        Form::Digits => bytes.extend_from_slice(token.to_string().as_bytes()),
                    }
                }
            }
        }
        bytes
    }

    /// As it is told.
    pub(super) fn shown(&self) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Apart([proxy, truth]) => format!("<{} | {}>", text(proxy), text(truth)),
            Piece::Same(same) => text(same),
            Piece::Token { key, age, .. } => format!("<token {age} of {}>", text(key)),
        });
        pieces.collect()
    }
}

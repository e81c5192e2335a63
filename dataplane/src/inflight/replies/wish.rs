//! What requests want of their replies.

use crate::{
    inflight::Piece,
    protocol::{
        memcache::reply::{END, is_error},
        message::PartErrors,
    },
};

/// What a request wants of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It goes to the client as a packet of Memcached's binary protocol; words become one.
    Packet {
        /// The operation that is answered.
        opcode: u8,
        /// What the request had there.
        opaque: u32,
    },
    /// It goes to the client.
    Reply,
    /// It is dropped.
    Silence,
    /// It is a value of Memcached, or nothing, and goes to the client with a last line; errors may count as nothing.
    Value(PartErrors),
}

/// Returns what a client is told where a get brought `reply`, in two pieces.
pub(super) fn value(reply: Piece<'_>, errors: PartErrors) -> (Piece<'_>, &'static [u8]) {
    match (is_error(reply.bytes()), errors) {
        (false, _) => (reply, END),
        (true, PartErrors::Nil) => (Piece::Borrowed(b""), END),
        (true, _) => (reply, b""),
    }
}

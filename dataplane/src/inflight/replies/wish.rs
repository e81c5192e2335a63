//! What requests want of their replies.

use crate::{
    inflight::Piece,
    protocol::{
        memcache::{
            binary::{Header, Status, is_packet, write_failure},
            reply::{END, is_error},
        },
        message::PartErrors,
    },
};

/// What a request wants of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It goes to the client as a packet of Memcached's binary protocol; words become one, and a usual one is dropped.
    Packet {
        /// The operation that is answered.
        opcode: u8,
        /// What the request had there.
        opaque: u32,
        /// The status of what is dropped.
        unsaid: Option<Status>,
    },
    /// It goes to the client.
    Reply,
    /// It is dropped.
    Silence,
    /// It goes to the client unless it begins with these two bytes.
    Unless([u8; 2]),
    /// It is a value of Memcached, or nothing, and goes to the client with a last line; errors may count as nothing.
    Value(PartErrors),
}

/// A reply as the client is to have it.
pub(super) struct Worded<'a> {
    /// Bytes that come first.
    pub(super) head: Option<[u8; 2]>,
    /// What is left of the reply between them.
    pub(super) body: Piece<'a>,
    /// Bytes that come last.
    pub(super) tail: &'static [u8],
}

impl<'a> Worded<'a> {
    fn whole(body: Piece<'a>) -> Self {
        Self {
            head: None,
            body,
            tail: b"",
        }
    }

    /// Returns whether the reply stays as it is.
    pub(super) fn is_whole(&self) -> bool {
        self.head.is_none() && self.tail.is_empty()
    }

    /// Words the reply to a get; an error may count as nothing.
    pub(super) fn value(reply: Piece<'a>, errors: PartErrors) -> Self {
        let (body, tail) = match (is_error(reply.bytes()), errors) {
            (true, PartErrors::Element | PartErrors::Fail) => return Self::whole(reply),
            (true, PartErrors::Nil) => (Piece::Borrowed(&b""[..]), END),
            (false, _) => (reply, END),
        };
        Self {
            head: None,
            body,
            tail,
        }
    }

    /// Words the reply to a binary request, `None` when its status is `unsaid`.
    pub(super) fn packet(
        reply: &'a Piece<'a>,
        (opcode, opaque): (u8, u32),
        unsaid: Option<Status>,
    ) -> Option<Self> {
        let Some(header) = Header::read(reply.bytes()).filter(|_| is_packet(reply.bytes())) else {
            let mut packet = Vec::new();
            write_failure(&mut packet, opcode, opaque, reply.bytes());
            return Some(Self::whole(Piece::Shared(packet.into())));
        };
        if unsaid.is_some_and(|unsaid| unsaid.number() == header.status) {
            return None;
        }
        if header.opcode == opcode {
            return Some(Self::whole(reply.clone()));
        }
        // The request went out under another number than the client's.
        Some(Self {
            head: Some([header.magic, opcode]),
            body: reply.part(2, reply.bytes().len() - 2),
            tail: b"",
        })
    }
}

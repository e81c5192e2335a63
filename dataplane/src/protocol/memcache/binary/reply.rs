//! Where a binary reply ends.

use super::{
    super::super::message::{Limits, Progress},
    HEADER, Header, NOOP, REPLY,
};

/// What was asked, and so how the reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// One packet.
    Packet,
    /// A packet or nothing, up to the answer to the no-op that was sent behind the request.
    Quiet,
}

/// Why bytes from an endpoint are no reply; the connection they came on is out of step and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The first byte is none of a reply's.
    #[error("no binary reply begins with byte {first}")]
    Magic {
        /// The byte.
        first: u8,
    },
    /// The reply has more bytes than allowed.
    #[error("reply of {declared} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes known to belong to the reply.
        declared: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// An answer that was not asked for.
    #[error("reply to operation {opcode} out of place")]
    Unexpected {
        /// The operation.
        opcode: u8,
    },
}

/// Delimits one reply at a time at the start of a buffer.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: Limits,
    /// Bytes of the packet before the barrier's.
    before: usize,
}

impl ReplyDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, before: 0 }
    }

    /// Goes on with the reply at the start of `buf`, which must end as `expect` says.
    ///
    /// # Errors
    /// What is no such reply, or over a limit.
    #[inline]
    pub fn decode(&mut self, expect: Expect, buf: &[u8]) -> Result<Progress, ReplyError> {
        loop {
            let rest = buf.get(self.before..).unwrap_or_default();
            if let Some(first) = rest.first().filter(|first| **first != REPLY) {
                return Err(ReplyError::Magic { first: *first });
            }
            let Some(header) = Header::read(rest) else {
                let at_least = self.before + HEADER;
                return Ok(Progress::NeedMore { at_least });
            };
            let end = self.before + HEADER + header.body as usize;
            let limit = self.limits.max_reply_bytes;
            if end > limit {
                return Err(ReplyError::TooLarge {
                    declared: end,
                    limit,
                });
            }
            if buf.len() < end {
                return Ok(Progress::NeedMore { at_least: end });
            }
            let is_over = expect == Expect::Packet || header.opcode == NOOP;
            if is_over {
                self.before = 0;
                return Ok(Progress::Complete { len: end });
            }
            if self.before > 0 {
                return Err(ReplyError::Unexpected {
                    opcode: header.opcode,
                });
            }
            self.before = end;
        }
    }
}

/// The length of a reply to a quiet request without the barrier's answer that ends it.
pub fn without_barrier(reply: &[u8]) -> usize {
    reply.len().saturating_sub(HEADER)
}

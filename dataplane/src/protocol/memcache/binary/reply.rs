//! Where a binary reply ends.

use super::{
    super::super::message::{Limits, Progress},
    HEADER, Header, REPLY,
};

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
}

/// Delimits one reply at a time at the start of a buffer.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: Limits,
}

impl ReplyDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Looks for the end of the reply at the start of `buf`.
    ///
    /// # Errors
    /// What is no reply, or over a limit.
    #[inline]
    pub fn decode(&self, buf: &[u8]) -> Result<Progress, ReplyError> {
        if let Some(first) = buf.first().filter(|first| **first != REPLY) {
            return Err(ReplyError::Magic { first: *first });
        }
        let Some(header) = Header::read(buf) else {
            return Ok(Progress::NeedMore { at_least: HEADER });
        };
        let end = HEADER + header.body as usize;
        let limit = self.limits.max_reply_bytes;
        if end > limit {
            return Err(ReplyError::TooLarge {
                declared: end,
                limit,
            });
        }
        match buf.len() < end {
            true => Ok(Progress::NeedMore { at_least: end }),
            false => Ok(Progress::Complete { len: end }),
        }
    }
}

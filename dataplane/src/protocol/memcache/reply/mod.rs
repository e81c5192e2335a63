//! Where a Memcached reply ends, and the values in it.

use memchr::memchr;

use super::super::message::{Limits, Progress, bytes_of};
use super::request::number;

/// Longest line an endpoint may send.
const MAX_LINE: usize = 8192;

/// The line that ends values.
pub const END: &[u8] = b"END\r\n";

/// What was asked, and so how the reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// One line.
    Line,
    /// One line, and its value if it begins with `VA`.
    Meta,
    /// As [`Expect::Meta`] or nothing, up to the answer to the `mn` that was sent behind the request.
    Quiet,
    /// As [`Expect::Retrieval`], of several clients: each value is bounded by itself.
    Joined,
    /// Values, then `END` or an error line.
    Retrieval,
}

/// Why bytes from an endpoint are no reply; the connection they came on is out of step and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not end.
    #[error("line is over {limit} bytes")]
    LineTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// The reply has more bytes than allowed.
    #[error("reply of {declared} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes known to belong to the reply.
        declared: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A line that cannot stand where it does.
    #[error("reply line out of place")]
    Unexpected,
}

/// Delimits one reply at a time at the start of a buffer, and keeps its place until it is complete.
///
/// The buffer given always starts at the first byte of the reply; it may only have grown since the last call. An
/// error is final.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: Limits,
    /// Everything before is understood.
    at: usize,
    /// Everything before holds no line end, where a line is being looked for.
    searched: usize,
    /// The end of the value being waited for, its line end included.
    value_end: Option<usize>,
}

impl ReplyDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: 0,
            searched: 0,
            value_end: None,
        }
    }

    /// Whether no reply has begun.
    pub fn is_idle(&self) -> bool {
        self.at == 0 && self.searched == 0
    }

    /// Forgets the reply, complete or not.
    pub fn reset(&mut self) {
        self.at = 0;
        self.searched = 0;
        self.value_end = None;
    }

    /// Goes on with the reply at the start of `buf`, which must end as `expect` says.
    ///
    /// # Errors
    /// What is no such reply, or over a limit.
    #[inline]
    pub fn decode(&mut self, expect: Expect, buf: &[u8]) -> Result<Progress, ReplyError> {
        loop {
            if let Some(end) = self.value_end {
                match buf.get(end - 2..end) {
                    None => return Ok(Progress::NeedMore { at_least: end }),
                    Some(b"\r\n") if expect == Expect::Meta => {
                        self.reset();
                        return Ok(Progress::Complete { len: end });
                    }
                    Some(b"\r\n") => self.at = end,
                    Some(_) => return Err(ReplyError::Unexpected),
                }
                self.value_end = None;
            }
            let Some(next) = self.line(buf)? else {
                return Ok(Progress::NeedMore {
                    at_least: buf.len() + 1,
                });
            };
            let line = buf.get(self.at..next).unwrap_or_default();
            if let Some(len) = announced(expect, line) {
                let end = next + len.ok_or(ReplyError::Unexpected)? + 2;
                self.within(match expect {
                    Expect::Joined => end - self.at,
                    _ => end,
                })?;
                self.value_end = Some(end);
            } else if expect == Expect::Quiet && self.at == 0 && line != BARRIER {
                // The answer itself; the barrier's is to follow.
                self.at = self.within(next)?;
            } else {
                self.check_last(expect, line)?;
                if expect != Expect::Joined {
                    self.within(next)?;
                }
                self.reset();
                return Ok(Progress::Complete { len: next });
            }
        }
    }

    /// Where the line behind the one at `at` begins.
    #[inline]
    fn line(&mut self, buf: &[u8]) -> Result<Option<usize>, ReplyError> {
        let from = self.searched.max(self.at);
        let found = memchr(b'\n', buf.get(from..).unwrap_or_default());
        let end = found.map_or(buf.len(), |found| from + found);
        if end - self.at.min(end) > MAX_LINE {
            return Err(ReplyError::LineTooLong { limit: MAX_LINE });
        }
        self.searched = end;
        Ok(found.map(|_| end + 1))
    }

    fn check_last(&self, expect: Expect, line: &[u8]) -> Result<(), ReplyError> {
        let is_end = line == END;
        let is_sound = match expect {
            Expect::Line | Expect::Meta => line.len() > 2 && line.ends_with(b"\r\n") && !is_end,
            // One that does not know meta requests calls the barrier an error too.
            Expect::Quiet => line == BARRIER || line == b"ERROR\r\n",
            Expect::Joined | Expect::Retrieval => is_end || is_error(line),
        };
        if is_sound {
            Ok(())
        } else {
            Err(ReplyError::Unexpected)
        }
    }

    fn within(&self, declared: usize) -> Result<usize, ReplyError> {
        let limit = self.limits.max_reply_bytes;
        if declared > limit {
            return Err(ReplyError::TooLarge { declared, limit });
        }
        Ok(declared)
    }
}

/// The answer to `mn`.
const BARRIER: &[u8] = b"MN\r\n";

/// The length of the value that `line` announces, `None` inside if it has none that can be; `None` for other lines.
#[inline]
fn announced(expect: Expect, line: &[u8]) -> Option<Option<usize>> {
    match expect {
        Expect::Meta | Expect::Quiet => {
            let header = line.strip_prefix(b"VA ")?.strip_suffix(b"\r\n");
            let word = header.and_then(|header| header.split(|byte| *byte == b' ').next());
            let len = word
                .and_then(number)
                .and_then(|len| usize::try_from(len).ok());
            Some(len.filter(|len| *len <= u32::MAX as usize))
        }
        Expect::Joined | Expect::Line | Expect::Retrieval => {
            let header = line.strip_prefix(b"VALUE ")?;
            Some(value_len(header).filter(|_| expect != Expect::Line))
        }
    }
}

/// The length of a reply to a quiet request without the barrier's answer that ends it.
pub fn without_barrier(reply: &[u8]) -> usize {
    let lines = [BARRIER, b"ERROR\r\n"];
    let ending = lines.into_iter().find(|line| reply.ends_with(line));
    reply.len() - ending.map_or(0, <[u8]>::len)
}

/// Whether `reply` begins with an error line.
pub fn is_error(reply: &[u8]) -> bool {
    reply.starts_with(b"ERROR\r\n")
        || reply.starts_with(b"CLIENT_ERROR")
        || reply.starts_with(b"SERVER_ERROR")
}

/// One value of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// All its bytes: its line, its data and both line ends.
    pub block: &'a [u8],
    /// Its data.
    pub data: &'a [u8],
}

/// The values at the start of a complete reply.
pub fn values(reply: &[u8]) -> Values<'_> {
    Values { rest: reply }
}

/// The values of a reply; see [`values`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    /// What follows the values given so far; once there are no more, the last line of the reply.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let header = self.rest.strip_prefix(b"VALUE ")?;
        let line = header.get(..=memchr(b'\n', header)?)?;
        let start = b"VALUE ".len() + line.len();
        let end = start.checked_add(value_len(line)?)?;
        let (block, rest) = self.rest.split_at_checked(end.checked_add(2)?)?;
        self.rest = rest;
        Some(Value {
            key: line.split(|byte| *byte == b' ').next()?,
            block,
            data: bytes_of(block, &(start as u32..end as u32)),
        })
    }
}

/// The length in `key flags length [cas]` and a line end.
fn value_len(header: &[u8]) -> Option<usize> {
    let words = header.strip_suffix(b"\r\n")?;
    let mut words = words.split(|byte| *byte == b' ');
    let (_key, _flags, len) = (words.next()?, words.next()?, words.next()?);
    let len = usize::try_from(number(len)?).ok()?;
    (len <= u32::MAX as usize).then_some(len)
}

#[cfg(test)]
mod tests;

//! Where a reply ends: RESP2 and RESP3, nested, in any number of pieces.

use super::super::super::message::{Limits, Progress};
use super::super::line::{LineEnd, line_end, plain_length, strict_integer};

/// Why bytes from an endpoint are no reply; the connection they came on is out of step and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A length is no number, or negative where none may be.
    #[error("bad length in a reply of type {kind:?}")]
    BadLength {
        /// The type's first character.
        kind: char,
    },
    /// No line end follows a string.
    #[error("no line end after a string")]
    MissingLineEnd,
    /// Aggregates are nested too deep.
    #[error("reply nested deeper than {limit} levels")]
    TooDeep {
        /// Levels allowed.
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
    /// An aggregate has more elements than allowed.
    #[error("reply of {declared} elements is over the limit of {limit}")]
    TooMany {
        /// Elements declared.
        declared: usize,
        /// Elements allowed.
        limit: usize,
    },
    /// The first byte of a value is none of a type's.
    #[error("unknown reply type, byte {kind}")]
    UnknownKind {
        /// The byte.
        kind: u8,
    },
}

/// Delimits one reply at a time at the start of a buffer, and keeps its place until it is complete.
///
/// The buffer given always starts at the first byte of the reply; it may only have grown since the last call. An
/// attribute belongs to the value behind it. An error is final.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: Limits,
    /// Everything before is understood.
    at: usize,
    /// Everything before holds no line end, where a line is being looked for.
    searched: usize,
    /// Values still to come, one number a level, outermost first; empty before the first value.
    open: Vec<usize>,
    /// The end of the string being waited for, without its line end.
    string_end: Option<usize>,
    #[cfg(test)]
    steps: usize,
}

/// What one look at the buffer came to.
enum Step {
    /// An aggregate begins; its first value is next.
    Into,
    /// A value is over.
    Over,
    /// The buffer must have so many bytes before the next look.
    Wait(usize),
}

impl ReplyDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: 0,
            searched: 0,
            open: Vec::new(),
            string_end: None,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Whether no reply has begun.
    pub fn is_idle(&self) -> bool {
        self.at == 0 && self.searched == 0 && self.string_end.is_none()
    }

    /// Goes on with the reply at the start of `buf`; after `Complete` the next call begins a new one.
    ///
    /// # Errors
    /// What is not RESP, or over a limit.
    #[inline]
    pub fn decode(&mut self, buf: &[u8]) -> Result<Progress, ReplyError> {
        loop {
            let step = match self.string_end {
                Some(end) => self.string(buf, end)?,
                None => self.value(buf)?,
            };
            match step {
                Step::Into => {}
                Step::Wait(at_least) => return Ok(Progress::NeedMore { at_least }),
                Step::Over if self.is_last() => {
                    let len = std::mem::take(&mut self.at);
                    self.searched = 0;
                    return Ok(Progress::Complete { len });
                }
                Step::Over => {}
            }
        }
    }

    /// Goes on with `count` replies, one behind the other, as if they were one; `count` is not 0.
    ///
    /// # Errors
    /// As [`ReplyDecoder::decode`].
    pub fn decode_run(&mut self, buf: &[u8], count: usize) -> Result<Progress, ReplyError> {
        if self.open.is_empty() {
            self.open.push(count);
        }
        self.decode(buf)
    }

    /// Forgets the reply, complete or not.
    pub fn reset(&mut self) {
        self.at = 0;
        self.searched = 0;
        self.open.clear();
        self.string_end = None;
    }

    /// Closes the value that is over and all that end with it; whether the reply is one of them.
    #[inline]
    fn is_last(&mut self) -> bool {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    #[inline]
    fn value(&mut self, buf: &[u8]) -> Result<Step, ReplyError> {
        let Some(kind) = buf.get(self.at) else {
            return self.wait(buf);
        };
        match kind {
            b'$' | b'!' | b'=' => match self.length(buf, *kind)? {
                None => self.wait(buf),
                Some((None, _)) if *kind != b'$' => Err(bad_length(*kind)),
                Some((None, next)) => self.over(next),
                Some((Some(len), next)) => self.enter_string(buf, next, len),
            },
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => self.line(buf),
            b'*' | b'~' | b'%' | b'>' | b'|' => match self.length(buf, *kind)? {
                None => self.wait(buf),
                Some((None, _)) if *kind != b'*' => Err(bad_length(*kind)),
                Some((None, next)) => self.over(next),
                Some((Some(count), next)) => self.enter(*kind, count, next),
            },
            other => Err(ReplyError::UnknownKind { kind: *other }),
        }
    }

    /// A value that ends with its line.
    #[inline]
    fn line(&mut self, buf: &[u8]) -> Result<Step, ReplyError> {
        let mut from = self.searched.max(self.at);
        loop {
            match line_end(buf, from) {
                LineEnd::At(end) => {
                    self.step(end - from);
                    return self.over(end + 2);
                }
                LineEnd::Bare(at) => from = at + 1,
                LineEnd::NotYet(searched) => {
                    self.step(searched - from);
                    self.searched = searched;
                    return self.wait(buf);
                }
            }
        }
    }

    /// The length or count in the line at `at`, `None` inside for null, and where the next line begins.
    #[inline]
    fn length(
        &mut self,
        buf: &[u8],
        kind: u8,
    ) -> Result<Option<(Option<usize>, usize)>, ReplyError> {
        let line = buf.get(self.at + 1..).unwrap_or_default();
        if let Some((len, taken)) = plain_length(line) {
            self.step(taken);
            return Ok(Some((Some(len), self.at + 1 + taken)));
        }
        self.careful_length(buf, kind)
    }

    #[cold]
    fn careful_length(
        &mut self,
        buf: &[u8],
        kind: u8,
    ) -> Result<Option<(Option<usize>, usize)>, ReplyError> {
        let end = match line_end(buf, self.at) {
            LineEnd::At(end) => end,
            LineEnd::NotYet(_) if buf.len() - self.at <= LONGEST_LENGTH => return Ok(None),
            LineEnd::NotYet(_) | LineEnd::Bare(_) => return Err(bad_length(kind)),
        };
        let digits = buf.get(self.at + 1..end).unwrap_or_default();
        match strict_integer(digits) {
            Some(-1) => Ok(Some((None, end + 2))),
            Some(len) => match usize::try_from(len) {
                Ok(len) => Ok(Some((Some(len), end + 2))),
                Err(_) => Err(bad_length(kind)),
            },
            None => Err(bad_length(kind)),
        }
    }

    #[inline]
    fn enter_string(&mut self, buf: &[u8], start: usize, len: usize) -> Result<Step, ReplyError> {
        let end = start.saturating_add(len);
        self.check(end.saturating_add(2))?;
        self.string_end = Some(end);
        self.string(buf, end)
    }

    #[inline]
    fn string(&mut self, buf: &[u8], end: usize) -> Result<Step, ReplyError> {
        match buf.get(end..end + 2) {
            None => Ok(Step::Wait(end + 2)),
            Some(b"\r\n") => {
                self.string_end = None;
                self.over(end + 2)
            }
            Some(_) => Err(ReplyError::MissingLineEnd),
        }
    }

    fn enter(&mut self, kind: u8, count: usize, next: usize) -> Result<Step, ReplyError> {
        let limit = self.limits.max_elements;
        let values = match kind {
            b'%' => count.saturating_mul(2),
            b'|' => count.saturating_mul(2).saturating_add(1),
            _ => count,
        };
        if values > limit {
            return Err(ReplyError::TooMany {
                declared: values,
                limit,
            });
        }
        if values == 0 {
            return self.over(next);
        }
        if self.open.len() >= self.limits.max_depth {
            return Err(ReplyError::TooDeep {
                limit: self.limits.max_depth,
            });
        }
        self.open.push(values);
        self.at = next;
        Ok(Step::Into)
    }

    #[inline]
    fn over(&mut self, next: usize) -> Result<Step, ReplyError> {
        self.check(next)?;
        self.at = next;
        Ok(Step::Over)
    }

    fn wait(&self, buf: &[u8]) -> Result<Step, ReplyError> {
        self.check(buf.len())?;
        Ok(Step::Wait(buf.len() + 1))
    }

    #[inline]
    fn check(&self, declared: usize) -> Result<(), ReplyError> {
        let limit = self.limits.max_reply_bytes;
        if declared > limit {
            return Err(ReplyError::TooLarge { declared, limit });
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    #[cfg(test)]
    fn step(&mut self, bytes: usize) {
        self.steps += bytes;
    }

    #[cfg(not(test))]
    #[inline]
    fn step(&mut self, _bytes: usize) {}
}

/// Bytes the line of a length takes at most, its type and line end included.
const LONGEST_LENGTH: usize = 24;

fn bad_length(kind: u8) -> ReplyError {
    ReplyError::BadLength {
        kind: char::from(kind),
    }
}

//! Locating the arguments of a Redis request: arrays of bulk strings, and inline lines.

mod discard;
mod error;
mod inline;

use super::super::message::{Limits, Progress, Span};
use super::line::{LineEnd, line_end, plain_length, strict_integer};

pub use discard::Discarded;
pub use error::RequestError;

/// Longest line of an inline request, or of a length, as in Redis.
const MAX_LINE: usize = 64 * 1024;
/// Longest argument, as in Redis (`proto-max-bulk-len`).
const MAX_BULK: usize = 512 * 1024 * 1024;
/// Argument spans a quiet decoder keeps room for.
const QUIET_ARGS: usize = 8;

/// Locates one request at a time at the start of a buffer, and keeps its place until it is complete.
///
/// The buffer given always starts at the first byte of the request; it may only have grown since the last call.
/// After [`Progress::Complete`] the arguments stand until the next call; a request without arguments
/// (`*0`, an empty line) is to be skipped without an answer, as Redis does. An error is final: the
/// client gets [`RequestError::reply`] and the connection closes, unless it is
/// [`RequestError::TooLarge`], after which the request can be discarded.
#[derive(Debug)]
pub struct RequestDecoder {
    bounds: Bounds,
    args: Vec<Span>,
    rebuilt: Option<Vec<u8>>,
    stage: Stage,
    /// Everything before is understood.
    at: usize,
    /// Everything before holds no line end, where a line is being looked for.
    searched: usize,
    #[cfg(test)]
    steps: usize,
}

/// What concerns requests of [`Limits`], in little room: spans count in 32 bits anyway.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    args: u32,
    bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is known but perhaps that the first line is not whole.
    Start,
    /// `left` arguments are still to come, the next begins at `at`.
    Args { left: usize },
    /// The body of the next argument, which begins at `at`, is `len` long.
    Body { left: usize, len: usize },
    /// The request is too large: `left` arguments are still to come behind `skip` bytes, none is wanted.
    Discard { left: usize, skip: usize },
    /// The last call completed a request.
    Done,
}

impl RequestDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            bounds: Bounds::of(limits),
            args: Vec::new(),
            rebuilt: None,
            stage: Stage::Start,
            at: 0,
            searched: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Puts other limits on the requests to come; to be called between two requests.
    pub fn limit(&mut self, limits: Limits) {
        self.bounds = Bounds::of(limits);
    }

    /// Goes on with the request at the start of `buf`.
    ///
    /// # Errors
    /// What is not Redis' protocol, or over a limit; only [`Self::discard`] may follow.
    #[inline]
    pub fn decode(&mut self, buf: &[u8]) -> Result<Progress, RequestError> {
        if self.stage == Stage::Done {
            self.reset();
        }
        match (self.stage, buf.first()) {
            (Stage::Start, None) => Ok(Progress::NeedMore { at_least: 1 }),
            (Stage::Start, Some(b'*')) => self.count(buf),
            (Stage::Start, Some(_)) => self.inline(buf),
            (Stage::Body { left, len }, _) => self.body(buf, left, len),
            (Stage::Args { left }, _) => self.arguments(buf, left),
            (Stage::Done | Stage::Discard { .. }, _) => Ok(Progress::Complete { len: 0 }),
        }
    }

    /// Where the arguments of the complete request are, the command's name first.
    ///
    /// They refer to the request's raw bytes, or to the rebuilt ones where [`Self::take_rebuilt`] has them.
    #[inline]
    pub fn args(&self) -> &[Span] {
        &self.args
    }

    /// The request as an array of bulk strings, if it came as an inline line.
    #[inline]
    pub fn take_rebuilt(&mut self) -> Option<Vec<u8>> {
        self.rebuilt.take()
    }

    /// Whether no request has begun.
    #[inline]
    pub fn is_idle(&self) -> bool {
        match self.stage {
            Stage::Done => true,
            Stage::Start => self.searched == 0,
            Stage::Args { .. } | Stage::Body { .. } | Stage::Discard { .. } => false,
        }
    }

    /// Forgets the request, complete or not.
    #[inline]
    pub fn reset(&mut self) {
        self.args.clear();
        self.rebuilt = None;
        self.stage = Stage::Start;
        self.at = 0;
        self.searched = 0;
    }

    /// Gives memory back while no request is under way.
    pub fn shrink(&mut self) {
        if self.is_idle() {
            self.reset();
            self.args.shrink_to(QUIET_ARGS);
        }
    }

    fn count(&mut self, buf: &[u8]) -> Result<Progress, RequestError> {
        let declared = match buf.get(1..).and_then(plain_length) {
            Some((count, taken)) => Some((count, 1 + taken)),
            None => self.careful_count(buf)?,
        };
        let Some((count, next)) = declared else {
            return Ok(need(buf.len() + 1));
        };
        if count > self.bounds.args as usize {
            return Err(RequestError::InvalidMultibulkLength);
        }
        self.step(next);
        self.at = next;
        self.arguments(buf, count)
    }

    /// Reads arguments while they are whole; the common way through the decoder.
    #[inline]
    fn arguments(&mut self, buf: &[u8], mut left: usize) -> Result<Progress, RequestError> {
        while left > 0 {
            let line = buf.get(self.at..).unwrap_or_default();
            let plain = line.split_first().filter(|(kind, _)| **kind == b'$');
            let declared = match plain.and_then(|(_, rest)| plain_length(rest)) {
                Some((len, taken)) => Some((len, self.at + 1 + taken)),
                None => self.careful_length(buf)?,
            };
            let Some((len, start)) = declared else {
                self.stage = Stage::Args { left };
                return Ok(need(buf.len() + 1));
            };
            self.step(start - self.at);
            self.at = start;
            self.stage = Stage::Body { left, len };
            if !self.take_body(buf, len)? {
                return Ok(need(start + len + 2));
            }
            left -= 1;
        }
        self.stage = Stage::Done;
        Ok(Progress::Complete { len: self.at })
    }

    fn body(&mut self, buf: &[u8], left: usize, len: usize) -> Result<Progress, RequestError> {
        if self.take_body(buf, len)? {
            self.arguments(buf, left - 1)
        } else {
            Ok(need(self.at + len + 2))
        }
    }

    /// Takes the argument at `at` if it and its line end are there.
    #[inline]
    fn take_body(&mut self, buf: &[u8], len: usize) -> Result<bool, RequestError> {
        if len > MAX_BULK {
            return Err(RequestError::InvalidBulkLength);
        }
        let end = self.at + len;
        let limit = self.bounds.bytes as usize;
        if end + 2 > limit {
            return Err(RequestError::TooLarge {
                declared: end + 2,
                limit,
            });
        }
        match buf.get(end..end + 2) {
            None => return Ok(false),
            Some(b"\r\n") => {}
            // Redis skips two bytes whatever they are; what an endpoint of another make would do with
            // them cannot be known, and a connection is shared.
            Some(_) => return Err(RequestError::MissingLineEnd),
        }
        self.args.push(self.at as u32..end as u32);
        self.at = end + 2;
        Ok(true)
    }

    /// The first line where it is not an ordinary count; counts of 0 and less are no arguments.
    #[cold]
    fn careful_count(&mut self, buf: &[u8]) -> Result<Option<(usize, usize)>, RequestError> {
        let Some(end) = self.careful_line(buf, RequestError::TooBigMbulkCount)? else {
            return Ok(None);
        };
        let digits = buf.get(1..end).unwrap_or_default();
        let count = strict_integer(digits).filter(|_| buf.get(end + 1) == Some(&b'\n'));
        let count = count.ok_or(RequestError::InvalidMultibulkLength)?;
        Ok(Some((usize::try_from(count).unwrap_or(0), end + 2)))
    }

    /// The line at `at` where it is not an ordinary length.
    #[cold]
    fn careful_length(&mut self, buf: &[u8]) -> Result<Option<(usize, usize)>, RequestError> {
        let Some(end) = self.careful_line(buf, RequestError::TooBigBulkCount)? else {
            return Ok(None);
        };
        let line = buf.get(self.at..end + 1).unwrap_or_default();
        let digits = match line.split_first() {
            Some((b'$', rest)) => rest.strip_suffix(b"\r").unwrap_or(rest),
            Some((other, _)) => return Err(RequestError::ExpectedBulk { got: *other }),
            None => return Ok(None),
        };
        let len = strict_integer(digits).and_then(|len| usize::try_from(len).ok());
        let len = len.filter(|_| buf.get(end + 1) == Some(&b'\n'));
        Ok(Some((len.ok_or(RequestError::InvalidBulkLength)?, end + 2)))
    }

    /// The position of the CR that ends the line at `at`, once the byte behind it is there.
    fn careful_line(
        &mut self,
        buf: &[u8],
        too_long: RequestError,
    ) -> Result<Option<usize>, RequestError> {
        let from = self.searched.max(self.at);
        match line_end(buf, from) {
            LineEnd::At(end) | LineEnd::Bare(end) => Ok(Some(end)),
            LineEnd::NotYet(_) if buf.len() - self.at > MAX_LINE => Err(too_long),
            LineEnd::NotYet(searched) => {
                self.step(searched - from);
                self.searched = searched;
                Ok(None)
            }
        }
    }

    #[cold]
    fn inline(&mut self, buf: &[u8]) -> Result<Progress, RequestError> {
        let unsearched = buf.get(self.searched..).unwrap_or_default();
        self.step(unsearched.len());
        let Some(found) = memchr::memchr(b'\n', unsearched) else {
            if buf.len() > MAX_LINE {
                return Err(RequestError::TooBigInline);
            }
            self.searched = buf.len();
            return Ok(need(buf.len() + 1));
        };
        let end = self.searched + found;
        let line = buf.get(..end).unwrap_or_default();
        self.rebuilt = inline::rebuild(line.strip_suffix(b"\r").unwrap_or(line), &mut self.args)?;
        self.stage = Stage::Done;
        Ok(Progress::Complete { len: end + 1 })
    }

    #[cfg(test)]
    fn step(&mut self, bytes: usize) {
        self.steps += bytes;
    }

    #[cfg(not(test))]
    #[inline]
    fn step(&mut self, _bytes: usize) {}
}

impl Bounds {
    fn of(limits: Limits) -> Self {
        let capped = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            args: capped(limits.max_args),
            bytes: capped(limits.max_request_bytes),
        }
    }
}

#[inline]
fn need(at_least: usize) -> Progress {
    Progress::NeedMore { at_least }
}

#[cfg(test)]
mod tests;

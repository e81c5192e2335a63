//! Locating the parts of a Memcached request: its line, its keys, its data.

use memchr::memchr;
use smallvec::SmallVec;

use super::super::message::{Limits, Progress, Span};
use super::command::{Class, Command, lookup};

/// Longest key, as in Memcached.
const MAX_KEY: usize = 250;
/// Longest line but those of `get` and `gets`, as in Memcached.
const MAX_LINE: usize = 2048;
/// Spaces that may stand before a long `get`, as in Memcached.
const MAX_INDENT: usize = 100;
/// Longest data, as in Memcached: its size and that of its line end fit a C `int`.
const MAX_DATA: usize = i32::MAX as usize - 2;
/// Key spans a quiet decoder keeps room for.
const QUIET_KEYS: usize = 8;

const ERROR: &[u8] = b"ERROR\r\n";
const BAD_CHUNK: &[u8] = b"CLIENT_ERROR bad data chunk\r\n";
const BAD_FORMAT: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";

/// Why a request cannot be located; the connection closes after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first byte is the binary protocol's.
    #[error("the binary protocol is not supported")]
    Binary,
    /// A line does not end.
    #[error("line is over {limit} bytes")]
    LineTooLong {
        /// Bytes allowed.
        limit: usize,
    },
}

impl RequestError {
    /// The whole reply for the client.
    pub fn reply(&self) -> &'static [u8] {
        match self {
            Self::Binary => {
                b"CLIENT_ERROR prism: the binary protocol is not supported by this version\r\n"
            }
            Self::LineTooLong { .. } => b"CLIENT_ERROR line too long\r\n",
        }
    }
}

/// What the bytes of a complete request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// A request that can be run.
    Command(&'static Command),
    /// A request to be answered by `reply`, in its turn; the connection stays in step.
    Refused {
        /// The whole reply; empty where the client wants none.
        reply: &'static [u8],
        /// Bytes of data still to come behind the request, to be thrown away.
        swallow: usize,
    },
}

/// Locates one request at a time at the start of a buffer, and keeps its place until it is complete.
///
/// The buffer given always starts at the first byte of the request; it may only have grown since the last call.
/// After [`Progress::Complete`] everything located stands until the next call. An error is final.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    stage: Stage,
    located: Located,
    keys: Vec<Span>,
    exptime: Span,
    line: Span,
    data: Span,
    noreply: bool,
    /// No request was complete yet.
    is_first: bool,
    #[cfg(test)]
    steps: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The line's end is not among the first `searched` bytes.
    Line { searched: usize },
    /// The line is understood, the data is being waited for.
    Data(&'static Command),
    /// The last call completed a request.
    Done,
}

/// The words behind the name; none of the lines that end up here has more that matter.
type Words<'a> = SmallVec<[(Span, &'a [u8]); 8]>;

impl RequestDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits {
                max_request_bytes: limits.max_request_bytes.min(u32::MAX as usize),
                ..limits
            },
            stage: Stage::Line { searched: 0 },
            located: refused(ERROR),
            keys: Vec::new(),
            exptime: 0..0,
            line: 0..0,
            data: 0..0,
            noreply: false,
            is_first: true,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Goes on with the request at the start of `buf`.
    ///
    /// # Errors
    /// What leaves the connection out of step; the decoder is of no use afterwards.
    #[inline]
    pub fn decode(&mut self, buf: &[u8]) -> Result<Progress, RequestError> {
        match self.stage {
            Stage::Data(command) => Ok(self.data(buf, command)),
            Stage::Line { searched } => self.line(buf, searched),
            Stage::Done => {
                self.reset();
                self.line(buf, 0)
            }
        }
    }

    /// What the complete request is.
    #[inline]
    pub fn located(&self) -> Located {
        self.located
    }

    /// The keys, in the order sent.
    #[inline]
    pub fn keys(&self) -> &[Span] {
        &self.keys
    }

    /// Whether the client wants no answer.
    #[inline]
    pub fn is_noreply(&self) -> bool {
        self.noreply
    }

    /// The time of `gat` and `gats`; empty for every other command.
    #[inline]
    pub fn exptime(&self) -> &Span {
        &self.exptime
    }

    /// The first line without its line end.
    #[inline]
    pub fn line_span(&self) -> &Span {
        &self.line
    }

    /// The data without its line end; empty where there is none.
    #[inline]
    pub fn data_span(&self) -> &Span {
        &self.data
    }

    /// Whether no request has begun.
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Line { searched: 0 })
    }

    /// Forgets the request, complete or not.
    #[inline]
    pub fn reset(&mut self) {
        self.stage = Stage::Line { searched: 0 };
        self.keys.clear();
        self.exptime = 0..0;
        self.data = 0..0;
        self.noreply = false;
    }

    /// Gives memory back while no request is under way.
    pub fn shrink(&mut self) {
        if self.is_idle() {
            self.reset();
            self.keys.shrink_to(QUIET_KEYS);
        }
    }

    fn line(&mut self, buf: &[u8], searched: usize) -> Result<Progress, RequestError> {
        if self.is_first && buf.first() == Some(&0x80) {
            return Err(RequestError::Binary);
        }
        let unsearched = buf.get(searched..).unwrap_or_default();
        let found = memchr(b'\n', unsearched);
        let end = searched + found.unwrap_or(unsearched.len());
        self.step(end - searched);
        let limit = self.line_limit(buf);
        if end > limit {
            return Err(RequestError::LineTooLong { limit });
        }
        if found.is_none() {
            self.stage = Stage::Line { searched: end };
            return Ok(Progress::NeedMore { at_least: end + 1 });
        }
        self.is_first = false;
        let line = buf.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.line = 0..line.len() as u32;
        Ok(self.understand(buf, line, end + 1))
    }

    /// Only lines of `get` and `gets` may be long; the others reach an endpoint in one piece or not at all.
    fn line_limit(&self, buf: &[u8]) -> usize {
        if buf.len() <= MAX_LINE {
            return MAX_LINE;
        }
        let indent = buf
            .iter()
            .take(MAX_INDENT)
            .take_while(|byte| **byte == b' ');
        let unindented = buf.get(indent.count()..).unwrap_or_default();
        let is_long = unindented.starts_with(b"get ") || unindented.starts_with(b"gets ");
        if is_long {
            self.limits.max_request_bytes
        } else {
            MAX_LINE
        }
    }

    /// Reads the words of `line`; what follows it begins at `next`.
    fn understand(&mut self, buf: &[u8], line: &[u8], next: usize) -> Progress {
        let mut words = Splitter { line, at: 0 };
        let Some(command) = words.next().and_then(|(_, name)| lookup(name)) else {
            return self.complete(refused(ERROR), next);
        };
        let located = match command.class {
            Class::Retrieval | Class::TouchRetrieval => self.retrieval(command, words),
            Class::Storage => return self.storage(buf, command, &words.collect(), next),
            Class::Keyed => self.keyed(command, &words.collect(), line),
            Class::Refused => refused(if is_noreply(&words.collect()) {
                b""
            } else {
                command.refusal
            }),
            Class::RefusedStorage => refused_storage(command, &words.collect()),
            Class::Local => Located::Command(command),
        };
        self.complete(located, next)
    }

    #[inline]
    fn complete(&mut self, located: Located, len: usize) -> Progress {
        if matches!(located, Located::Refused { .. }) {
            self.keys.clear();
        }
        self.located = located;
        self.stage = Stage::Done;
        Progress::Complete { len }
    }

    fn retrieval(&mut self, command: &'static Command, mut words: Splitter<'_>) -> Located {
        if command.class == Class::TouchRetrieval {
            let Some((exptime, _)) = words.next() else {
                return refused(ERROR);
            };
            self.exptime = exptime;
        }
        let line = words.line;
        for (span, key) in words {
            if key.len() > MAX_KEY || self.keys.len() >= self.limits.max_args {
                return refused(BAD_FORMAT);
            }
            self.keys.push(span);
        }
        match (self.keys.is_empty(), command.class) {
            (true, Class::TouchRetrieval) => refused(b"END\r\n"),
            (true, _) => refused(ERROR),
            (false, _) if has_nul(line) => refused(BAD_FORMAT),
            (false, _) => Located::Command(command),
        }
    }

    fn keyed(&mut self, command: &'static Command, words: &Words<'_>, line: &[u8]) -> Located {
        if words.len() < command.least || words.len() > command.most {
            return refused(ERROR);
        }
        let Some((span, key)) = words.first() else {
            return refused(ERROR);
        };
        self.noreply = words.len() > 1 && is_noreply(words);
        if key.len() > MAX_KEY || has_nul(line) {
            return self.refused_format(0);
        }
        self.keys.push(span.clone());
        Located::Command(command)
    }

    fn storage(
        &mut self,
        buf: &[u8],
        command: &'static Command,
        words: &Words<'_>,
        next: usize,
    ) -> Progress {
        if words.len() < command.least || words.len() > command.most {
            return self.complete(refused(ERROR), next);
        }
        self.noreply = is_noreply(words);
        let len = word(words, 3).and_then(data_len);
        let swallow = len.map_or(0, |len| len + 2);
        let is_sound = word(words, 0).is_some_and(|key| key.len() <= MAX_KEY)
            && word(words, 1)
                .and_then(number)
                .is_some_and(|flags| u32::try_from(flags).is_ok())
            && word(words, 2).is_some_and(is_time)
            && (command.name != "cas" || word(words, 4).and_then(number).is_some())
            && !has_nul(buf.get(..next).unwrap_or_default());
        let (true, Some(len), Some((key, _))) = (is_sound, len, words.first()) else {
            let refusal = self.refused_format(swallow);
            return self.complete(refusal, next);
        };
        if next + swallow > self.limits.max_request_bytes {
            let refusal = self.refusal(TOO_LARGE, swallow);
            return self.complete(refusal, next);
        }
        self.keys.push(key.clone());
        self.data = next as u32..(next + len) as u32;
        self.stage = Stage::Data(command);
        self.data(buf, command)
    }

    /// Waits for the data; one that does not end where it should is consumed all the same, as Memcached does.
    fn data(&mut self, buf: &[u8], command: &'static Command) -> Progress {
        let end = self.data.end as usize;
        match buf.get(end..end + 2) {
            None => Progress::NeedMore { at_least: end + 2 },
            Some(b"\r\n") => self.complete(Located::Command(command), end + 2),
            Some(_) => {
                let refusal = self.refusal(BAD_CHUNK, 0);
                self.complete(refusal, end + 2)
            }
        }
    }

    fn refused_format(&self, swallow: usize) -> Located {
        self.refusal(BAD_FORMAT, swallow)
    }

    fn refusal(&self, reply: &'static [u8], swallow: usize) -> Located {
        let reply = if self.noreply { b"" } else { reply };
        Located::Refused { reply, swallow }
    }

    #[cfg(test)]
    fn step(&mut self, bytes: usize) {
        self.steps += bytes;
    }

    #[cfg(not(test))]
    #[inline]
    fn step(&mut self, _bytes: usize) {}
}

fn refused(reply: &'static [u8]) -> Located {
    Located::Refused { reply, swallow: 0 }
}

fn refused_storage(command: &'static Command, words: &Words<'_>) -> Located {
    let len = word(words, 1).and_then(data_len);
    Located::Refused {
        reply: command.refusal,
        swallow: len.map_or(0, |len| len + 2),
    }
}

fn word<'a>(words: &Words<'a>, at: usize) -> Option<&'a [u8]> {
    words.get(at).map(|(_, word)| *word)
}

fn is_noreply(words: &Words<'_>) -> bool {
    words.last().is_some_and(|(_, word)| *word == b"noreply")
}

/// Memcached reads a line up to the first NUL, so the key it sees would not be the one routed by.
fn has_nul(line: &[u8]) -> bool {
    memchr(0, line).is_some()
}

fn number(word: &[u8]) -> Option<u64> {
    let is_number = word.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(word).ok()?;
    is_number.then(|| text.parse().ok()).flatten()
}

/// Stricter than C's `strtol`: what is sent on must be understood alike by every endpoint.
fn data_len(word: &[u8]) -> Option<usize> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    let len = usize::try_from(number(digits)?).ok()?;
    (len <= MAX_DATA).then_some(len)
}

fn is_time(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").or(word.strip_prefix(b"+"));
    number(digits.unwrap_or(word)).is_some_and(|time| i64::try_from(time).is_ok())
}

/// The words of a line, which only spaces divide.
struct Splitter<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Splitter<'a> {
    type Item = (Span, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(Span, &'a [u8])> {
        let rest = self.line.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| *byte != b' ')?;
        let word = self.line.get(start..)?;
        let len = word
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(word.len());
        self.at = start + len;
        Some((start as u32..self.at as u32, word.get(..len)?))
    }
}

#[cfg(test)]
mod tests;

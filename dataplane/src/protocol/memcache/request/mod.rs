//! Locating the parts of a Memcached request: its line, its keys, its data.

mod error;
mod meta;
mod words;

use memchr::memchr;

use super::super::message::{Limits, Progress, Span};
use super::command::{Class, Command, lookup};
use words::{Words, data_len, has_nul, is_time, unsigned};

pub(super) use words::{Splitter, number};

pub use error::RequestError;

/// Longest key, as in Memcached.
const MAX_KEY: usize = 250;
/// Longest line but those of `get` and `gets`, as in Memcached.
const MAX_LINE: usize = 2048;
/// Spaces that may stand before a long `get`, as in Memcached.
const MAX_INDENT: usize = 100;
/// Key spans a quiet decoder keeps room for.
const QUIET_KEYS: usize = 8;

const ERROR: &[u8] = b"ERROR\r\n";
const BAD_CHUNK: &[u8] = b"CLIENT_ERROR bad data chunk\r\n";
const BAD_EXPTIME: &[u8] = b"CLIENT_ERROR invalid exptime argument\r\n";
const BAD_FORMAT: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";

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
    /// A meta request may be answered by nothing.
    is_quiet: bool,
    /// The only flag that lets it, in a request that an endpoint does not refuse for its flags' number.
    quiet_flag: Option<Span>,
    /// The key of a meta request stands for the bytes that it decodes to.
    is_base64: bool,
    /// The answer to a meta request names its key.
    has_key_back: bool,
    /// A meta get does more than read.
    is_change: bool,
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
            is_quiet: false,
            quiet_flag: None,
            is_base64: false,
            has_key_back: false,
            is_change: false,
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

    /// Whether a meta request may be answered by nothing at all.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// The one flag that lets a meta request be answered by nothing; none where there are several, or too many of all.
    pub fn quiet_flag(&self) -> Option<&Span> {
        self.quiet_flag.as_ref()
    }

    /// Whether the key of a meta request is written in base64.
    #[inline]
    pub fn is_base64(&self) -> bool {
        self.is_base64
    }

    /// Whether a meta get has flags that change something: a new time, a new key, or who is to store the value anew.
    #[inline]
    pub fn is_change(&self) -> bool {
        self.is_change
    }

    /// Whether the answer to a meta request names its key.
    #[inline]
    pub fn has_key_back(&self) -> bool {
        self.has_key_back
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
        self.is_quiet = false;
        self.quiet_flag = None;
        self.is_base64 = false;
        self.has_key_back = false;
        self.is_change = false;
    }

    /// Gives memory back while no request is under way.
    pub fn shrink(&mut self) {
        if self.is_idle() {
            self.reset();
            self.keys.shrink_to(QUIET_KEYS);
        }
    }

    fn line(&mut self, buf: &[u8], searched: usize) -> Result<Progress, RequestError> {
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
            Class::Storage => return self.storage(buf, command, &Words::read(words), next),
            Class::Keyed => self.keyed(command, &Words::read(words), line),
            Class::Meta => self.meta(command, words),
            Class::MetaStorage => return self.meta_storage(buf, command, words, next),
            Class::Everywhere => self.everywhere(command, &Words::read(words)),
            Class::Refused => refused(if Words::read(words).is_noreply() {
                b""
            } else {
                command.refusal
            }),
            Class::Local => self.local(command, &Words::read(words)),
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
        let mut has_time = false;
        if command.class == Class::TouchRetrieval {
            let Some((span, exptime)) = words.next() else {
                return refused(ERROR);
            };
            self.exptime = span;
            has_time = is_time(exptime);
        }
        let line = words.line;
        for (span, key) in words {
            if key.len() > MAX_KEY || self.keys.len() >= self.limits.max_args {
                return refused(BAD_FORMAT);
            }
            self.keys.push(span);
        }
        match (self.keys.is_empty(), command.class) {
            (true, Class::TouchRetrieval) if has_time => refused(b"END\r\n"),
            (true, Class::TouchRetrieval) => refused(BAD_EXPTIME),
            (true, _) => refused(ERROR),
            (false, _) if has_nul(line) => refused(BAD_FORMAT),
            (false, _) => Located::Command(command),
        }
    }

    fn keyed(&mut self, command: &'static Command, words: &Words<'_>, line: &[u8]) -> Located {
        if words.len() < command.least || words.len() > command.most {
            return refused(ERROR);
        }
        self.noreply = words.len() > 1 && words.is_noreply();
        // Without its last word the line would still ask for silence, and nobody would ever answer.
        let is_silent_yet = self.noreply && words.len() > 2 && words.at(1) == b"noreply";
        if words.at(0).len() > MAX_KEY || is_silent_yet || has_nul(line) {
            return self.refused_format(0);
        }
        self.keys.push(words.first());
        Located::Command(command)
    }

    /// A line that every endpoint is to get; it has no key.
    fn everywhere(&mut self, command: &'static Command, words: &Words<'_>) -> Located {
        if words.len() > command.most {
            return refused(ERROR);
        }
        self.noreply = words.is_noreply();
        match words.len() - usize::from(self.noreply) {
            0 => Located::Command(command),
            _ if is_time(words.at(0)) => Located::Command(command),
            _ => self.refusal(BAD_EXPTIME, 0),
        }
    }

    fn local(&mut self, command: &'static Command, words: &Words<'_>) -> Located {
        if command.name != "verbosity" {
            return Located::Command(command);
        }
        self.noreply = words.is_noreply();
        match words.len() {
            0 | 3.. => refused(ERROR),
            _ if self.noreply || number(words.at(0)).is_some() => Located::Command(command),
            _ => refused(BAD_FORMAT),
        }
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
        self.noreply = words.is_noreply();
        let is_sound = words.at(0).len() <= MAX_KEY
            && unsigned(words.at(1)).is_some_and(|flags| u32::try_from(flags).is_ok())
            && is_time(words.at(2))
            && (command.name != "cas" || unsigned(words.at(4)).is_some())
            && !has_nul(buf.get(..next).unwrap_or_default());
        self.keys.push(words.first());
        let refusal = (!is_sound).then_some(BAD_FORMAT);
        self.await_data(buf, command, (words.at(3), refusal), next)
    }

    /// Begins to wait for data of the length that `word` says, or refuses the request and has its data swallowed.
    fn await_data(
        &mut self,
        buf: &[u8],
        command: &'static Command,
        (word, refusal): (&[u8], Option<&'static [u8]>),
        next: usize,
    ) -> Progress {
        let len = data_len(word);
        let swallow = len.map_or(0, |len| len + 2);
        let Some(len) = len.filter(|_| refusal.is_none()) else {
            let refusal = self.refusal(refusal.unwrap_or(BAD_FORMAT), swallow);
            return self.complete(refusal, next);
        };
        if next + swallow > self.limits.max_request_bytes {
            let refusal = self.refusal(TOO_LARGE, swallow);
            return self.complete(refusal, next);
        }
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

#[cfg(test)]
mod tests;

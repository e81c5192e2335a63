//! The one request of a text client that has not authenticated: a `set` whose data is a name and a password.
//!
//! Read as Memcached reads it when started with `-Y`: of the line only the first and the fifth word matter, and only
//! the data up to its first two words.

use memchr::memchr;

use super::{
    super::message::Span,
    request::{RequestError, Splitter},
};
use crate::protocol::message::Progress;

/// Longest line, as in Memcached.
const MAX_LINE: usize = 2048;

/// Longest data: a name and a password are shorter.
const MAX_DATA: usize = 64 * 1024;

/// What a client that has not authenticated sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A name and a password.
    Credentials {
        /// Where the name is.
        user: Span,
        /// Where the password is.
        password: Span,
    },
    /// Something to be answered by these words.
    Refused {
        /// The whole reply.
        reply: &'static [u8],
        /// Bytes still to come, to be thrown away.
        swallow: usize,
    },
}

/// Locates one such request at a time at the start of a buffer, and keeps its place until it is complete.
#[derive(Debug, Default)]
pub struct LoginDecoder {
    stage: Stage,
    login: Option<Login>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The last call completed a request, or none has begun.
    #[default]
    Idle,
    /// The line's end is not among these first bytes.
    Line(usize),
    /// Data between these places is waited for.
    Data(usize, usize),
}

impl LoginDecoder {
    /// Goes on with the request at the start of `buf`.
    ///
    /// # Errors
    /// A line that does not end.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Progress, RequestError> {
        let searched = match self.stage {
            Stage::Data(start, end) => return Ok(self.data(buf, start, end)),
            Stage::Line(searched) => searched,
            Stage::Idle => 0,
        };
        // No line of Memcached is that short, so it does not look for the end of one.
        if buf.len() < 2 {
            return Ok(Progress::NeedMore { at_least: 2 });
        }
        let unsearched = buf.get(searched..).unwrap_or_default();
        let Some(end) = memchr(b'\n', unsearched).map(|at| searched + at) else {
            if buf.len() > MAX_LINE {
                return Err(RequestError::LineTooLong { limit: MAX_LINE });
            }
            self.stage = Stage::Line(buf.len());
            let at_least = buf.len() + 1;
            return Ok(Progress::NeedMore { at_least });
        };
        let start = end + 1;
        match size(buf.get(..end).unwrap_or_default()) {
            None => Ok(self.refuse(b"CLIENT_ERROR unauthenticated\r\n", 0, start)),
            Some(size) if size > MAX_DATA => {
                let reply = b"SERVER_ERROR object too large for cache\r\n";
                Ok(self.refuse(reply, size + 2, start))
            }
            Some(size) => {
                self.stage = Stage::Data(start, start + size + 2);
                Ok(self.data(buf, start, start + size + 2))
            }
        }
    }

    /// Whether no request has begun.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Takes what the complete request is.
    pub fn take(&mut self) -> Option<Login> {
        self.login.take()
    }

    fn data(&mut self, buf: &[u8], start: usize, end: usize) -> Progress {
        let Some(data) = buf.get(start..end) else {
            return Progress::NeedMore { at_least: end };
        };
        let Some(data) = data.strip_suffix(b"\r\n") else {
            return self.refuse(b"CLIENT_ERROR bad command line termination\r\n", 0, end);
        };
        let mut words = words(data);
        let (Some((user, _)), Some((password, _))) = (words.next(), words.next()) else {
            let reply = b"CLIENT_ERROR bad authentication token format\r\n";
            return self.refuse(reply, 0, end);
        };
        let placed = |word: Span| word.start + start as u32..word.end + start as u32;
        let (user, password) = (placed(user), placed(password));
        self.complete(Login::Credentials { user, password }, end)
    }

    fn refuse(&mut self, reply: &'static [u8], swallow: usize, len: usize) -> Progress {
        self.complete(Login::Refused { reply, swallow }, len)
    }

    fn complete(&mut self, login: Login, len: usize) -> Progress {
        self.login = Some(login);
        self.stage = Stage::Idle;
        Progress::Complete { len }
    }
}

/// Returns the bytes of data that a line announces, if it is a `set`.
fn size(line: &[u8]) -> Option<usize> {
    let mut words = words(line).map(|(_, word)| word);
    let (name, size) = (words.next()?, words.nth(3)?);
    number(size).filter(|_| name == b"set")
}

/// Reads a number as C's `strtoul` does; what follows it must be a blank. Memcached counts data in a C `int`.
fn number(word: &[u8]) -> Option<usize> {
    let word = word.trim_ascii_start();
    let is_negative = word.starts_with(b"-");
    let digits = word
        .strip_prefix(b"+")
        .or(word.strip_prefix(b"-"))
        .unwrap_or(word);
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = digits.split_at_checked(count)?;
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    if !rest.first().is_none_or(is_blank) {
        return None;
    }
    let number = str::from_utf8(digits).ok()?.parse::<i32>().ok()?;
    let is_sound = number <= i32::MAX - 2 && !(is_negative && number > 0);
    usize::try_from(number).ok().filter(|_| is_sound)
}

/// The words of a text, which ends at the first NUL.
fn words(text: &[u8]) -> Splitter<'_> {
    let end = memchr(0, text).unwrap_or(text.len());
    let line = text.get(..end).unwrap_or_default();
    Splitter { line, at: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a whole request is, and how many bytes it has.
    fn read(bytes: &[u8]) -> (String, usize) {
        let mut decoder = LoginDecoder::default();
        let Ok(Progress::Complete { len }) = decoder.decode(bytes) else {
            return ("incomplete".to_owned(), 0);
        };
        let text = |span: Span| {
            let word = bytes.get(span.start as usize..span.end as usize);
            String::from_utf8_lossy(word.unwrap_or_default()).into_owned()
        };
        let shown = match decoder.take().expect("complete") {
            Login::Credentials { user, password } => format!("{}/{}", text(user), text(password)),
            Login::Refused { reply, swallow } => {
                format!("{} +{swallow}", String::from_utf8_lossy(reply).trim_end())
            }
        };
        (shown, len)
    }

    #[test]
    fn lines_and_data_are_read_as_memcached_does() {
        let unauthenticated = "CLIENT_ERROR unauthenticated +0";
        let format = "CLIENT_ERROR bad authentication token format +0";
        for (bytes, shown, rest) in [
            ("set k 0 0 10\r\napp secret\r\n", "app/secret", ""),
            (
                "set k 0 0 10\napp secret\r\nget a\r\n",
                "app/secret",
                "get a\r\n",
            ),
            (" set k x y 10\tz n\r\napp secret\r\n", "app/secret", ""),
            ("set k 0 0 \t+10\r\napp secret\r\n", "app/secret", ""),
            ("set k 0 0 15\r\napp secret more\r\n", "app/secret", ""),
            ("set k 0 0 12\r\n  app secret\r\n", "app/secret", ""),
            ("set k 0 0 12\r\napp secret\0x\r\n", "app/secret", ""),
            ("get a\r\n", unauthenticated, ""),
            ("\r\n", unauthenticated, ""),
            ("SET k 0 0 3\r\na b\r\n", unauthenticated, "a b\r\n"),
            ("set k\0 0 0 10\r\n", unauthenticated, ""),
            ("set k 0 0 -1\r\n", unauthenticated, ""),
            ("set k 0 0 10x\r\n", unauthenticated, ""),
            ("set k 0 0 \r\n", unauthenticated, ""),
            ("set k 0 0 2147483646\r\n", unauthenticated, ""),
            ("set k 0 0 0\r\n\r\n", format, ""),
            ("set k 0 0 4\r\napp \r\n", format, ""),
            ("set k 0 0 11\r\napp\0secret!\r\n", format, ""),
            (
                "set k 0 0 10\r\napp secretXY",
                "CLIENT_ERROR bad command line termination +0",
                "",
            ),
            (
                "set k 0 0 70000\r\nab",
                "SERVER_ERROR object too large for cache +70002",
                "ab",
            ),
            ("set k 0 0 10\r\napp secret\r", "incomplete", ""),
            ("\n", "incomplete", ""),
        ] {
            let (found, len) = read(bytes.as_bytes());
            assert_eq!(found, shown, "{bytes:?}");
            let left = bytes.get(len..).unwrap_or_default();
            assert!(left == rest || len == 0, "{bytes:?} leaves {left:?}");
        }
    }

    #[test]
    fn request_cut_anywhere_is_complete_with_its_last_byte() {
        let bytes = b"set k 0 0 10\r\napp secret\r\n";
        let mut decoder = LoginDecoder::default();
        for len in 1..bytes.len() {
            let progress = decoder
                .decode(bytes.get(..len).expect("within"))
                .expect("sound");
            assert!(matches!(progress, Progress::NeedMore { at_least } if at_least > len));
            assert_eq!(decoder.is_idle(), len < 2);
        }
        let progress = decoder.decode(bytes).expect("sound");
        assert_eq!(progress, Progress::Complete { len: bytes.len() });
        assert!(decoder.is_idle());
    }

    #[test]
    fn line_without_an_end_is_not_kept_for_ever() {
        let mut decoder = LoginDecoder::default();
        assert!(decoder.decode(&[b'x'; MAX_LINE]).is_ok());
        assert!(decoder.decode(&[b'x'; MAX_LINE + 1]).is_err());
    }
}

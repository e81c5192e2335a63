//! The first words to a Memcached endpoint: credentials, or the question whether it wants any.
//!
//! A memcached with `-Y` speaks text only and takes a first `set` for a name and a password; one with `-S` speaks the
//! binary protocol only and wants SASL. What is sent first is made so that either answers, or closes, at once: from one
//! with `-S` nothing comes before it has the bytes of a header, from one with `-Y` nothing before it has a line end.

use std::{future::poll_fn, io};

use super::{ConnectError, Login, Loss, Stream};
use crate::protocol::memcache::binary::{HEADER, Header, NOOP, REPLY, REQUEST};

/// Number of the operation that presents credentials.
const SASL_AUTH: u8 = 0x21;

/// Number of the flush that answers.
const FLUSH: u8 = 0x08;

const MECHANISM: &[u8] = b"PLAIN";

/// The status of an endpoint that wants credentials, or refuses those it got.
const AUTH_FAILURE: u16 = 0x20;

/// The status of an operation that is not there: nothing asks for credentials.
const UNKNOWN: u16 = 0x81;

/// Three lines are as long as a header.
const QUESTION: &[u8] = b"version\r\nversion\r\nversion\r\n";

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

const NO_PASSWORD: &str = "it asks for no password";
const BLANK: &str = "over text a name or password cannot have a blank";
const BINARY_ONLY: &str = "closed the connection over text, as a memcached does that speaks the binary protocol only (-S)";
const TEXT_ONLY: &str = "speaks text only, as a memcached with -Y";

/// An open connection with what was read and not taken.
pub(super) struct Talk {
    stream: Stream,
    read: Vec<u8>,
}

impl Talk {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Gives the connection back.
    ///
    /// # Errors
    /// When bytes came that nobody asked for.
    pub(super) fn into_stream(self) -> Result<Stream, Loss> {
        match self.read.is_empty() {
            true => Ok(self.stream),
            false => Err(Loss::unasked(&self.read)),
        }
    }

    /// Makes sure that the endpoint serves text on this connection.
    pub(super) async fn greet_text(&mut self, login: Option<&Login>) -> Result<(), ConnectError> {
        let Some(Login { user, password }) = login else {
            self.stream.write_all(QUESTION).await?;
            for _ in QUESTION.split_inclusive(|byte| *byte == b'\n') {
                match self.line().await?.as_deref() {
                    None => return Err(ConnectError::Protocol(BINARY_ONLY)),
                    Some("CLIENT_ERROR unauthenticated") => {
                        return Err(ConnectError::NoCredentials);
                    }
                    Some("ERROR") => {}
                    Some(line) if line.starts_with("VERSION ") => {}
                    Some(line) => return Err(unexpected(line)),
                }
            }
            return Ok(());
        };
        let is_blank = |letter: char| matches!(letter, ' ' | '\0');
        if user.contains(is_blank) || password.contains(is_blank) {
            return Err(ConnectError::Credentials(BLANK.to_owned()));
        }
        // With `-Y` neither flags nor time are looked at; anyone else refuses to store this for others to read.
        let len = user.len() + 1 + password.len();
        let words = format!("set prism_login none none {len}\r\n{user} {password}\r\n");
        self.stream.write_all(words.as_bytes()).await?;
        match self.line().await?.as_deref() {
            None => Err(ConnectError::Protocol(BINARY_ONLY)),
            Some("STORED") => Ok(()),
            Some("CLIENT_ERROR bad command line format" | "ERROR") => {
                Err(ConnectError::Credentials(NO_PASSWORD.to_owned()))
            }
            Some(line) => Err(ConnectError::Credentials(line.to_owned())),
        }
    }

    /// Makes sure that the endpoint serves the binary protocol on this connection.
    pub(super) async fn greet_binary(&mut self, login: Option<&Login>) -> Result<(), ConnectError> {
        let (opcode, key, value) = match login {
            None => (NOOP, &b""[..], Vec::new()),
            Some(Login { user, password }) => {
                let value = format!("\0{user}\0{password}").into_bytes();
                (SASL_AUTH, MECHANISM, value)
            }
        };
        let (status, words) = self.ask_binary(opcode, key, &value).await?;
        match (status, login) {
            (0, _) => Ok(()),
            (AUTH_FAILURE, None) => Err(ConnectError::NoCredentials),
            (_, None) => Err(unexpected(&words)),
            (UNKNOWN, Some(_)) => Err(ConnectError::Credentials(NO_PASSWORD.to_owned())),
            (_, Some(_)) => Err(ConnectError::Credentials(words)),
        }
    }

    /// Empties the endpoint; returns its whole answer in the words of text.
    pub(super) async fn flush_text(&mut self) -> Result<String, ConnectError> {
        self.stream.write_all(b"flush_all\r\n").await?;
        let line = self.line().await?;
        line.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }

    /// Empties the endpoint; returns its answer as text would have it.
    pub(super) async fn flush_binary(&mut self) -> Result<String, ConnectError> {
        match self.ask_binary(FLUSH, b"", b"").await? {
            (0, _) => Ok("OK".to_owned()),
            (_, words) => Ok(words),
        }
    }

    /// Sends a request and returns status and words of the reply.
    async fn ask_binary(
        &mut self,
        opcode: u8,
        key: &[u8],
        value: &[u8],
    ) -> Result<(u16, String), ConnectError> {
        self.stream.write_all(&packet(opcode, key, value)).await?;
        let answer = self.take(|read| match read.first()? {
            &REPLY => {
                let header = Header::read(read)?;
                let whole = HEADER.saturating_add(usize::try_from(header.body).ok()?);
                (read.len() >= whole).then_some(whole)
            }
            _ => line_end(read),
        });
        let Some(answer) = answer.await? else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        };
        let Some(header) = Header::read(&answer).filter(|header| header.magic == REPLY) else {
            return Err(ConnectError::Protocol(TEXT_ONLY));
        };
        let words = answer.get(HEADER..).unwrap_or_default();
        Ok((header.status, String::from_utf8_lossy(words).into_owned()))
    }

    /// Returns the next line without its end; nothing when the endpoint closes.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let line = self.take(line_end).await?;
        Ok(line.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Returns what ends where `end` says; nothing when the endpoint closes.
    async fn take(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(len) = end(&self.read) {
                let rest = self.read.split_off(len);
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            if self.read.len() > MAX_ANSWER {
                return Err(io::Error::other("its answer does not end"));
            }
            let mut chunk = [0; 512];
            let count = match poll_fn(|cx| self.stream.poll_read(cx, &mut chunk)).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                other => other?,
            };
            if count == 0 {
                return Ok(None);
            }
            self.read.extend(chunk.iter().take(count));
        }
    }
}

fn line_end(read: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', read).map(|at| at + 1)
}

/// A request whose header has a line end within, so that one who reads lines answers it too.
fn packet(opcode: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let body = u32::try_from(key.len() + value.len()).unwrap_or(u32::MAX);
    let mut packet = vec![REQUEST, opcode];
    packet.extend(len.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(body.to_be_bytes());
    packet.extend(b"\r\n\r\n");
    packet.extend([0; 8]);
    packet.extend([key, value].concat());
    packet
}

fn unexpected(words: &str) -> ConnectError {
    io::Error::other(format!("it answered {words}")).into()
}

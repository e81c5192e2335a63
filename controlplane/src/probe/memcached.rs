//! Talking to Memcached endpoints: text, or the binary protocol where nothing else is spoken, with credentials.

use std::io;

use prism_proto::model::DEFAULT_USER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Target,
    check::{Connection, connect, reveal, shortened},
    reply::{ReplyError, read_line},
};
use crate::verdict::Outcome;

/// Three lines are as long as a header, so that one who waits for a header closes instead of waiting on.
const QUESTION: &[u8] = b"version\r\nversion\r\nversion\r\n";

const NO_CREDENTIALS: &str = "it wants a password: backend_password or backend_auth is missing";
const NO_PASSWORD: &str = "it asks for no password";
const BLANK: &str = "over text a name or password cannot have a blank";

const HEADER: usize = 24;
const FLUSH: u8 = 0x08;
const NOOP: u8 = 0x0a;
const VERSION: u8 = 0x0b;
const STAT: u8 = 0x10;
const SASL_AUTH: u8 = 0x21;

/// Most lines, or packets, of `stats`.
const MAX_STATS: usize = 1024;

/// Longest body of a reply.
const MAX_BODY: usize = 64 * 1024;

/// A connection on which requests are served.
pub(super) struct Link {
    connection: Connection,
    is_binary: bool,
    /// What it runs, as it spells it.
    pub(super) software: Option<String>,
}

/// Something an endpoint counts: its name and its value.
type Stat = (String, String);

/// All of it.
type Stats = Vec<Stat>;

/// A reply over the binary protocol.
struct Packet {
    status: u16,
    key: String,
    value: String,
}

/// A name and a password.
struct Login {
    user: String,
    password: String,
}

/// Opens a connection and makes sure that requests are served on it; the inner error is what a refusal means.
pub(super) async fn open(target: &Target) -> Result<Result<Link, Outcome>, ReplyError> {
    let login = match &target.credentials {
        None => None,
        Some(credentials) => match reveal(&credentials.password).await {
            Err(error) => return Ok(Err(Outcome::Misconfigured(error))),
            Ok(password) => Some(Login {
                user: credentials
                    .username
                    .clone()
                    .unwrap_or_else(|| DEFAULT_USER.into()),
                password,
            }),
        },
    };
    let opened = open_text(target, login.as_ref()).await;
    match opened {
        Err(error) if is_close(&error) => open_binary(target, login.as_ref()).await,
        other => other,
    }
}

/// Whether it closed without a word, as one does that speaks the binary protocol only.
fn is_close(error: &ReplyError) -> bool {
    match error {
        ReplyError::Closed => true,
        ReplyError::Io(error) => error.kind() == io::ErrorKind::ConnectionReset,
        ReplyError::Malformed | ReplyError::TooLong { .. } => false,
    }
}

async fn open_text(
    target: &Target,
    login: Option<&Login>,
) -> Result<Result<Link, Outcome>, ReplyError> {
    let mut connection = connect(&target.addr).await?;
    if let Some(Login { user, password }) = login {
        let is_blank = |letter: char| matches!(letter, ' ' | '\0');
        if user.contains(is_blank) || password.contains(is_blank) {
            return Ok(Err(Outcome::Misconfigured(BLANK.into())));
        }
        // One that asks for no password refuses this, and so never stores it for others to read.
        let len = user.len() + 1 + password.len();
        let words = format!("set prism_login none none {len}\r\n{user} {password}\r\n");
        connection.get_mut().write_all(words.as_bytes()).await?;
        match read_line(&mut connection).await?.as_str() {
            "STORED" => {}
            "CLIENT_ERROR bad command line format" | "ERROR" => {
                return Ok(Err(Outcome::Misconfigured(NO_PASSWORD.into())));
            }
            line => return Ok(Err(refused(line, login))),
        }
    }
    connection.get_mut().write_all(QUESTION).await?;
    let line = read_line(&mut connection).await?;
    let Some(software) = line.strip_prefix("VERSION ") else {
        return Ok(Err(match line.as_str() {
            "CLIENT_ERROR unauthenticated" => Outcome::Misconfigured(NO_CREDENTIALS.into()),
            _ => Outcome::Failed(shortened(&line)),
        }));
    };
    let software = Some(shortened(software));
    for _ in 1..QUESTION.split_inclusive(|byte| *byte == b'\n').count() {
        read_line(&mut connection).await?;
    }
    Ok(Ok(Link {
        connection,
        is_binary: false,
        software,
    }))
}

async fn open_binary(
    target: &Target,
    login: Option<&Login>,
) -> Result<Result<Link, Outcome>, ReplyError> {
    let mut link = Link {
        connection: connect(&target.addr).await?,
        is_binary: true,
        software: None,
    };
    let (status, software) = link.ask(VERSION, "", "").await?;
    link.software = (status == 0).then(|| shortened(&software));
    let (status, words) = match login {
        None => link.ask(NOOP, "", "").await?,
        Some(Login { user, password }) => {
            let value = format!("\0{user}\0{password}");
            link.ask(SASL_AUTH, "PLAIN", &value).await?
        }
    };
    Ok(match (status, login) {
        (0, _) => Ok(link),
        (0x20, None) => Err(Outcome::Misconfigured(NO_CREDENTIALS.into())),
        (0x81, Some(_)) => Err(Outcome::Misconfigured(NO_PASSWORD.into())),
        (_, Some(_)) => Err(refused(&words, login)),
        (_, None) => Err(Outcome::Failed(shortened(&words))),
    })
}

/// What the refusal of credentials means; what was presented is blanked out of the words.
fn refused(words: &str, login: Option<&Login>) -> Outcome {
    let secrets = login
        .iter()
        .flat_map(|login| [&login.user, &login.password]);
    let hide = |words: String, secret: &String| words.replace(secret.as_str(), "(hidden)");
    let words = secrets
        .filter(|secret| !secret.is_empty())
        .fold(words.to_owned(), hide);
    // One that has too many clients says so whatever it is sent.
    match words.starts_with("ERROR ") {
        true => Outcome::Failed(shortened(&words)),
        false => Outcome::Misconfigured(shortened(&words)),
    }
}

impl Link {
    /// Empties the endpoint and waits for its word that this was done.
    pub(super) async fn flush(&mut self) -> Result<Result<(), String>, ReplyError> {
        if self.is_binary {
            let (status, words) = self.ask(FLUSH, "", "").await?;
            let is_done = status == 0;
            return Ok(is_done.then_some(()).ok_or_else(|| shortened(&words)));
        }
        self.connection
            .get_mut()
            .write_all(b"flush_all\r\n")
            .await?;
        let line = read_line(&mut self.connection).await?;
        let is_done = line == "OK";
        Ok(is_done.then_some(()).ok_or_else(|| shortened(&line)))
    }

    /// Returns what it counts, by name.
    pub(super) async fn stats(&mut self) -> Result<Result<Stats, String>, ReplyError> {
        let request = match self.is_binary {
            true => packet(STAT, "", ""),
            false => b"stats\r\n".to_vec(),
        };
        self.connection.get_mut().write_all(&request).await?;
        let mut stats = Stats::new();
        for _ in 0..MAX_STATS {
            let stat = match self.is_binary {
                true => self.stat_packet().await?,
                false => stat_line(&read_line(&mut self.connection).await?),
            };
            match stat {
                Ok(Some(stat)) => stats.push(stat),
                Ok(None) => return Ok(Ok(stats)),
                Err(words) => return Ok(Err(words)),
            }
        }
        Err(ReplyError::Malformed)
    }

    /// Reads one stat; the last packet has no name.
    async fn stat_packet(&mut self) -> Result<Result<Option<Stat>, String>, ReplyError> {
        let Packet { status, key, value } = self.receive().await?;
        Ok(match status {
            0 => Ok((!key.is_empty()).then_some((key, value))),
            _ => Err(shortened(&value)),
        })
    }

    /// Sends a binary request and returns status and words of the reply.
    async fn ask(
        &mut self,
        opcode: u8,
        key: &str,
        value: &str,
    ) -> Result<(u16, String), ReplyError> {
        let connection = self.connection.get_mut();
        connection.write_all(&packet(opcode, key, value)).await?;
        let reply = self.receive().await?;
        Ok((reply.status, reply.value))
    }

    /// Reads a binary reply.
    async fn receive(&mut self) -> Result<Packet, ReplyError> {
        let mut header = [0; HEADER];
        self.connection.read_exact(&mut header).await?;
        let [0x81, _, k, l, extras, _, high, low, a, b, c, d, ..] = header else {
            return Err(ReplyError::Malformed);
        };
        let body = u32::from_be_bytes([a, b, c, d]) as usize;
        if body > MAX_BODY {
            return Err(ReplyError::TooLong { limit: MAX_BODY });
        }
        let mut words = vec![0; body];
        self.connection.read_exact(&mut words).await?;
        let (key_len, extras) = (usize::from(u16::from_be_bytes([k, l])), usize::from(extras));
        let split = words
            .get(extras..)
            .and_then(|rest| rest.split_at_checked(key_len));
        let (key, value) = split.ok_or(ReplyError::Malformed)?;
        Ok(Packet {
            status: u16::from_be_bytes([high, low]),
            key: String::from_utf8_lossy(key).into_owned(),
            value: String::from_utf8_lossy(value).into_owned(),
        })
    }
}

/// Reads one line of `stats`; none at its end.
fn stat_line(line: &str) -> Result<Option<Stat>, String> {
    if line == "END" {
        return Ok(None);
    }
    let stat = line
        .strip_prefix("STAT ")
        .and_then(|rest| rest.split_once(' '));
    let (name, value) = stat.ok_or_else(|| shortened(line))?;
    Ok(Some((name.into(), value.into())))
}

fn packet(opcode: u8, key: &str, value: &str) -> Vec<u8> {
    let len = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let body = u32::try_from(key.len() + value.len()).unwrap_or(u32::MAX);
    let mut packet = vec![0x80, opcode];
    packet.extend(len.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(body.to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(key.bytes().chain(value.bytes()));
    packet
}

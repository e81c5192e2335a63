//! Opening a connection: dial, keepalive, credentials.

use std::{fmt, io, time::Duration};

use prism_proto::model::EndpointAddr;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{Handshake, Kind, Lease, Loss, Stream, memcached::Talk};
use crate::protocol::{message::Limits, redis::reply::is_error};

/// Everything needed to open a connection of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Dial {
    /// Bound of the whole opening, credentials included.
    pub timeout: Duration,
    /// TCP keepalive; `None` is off.
    pub keepalive: Option<Duration>,
    /// Presents the credentials, before anything else.
    pub handshake: Handshake,
    /// Kind of the connections.
    pub kind: Kind,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint refused the credentials; the text is its own.
    #[error("refused the credentials: {0}")]
    Credentials(String),
    /// The endpoint refused to open a connection of this kind; its whole reply.
    #[error("refused the database or the dialect: {}", text_of(.0))]
    Kind(Vec<u8>),
    /// The endpoint wants credentials, and there are none.
    #[error("wants a password: backend_password or backend_auth is missing")]
    NoCredentials,
    /// The endpoint does not speak the protocol of this connection, but another.
    #[error("{0}")]
    Protocol(&'static str),
    /// The operating system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("did not connect within {0:?}")]
    Timeout(Duration),
}

/// Longest reply to a handshake.
const HANDSHAKE_REPLY: usize = 16 * 1024;

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The handshake holds a password.
        f.debug_struct("Dial")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Dial {
    /// Opens a connection to `addr`.
    ///
    /// # Errors
    /// [`ConnectError`], within the timeout. Cancel safe: a dropped attempt closes its socket.
    pub async fn open(&self, addr: EndpointAddr) -> Result<Stream, ConnectError> {
        match timeout(self.timeout, self.attempt(addr)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(self.timeout)),
        }
    }

    /// Opens a connection to `addr`, to a Memcached endpoint that speaks no text one of the binary protocol; says whether
    /// it is one.
    ///
    /// # Errors
    /// As [`Dial::open`]. Cancel safe.
    pub(super) async fn open_either(
        &self,
        addr: EndpointAddr,
    ) -> Result<(Stream, bool), ConnectError> {
        match self.open(addr.clone()).await {
            Err(ConnectError::Protocol(_)) => {}
            other => return Ok((other?, self.kind.is_binary)),
        }
        let mut dial = self.clone();
        dial.kind.is_binary = true;
        Ok((dial.open(addr).await?, true))
    }

    async fn attempt(&self, addr: EndpointAddr) -> Result<Stream, ConnectError> {
        match addr {
            EndpointAddr::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                set_options(&stream, self.keepalive)?;
                self.present(Stream::Tcp(stream)).await
            }
            EndpointAddr::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                self.present(Stream::Unix(stream)).await
            }
        }
    }

    /// Presents the credentials and makes the connection one of its kind.
    async fn present(&self, stream: Stream) -> Result<Stream, ConnectError> {
        match &self.handshake {
            Handshake::Redis(command) => self.present_redis(stream, command).await,
            Handshake::Memcached(login) => {
                let mut talk = Talk::new(stream);
                let greeted = match self.kind.is_binary {
                    true => talk.greet_binary(login.as_ref()).await,
                    false => talk.greet_text(login.as_ref()).await,
                };
                greeted.map_err(|error| match error {
                    ConnectError::Credentials(text) => self.refused(&text),
                    other => other,
                })?;
                Ok(talk.into_stream()?)
            }
        }
    }

    async fn present_redis(&self, stream: Stream, command: &[u8]) -> Result<Stream, ConnectError> {
        let opening = self.kind.opening();
        if command.is_empty() && opening.is_empty() {
            return Ok(stream);
        }
        let limits = Limits {
            max_reply_bytes: HANDSHAKE_REPLY,
            ..Limits::default()
        };
        let mut lease = Lease::new(stream, limits);
        if !command.is_empty() {
            let reply = lease.ask(command).await?;
            if is_error(&reply) {
                return Err(self.refused(&text_of(&reply)));
            }
        }
        for command in opening {
            let reply = lease.ask(&command).await?;
            if is_error(&reply) {
                return Err(ConnectError::Kind(reply));
            }
        }
        Ok(lease.into_stream()?)
    }

    fn refused(&self, words: &str) -> ConnectError {
        ConnectError::Credentials(self.handshake.without_secrets(words))
    }
}

/// Returns an endpoint's words without the marks of the protocol.
fn text_of(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    text.trim_start_matches('-').trim_end().to_owned()
}

impl From<Loss> for ConnectError {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Connect(error) => error,
            Loss::Io(error) => Self::Io(error),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

/// Sets what every TCP connection of the data plane has: no delay, and keepalive as configured.
///
/// # Errors
/// As the operating system gives them.
pub fn set_options(stream: &TcpStream, keepalive: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if let Some(time) = keepalive {
        let interval = (time / 4).max(Duration::from_secs(1));
        SockRef::from(stream)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(interval))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn endpoint_that_repeats_the_password_does_not_give_it_away() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let dial = Dial {
            timeout: Duration::from_secs(5),
            keepalive: None,
            handshake: Handshake::Redis(b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n".to_vec()),
            kind: Kind::default(),
        };
        let endpoint = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let words = b"-ERR unknown command `AUTH`, with args beginning with: `hunter2`, \r\n";
            stream.write_all(words).await.expect("written");
            stream
        };
        let addr = format!("127.0.0.1:{port}").parse().expect("an address");
        let (opened, _stream) = tokio::join!(dial.open(addr), endpoint);
        let text = opened.expect_err("refused").to_string();
        assert!(text.contains("unknown command"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

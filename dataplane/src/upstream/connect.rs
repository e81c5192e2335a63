//! Opening a connection: dial, keepalive, credentials.

use std::{fmt, io, time::Duration};

use prism_proto::model::EndpointAddr;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::Stream;

/// Everything needed to open a connection of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Dial {
    /// Bound of the whole opening, credentials included.
    pub timeout: Duration,
    /// TCP keepalive; `None` is off.
    pub keepalive: Option<Duration>,
    /// Bytes that present the credentials, and what is presented: `AUTH …`. Empty when there are none.
    pub handshake: Vec<u8>,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint refused the credentials; the text is its own.
    #[error("refused the credentials: {0}")]
    Credentials(String),
    /// The operating system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("did not connect within {0:?}")]
    Timeout(Duration),
}

/// Longest reply to a handshake.
const HANDSHAKE_REPLY: usize = 512;

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

    async fn attempt(&self, addr: EndpointAddr) -> Result<Stream, ConnectError> {
        match addr {
            EndpointAddr::Tcp { host, port } => {
                let mut stream = TcpStream::connect((host.as_str(), port)).await?;
                set_options(&stream, self.keepalive)?;
                self.present(&mut stream).await?;
                Ok(Stream::Tcp(stream))
            }
            EndpointAddr::Unix(path) => {
                let mut stream = UnixStream::connect(path).await?;
                self.present(&mut stream).await?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    async fn present<S>(&self, stream: &mut S) -> Result<(), ConnectError>
    where
        S: AsyncReadExt + AsyncWriteExt + Unpin,
    {
        if self.handshake.is_empty() {
            return Ok(());
        }
        stream.write_all(&self.handshake).await?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") && reply.len() < HANDSHAKE_REPLY {
            reply.push(stream.read_u8().await?);
        }
        if reply.starts_with(b"+") {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&reply);
        Err(ConnectError::Credentials(
            text.trim_start_matches('-').trim_end().to_owned(),
        ))
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

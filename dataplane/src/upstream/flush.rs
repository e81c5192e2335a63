//! Emptying one endpoint, before it comes back into use.

use std::time::Duration;

use prism_proto::model::EndpointAddr;
use tokio::time::timeout;

use super::{ConnectError, Dial, Wire, ask, memcached::Talk};

/// Empties all databases, and frees what they held afterwards.
const FLUSHALL: &[u8] = b"*2\r\n$8\r\nFLUSHALL\r\n$5\r\nASYNC\r\n";

/// Why an endpoint was not emptied, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// It could not be asked.
    #[error(transparent)]
    Connect(ConnectError),
    /// It said no, in these words.
    #[error("it refused: {0}")]
    Refused(String),
    /// It took too long.
    #[error("it did not answer within {0:?}")]
    Silent(Duration),
}

impl From<ConnectError> for FlushError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Timeout(limit) => Self::Silent(limit),
            other => Self::Connect(other),
        }
    }
}

/// Empties an endpoint, on a connection of its own, and waits for its answer; the whole is bounded by `limit`.
///
/// # Errors
/// [`FlushError`]: then it may still hold anything. Cancel safe, but it may be emptied all the same.
pub async fn flush(
    dial: &Dial,
    wire: Wire,
    addr: EndpointAddr,
    limit: Duration,
) -> Result<(), FlushError> {
    let (reply, expected): (_, &[u8]) = match wire {
        Wire::Memcache | Wire::MemcacheBinary => {
            let asked = timeout(limit, flush_memcached(dial, addr)).await;
            let reply = asked.unwrap_or(Err(ConnectError::Timeout(limit)))?;
            (reply.into_bytes(), b"OK")
        }
        Wire::Redis => (ask(dial, addr, FLUSHALL, limit).await?, b"+OK\r\n"),
    };
    if reply == expected {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&reply);
    Err(FlushError::Refused(words.trim_end().to_owned()))
}

/// Asks over text, and an endpoint that does not speak it over the binary protocol.
async fn flush_memcached(dial: &Dial, addr: EndpointAddr) -> Result<String, ConnectError> {
    let (stream, is_binary) = dial.open_either(addr).await?;
    let mut talk = Talk::new(stream);
    match is_binary {
        true => talk.flush_binary().await,
        false => talk.flush_text().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::upstream::{Handshake, Kind};

    /// Returns what comes of it when the endpoint answers `answer` to `question` and then says no more.
    async fn flushed(wire: Wire, question: &[u8], answer: &[u8]) -> Result<(), FlushError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let dial = Dial {
            timeout: Duration::from_secs(5),
            keepalive: None,
            handshake: Handshake::Redis(Vec::new()),
            kind: Kind::default(),
        };
        let endpoint = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut asked = vec![0; question.len()];
            stream.read_exact(&mut asked).await.expect("asked");
            assert_eq!(asked, question);
            stream.write_all(answer).await.expect("answered");
            stream
        };
        let addr = format!("127.0.0.1:{port}").parse().expect("an address");
        let limit = Duration::from_millis(200);
        let (flushed, _stream) = tokio::join!(flush(&dial, wire, addr, limit), endpoint);
        flushed
    }

    #[tokio::test]
    async fn only_the_whole_answer_counts() {
        let (text, resp): (&'static [u8], &'static [u8]) = (b"flush_all\r\n", FLUSHALL);
        let refusal = "CLIENT_ERROR flush_all not allowed";
        type Case = (Wire, &'static [u8], &'static [u8], Option<&'static str>);
        let cases: [Case; 6] = [
            (Wire::Memcache, text, b"OK\r\n", None),
            (Wire::Redis, resp, b"+OK\r\n", None),
            (
                Wire::Memcache,
                text,
                b"CLIENT_ERROR flush_all not allowed\r\n",
                Some(refusal),
            ),
            (
                Wire::Memcache,
                text,
                b"OK",
                Some("it did not answer within 200ms"),
            ),
            (
                Wire::Redis,
                resp,
                b"",
                Some("it did not answer within 200ms"),
            ),
            (Wire::Redis, resp, b"-NOPERM no\r\n", Some("-NOPERM no")),
        ];
        for (wire, question, answer, expected) in cases {
            let flushed = flushed(wire, question, answer).await;
            match (flushed, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(text)) => assert!(error.to_string().contains(text), "{error}"),
                (flushed, expected) => panic!("{flushed:?}, not {expected:?}"),
            }
        }
    }
}

//! Replies of one RESP2 connection: lines and bulk strings, nothing nested, bounded.

use std::io;

use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};

/// The longest line.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// The longest bulk string: the nodes of a very large cluster.
const MAX_BULK_BYTES: usize = 8 * 1024 * 1024;

/// What an endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `-…`, without the sign.
    Error(String),
    /// `+…`, `:…` or a bulk string.
    Text(String),
}

/// Why there is no reply.
#[derive(Debug, Error)]
pub(super) enum ReplyError {
    /// The connection ended.
    #[error("it closed the connection")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// This is not what was asked for.
    #[error("it sent something that is no reply to a probe")]
    Malformed,
    /// It is longer than any reply to a probe is.
    #[error("it sent a reply that is longer than {limit} bytes")]
    TooLong {
        /// What is allowed.
        limit: usize,
    },
}

/// Reads one line without its end. Not cancel safe.
pub(super) async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
) -> Result<String, ReplyError> {
    let mut line = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    (&mut *reader)
        .take(limit)
        .read_until(b'\n', &mut line)
        .await?;
    if line.last() != Some(&b'\n') {
        let is_long = line.len() > MAX_LINE_BYTES;
        return Err(if is_long {
            ReplyError::TooLong {
                limit: MAX_LINE_BYTES,
            }
        } else {
            ReplyError::Closed
        });
    }
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(lossy(&line))
}

/// Reads one reply. Not cancel safe.
pub(super) async fn read_reply<R: AsyncBufRead + AsyncRead + Unpin>(
    reader: &mut R,
) -> Result<Reply, ReplyError> {
    let line = read_line(reader).await?;
    let mut chars = line.chars();
    let kind = chars.next().ok_or(ReplyError::Malformed)?;
    let rest = chars.as_str();
    match kind {
        '+' | ':' => Ok(Reply::Text(rest.into())),
        '-' => Ok(Reply::Error(rest.into())),
        '$' => read_bulk(reader, rest).await.map(Reply::Text),
        _ => Err(ReplyError::Malformed),
    }
}

async fn read_bulk<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    length: &str,
) -> Result<String, ReplyError> {
    let length: usize = length.parse().map_err(|_| ReplyError::Malformed)?;
    if length > MAX_BULK_BYTES {
        return Err(ReplyError::TooLong {
            limit: MAX_BULK_BYTES,
        });
    }
    // Grows with what arrives: a length alone takes no memory.
    let mut bulk = Vec::new();
    let expected = length as u64 + 2;
    (&mut *reader).take(expected).read_to_end(&mut bulk).await?;
    if bulk.len() as u64 != expected {
        return Err(ReplyError::Closed);
    }
    if !bulk.ends_with(b"\r\n") {
        return Err(ReplyError::Malformed);
    }
    bulk.truncate(length);
    Ok(lossy(&bulk))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Reply, ReplyError> {
        let mut bytes = bytes;
        read_reply(&mut bytes).await
    }

    #[tokio::test]
    async fn simple_replies_are_read() {
        let text = |text: &str| Reply::Text(text.into());
        let cases = [
            (&b"+PONG\r\n"[..], text("PONG")),
            (b":7\r\n", text("7")),
            (b"$5\r\na\r\nb\n\r\n", text("a\r\nb\n")),
            (b"$0\r\n\r\n", text("")),
            (b"-NOAUTH no\r\n", Reply::Error("NOAUTH no".into())),
        ];
        for (bytes, reply) in cases {
            assert_eq!(read(bytes).await.expect("a reply"), reply);
            for cut in 0..bytes.len() {
                let error = read(&bytes[..cut]).await.expect_err("cut");
                assert!(matches!(error, ReplyError::Closed), "{error:?} at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn wrong_and_endless_replies_are_refused() {
        for bytes in [
            &b"*1\r\n+a\r\n"[..],
            b"$-1\r\n",
            b"$x\r\n",
            b"\r\n",
            b"$1\r\nabc",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            let error = read(bytes).await.expect_err("malformed");
            assert!(matches!(error, ReplyError::Malformed), "{error:?}");
        }
        let endless = vec![b'+'; MAX_LINE_BYTES + 10];
        for bytes in [&endless[..], b"$999999999999\r\n"] {
            let error = read(bytes).await.expect_err("too long");
            assert!(matches!(error, ReplyError::TooLong { .. }), "{error:?}");
        }
    }
}

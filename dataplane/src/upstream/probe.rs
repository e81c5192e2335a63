//! One question to one endpoint: does it answer?

use std::{future::poll_fn, io, time::Duration};

use prism_proto::model::EndpointAddr;
use tokio::time::timeout;

use super::{ConnectError, Dial, Lease, Wire};
use crate::protocol::message::Limits;

/// Longest reply read here, in bytes.
const MAX_REPLY: usize = 4 * 1024 * 1024;

/// Asks an endpoint whether it is there, on a connection of its own; the whole is bounded by `limit`.
///
/// `LOADING`, refused credentials and other errors are answers too. Cancel safe.
///
/// # Errors
/// When it cannot be reached or stays silent.
pub async fn probe(
    dial: &Dial,
    wire: Wire,
    addr: EndpointAddr,
    limit: Duration,
) -> Result<(), ConnectError> {
    let attempt = async {
        let mut stream = match dial.open_either(addr).await {
            Err(ConnectError::Credentials(_) | ConnectError::NoCredentials) => return Ok(()),
            other => other?.0,
        };
        if wire != Wire::Redis {
            // The endpoint has answered when the connection is open.
            return Ok(());
        }
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
        let mut byte = [0];
        match poll_fn(|cx| stream.poll_read(cx, &mut byte)).await? {
            0 => Err(ConnectError::Io(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    };
    timeout(limit, attempt)
        .await
        .unwrap_or(Err(ConnectError::Timeout(limit)))
}

/// Sends one Redis command on a connection of its own and returns the whole reply; bounded by `limit`.
///
/// # Errors
/// When the endpoint cannot be reached, stays silent, or sends what is no reply. Cancel safe.
pub async fn ask(
    dial: &Dial,
    addr: EndpointAddr,
    command: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, ConnectError> {
    let limits = Limits {
        max_reply_bytes: MAX_REPLY,
        ..Limits::default()
    };
    let attempt = async {
        let mut lease = Lease::new(dial.open(addr).await?, limits);
        Ok(lease.ask(command).await?)
    };
    timeout(limit, attempt)
        .await
        .unwrap_or(Err(ConnectError::Timeout(limit)))
}

//! What leaves a connection out of step.

/// Why a request cannot be located; the connection closes after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
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
            Self::LineTooLong { .. } => b"CLIENT_ERROR line too long\r\n",
        }
    }
}

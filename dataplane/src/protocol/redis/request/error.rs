//! What is wrong with a request, in Redis' words.

/// Why a request cannot be decoded; the connection closes after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The line is HTTP: somebody's browser was sent here.
    #[error("request of another protocol")]
    CrossProtocol,
    /// An argument does not begin with `$`.
    #[error("expected '$', got byte {got}")]
    ExpectedBulk {
        /// What is there instead.
        got: u8,
    },
    /// The length of an argument is no number, negative, or over 512 MiB.
    #[error("invalid bulk length")]
    InvalidBulkLength,
    /// The count of arguments is no number, or over the limit.
    #[error("invalid multibulk length")]
    InvalidMultibulkLength,
    /// No line end follows an argument.
    #[error("no line end after an argument")]
    MissingLineEnd,
    /// An inline line holds a NUL.
    #[error("nul in an inline request")]
    NulInline,
    /// The line of an argument's length does not end.
    #[error("too big bulk count string")]
    TooBigBulkCount,
    /// An inline line does not end.
    #[error("too big inline request")]
    TooBigInline,
    /// The line of the count of arguments does not end.
    #[error("too big mbulk count string")]
    TooBigMbulkCount,
    /// More bytes are declared than allowed.
    #[error("request of {declared} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes known to belong to the request.
        declared: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A quoted word of an inline line does not end, or goes on behind its end.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

impl RequestError {
    /// The whole reply for the client; empty where Redis closes without a word.
    pub fn reply(&self) -> Vec<u8> {
        let text = match self {
            Self::CrossProtocol => return Vec::new(),
            Self::ExpectedBulk { got } => return expected_bulk(*got),
            Self::InvalidBulkLength => "-ERR Protocol error: invalid bulk length\r\n",
            Self::InvalidMultibulkLength => "-ERR Protocol error: invalid multibulk length\r\n",
            Self::MissingLineEnd => "-ERR Protocol error: expected CRLF after bulk\r\n",
            Self::NulInline => "-ERR Protocol error: NUL in inline request\r\n",
            Self::TooBigBulkCount => "-ERR Protocol error: too big bulk count string\r\n",
            Self::TooBigInline => "-ERR Protocol error: too big inline request\r\n",
            Self::TooBigMbulkCount => "-ERR Protocol error: too big mbulk count string\r\n",
            Self::TooLarge { declared, limit } => {
                let text = format!(
                    "-ERR prism: request of {declared} bytes is over the limit of {limit} bytes\r\n"
                );
                return text.into_bytes();
            }
            Self::UnbalancedQuotes => "-ERR Protocol error: unbalanced quotes in request\r\n",
        };
        text.as_bytes().to_vec()
    }
}

/// Redis shows line ends as spaces.
fn expected_bulk(got: u8) -> Vec<u8> {
    let shown = if matches!(got, b'\r' | b'\n') {
        b' '
    } else {
        got
    };
    let mut reply = b"-ERR Protocol error: expected '$', got '".to_vec();
    reply.push(shown);
    reply.extend_from_slice(b"'\r\n");
    reply
}

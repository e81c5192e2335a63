//! Messages as bytes, so that no other room needs to know how.

use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use crate::{
    convert::{resolved_from_pb, resolved_to_pb, spec_from_pb, spec_to_pb},
    model::{ClusterSpec, Violations},
    pb::config::v1 as pb,
};

/// Why bytes are not what they should be.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// They are no message of this kind.
    #[error("not a message of this kind: {0}")]
    Malformed(String),
    /// They are, but what it says is wrong.
    #[error("{0}")]
    Wrong(Violations),
}

impl DecodeError {
    /// Returns what is wrong, for a nack.
    pub fn into_violations(self) -> Violations {
        match self {
            Self::Malformed(_) => Violations::one("", self.to_string()),
            Self::Wrong(violations) => violations,
        }
    }
}

/// Writes a message.
pub fn encode<M: Message>(message: &M) -> Bytes {
    message.encode_to_vec().into()
}

/// Reads a message.
///
/// # Errors
/// When the bytes are no message of this kind.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// Writes a definition as its author wrote it: what is stored.
pub fn encode_spec(spec: &ClusterSpec) -> Bytes {
    encode(&spec_to_pb(spec))
}

/// Reads what [`encode_spec`] wrote.
///
/// # Errors
/// When the bytes are no definition, or a wrong one.
pub fn decode_spec(bytes: &[u8]) -> Result<ClusterSpec, DecodeError> {
    let message: pb::ClusterSpec = decode(bytes)?;
    spec_from_pb(&message).map_err(DecodeError::Wrong)
}

/// Writes a definition with every default filled in: the body of a `clusters` resource.
pub fn encode_resolved(spec: &ClusterSpec) -> Bytes {
    encode(&resolved_to_pb(spec))
}

/// Reads what [`encode_resolved`] wrote.
///
/// # Errors
/// When the bytes are no definition, a wrong one, or one that leaves something to a default.
pub fn decode_resolved(bytes: &[u8]) -> Result<ClusterSpec, DecodeError> {
    let message: pb::ClusterSpec = decode(bytes)?;
    resolved_from_pb(&message).map_err(DecodeError::Wrong)
}

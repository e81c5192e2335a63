//! Delimiting replies in the protocol an endpoint speaks.

use super::{Expect, Loss, Wire};
use crate::protocol::{
    memcache,
    message::{Limits, Progress},
    redis::reply::ReplyDecoder,
};

/// Delimits the replies of one connection.
pub(super) enum Decoder {
    Memcache(memcache::reply::ReplyDecoder),
    MemcacheBinary(memcache::binary::ReplyDecoder),
    Redis(ReplyDecoder),
}

impl Decoder {
    pub(super) fn new(wire: Wire, limits: Limits) -> Self {
        match wire {
            Wire::Memcache => Self::Memcache(memcache::reply::ReplyDecoder::new(limits)),
            Wire::MemcacheBinary => {
                Self::MemcacheBinary(memcache::binary::ReplyDecoder::new(limits))
            }
            Wire::Redis => Self::Redis(ReplyDecoder::new(limits)),
        }
    }

    pub(super) fn kind(&self) -> Wire {
        match self {
            Self::Memcache(_) => Wire::Memcache,
            Self::MemcacheBinary(_) => Wire::MemcacheBinary,
            Self::Redis(_) => Wire::Redis,
        }
    }

    pub(super) fn decode(&mut self, bytes: &[u8], expect: Expect) -> Result<Progress, Loss> {
        match self {
            Self::Redis(decoder) => match expect {
                Expect::Block(count) => decoder.decode_run(bytes, count as usize),
                _ => decoder.decode(bytes),
            }
            .map_err(|error| Loss::Malformed(error.to_string())),
            Self::MemcacheBinary(decoder) => decoder
                .decode(bytes)
                .map_err(|error| Loss::Malformed(error.to_string())),
            Self::Memcache(decoder) => {
                let expect = match expect {
                    Expect::Meta => memcache::reply::Expect::Meta,
                    Expect::Quiet => memcache::reply::Expect::Quiet,
                    Expect::Value(_) => memcache::reply::Expect::Joined,
                    Expect::Values => memcache::reply::Expect::Retrieval,
                    _ => memcache::reply::Expect::Line,
                };
                decoder
                    .decode(expect, bytes)
                    .map_err(|error| Loss::Malformed(error.to_string()))
            }
        }
    }
}

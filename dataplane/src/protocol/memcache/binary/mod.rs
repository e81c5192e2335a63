//! The binary protocol of Memcached: packets of a fixed header, extras, a key and a value.
//!
//! Spec: <https://github.com/memcached/memcached/wiki/BinaryProtocolRevamped>

mod operation;
mod packet;
mod reply;
mod request;

pub use operation::{Class, NOOP, Operation, operation};
pub use packet::{HEADER, Header, Packet, REPLY, REQUEST, Status, is_packet, write_failure};
pub use reply::ReplyDecoder;
pub use request::{Entry, Located, RequestDecoder, RequestError};

#[cfg(test)]
mod tests;

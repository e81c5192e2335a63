//! Bytes <-> messages of every protocol: no I/O, no clock, no async.
//!
//! A request or reply is located in the bytes it came in, not rebuilt: decoders hand out lengths and
//! [`Span`](message::Span)s, and keep their place between reads so that each byte is scanned once.
#![warn(clippy::indexing_slicing)]

pub mod memcache;
pub mod message;
pub mod redis;

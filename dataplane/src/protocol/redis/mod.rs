//! The Redis protocol: RESP2, RESP3 and inline requests.

pub mod aggregate;
pub mod command;
mod line;
pub mod reply;
pub mod request;
pub mod split;

//! The Redis protocol: RESP2, RESP3 and inline requests.

pub mod aggregate;
pub mod command;
pub mod cursor;
mod line;
pub mod reach;
pub mod reply;
pub mod request;
pub mod split;

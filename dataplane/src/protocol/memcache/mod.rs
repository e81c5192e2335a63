//! The protocols of Memcached, text and binary; where a connection can stay in step, what is wrong is refused, not fatal.

pub mod base64;
pub mod binary;
pub mod command;
pub mod login;
pub mod reply;
pub mod request;
pub mod split;

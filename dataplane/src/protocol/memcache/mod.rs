//! The classic text protocol of Memcached; where a connection can stay in step, what is wrong is refused, not fatal.

pub mod command;
pub mod reply;
pub mod request;
pub mod split;

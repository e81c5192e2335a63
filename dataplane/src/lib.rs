//! The data plane of Prism: bytes in, bytes out.

pub mod cluster;
pub mod downstream;
pub mod inflight;
pub mod metrics;
pub mod protocol;
pub mod server;
pub mod upstream;

//! The data plane of Prism: bytes in, bytes out.

pub mod metrics;
pub mod protocol;

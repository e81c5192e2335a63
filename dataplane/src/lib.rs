//! The data plane of Prism: bytes in, bytes out.
//!
//! Reading order is the order of use, left to right: a module uses only those above it.

pub mod metrics;

pub mod protocol;

pub mod access;

pub mod inflight;

pub mod observe;

pub mod upstream;

pub mod cluster;

pub mod downstream;

pub mod discovery;

pub mod admin;

pub mod server;

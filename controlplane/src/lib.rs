//! The control plane of Prism: the truth about a fleet and its distribution.
//!
//! Reading order is the order of use, left to right: a module uses only those above it.

pub mod metrics;

pub mod store;

pub mod verdict;

pub mod catalog;

pub mod fleet;

pub mod probe;

pub mod health;

pub mod feed;

pub mod api;

pub mod http;

pub mod server;

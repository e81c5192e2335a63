//! The contract of Prism: messages, checked model, placement of keys, the definitions file.
//!
//! Reading order: `pb` (generated), `model`, `placement`, `manifest`, `convert`, `status`.

pub mod convert;
pub mod manifest;
pub mod model;
pub mod pb;
pub mod placement;
pub mod status;

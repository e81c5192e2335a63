//! The running data plane: workers, the control thread, and how what is defined comes into service.
//!
//! Reading order: `options`, `start`, `control` (the control thread), `apply` (definitions into service), `addresses`,
//! `sockets` and `listeners` (where clients connect), `bootstrap` (a definitions file), `follow` (a control plane) and `lane` (its
//! changes), `worker`.

mod addresses;
mod apply;
mod bootstrap;
mod control;
mod follow;
mod lane;
mod listeners;
mod machine;
mod options;
mod service;
mod sockets;
mod start;
pub mod worker;

pub use options::{
    OptionError, Options, Size, Source, Time, host_name, parse_id, parse_label, parse_url,
};
pub use start::{StartError, run};

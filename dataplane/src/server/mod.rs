//! The running data plane: workers, the control thread, and how what is defined comes into service.
//!
//! Reading order: `options`, `start`, `control` (the control thread), `apply` (definitions into service), `addresses` and
//! `listeners` (where clients connect), `bootstrap` (a definitions file), `follow` (a control plane), `worker`.

mod addresses;
mod apply;
mod bootstrap;
mod control;
mod follow;
mod listeners;
mod machine;
mod options;
mod service;
mod start;
pub mod worker;

pub use options::{
    OptionError, Options, Size, Source, Time, host_name, parse_id, parse_label, parse_url,
};
pub use start::{StartError, run};

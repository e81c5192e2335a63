//! The running data plane: workers, and what the control thread does to them.

pub mod worker;

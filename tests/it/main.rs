//! The whole house under test on real servers, one module a behaviour.

mod harness;
mod nutcracker_placement;

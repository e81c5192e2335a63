//! The control plane from outside: real streams and calls on loopback.

mod admin;
mod delivery;
mod rig;
mod web;

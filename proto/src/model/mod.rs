//! Checked values that all sides share; what is held here has been validated.

mod sharding;

pub use sharding::{Distribution, Hash, HashBytes, KetamaFloat, Sharding};

//! The harness: programs and real servers on loopback, a raw client, waiting; all ended with the test.
//!
//! Reading order: [`wait`], [`ports`], [`process`], [`resp`], [`raw`], then the servers ([`redis`], [`cluster`],
//! [`memcached`], [`nutcracker`]), our own programs ([`programs`]) and their [`definitions`], and [`oracle`], which compares
//! the two.

pub mod cluster;
pub mod definitions;
pub mod dice;
pub mod differential;
pub mod fleet;
pub mod load;
pub mod memcached;
pub mod nutcracker;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod programs;
pub mod raw;
pub mod redis;
pub mod resp;
pub mod wait;

/// Whether the long tiers run: `tests/run --long` asks for them.
pub fn is_long() -> bool {
    std::env::var_os("PRISM_TEST_LONG").is_some()
}

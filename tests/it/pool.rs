//! A data plane that serves one cluster of Redis endpoints alone: what most modules stand on.

use prism_tests::{definitions, ports, programs::DataPlane, raw::Raw, redis::Redis};

/// A data plane with one pool, and its endpoints.
pub(crate) struct Pool {
    pub(crate) endpoints: Vec<Redis>,
    pub(crate) listen: String,
    pub(crate) data_plane: DataPlane,
}

impl Pool {
    /// A pool of `count` endpoints.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(Redis::start_many(count), "")
    }

    /// A pool of these endpoints, with more lines in its definition.
    pub(crate) fn start_with(endpoints: Vec<Redis>, more: &str) -> Self {
        let listen = ports::free_addr();
        let text = definitions::redis("pool", &listen, &servers(&endpoints), more);
        let data_plane = DataPlane::bootstrap(&text);
        Self {
            endpoints,
            listen,
            data_plane,
        }
    }

    /// A connection to its listener.
    pub(crate) fn client(&self) -> Raw {
        Raw::connect(&self.listen)
    }
}

/// The endpoints as a definitions file names them, with an alias each.
pub(crate) fn servers(endpoints: &[Redis]) -> Vec<String> {
    endpoints
        .iter()
        .enumerate()
        .map(|(index, redis)| format!("{}:1 redis-{}", redis.addr(), index + 1))
        .collect()
}

//! The data planes of a fleet as cluster-aware clients are told of them.

use sha2::{Digest, Sha256};

/// Data planes that are named to the clients of one cluster, at most.
pub const MAX_PEERS: usize = 256;

/// A data plane that serves a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its name in the fleet.
    pub id: String,
    /// Where clients reach it: an IP address, without brackets, or a name.
    pub host: String,
    /// The port it serves the cluster at; never 0.
    pub port: u16,
}

/// Returns the id of the data plane `id` as a node of a Redis Cluster: 40 hex digits that stay the same for ever.
pub fn node_id(id: &str) -> String {
    digits("node", id)
}

/// Returns the id of the shard that the data plane `id` stands for, in the form of [`node_id`].
pub fn shard_id(id: &str) -> String {
    digits("shard", id)
}

fn digits(kind: &str, id: &str) -> String {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(id)
        .finalize();
    digest
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_heads_of_a_sha256() {
        // printf 'node\0dp-1' | sha256sum
        assert_eq!(node_id("dp-1"), "7b1e9471a018e3026851061412ad820cb4db565e");
        assert_ne!(node_id("dp-1"), node_id("dp-2"));
        assert_ne!(node_id("dp-1"), shard_id("dp-1"));
    }
}

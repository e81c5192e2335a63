//! What a data plane serves: immutable, shared by all workers, swapped as a whole.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::ArcSwap;
use prism_proto::model::{CacheType, Cluster, ListenAddr, SecretError, Violations};
use tokio::sync::mpsc;

use super::{Peers, Topology};
use crate::{access::Access, observe::Exchange};

/// All clusters in service; written only by `server::apply`.
#[derive(Debug, Default)]
pub struct Runtime {
    /// Grows with every swap.
    pub generation: u64,
    /// Clusters by name.
    pub clusters: BTreeMap<String, Arc<ClusterRuntime>>,
}

/// One cluster as defined, with what all workers share of it.
pub struct ClusterRuntime {
    /// The definition.
    pub cluster: Arc<Cluster>,
    /// Where clients connect, `--bind-ip` applied.
    pub listen: ListenAddr,
    /// The definition's own revision; 0 without a control plane.
    pub revision: u64,
    /// Hash of the definition as pushed; 0 without a control plane.
    pub hash: u64,
    /// Bytes that present the proxy's credentials upstream; empty when there are none.
    pub handshake: Vec<u8>,
    /// Who may come in and do what.
    pub access: Arc<Access>,
    /// Shared by all generations of the definition.
    pub shared: Arc<ClusterShared>,
}

/// What all workers and the control thread share of one cluster, over all generations of its definition.
#[derive(Debug)]
pub struct ClusterShared {
    /// The cluster's name.
    pub name: String,
    /// Who is there; one writer, the cluster's topology task.
    pub topology: Arc<ArcSwap<Topology>>,
    /// Clients connected to this data plane.
    pub clients: AtomicU64,
    /// Of these, those that wait in a blocking command.
    pub blocked: AtomicU64,
    /// Which data planes serve it; one writer, the control thread.
    pub peers: ArcSwap<Peers>,
    /// What workers see, for the topology task; full: dropped and counted.
    pub observations: mpsc::Sender<Observation>,
    /// Reaches every worker that serves the cluster.
    pub exchange: Exchange,
}

/// What a worker saw of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A connect failed.
    ConnectFailed {
        /// The endpoint's address.
        endpoint: String,
    },
    /// A connect succeeded.
    Connected {
        /// The endpoint's address.
        endpoint: String,
    },
    /// The cluster said that it is down, or an endpoint that it is not what we take it for.
    Doubt,
    /// An open connection was lost.
    Lost {
        /// The endpoint's address.
        endpoint: String,
    },
    /// A redirect was followed.
    Moved {
        /// The slot.
        slot: u16,
        /// The new owner's address.
        endpoint: String,
    },
}

impl ClusterRuntime {
    /// Makes the runtime of one definition, listening where the definition says; secrets given by reference are read
    /// here.
    ///
    /// # Errors
    /// When a secret cannot be read, or a rule names what this build does not know.
    pub fn new(
        cluster: Arc<Cluster>,
        revision: u64,
        hash: u64,
        shared: Arc<ClusterShared>,
    ) -> Result<Self, Violations> {
        let handshake = handshake(&cluster)
            .map_err(|error| Violations::one("backend_auth.password", error.to_string()))?;
        let access = Arc::new(Access::of(&cluster)?);
        Ok(Self {
            listen: cluster.listen().clone(),
            cluster,
            revision,
            hash,
            handshake,
            access,
            shared,
        })
    }
}

/// Returns the bytes that present the proxy's credentials upstream; none when there are none.
///
/// # Errors
/// When a secret cannot be read.
pub(super) fn handshake(cluster: &Cluster) -> Result<Vec<u8>, SecretError> {
    let (Some(credentials), CacheType::Redis | CacheType::RedisCluster) =
        (cluster.backend(), cluster.cache_type())
    else {
        return Ok(Vec::new());
    };
    let password = credentials.password.reveal()?;
    let mut words = vec!["AUTH"];
    words.extend(credentials.username.as_deref());
    words.push(&password);
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    Ok(bytes)
}

impl fmt::Debug for ClusterRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The handshake holds a password.
        f.debug_struct("ClusterRuntime")
            .field("name", &self.shared.name)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

//! What a data plane serves: immutable, shared by all workers, swapped as a whole.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::ArcSwap;
use prism_proto::model::{CacheType, Cluster, DEFAULT_USER, ListenAddr, SecretError, Violations};
use tokio::sync::mpsc;

use super::{Peers, Topology};
use crate::{
    access::Access,
    observe::Exchange,
    protocol::redis::reply::{write_array_header, write_bulk},
    upstream::{Handshake, Login},
};

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
    /// Presents the proxy's credentials upstream.
    pub handshake: Handshake,
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

/// Returns what presents the proxy's credentials upstream.
///
/// # Errors
/// When a secret cannot be read.
pub(super) fn handshake(cluster: &Cluster) -> Result<Handshake, SecretError> {
    let credentials = cluster.backend();
    let password = credentials
        .map(|known| known.password.reveal())
        .transpose()?;
    let user = credentials.and_then(|known| known.username.as_deref());
    if cluster.cache_type() == CacheType::Memcache {
        return Ok(Handshake::Memcached(password.map(|password| Login {
            user: user.unwrap_or(DEFAULT_USER).to_owned(),
            password,
        })));
    }
    let mut bytes = Vec::new();
    if let Some(password) = &password {
        let words = ["AUTH"].into_iter().chain(user).chain([password.as_str()]);
        let words: Vec<_> = words.collect();
        write_array_header(&mut bytes, words.len());
        for word in words {
            write_bulk(&mut bytes, word);
        }
    }
    Ok(Handshake::Redis(bytes))
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

//! How a control plane is started.

use std::{path::PathBuf, time::Duration};

use super::StartError;

/// Time between heartbeats of a stream.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where definitions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// A cluster of etcd; not in this version.
    Etcd,
    /// Nowhere: they end with the process.
    Memory,
    /// A folder on disk.
    #[default]
    Sled,
}

/// How a control plane is started; [`Options::default`] listens on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The folder of the embedded store.
    pub data_dir: Option<PathBuf>,
    /// Where operators connect; port 0 takes a free one.
    pub listen: String,
    /// Where data planes connect; port 0 takes a free one.
    pub discovery_listen: String,
    /// Where definitions are kept.
    pub store: StoreKind,
    /// Listens beyond loopback though nobody has to authenticate.
    pub insecure: bool,
    /// Time between heartbeats of a stream, both ways.
    pub heartbeat: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            listen: "127.0.0.1:7100".into(),
            discovery_listen: "127.0.0.1:7101".into(),
            store: StoreKind::default(),
            insecure: false,
            heartbeat: HEARTBEAT,
        }
    }
}

impl Options {
    /// Finds what can be told to be wrong before anything is opened.
    pub(super) fn check(&self) -> Result<(), StartError> {
        match (self.store, &self.data_dir) {
            (StoreKind::Etcd, _) => Err(StartError::Unsupported("--store etcd")),
            (StoreKind::Sled, None) => Err(StartError::NoDataDir),
            _ => Ok(()),
        }
    }
}

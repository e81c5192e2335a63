//! The sockets of all clusters: bound before a swap, dealt out to the workers, unix files removed with the last user.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
};

use prism_proto::model::{ListenAddr, Violations};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{
    addresses::Addresses,
    listeners::{self, BindError, Probe},
    worker::NewListener,
};
use crate::{cluster::Runtime, downstream::ListenSocket};

/// Binds for all workers at once.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Unix sockets in service, by path: bound once, however many clusters follow each other on them.
    unix: BTreeMap<PathBuf, UnixListener>,
}

impl Sockets {
    /// Binds what is new; what cannot be bound is rejected, and with it whoever counted on its address.
    pub(super) async fn bind(
        &mut self,
        addresses: &mut Addresses,
        workers: usize,
    ) -> BTreeMap<String, Bound> {
        let mut sockets = BTreeMap::new();
        for (name, addr) in addresses.to_bind() {
            if addresses.is_rejected(&name) {
                continue;
            }
            match self.bind_one(&addr, addresses, workers).await {
                Ok(bound) => {
                    sockets.insert(
                        name,
                        Bound {
                            addr,
                            sockets: bound,
                        },
                    );
                }
                Err(error) => {
                    warn!(cluster = %name, %error, "listener not bound");
                    addresses.reject(&name, Violations::one("listen_addr", error.to_string()));
                }
            }
        }
        sockets.retain(|name, _| !addresses.is_rejected(name));
        sockets
    }

    async fn bind_one(
        &mut self,
        addr: &ListenAddr,
        addresses: &Addresses,
        workers: usize,
    ) -> Result<Vec<ListenSocket>, BindError> {
        let refused = |source| BindError::Refused {
            addr: addr.clone(),
            source,
        };
        if let ListenAddr::Unix { path, mode } = addr
            && let Some(held) = self.unix.get(path)
        {
            if let Some(mode) = mode {
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).map_err(refused)?;
            }
            return listeners::share(held, workers).map_err(refused);
        }
        let probe = match addresses.is_ours(addr) {
            true => Probe::Skip,
            false => Probe::Try,
        };
        let wanted = addr.clone();
        let bound = spawn_blocking(move || listeners::bind(&wanted, workers, probe)).await;
        let bound = bound.map_err(|error| refused(std::io::Error::other(error)))??;
        if let (ListenAddr::Unix { path, .. }, Some(ListenSocket::Unix(first))) =
            (addr, bound.first())
        {
            let held = first.try_clone().map_err(refused)?;
            self.unix.insert(path.clone(), held);
        }
        Ok(bound)
    }

    /// Removes the files of unix sockets that no cluster listens on any more.
    pub(super) fn remove_unused(&mut self, runtime: &Runtime) {
        self.unix.retain(|held, _| {
            let mut listeners = runtime.clusters.values().map(|cluster| &cluster.listen);
            let is_used =
                |addr: &ListenAddr| matches!(addr, ListenAddr::Unix { path, .. } if path == held);
            let stays = listeners.any(is_used);
            if !stays && let Err(error) = fs::remove_file(held) {
                warn!(path = %held.display(), %error, "socket file not removed");
            }
            stays
        });
    }

    /// Removes the files of all unix sockets: nobody listens any more.
    pub(super) fn close(&mut self) {
        for path in std::mem::take(&mut self.unix).into_keys() {
            fs::remove_file(path).ok();
        }
    }
}

/// New sockets of one cluster, one a worker.
#[derive(Debug)]
pub(super) struct Bound {
    addr: ListenAddr,
    sockets: Vec<ListenSocket>,
}

/// Deals the sockets out to the workers.
pub(super) fn split(bound: BTreeMap<String, Bound>, workers: usize) -> Vec<Vec<NewListener>> {
    let mut shares: Vec<Vec<NewListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (cluster, Bound { addr, sockets }) in bound {
        for (share, socket) in shares.iter_mut().zip(sockets) {
            share.push(NewListener {
                cluster: cluster.clone(),
                addr: addr.clone(),
                socket,
            });
        }
    }
    shares
}

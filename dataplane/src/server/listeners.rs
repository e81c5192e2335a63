//! Sockets that clients connect to: bound so that a port in use is an error and not shared in silence.

use std::{
    fs, io,
    net::{SocketAddr, ToSocketAddrs},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use prism_proto::model::ListenAddr;
use socket2::{Domain, Protocol, Socket, Type};

use crate::downstream::ListenSocket;

/// Connections that wait to be accepted, on each socket.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Somebody else listens there.
    #[error("{addr} is in use by another process")]
    InUse {
        /// The address.
        addr: ListenAddr,
    },
    /// The path exists and is something else.
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {addr}: {source}")]
    Refused {
        /// The address.
        addr: ListenAddr,
        /// What it said.
        source: io::Error,
    },
}

/// Whether a port may be held by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// This process listens on an overlapping address already, so asking would find only itself.
    Skip,
    /// Finds out.
    Try,
}

/// Binds `addr` for `workers` workers, one socket each.
///
/// A TCP port gets a socket of its own for each worker, between which the system spreads clients. A unix socket is bound
/// once and shared. Blocks on name resolution when the host is a name.
///
/// # Errors
/// When somebody else listens there or the system refuses.
pub(crate) fn bind(
    addr: &ListenAddr,
    workers: usize,
    probe: Probe,
) -> Result<Vec<ListenSocket>, BindError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr: addr.clone() },
        _ => BindError::Refused {
            addr: addr.clone(),
            source,
        },
    };
    match addr {
        ListenAddr::Tcp { host, port } => bind_tcp(host, *port, workers, probe).map_err(refused),
        ListenAddr::Unix { path, mode } => {
            clear_stale(addr, path)?;
            let listener = bind_unix(path, *mode).map_err(refused)?;
            share(&listener, workers).map_err(refused)
        }
    }
}

/// Returns `workers` handles of one unix socket.
///
/// # Errors
/// When the process is out of file descriptors.
pub(crate) fn share(listener: &UnixListener, workers: usize) -> io::Result<Vec<ListenSocket>> {
    let copy = |_| Ok(ListenSocket::Unix(listener.try_clone()?));
    (0..workers).map(copy).collect()
}

fn bind_tcp(host: &str, port: u16, workers: usize, probe: Probe) -> io::Result<Vec<ListenSocket>> {
    let mut resolved = (host, port).to_socket_addrs()?;
    let addr = resolved.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    if probe == Probe::Try {
        // A socket that shares its port with nobody cannot be bound while another listens there.
        bind_socket(addr, Sharing::Nobody)?;
    }
    let open = |_| {
        let socket = bind_socket(addr, Sharing::Workers)?;
        socket.listen(BACKLOG)?;
        Ok(ListenSocket::Tcp(socket.into()))
    };
    (0..workers).map(open).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Nobody,
    Workers,
}

fn bind_socket(addr: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Lets a restart bind while connections of the last run linger.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    if sharing == Sharing::Workers {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Removes the socket file of a process that is gone.
fn clear_stale(addr: &ListenAddr, path: &Path) -> Result<(), BindError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        let path = path.to_owned();
        return Err(BindError::NotASocket { path });
    }
    let refused = |source| BindError::Refused {
        addr: addr.clone(),
        source,
    };
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // It answers, or it exists and this process may not even ask.
        Ok(_) | Err(_) => Err(BindError::InUse { addr: addr.clone() }),
    }
}

fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if let Some(mode) = mode {
        // Nobody can connect before `listen`, so the wider mode was never in force.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn tcp(port: u16) -> ListenAddr {
        format!("127.0.0.1:{port}").parse().unwrap()
    }

    fn port_of(listener: &TcpListener) -> u16 {
        listener.local_addr().unwrap().port()
    }

    fn unused_port() -> u16 {
        port_of(&TcpListener::bind("127.0.0.1:0").unwrap())
    }

    #[test]
    fn every_worker_gets_a_socket_of_its_own() {
        let sockets = bind(&tcp(unused_port()), 3, Probe::Try).unwrap();
        assert_eq!(sockets.len(), 3);
    }

    #[test]
    fn port_in_use_is_an_error_that_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = bind(&tcp(port_of(&taken)), 1, Probe::Try).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, BindError::InUse { .. }), "{text}");
        assert!(text.contains(&port_of(&taken).to_string()), "{text}");
    }

    #[test]
    fn port_shared_by_others_is_not_joined() {
        let addr = tcp(unused_port());
        let _theirs = bind(&addr, 1, Probe::Try).unwrap();
        assert!(bind(&addr, 1, Probe::Try).is_err());
        assert!(bind(&addr, 1, Probe::Skip).is_ok());
    }

    #[test]
    fn lingering_connections_do_not_hold_a_port() {
        let addr = tcp(unused_port());
        let sockets = bind(&addr, 1, Probe::Try).unwrap();
        let ListenSocket::Tcp(listener) = &sockets[0] else {
            unreachable!("a TCP address gives TCP sockets");
        };
        listener.set_nonblocking(false).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        // The side that closes first keeps the port in TIME_WAIT.
        drop(accepted);
        drop(client);
        drop(sockets);
        assert!(bind(&addr, 1, Probe::Try).is_ok());
    }

    #[test]
    fn unix_socket_has_its_mode_and_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let addr: ListenAddr = format!("unix:{}?mode=0600", path.display())
            .parse()
            .unwrap();
        let sockets = bind(&addr, 2, Probe::Try).unwrap();
        assert_eq!(sockets.len(), 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let addr: ListenAddr = format!("unix:{}", path.display()).parse().unwrap();
        let live = bind(&addr, 1, Probe::Try).unwrap();
        assert!(matches!(
            bind(&addr, 1, Probe::Try),
            Err(BindError::InUse { .. })
        ));
        drop(live);
        assert!(path.exists());
        assert!(bind(&addr, 1, Probe::Try).is_ok());
    }

    #[test]
    fn file_in_the_way_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "precious").unwrap();
        let addr: ListenAddr = format!("unix:{}", path.display()).parse().unwrap();
        assert!(matches!(
            bind(&addr, 1, Probe::Try),
            Err(BindError::NotASocket { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}

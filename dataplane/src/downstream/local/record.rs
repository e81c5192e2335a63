//! How the record of a client begins.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    os::fd::AsRawFd,
};

use prism_proto::model::{DEFAULT_USER, ListenAddr};

use crate::{cluster::ClusterWorker, inflight::Ticket, observe::Record, upstream::Stream};

/// Returns what is known of a client that has just connected.
pub(super) fn of(cluster: &ClusterWorker, stream: &Stream, ticket: Ticket) -> Record {
    let (addr, local_addr, socket) = match stream {
        Stream::Tcp(stream) => (
            stream.peer_addr().ok(),
            stream.local_addr().ok(),
            stream.as_raw_fd(),
        ),
        Stream::Unix(stream) => (None, None, stream.as_raw_fd()),
    };
    let listen = &cluster.runtime().listen;
    Record {
        id: cluster.context.next_client(),
        ticket,
        connected: cluster.context.clock.read(),
        addr: shown(addr, listen),
        local_addr: shown(local_addr, listen),
        socket,
        is_unix: matches!(stream, Stream::Unix(_)),
        name: Default::default(),
        library: Default::default(),
        library_version: Default::default(),
        user: RefCell::new(DEFAULT_USER.into()),
        command: Cell::new("NULL"),
        queued: Cell::new(None),
        subscriptions: std::rc::Rc::default(),
        is_blocked: Cell::new(false),
        is_kept: Cell::new(false),
    }
}

/// Returns an address as Redis writes it.
fn shown(addr: Option<SocketAddr>, listen: &ListenAddr) -> Box<str> {
    let text = match (addr, listen) {
        (Some(addr), _) => addr.to_string(),
        (None, ListenAddr::Unix { path, .. }) => format!("{}:0", path.display()),
        (None, ListenAddr::Tcp { .. }) => String::new(),
    };
    text.into_boxed_str()
}

//! Accepting clients on one socket.

use std::{io, rc::Rc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, UnixListener},
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, warn};

use super::{Session, session::Seat};
use crate::{
    cluster::ClusterWorker,
    upstream::{Stream, Wire, set_options},
};

/// Pause after the process has run out of descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Longest time a client that is turned away may take to read why.
const FAREWELL: Duration = Duration::from_millis(200);

/// A bound socket that does not block, made on the control thread.
#[derive(Debug)]
pub enum ListenSocket {
    /// Over TCP.
    Tcp(std::net::TcpListener),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// Accepts the clients of one cluster on one socket.
pub struct Listener {
    socket: Socket,
    cluster: Rc<ClusterWorker>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Takes over a bound socket. Must be called within the worker's runtime.
    ///
    /// # Errors
    /// As the operating system gives them.
    pub fn new(socket: ListenSocket, cluster: Rc<ClusterWorker>) -> io::Result<Self> {
        let socket = match socket {
            ListenSocket::Tcp(socket) => Socket::Tcp(TcpListener::from_std(socket)?),
            ListenSocket::Unix(socket) => Socket::Unix(UnixListener::from_std(socket)?),
        };
        Ok(Self { socket, cluster })
    }

    /// Accepts until `closing` says so, then whoever is still in the queue, then closes the socket.
    pub async fn run(self, mut closing: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = self.socket.accept() => accepted,
                _ = closing.wait_for(|is_closing| *is_closing) => break,
            };
            self.take(accepted).await;
        }
        // A client in the queue has connected already and would see a reset.
        while let Ok(accepted) = timeout(Duration::ZERO, self.socket.accept()).await {
            // Without descriptors left, those in the queue cannot be served before the socket closes.
            if accepted.as_ref().is_err_and(is_exhausted) {
                return;
            }
            self.take(accepted).await;
        }
    }

    async fn take(&self, accepted: io::Result<Stream>) {
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) if is_exhausted(&error) => {
                error!(cluster = %self.cluster.name(), %error, "accepting paused");
                return sleep(EXHAUSTED).await;
            }
            Err(error) => return warn!(cluster = %self.cluster.name(), %error, "accept failed"),
        };
        let runtime = self.cluster.runtime();
        if let Stream::Tcp(tcp) = &stream {
            // A client that is gone already is noticed by its session.
            let _ = set_options(tcp, runtime.cluster.timeouts().tcp_keepalive);
        }
        let limit = runtime.cluster.limits().max_clients;
        match Seat::take(&runtime.shared, limit) {
            Some(seat) => drop(tokio::task::spawn_local(Session::new(
                stream,
                Rc::clone(&self.cluster),
                seat,
            ))),
            None => {
                self.cluster.metrics.clients_rejected_total.inc();
                let text = rejection(
                    self.cluster.settings_ref().wire,
                    self.cluster.name(),
                    limit.unwrap_or(0),
                );
                tokio::task::spawn_local(turn_away(stream, text));
            }
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Self::Unix(socket) => socket
                .accept()
                .await
                .map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

fn rejection(wire: Wire, cluster: &str, limit: u64) -> String {
    let reason = format!("prism: cluster {cluster} has {limit} clients already");
    match wire {
        Wire::Memcache | Wire::MemcacheBinary => format!("SERVER_ERROR {reason}\r\n"),
        Wire::Redis => format!("-ERR {reason}\r\n"),
    }
}

async fn turn_away(stream: Stream, text: String) {
    let farewell = async {
        match stream {
            Stream::Tcp(mut stream) => {
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await
            }
            Stream::Unix(mut stream) => {
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await
            }
        }
    };
    // The client is told if it listens; it is gone either way.
    let _ = timeout(FAREWELL, farewell).await;
}

fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [
        rustix::io::Errno::MFILE,
        rustix::io::Errno::NFILE,
        rustix::io::Errno::NOBUFS,
        rustix::io::Errno::NOMEM,
    ]
    .iter()
    .any(|errno| code == Some(errno.raw_os_error()))
}

//! PING, ECHO, QUIT, AUTH and their like; what is kept of a client.

use std::net::SocketAddr;

use super::{Asked, Handler, SYNTAX, Words};
use crate::{
    cluster::ClusterWorker,
    protocol::redis::{
        command::Command,
        reply::{write_bulk, write_simple},
    },
    upstream::{Nanos, Stream},
};

/// The Redis whose words and commands the proxy has.
pub(super) const REDIS: &str = "7.0.15";

/// The one user there is.
pub(super) const USER: &str = "default";

pub(super) const NO_CLUSTER: Words =
    Words::Borrowed("ERR This instance has cluster support disabled");

pub(super) const NO_CLUSTER_SELECT: Words =
    Words::Borrowed("ERR SELECT is not allowed in cluster mode");

const BAD_NAME: Words =
    Words::Borrowed("ERR Client names cannot contain spaces, newlines or special characters.");
const NO_PASSWORD: Words = Words::Borrowed(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);
const HELLO_FIRST: Words = Words::Borrowed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH \
     <user> <pass> option can be used to authenticate the client and select the RESP protocol \
     version at the same time",
);
const WRONG_PASS: Words =
    Words::Borrowed("WRONGPASS invalid username-password pair or user is disabled.");

/// What the proxy keeps of one Redis client.
pub(in crate::downstream) struct Client {
    pub(super) id: u64,
    pub(super) connected: Nanos,
    pub(super) addr: Option<SocketAddr>,
    pub(super) local_addr: Option<SocketAddr>,
    pub(super) name: Box<[u8]>,
    pub(super) library: Box<[u8]>,
    pub(super) library_version: Box<[u8]>,
    /// It presented the password that was right at that time, and keeps its rights when the password changes.
    is_authenticated: bool,
}

impl Client {
    /// Makes the record of a client that has just connected.
    pub(in crate::downstream) fn new(cluster: &ClusterWorker, stream: &Stream) -> Self {
        let (addr, local_addr) = match stream {
            Stream::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            Stream::Unix(_) => (None, None),
        };
        Self {
            id: cluster.context.next_client(),
            connected: cluster.context.clock.read(),
            addr,
            local_addr,
            name: Box::default(),
            library: Box::default(),
            library_version: Box::default(),
            is_authenticated: false,
        }
    }

    /// Returns whether the client may run commands at all: it has presented the password, or none is asked for.
    #[inline]
    pub(in crate::downstream) fn is_admitted(&self, cluster: &ClusterWorker) -> bool {
        self.is_authenticated || !cluster.is_locked()
    }

    /// Returns whether the client may run `command`.
    #[inline]
    pub(in crate::downstream) fn may(&self, command: &Command, cluster: &ClusterWorker) -> bool {
        self.is_admitted(cluster) || command.has_flag("no_auth")
    }

    /// Takes `name` as the client's name; an empty one takes the name away.
    pub(super) fn rename(&mut self, name: &[u8]) -> Result<(), Words> {
        if !is_plain(name) {
            return Err(BAD_NAME);
        }
        self.name = name.into();
        Ok(())
    }

    /// Forgets what the client said about itself, as RESET does.
    pub(super) fn forget(&mut self) {
        self.name = Box::default();
        self.is_authenticated = false;
    }

    fn authenticate(
        &mut self,
        cluster: &ClusterWorker,
        user: &[u8],
        password: &[u8],
    ) -> Result<(), Words> {
        let runtime = cluster.runtime();
        let is_right = match &runtime.password {
            Some(secret) => secret.matches(password),
            None => true,
        };
        if user != USER.as_bytes() || !is_right {
            return Err(WRONG_PASS);
        }
        // What was never checked does not count once a password is asked for.
        self.is_authenticated = runtime.password.is_some();
        Ok(())
    }
}

/// Returns whether `name` has only characters that the lists of clients can show.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "acl|whoami" => |_, _, out| {
            write_bulk(out, USER);
            Ok(())
        },
        "asking" | "readonly" | "readwrite" => cluster_mode,
        "auth" => auth,
        "echo" => |_, asked, out| {
            write_bulk(out, asked.word(1));
            Ok(())
        },
        "ping" => ping,
        "quit" | "unwatch" => |_, _, out| {
            write_simple(out, "OK");
            Ok(())
        },
        _ => return None,
    })
}

fn ping(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    match asked.args.len() {
        1 => write_simple(out, "PONG"),
        2 => write_bulk(out, asked.word(1)),
        _ => return Err(asked.command.arity_error().into()),
    }
    Ok(())
}

/// The proxy follows redirects and reads from primaries whatever the client says here.
fn cluster_mode(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    if !asked.cluster.settings_ref().is_cluster {
        return Err(NO_CLUSTER);
    }
    write_simple(out, "OK");
    Ok(())
}

fn auth(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    match asked.args.len() {
        2 if !asked.cluster.is_locked() => return Err(NO_PASSWORD),
        2 => client.authenticate(asked.cluster, USER.as_bytes(), asked.word(1))?,
        3 => client.authenticate(asked.cluster, asked.word(1), asked.word(2))?,
        _ => return Err(SYNTAX),
    }
    write_simple(out, "OK");
    Ok(())
}

/// Does what HELLO asks for besides the dialect.
pub(super) fn hello_options(client: &mut Client, asked: &Asked<'_>) -> Result<(), Words> {
    let mut at = 2;
    while at < asked.args.len() {
        let more = asked.args.len() - 1 - at;
        if asked.is(at, "auth") && more >= 2 {
            client.authenticate(asked.cluster, asked.word(at + 1), asked.word(at + 2))?;
            at += 3;
        } else if asked.is(at, "setname") && more >= 1 {
            client.rename(asked.word(at + 1))?;
            at += 2;
        } else {
            let option = String::from_utf8_lossy(asked.word(at));
            return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
        }
    }
    match client.is_admitted(asked.cluster) {
        true => Ok(()),
        false => Err(HELLO_FIRST),
    }
}

/// Returns the word for what clients are to take the proxy for.
pub(super) fn mode(cluster: &ClusterWorker) -> &'static str {
    match cluster.settings_ref().is_cluster {
        true => "cluster",
        false => "standalone",
    }
}

/// Reads a number as strictly as Redis does: no plus, no leading zeros, no spaces.
pub(super) fn integer(word: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    (itoa::Buffer::new().format(number).as_bytes() == word).then_some(number)
}

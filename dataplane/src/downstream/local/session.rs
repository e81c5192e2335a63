//! PING, ECHO, QUIT, AUTH and their like; what is kept of a client.

use std::{net::SocketAddr, rc::Rc};

use super::super::{standing::Standing, subscriber::Subscriber};
use super::{Asked, Handler, Words, mute::Mute, record};
use crate::{
    cluster::ClusterWorker,
    inflight::Ticket,
    observe::Record,
    protocol::redis::reply::{Dialect, write_array_header, write_bulk, write_simple},
    upstream::Stream,
};

/// The Redis whose words and commands the proxy has.
pub(super) const REDIS: &str = "7.0.15";

pub(super) const NO_CLUSTER: Words =
    Words::Borrowed("ERR This instance has cluster support disabled");

pub(super) const NO_CLUSTER_SELECT: Words =
    Words::Borrowed("ERR SELECT is not allowed in cluster mode");

const BAD_NAME: Words =
    Words::Borrowed("ERR Client names cannot contain spaces, newlines or special characters.");
const HELLO_FIRST: Words = Words::Borrowed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH \
     <user> <pass> option can be used to authenticate the client and select the RESP protocol \
     version at the same time",
);
/// What the proxy keeps of one Redis client.
pub(in crate::downstream) struct Client {
    pub(in crate::downstream) record: Rc<Record>,
    /// Whether it wants replies.
    pub(in crate::downstream) mute: Mute,
    /// Where it reached the proxy, over TCP.
    pub(super) local_addr: Option<SocketAddr>,
    pub(super) standing: Standing,
    /// What the client listens to, once it has listened to anything.
    pub(in crate::downstream) subscriber: Option<Subscriber>,
}

impl Client {
    /// Makes the record of a client that has just connected.
    pub(in crate::downstream) fn new(
        cluster: &ClusterWorker,
        stream: &Stream,
        ticket: Ticket,
    ) -> Self {
        let record = Rc::new(record::of(cluster, stream, ticket));
        let mut clients = cluster.observer.clients.borrow_mut();
        clients.insert(Rc::clone(&record));
        Self {
            record,
            local_addr: match stream {
                Stream::Tcp(stream) => stream.local_addr().ok(),
                Stream::Unix(_) => None,
            },
            mute: Mute::default(),
            standing: Standing::new(cluster),
            subscriber: None,
        }
    }

    /// Returns whether the client may run a few commands only, because it is subscribed and speaks RESP2.
    #[inline]
    pub(in crate::downstream) fn is_confined(&self, dialect: Dialect) -> bool {
        let subscriber = self.subscriber.as_ref();
        subscriber.is_some_and(|subscriber| subscriber.is_confined(dialect))
    }

    /// Takes `name` as the client's name; an empty one takes the name away.
    pub(super) fn rename(&mut self, name: &[u8]) -> Result<(), Words> {
        if !is_plain(name) {
            return Err(BAD_NAME);
        }
        self.record.name.replace(name.into());
        Ok(())
    }

    /// Lets the lists of clients show who the client is.
    pub(super) fn note_user(&self) {
        if &**self.record.user.borrow() != self.user() {
            self.record.user.replace(self.user().into());
        }
    }

    /// Forgets what the client said about itself, as RESET does.
    pub(super) fn forget(&mut self, cluster: &ClusterWorker) {
        self.record.name.take();
        self.subscriber = None;
        self.forget_user(cluster);
    }
}

/// Returns whether `name` has only characters that the lists of clients can show.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "asking" | "readonly" | "readwrite" => cluster_mode,
        "echo" => |_, asked, out| {
            write_bulk(out, asked.word(1));
            Ok(())
        },
        "ping" => ping,
        "quit" => |_, _, out| {
            write_simple(out, "OK");
            Ok(())
        },
        _ => return None,
    })
}

fn ping(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    match asked.args.len() {
        1 | 2 if client.is_confined(asked.kind.dialect) => {
            write_array_header(out, 2);
            write_bulk(out, "pong");
            write_bulk(out, asked.word(1));
        }
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
            let option = crate::protocol::redis::command::as_text(asked.word(at));
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
pub(in crate::downstream) fn integer(word: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    (itoa::Buffer::new().format(number).as_bytes() == word).then_some(number)
}

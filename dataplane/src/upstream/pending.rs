//! Requests that wait for replies: what is known of each, what bounds them, why they are refused or lost.

use std::{io, rc::Rc, time::Duration};

use prism_proto::model::EndpointAddr;

use super::{ConnectError, Nanos};
use crate::inflight::Ticket;

/// The endpoint a connection leads to.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub addr: EndpointAddr,
    /// How people are told of it.
    pub label: String,
}

/// What kind of reply a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// So many Redis replies, taken as one: those of a transaction.
    Block(u32),
    /// One line of Memcached.
    Line,
    /// The answer to a meta request of Memcached.
    Meta,
    /// The answer to a quiet meta request of Memcached, if there is one, and to the `mn` behind it.
    Quiet,
    /// One packet of Memcached's binary protocol.
    Packet,
    /// One Redis reply.
    Redis,
    /// The value of one key, or nothing; the request is the key, and neighbours travel as one.
    Value(Get),
    /// The values of a Memcached retrieval, up to `END`.
    Values,
}

/// A `get` or `gets` of one key of Memcached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get {
    /// Bytes of the key.
    pub key: u8,
    /// The value's unique number is wanted too: it is a `gets`.
    pub with_cas: bool,
    /// It may not travel with others.
    pub is_alone: bool,
}

impl Get {
    /// Returns whether it may travel with another.
    pub fn joins(self, other: Self) -> bool {
        self.with_cas == other.with_cas && !self.is_alone && !other.is_alone
    }
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Whose it is.
    pub ticket: Ticket,
    /// When it was first queued upstream; its deadline counts from here, resends included.
    pub queued: Nanos,
    /// Where its bytes begin in the outbox.
    pub start: u64,
    /// How many bytes it has.
    pub len: u32,
    /// What its reply looks like.
    pub expect: Expect,
    /// How often it was redirected.
    pub hops: u8,
    /// Whether it may change data.
    pub is_write: bool,
    /// Number of the kind of connection it travels on.
    pub kind: u8,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The endpoint cannot be reached; the text says why.
    Down(Rc<str>),
    /// Too many bytes wait already; the limit.
    TooManyBytes(usize),
    /// Too many requests wait already; the limit.
    TooManyRequests(usize),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The endpoint closed it.
    #[error("closed the connection")]
    Closed,
    /// It could not be opened.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// Requests waited and not a byte came.
    #[error("was silent for {0:?}")]
    Dead(Duration),
    /// The operating system said so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The endpoint sent what the protocol does not allow.
    #[error("sent a malformed reply: {0}")]
    Malformed(String),
    /// Pending bytes did not move.
    #[error("took no bytes for {0:?}")]
    Stalled(Duration),
}

/// Bytes shown of what an endpoint says unasked.
const SHOWN: usize = 100;

impl Loss {
    /// Tells that an endpoint sent `bytes` that answer nothing.
    pub fn unasked(bytes: &[u8]) -> Self {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or(bytes);
        let shown = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
        Self::Malformed(format!("a reply to no request: {shown}"))
    }
}

/// Bounds of what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Requests.
    pub requests: usize,
    /// Bytes.
    pub bytes: usize,
}

/// How long things may take on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From queued to reply complete.
    pub read: Duration,
    /// No progress of pending bytes.
    pub write: Duration,
    /// Requests queued and not a byte received.
    pub dead_after: Duration,
}

/// Which protocol an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Memcached text.
    Memcache,
    /// Memcached binary.
    MemcacheBinary,
    /// Redis.
    Redis,
}

/// What becomes of requests that were not sent when a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// They are given up with the rest.
    Drop,
    /// They wait for the next connection.
    Keep,
}

/// Returns `duration` in the unit of the worker's clock.
pub fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos())
        .unwrap_or(Nanos::MAX / 4)
        .min(Nanos::MAX / 4)
}

//! What an endpoint's errors ask of the proxy: go elsewhere, ask once, try again.
//!
//! A redirected request was not executed, so it may be sent again. Its bytes are copied from the outbox that still
//! holds them, its deadline stays the first one, and the session holds new requests until it is answered.

use std::rc::Rc;

use prism_proto::model::EndpointAddr;

use super::{CallError, ClusterWorker, Observation, dispatch::refused};
use crate::{
    inflight::{ByteQueue, Finish, Merge, Piece},
    protocol::{
        message::{Limits, PartErrors, Progress, bytes_of},
        redis::{
            command::{Class, SplitKind, find},
            reply::{Dialect, ErrorKind, error_kind},
            request::RequestDecoder,
            split::{self, Merging},
        },
    },
    upstream::{Connection, Pending, Target, nanos},
};

/// Redirects of one request that are followed at once; each further one waits a little.
pub(super) const PATIENT_HOPS: u8 = 4;

/// What lets the next request in to a slot that is still on its way to the endpoint.
pub const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// A request that an endpoint did not execute.
pub(super) struct Redirected {
    pub(super) pending: Pending,
    /// The request's bytes.
    pub(super) request: Vec<u8>,
    /// The endpoint's error, for the client if nothing else helps.
    pub(super) reply: Vec<u8>,
    /// The endpoint that answered.
    pub(super) from: Rc<Target>,
    action: Action,
}

enum Action {
    Ask(String),
    Later,
    Moved(u16, String),
    NoAuth,
    NotAPool,
    Replay,
    TryAgain,
}

impl Redirected {
    /// Returns what is to be done about an error, or `None` when it is the client's.
    pub(super) fn of(
        cluster: &ClusterWorker,
        pending: &Pending,
        reply: &[u8],
        outbox: &ByteQueue,
        from: &Rc<Target>,
    ) -> Option<Self> {
        let is_cluster = cluster.settings_ref().is_cluster;
        let action = match error_kind(reply)? {
            ErrorKind::Ask { .. } | ErrorKind::Moved { .. } if !is_cluster => Action::NotAPool,
            ErrorKind::Ask { addr, .. } => Action::Ask(addr.to_owned()),
            ErrorKind::Moved { slot, addr } => Action::Moved(slot, addr.to_owned()),
            ErrorKind::TryAgain if is_cluster => Action::TryAgain,
            ErrorKind::ClusterDown if is_cluster => Action::Later,
            ErrorKind::Loading => Action::Later,
            ErrorKind::NoScript => Action::Replay,
            ErrorKind::NoAuth => Action::NoAuth,
            _ => return None,
        };
        let mut request = Vec::with_capacity(pending.len as usize);
        outbox.copy(pending.start, pending.len as usize, &mut request);
        if matches!(action, Action::Replay) {
            request = cluster.scripts.by_text(&request)?;
        }
        Some(Self {
            pending: *pending,
            request,
            reply: reply.to_vec(),
            from: Rc::clone(from),
            action,
        })
    }

    /// Returns everything that waits for a connection that was never opened, to be tried again later.
    ///
    /// `error` is the reply for the client if nothing else helps.
    pub(super) fn unsent(connection: &Connection, error: &[u8]) -> Vec<Self> {
        let waiting = connection
            .waiting()
            .filter(|pending| !pending.ticket.is_nobody());
        let item = |pending: &Pending| {
            let mut request = Vec::with_capacity(pending.len as usize);
            connection.copy(pending, &mut request);
            Self {
                pending: *pending,
                request,
                reply: error.to_vec(),
                from: Rc::clone(connection.target()),
                action: Action::Later,
            }
        };
        waiting.map(item).collect()
    }

    /// Returns a request that was refused because its endpoint is down, to be tried again later.
    pub(super) fn refused(
        pending: Pending,
        request: &[u8],
        error: &[u8],
        from: &Rc<Target>,
    ) -> Self {
        Self {
            pending,
            request: request.to_vec(),
            reply: error.to_vec(),
            from: Rc::clone(from),
            action: Action::Later,
        }
    }

    fn address(&self, text: &str) -> Option<EndpointAddr> {
        address(text, &self.from)
    }
}

/// Returns the address that a redirect of `from` names; one without a host means the host that answered.
pub(super) fn address(text: &str, from: &Target) -> Option<EndpointAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match (host, &from.addr) {
        ("" | "?", EndpointAddr::Tcp { host, .. }) => host.clone(),
        ("" | "?", EndpointAddr::Unix(_)) => return None,
        // Endpoints write IPv6 without brackets.
        (bare, _) if bare.contains(':') && !bare.starts_with('[') => {
            return format!("[{bare}]:{port}").parse().ok();
        }
        _ => return text.parse().ok(),
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(EndpointAddr::Tcp { host, port })
}

/// Does what the endpoint asked for.
pub(super) fn follow(cluster: &Rc<ClusterWorker>, item: Redirected) {
    if cluster.is_finished() {
        // Nobody waits, and a connection opened now would never end.
        return;
    }
    if let Some(replies) = cluster.table.borrow_mut().get(item.pending.ticket) {
        replies.hold();
        if item.pending.is_write {
            replies.wrote_anywhere();
        }
    }
    match &item.action {
        Action::Moved(slot, addr) => match item.address(addr) {
            Some(addr) => moved(cluster, *slot, &addr, item),
            None => answer(cluster, &item),
        },
        Action::Ask(addr) => match item.address(addr) {
            Some(addr) => ask(cluster, &addr, item),
            None => answer(cluster, &item),
        },
        Action::TryAgain => {
            if !divide(cluster, &item) {
                later(cluster, item);
            }
        }
        Action::Later => {
            cluster.observe(Observation::Doubt);
            later(cluster, item);
        }
        Action::NoAuth => {
            let endpoint = item.from.label.clone();
            cluster.settle_error(item.pending.ticket, &CallError::NoAuth { endpoint });
        }
        Action::Replay => replay(cluster, item),
        Action::NotAPool => {
            let endpoint = item.from.label.clone();
            cluster.settle_error(item.pending.ticket, &CallError::NotAPool { endpoint });
        }
    }
}

fn moved(cluster: &Rc<ClusterWorker>, slot: u16, addr: &EndpointAddr, item: Redirected) {
    match cluster.note_owner(slot, addr) {
        Some(node) => follow_to(cluster, node, item, &[]),
        None => answer(cluster, &item),
    }
}

fn ask(cluster: &Rc<ClusterWorker>, addr: &EndpointAddr, item: Redirected) {
    match cluster.asked(addr) {
        Some(node) => follow_to(cluster, node, item, ASKING),
        None => answer(cluster, &item),
    }
}

/// Sends a script whole to the endpoint that did not know it, unless later requests may have run there already.
fn replay(cluster: &Rc<ClusterWorker>, item: Redirected) {
    let ticket = item.pending.ticket;
    let is_overtaken = match cluster.table.borrow_mut().get(ticket) {
        Some(replies) => replies.has_later(ticket.sequence),
        None => true,
    };
    if is_overtaken {
        return answer(cluster, &item);
    }
    cluster.metrics.scripts_replayed_total.inc();
    let addr = &item.from.addr;
    let node = cluster
        .nodes
        .borrow_mut()
        .find(addr, |target| cluster.register(target));
    match node {
        Some(node) => resend(cluster, node, item, &[]),
        None => answer(cluster, &item),
    }
}

/// Sends a request where it was redirected to; nodes that send it round in circles get time to agree.
fn follow_to(cluster: &Rc<ClusterWorker>, node: usize, item: Redirected, first: &[u8]) {
    if item.pending.hops >= PATIENT_HOPS {
        return later(cluster, item);
    }
    resend(cluster, node, item, first);
}

/// Sends a request to an endpoint, right behind `first`; one that cannot be reached is tried again later.
fn resend(cluster: &Rc<ClusterWorker>, node: usize, mut item: Redirected, first: &[u8]) {
    item.pending.hops += 1;
    let now = cluster.context.clock.now();
    let mut nodes = cluster.nodes.borrow_mut();
    let connection = cluster.connection(&mut nodes, node, item.pending.ticket, item.pending.kind);
    let request = Piece::Borrowed(&item.request);
    let mut connection = connection.borrow_mut();
    let result = if first.is_empty() {
        connection.enqueue(request, item.pending, now)
    } else {
        connection.enqueue_behind(first, request, item.pending, now)
    };
    if let Err(refusal) = result {
        let error = refused(refusal, connection.target().label.clone());
        drop((connection, nodes));
        item.reply = cluster.words(&error);
        later(cluster, item);
    }
}

/// Tries a request again after a while, if its deadline, the budget and the order of writes allow it.
fn later(cluster: &Rc<ClusterWorker>, item: Redirected) {
    let sequence = item.pending.ticket.sequence;
    let is_overtaken = match cluster.table.borrow_mut().get(item.pending.ticket) {
        Some(replies) if item.pending.is_write => replies.has_later(sequence),
        Some(replies) => replies.has_later_write(sequence),
        None => false,
    };
    if is_overtaken {
        return answer(cluster, &item);
    }
    if let Err(item) = put_off(cluster, item) {
        answer(cluster, &item);
    }
}

/// Tries a request again after a while.
///
/// # Errors
/// Gives it back when its deadline or the budget does not allow it.
pub(super) fn put_off(cluster: &ClusterWorker, item: Redirected) -> Result<(), Box<Redirected>> {
    let deadline = item.pending.queued + nanos(cluster.settings_ref().bounds.read);
    cluster.retries.schedule(&cluster.context, item, deadline)
}

/// Sends a request that waited to whoever should have it now.
pub(super) fn again(cluster: &Rc<ClusterWorker>, item: Redirected) {
    let node = match key_of(&item.request) {
        Some(key) => {
            let route = cluster.nodes.borrow().route(key, cluster.name());
            route.ok().map(|route| route.node)
        }
        None => {
            let mut nodes = cluster.nodes.borrow_mut();
            nodes.find(&item.from.addr, |target| cluster.register(target))
        }
    };
    match node {
        Some(node) => resend(cluster, node, item, &[]),
        None => later(cluster, item),
    }
}

/// Divides a request whose keys are on both sides of a slot's move into one request a key.
fn divide(cluster: &Rc<ClusterWorker>, item: &Redirected) -> bool {
    let mut decoder = RequestDecoder::new(Limits::default());
    let Ok(Progress::Complete { .. }) = decoder.decode(&item.request) else {
        return false;
    };
    let Ok(command) = find(&item.request, decoder.args()) else {
        return false;
    };
    let (Class::Split(kind), Some(keys)) = (
        command.class,
        split_keys(command.class, decoder.args().len()),
    ) else {
        return false;
    };
    let Some(parts) = parts(cluster, item, kind, keys) else {
        return false;
    };
    for (index, part) in parts.enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let mut request = Vec::new();
        split::append_part(&mut request, kind, &item.request, decoder.args(), &[index]);
        let single = Redirected {
            pending: Pending {
                ticket: item.pending.ticket.with_part(part),
                ..item.pending
            },
            request,
            reply: item.reply.clone(),
            from: Rc::clone(&item.from),
            action: Action::Later,
        };
        again(cluster, single);
    }
    true
}

fn split_keys(class: Class, argc: usize) -> Option<usize> {
    match class {
        Class::Split(kind) => kind.key_count(argc).filter(|&keys| keys > 1),
        _ => None,
    }
}

/// Makes room in the merge for one part a key, and returns the numbers of those parts.
fn parts(
    cluster: &ClusterWorker,
    item: &Redirected,
    kind: SplitKind,
    keys: usize,
) -> Option<std::ops::Range<u16>> {
    let mut table = cluster.table.borrow_mut();
    let ticket = item.pending.ticket;
    let dialect = cluster.kinds.kind(item.pending.kind).dialect;
    let replies = table.get(ticket)?;
    if let Some(merge) = replies.merge(ticket.sequence) {
        return merge.divide(ticket.part);
    }
    let count = u16::try_from(keys).ok()?;
    let indexes = (0..u32::from(count)).map(|index| vec![index]);
    replies.split(
        ticket.sequence,
        Merge::new(
            indexes,
            finish(kind, keys, dialect, cluster.settings_ref().part_errors),
        ),
    );
    Some(0..count)
}

/// Returns what merges the parts of a Redis request of `keys` keys for a client that speaks `dialect`.
pub fn finish(kind: SplitKind, keys: usize, dialect: Dialect, errors: PartErrors) -> Finish {
    let merging = Merging {
        dialect,
        errors,
        keys,
    };
    Box::new(move |parts, out| split::merge(out, kind, parts, merging))
}

/// Returns the first key of a request, or of the requests of a transaction.
fn key_of(mut request: &[u8]) -> Option<&[u8]> {
    let mut decoder = RequestDecoder::new(Limits::default());
    while let Ok(Progress::Complete { len }) = decoder.decode(request) {
        let command = find(request, decoder.args()).ok()?;
        let keys = command.keys(request, decoder.args());
        if let Some(key) = keys.list.first() {
            let span = decoder.args().get(key.position)?;
            return Some(bytes_of(request, span));
        }
        request = request.get(len..)?;
    }
    None
}

/// Gives the client the endpoint's own error, unless it is a redirect, which no client may see.
pub(super) fn answer(cluster: &ClusterWorker, item: &Redirected) {
    if let Some(ErrorKind::Moved { slot, .. } | ErrorKind::Ask { slot, .. }) =
        error_kind(&item.reply)
    {
        cluster.metrics.redirect_exhausted_total.inc();
        let error = CallError::NoOwner {
            cluster: cluster.name().to_owned(),
            slot,
        };
        return cluster.settle_error(item.pending.ticket, &error);
    }
    cluster.settle(item.pending.ticket, &item.reply);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_found_behind_a_subcommand_too() {
        let request = |words: &[&str]| {
            let mut bytes = format!("*{}\r\n", words.len());
            for word in words {
                bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
            }
            bytes.into_bytes()
        };
        assert_eq!(key_of(&request(&["GET", "a"])), Some(b"a".as_slice()));
        assert_eq!(
            key_of(&request(&["OBJECT", "ENCODING", "b"])),
            Some(b"b".as_slice())
        );
        assert_eq!(
            key_of(&request(&["EVAL", "return 1", "1", "c", "d"])),
            Some(b"c".as_slice())
        );
        assert_eq!(key_of(&request(&["PING"])), None);
        let block = [&["MULTI"][..], &["PING"], &["GET", "a"], &["EXEC"]];
        let block = block.map(request).concat();
        assert_eq!(key_of(&block), Some(b"a".as_slice()));
    }

    #[test]
    fn address_of_a_redirect_is_read_as_endpoints_write_it() {
        let item = |from: &str| Redirected {
            pending: Pending {
                ticket: crate::inflight::Ticket::NOBODY,
                queued: 0,
                start: 0,
                len: 0,
                expect: crate::upstream::Expect::Redis,
                hops: 0,
                is_write: false,
                kind: 0,
            },
            request: Vec::new(),
            reply: Vec::new(),
            from: Rc::new(Target {
                addr: from.parse().expect("an address"),
                label: String::new(),
            }),
            action: Action::Later,
        };
        for (text, expected) in [
            ("10.0.0.2:6379", Some("10.0.0.2:6379")),
            (":6380", Some("10.0.0.1:6380")),
            ("?:6380", Some("10.0.0.1:6380")),
            ("fd00::2:6379", Some("[fd00::2]:6379")),
            ("[fd00::2]:6379", Some("[fd00::2]:6379")),
            ("cache-2.example:6379", Some("cache-2.example:6379")),
            ("10.0.0.2", None),
            (":0", None),
            ("10.0.0.2:many", None),
        ] {
            let address = item("10.0.0.1:6379").address(text);
            let address = address.map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text}");
        }
        assert!(item("unix:/run/redis").address(":6379").is_none());
    }
}

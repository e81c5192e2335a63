//! SUBSCRIBE and its like: what a session listens to, and what it may do meanwhile.

use std::rc::Rc;

use super::{local::Client, session::Next};
use crate::{
    cluster::{Batch, ClusterWorker, Joining, Member},
    inflight::Subscribed,
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::Command,
            reply::{Dialect, write_bulk, write_integer, write_null},
        },
    },
    upstream::Family,
};

/// Commands that a session may still run in RESP2 while it is subscribed.
const ALLOWED: [&str; 9] = [
    "ping",
    "psubscribe",
    "punsubscribe",
    "quit",
    "reset",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "unsubscribe",
];

/// The subscriptions of a session; they end when it is dropped.
pub(super) struct Subscriber {
    cluster: Rc<ClusterWorker>,
    member: Rc<Member>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.cluster.leave_all(&self.member);
    }
}

impl Subscriber {
    fn new(batch: &mut Batch<'_>, counts: &Rc<Subscribed>) -> Self {
        batch.replies().subscribed = Some(Rc::clone(counts));
        Self {
            cluster: batch.cluster().shared(),
            member: Rc::new(Member::new(batch.ticket(), Rc::clone(counts))),
        }
    }

    /// Returns whether the session is subscribed to anything.
    pub(super) fn is_listening(&self) -> bool {
        self.member.counts.is_any()
    }

    /// Returns whether the session is in the mode of RESP2 that has a few commands only.
    pub(super) fn is_confined(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Resp2 && self.is_listening()
    }
}

/// Returns the words that refuse a command to a session that is confined.
pub(super) fn confine(command: &Command) -> Result<(), String> {
    match ALLOWED.contains(&command.name) {
        true => Ok(()),
        false => Err(confined(command.name)),
    }
}

/// The words for a command, called `name`, that a confined session may not send.
pub(super) fn confined(name: &str) -> String {
    format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
         are allowed in this context"
    )
}

/// Returns whether `name` is one of these commands.
pub(super) fn serves(name: &str) -> bool {
    action(name).is_some()
}

/// Serves one of these commands.
pub(super) fn serve(
    client: &mut Client,
    command: &Command,
    raw: &[u8],
    args: &[Span],
    batch: &mut Batch<'_>,
) -> Next {
    let names = args.get(1..).unwrap_or_default().iter();
    let names = names.map(|span| bytes_of(raw, span));
    match action(command.name) {
        Some(Action::Subscribe(family)) => subscribe(client, family, names, batch),
        Some(Action::Unsubscribe(family)) => {
            unsubscribe(client, family, names, batch);
            Next::Continue
        }
        None => Next::Continue,
    }
}

enum Action {
    Subscribe(Family),
    Unsubscribe(Family),
}

fn action(name: &str) -> Option<Action> {
    Family::ALL.into_iter().find_map(|family| {
        if name == family.subscribe() {
            return Some(Action::Subscribe(family));
        }
        (name == family.unsubscribe()).then_some(Action::Unsubscribe(family))
    })
}

fn subscribe<'a>(
    client: &mut Client,
    family: Family,
    names: impl Iterator<Item = &'a [u8]>,
    batch: &mut Batch<'_>,
) -> Next {
    if !batch.is_quiet() {
        // Messages do not wait for earlier replies, but come behind their confirmation.
        return Next::Hold;
    }
    let dialect = batch.kind().dialect;
    let counts = &client.record.subscriptions;
    let subscriber = client
        .subscriber
        .get_or_insert_with(|| Subscriber::new(batch, counts));
    let member = &subscriber.member;
    let mut joining = Joining {
        member: Rc::clone(member),
        family,
        names: Vec::new(),
        reply: Vec::new(),
    };
    let mut known = std::collections::HashSet::new();
    for name in names {
        if !member.has(family, name) && known.insert(name) {
            joining.names.push(Rc::from(name));
        }
        let count = member.count(family) + joining.names.len();
        let out = &mut joining.reply;
        confirm(out, family.subscribe(), Some(name), (count, dialect));
    }
    let cluster = batch.cluster();
    if cluster.join_at_once(member, family, &joining.names) {
        announce(batch, &joining.reply);
        return Next::Continue;
    }
    let is_muted = batch.replies().mute(false);
    let ticket = batch.defer().ticket;
    batch.replies().mute(is_muted);
    let cluster = cluster.shared();
    tokio::task::spawn_local(async move { cluster.join(joining, ticket).await });
    Next::Continue
}

fn unsubscribe<'a>(
    client: &mut Client,
    family: Family,
    names: impl Iterator<Item = &'a [u8]>,
    batch: &mut Batch<'_>,
) {
    let dialect = batch.kind().dialect;
    let word = family.unsubscribe();
    let mut names: Vec<Rc<[u8]>> = names.map(Rc::from).collect();
    let subscriber = client.subscriber.as_ref();
    if let (Some(subscriber), true) = (subscriber, names.is_empty()) {
        names = subscriber.member.names(family);
    }
    let count = || subscriber.map_or(0, |subscriber| subscriber.member.count(family));
    let mut reply = Vec::new();
    for name in &names {
        if let Some(Subscriber { cluster, member }) = subscriber {
            cluster.leave(member, family, name);
        }
        confirm(&mut reply, word, Some(name), (count(), dialect));
    }
    if names.is_empty() {
        confirm(&mut reply, word, None, (count(), dialect));
    }
    announce(batch, &reply);
}

/// Answers with confirmations, which a client hears even when it wants no replies.
fn announce(batch: &mut Batch<'_>, confirmations: &[u8]) {
    let is_muted = batch.replies().mute(false);
    batch.answer(|out| out.extend_from_slice(confirmations));
    batch.replies().mute(is_muted);
}

/// Writes one confirmation.
fn confirm(out: &mut Vec<u8>, word: &str, name: Option<&[u8]>, (count, dialect): (usize, Dialect)) {
    out.extend_from_slice(match dialect {
        Dialect::Resp2 => b"*3\r\n",
        Dialect::Resp3 => b">3\r\n",
    });
    write_bulk(out, word);
    match name {
        Some(name) => write_bulk(out, name),
        None => write_null(out, dialect),
    }
    write_integer(out, i64::try_from(count).unwrap_or(i64::MAX));
}

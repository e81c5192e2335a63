//! What is known of one client.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write},
    rc::Rc,
};

use crate::inflight::{Replies, Subscribed, Ticket};

use super::ClientKind;

/// One Redis client, as its session and the lists of clients see it. Times are the worker's.
#[derive(Debug)]
pub struct Record {
    /// A number that no other client of this data plane has.
    pub id: u64,
    /// Where its replies are.
    pub ticket: Ticket,
    /// When it connected.
    pub connected: u64,
    /// Its own end, as Redis writes it.
    pub addr: Box<str>,
    /// The proxy's end.
    pub local_addr: Box<str>,
    /// Number of its socket.
    pub socket: i32,
    /// It came over a unix socket.
    pub is_unix: bool,
    /// The name it gave itself.
    pub name: RefCell<Box<[u8]>>,
    /// The library it says it uses.
    pub library: RefCell<Box<[u8]>>,
    /// That library's own number.
    pub library_version: RefCell<Box<[u8]>>,
    /// Who it is logged in as.
    pub user: RefCell<Rc<str>>,
    /// The command it sent last.
    pub command: Cell<&'static str>,
    /// Commands queued by its open MULTI.
    pub queued: Cell<Option<usize>>,
    /// Channels, patterns and shard channels it is subscribed to.
    pub subscriptions: Rc<Subscribed>,
    /// It waits in a blocking command.
    pub is_blocked: Cell<bool>,
    /// It asked never to be closed for room.
    pub is_kept: Cell<bool>,
}

/// What a client's requests travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Travel {
    /// The database it chose.
    pub database: u32,
    /// The number of its dialect, 2 or 3.
    pub resp: u8,
}

impl Record {
    /// Returns the kind Redis would call it.
    pub fn kind(&self) -> ClientKind {
        match self.subscriptions.get() {
            [0, 0, 0] => ClientKind::Normal,
            _ => ClientKind::PubSub,
        }
    }

    /// Writes one line in the fields and order of Redis, as far as they are known, line end included.
    ///
    /// # Errors
    /// When `out` takes no more, which a string never does.
    pub fn write(
        &self,
        replies: &Replies,
        now: u64,
        travel: Travel,
        out: &mut String,
    ) -> fmt::Result {
        let seconds = |since: u64| now.saturating_sub(since) / 1_000_000_000;
        let text =
            |bytes: &RefCell<Box<[u8]>>| String::from_utf8_lossy(&bytes.borrow()).into_owned();
        write!(
            out,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags=",
            self.id,
            self.addr,
            self.local_addr,
            self.socket,
            text(&self.name),
            seconds(self.connected),
            seconds(replies.quiet.heard.max(self.connected)),
        )?;
        self.write_flags(out)?;
        let [channels, patterns, shard_channels] = self.subscriptions.get();
        let queued = self.queued.get().map(|count| count.to_string());
        let unsent = replies.unsent();
        writeln!(
            out,
            " db={} sub={channels} psub={patterns} ssub={shard_channels} multi={} obl={unsent} oll=0 omem={} \
             events={} cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}",
            travel.database,
            queued.as_deref().unwrap_or("-1"),
            replies.buffered().saturating_sub(unsent),
            if replies.quiet.stalled.is_some() {
                "rw"
            } else {
                "r"
            },
            self.command.get(),
            self.user.borrow(),
            travel.resp,
            text(&self.library),
            text(&self.library_version),
        )
    }

    /// Writes the letters of what it is in the midst of, as Redis orders them.
    fn write_flags(&self, out: &mut String) -> fmt::Result {
        let letters = [
            (self.kind() == ClientKind::PubSub, 'P'),
            (self.queued.get().is_some(), 'x'),
            (self.is_blocked.get(), 'b'),
            (self.is_unix, 'U'),
            (self.is_kept.get(), 'e'),
        ];
        if letters.iter().all(|(is_set, _)| !is_set) {
            return out.write_char('N');
        }
        let set = letters.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, letter)| letter)
            .try_for_each(|letter| out.write_char(letter))
    }
}

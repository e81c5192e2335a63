//! What one endpoint is asked to send, and how far it has agreed.
//!
//! At most one command a name is on its way; what is wanted in the meantime is done once it is answered, so that a
//! confirmation never stands for a later subscription than the one it confirms.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use crate::{
    inflight::Bell,
    protocol::redis::reply::{write_array_header, write_bulk},
    upstream::{Family, Loss, Notice, Target},
};

/// Something for each name of each family.
pub(super) type Names<T> = [HashMap<Rc<[u8]>, T>; 3];

/// Looks at a link that nobody needs before it is closed.
const IDLE_LOOKS: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is subscribed or on its way.
    Idle,
    /// The endpoint has confirmed the subscription.
    Joined,
    /// The subscription is on its way.
    Joining,
    /// The end of the subscription is on its way.
    Leaving,
    /// As idle, and left alone until the next look but one.
    Resting,
}

#[derive(Debug)]
struct Entry {
    is_wanted: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Asked {
    Join(Family, Rc<[u8]>),
    Leave(Family, Rc<[u8]>),
    Ping,
}

/// What an endpoint's words mean to those who wait.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The endpoint ended a subscription by itself.
    Displaced(Family, Rc<[u8]>),
    /// The endpoint has subscribed.
    Joined(Family, Rc<[u8]>),
    /// Nobody waits for it.
    Nothing,
    /// The endpoint will not subscribe.
    Refused(Family, Rc<[u8]>),
    /// It answers nothing that was asked.
    Strange,
}

/// The names wanted of one endpoint, and the commands on their way to it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) target: Rc<Target>,
    pub(super) bell: Bell,
    entries: Names<Entry>,
    unsent: Vec<u8>,
    asked: VecDeque<Asked>,
    is_open: bool,
    /// Entries wait for a look.
    has_idle: bool,
    /// Looks since the endpoint was last heard, or asked after a quiet time.
    silent: u32,
    /// Looks since anything was wanted.
    unneeded: u32,
    /// Why the connection is to be given up.
    fault: Option<Loss>,
    /// The connection is to be opened anew, or closed, without anybody's fault.
    is_outdated: bool,
}

impl Link {
    pub(super) fn new(target: Rc<Target>) -> Self {
        Self {
            target,
            bell: Bell::default(),
            entries: Names::default(),
            unsent: Vec::new(),
            asked: VecDeque::new(),
            is_open: false,
            has_idle: false,
            silent: 0,
            unneeded: 0,
            fault: None,
            is_outdated: false,
        }
    }

    /// Returns whether the endpoint has confirmed a subscription that still stands.
    pub(super) fn is_joined(&self, family: Family, name: &[u8]) -> bool {
        let entry = self.entries[family as usize].get(name);
        entry.is_some_and(|entry| entry.stage == Stage::Joined)
    }

    /// Returns whether anything is or was wanted.
    pub(super) fn is_needed(&self) -> bool {
        self.entries.iter().any(|names| !names.is_empty())
    }

    /// Returns whether the connection should be closed: it is not what it should be, or nothing was wanted for a while.
    pub(super) fn is_ending(&self) -> bool {
        self.is_outdated || self.unneeded >= IDLE_LOOKS && !self.is_needed()
    }

    /// Returns why the connection is to be given up, if it is.
    pub(super) fn take_fault(&mut self) -> Option<Loss> {
        self.fault.take()
    }

    /// Lets the connection be closed, and opened anew if it is needed.
    pub(super) fn outdate(&mut self) {
        self.is_outdated = self.is_open;
        self.bell.ring();
    }

    /// Returns the names that are wanted.
    pub(super) fn wanted(&self) -> Vec<(Family, Rc<[u8]>)> {
        let of = |family: Family| {
            let names = self.entries[family as usize].iter();
            let wanted = names.filter(|(_, entry)| entry.is_wanted);
            wanted.map(move |(name, _)| (family, Rc::clone(name)))
        };
        Family::ALL.into_iter().flat_map(of).collect()
    }

    /// Subscribes to a name.
    pub(super) fn want(&mut self, family: Family, name: &Rc<[u8]>) {
        self.unneeded = 0;
        let entry = self.entry(family, name);
        entry.is_wanted = true;
        if matches!(entry.stage, Stage::Idle | Stage::Resting) {
            entry.stage = Stage::Idle;
            self.join(family, name);
        }
    }

    /// Subscribes to a name after a pause, so that what is still under way elsewhere does not come twice.
    pub(super) fn want_later(&mut self, family: Family, name: &Rc<[u8]>) {
        self.unneeded = 0;
        self.has_idle = true;
        let entry = self.entry(family, name);
        entry.is_wanted = true;
        if entry.stage == Stage::Idle {
            entry.stage = Stage::Resting;
        }
    }

    /// Ends the subscription to a name.
    pub(super) fn unwant(&mut self, family: Family, name: &Rc<[u8]>) {
        let Some(entry) = self.entries[family as usize].get_mut(name) else {
            return;
        };
        entry.is_wanted = false;
        match entry.stage {
            Stage::Idle | Stage::Resting => drop(self.entries[family as usize].remove(name)),
            Stage::Joined => {
                entry.stage = Stage::Leaving;
                self.ask(Asked::Leave(family, Rc::clone(name)));
            }
            Stage::Joining | Stage::Leaving => {}
        }
    }

    /// Notes that the connection is open, and asks for all that is wanted.
    pub(super) fn opened(&mut self) {
        self.is_open = true;
        self.silent = 0;
        for (family, name) in self.wanted() {
            self.join(family, &name);
        }
    }

    /// Notes that the connection is gone; returns how many subscriptions went with it.
    pub(super) fn closed(&mut self) -> u64 {
        self.is_open = false;
        self.is_outdated = false;
        self.fault = None;
        self.unsent.clear();
        self.asked.clear();
        let mut lost = 0;
        for names in &mut self.entries {
            names.retain(|_, entry| {
                lost += u64::from(entry.is_wanted && entry.stage == Stage::Joined);
                entry.stage = Stage::Idle;
                entry.is_wanted
            });
        }
        lost
    }

    /// Moves what is to go out to `send`.
    pub(super) fn drain(&mut self, send: impl FnOnce(&[u8])) {
        if !self.unsent.is_empty() {
            send(&self.unsent);
            self.unsent.clear();
            self.unsent.shrink_to(4096);
        }
    }

    /// Notes that the endpoint was heard.
    pub(super) fn heard(&mut self) {
        self.silent = 0;
    }

    /// Takes what the endpoint says.
    pub(super) fn take(&mut self, notice: Notice<'_>) -> Outcome {
        match (notice, self.asked.front()) {
            (Notice::Joined(family, name), Some(Asked::Join(of, asked)))
                if family == *of && name == &**asked =>
            {
                self.joined()
            }
            (Notice::Left(family, name), Some(Asked::Leave(of, asked)))
                if family == *of && name == &**asked =>
            {
                self.left()
            }
            (Notice::Left(family, name), _) => self.displaced(family, name),
            (Notice::Pong, Some(Asked::Ping)) => {
                self.asked.pop_front();
                Outcome::Nothing
            }
            (Notice::Refused, Some(Asked::Join(..))) => self.refused(),
            (Notice::Refused, Some(Asked::Leave(..))) => self.left(),
            _ => Outcome::Strange,
        }
    }

    /// Looks after the link; called every `period`.
    pub(super) fn look(&mut self, period: Duration, dead_after: Duration) {
        self.silent += 1;
        self.unneeded = match self.is_needed() {
            true => 0,
            false => self.unneeded + 1,
        };
        if self.is_ending() {
            return self.bell.ring();
        }
        if std::mem::take(&mut self.has_idle) {
            self.wake_idle();
        }
        if !self.is_open || period * self.silent < dead_after {
            return;
        }
        match self.asked.is_empty() {
            true => self.ask(Asked::Ping),
            false => {
                self.fault = Some(Loss::Dead(dead_after));
                self.bell.ring();
            }
        }
    }

    fn wake_idle(&mut self) {
        for (family, name) in self.wanted() {
            let entry = self.entry(family, &name);
            match entry.stage {
                Stage::Resting => {
                    entry.stage = Stage::Idle;
                    self.has_idle = true;
                }
                Stage::Idle => self.join(family, &name),
                Stage::Joined | Stage::Joining | Stage::Leaving => {}
            }
        }
    }

    fn joined(&mut self) -> Outcome {
        let Some(Asked::Join(family, name)) = self.asked.pop_front() else {
            return Outcome::Strange;
        };
        let entry = self.entry(family, &name);
        if entry.is_wanted {
            entry.stage = Stage::Joined;
            return Outcome::Joined(family, name);
        }
        entry.stage = Stage::Leaving;
        self.ask(Asked::Leave(family, name));
        Outcome::Nothing
    }

    fn left(&mut self) -> Outcome {
        let Some(Asked::Leave(family, name)) = self.asked.pop_front() else {
            return Outcome::Strange;
        };
        self.idle(family, &name);
        if self.entries[family as usize].contains_key(&name) {
            self.join(family, &name);
        }
        Outcome::Nothing
    }

    fn displaced(&mut self, family: Family, name: &[u8]) -> Outcome {
        let Some((name, entry)) = self.entries[family as usize].get_key_value(name) else {
            return Outcome::Nothing;
        };
        if entry.stage != Stage::Joined {
            return Outcome::Nothing;
        }
        let name = Rc::clone(name);
        self.idle(family, &name);
        Outcome::Displaced(family, name)
    }

    fn refused(&mut self) -> Outcome {
        let Some(Asked::Join(family, name)) = self.asked.pop_front() else {
            return Outcome::Strange;
        };
        self.idle(family, &name);
        Outcome::Refused(family, name)
    }

    /// Puts an entry back to the start, and drops it when it is not wanted.
    fn idle(&mut self, family: Family, name: &Rc<[u8]>) {
        self.has_idle = true;
        let entry = self.entry(family, name);
        entry.stage = Stage::Idle;
        if !entry.is_wanted {
            self.entries[family as usize].remove(name);
        }
    }

    fn entry(&mut self, family: Family, name: &Rc<[u8]>) -> &mut Entry {
        self.entries[family as usize]
            .entry(Rc::clone(name))
            .or_insert(Entry {
                is_wanted: true,
                stage: Stage::Idle,
            })
    }

    fn join(&mut self, family: Family, name: &Rc<[u8]>) {
        if self.is_open {
            self.entry(family, name).stage = Stage::Joining;
            self.ask(Asked::Join(family, Rc::clone(name)));
        }
    }

    fn ask(&mut self, asked: Asked) {
        let out = &mut self.unsent;
        let (word, name) = match &asked {
            Asked::Join(family, name) => (family.subscribe(), Some(name)),
            Asked::Leave(family, name) => (family.unsubscribe(), Some(name)),
            Asked::Ping => ("ping", None),
        };
        write_array_header(out, 1 + usize::from(name.is_some()));
        write_bulk(out, word);
        if let Some(name) = name {
            write_bulk(out, name);
        }
        if self.asked.is_empty() {
            self.silent = 0;
        }
        self.asked.push_back(asked);
        self.bell.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"a";

    fn link() -> (Link, Rc<[u8]>) {
        let mut link = Link::new(Rc::new(Target {
            addr: "127.0.0.1:1".parse().expect("an address"),
            label: String::new(),
        }));
        link.opened();
        (link, Rc::from(A))
    }

    fn sent(link: &mut Link) -> String {
        let mut words = String::new();
        link.drain(|bytes| words = String::from_utf8_lossy(bytes).into_owned());
        let lines: Vec<_> = words
            .split("\r\n")
            .filter(|line| !line.is_empty())
            .collect();
        let is_word = |line: &&&str| !line.starts_with(['*', '$']);
        lines
            .iter()
            .filter(is_word)
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn confirmation_stands_for_its_own_subscription_only() {
        let (mut link, a) = link();
        link.want(Family::Channel, &a);
        link.unwant(Family::Channel, &a);
        link.want(Family::Channel, &a);
        assert_eq!(sent(&mut link), "subscribe a");
        link.unwant(Family::Channel, &a);
        link.take(Notice::Joined(Family::Channel, A));
        assert_eq!(sent(&mut link), "unsubscribe a");
        link.want(Family::Channel, &a);
        assert!(!link.is_joined(Family::Channel, A), "its end is on its way");
        link.take(Notice::Left(Family::Channel, A));
        assert_eq!(sent(&mut link), "subscribe a");
        let outcome = link.take(Notice::Joined(Family::Channel, A));
        assert!(matches!(outcome, Outcome::Joined(Family::Channel, _)));
        assert!(link.is_joined(Family::Channel, A));
        link.unwant(Family::Channel, &a);
        link.take(Notice::Left(Family::Channel, A));
        assert!(!link.is_needed());
    }

    #[test]
    fn lost_connection_asks_for_everything_wanted_again() {
        let (mut link, a) = link();
        link.want(Family::Shard, &a);
        link.take(Notice::Joined(Family::Shard, A));
        let b = Rc::from(b"b".as_slice());
        link.want(Family::Pattern, &b);
        link.unwant(Family::Pattern, &b);
        assert_eq!(link.closed(), 1);
        assert_eq!(sent(&mut link), "");
        link.opened();
        assert_eq!(sent(&mut link), "ssubscribe a");
    }

    #[test]
    fn shard_channel_that_went_with_its_slot_is_told() {
        let (mut link, a) = link();
        link.want(Family::Shard, &a);
        link.take(Notice::Joined(Family::Shard, A));
        let outcome = link.take(Notice::Left(Family::Shard, A));
        assert!(matches!(outcome, Outcome::Displaced(Family::Shard, _)));
        let outcome = link.take(Notice::Joined(Family::Shard, A));
        assert!(matches!(outcome, Outcome::Strange), "nothing was asked");
    }

    #[test]
    fn silent_endpoint_is_asked_and_then_given_up() {
        let (mut link, a) = link();
        link.want(Family::Channel, &a);
        link.take(Notice::Joined(Family::Channel, A));
        sent(&mut link);
        let (period, limit) = (Duration::from_millis(250), Duration::from_millis(500));
        link.look(period, limit);
        link.look(period, limit);
        assert_eq!(sent(&mut link), "ping");
        assert!(link.take_fault().is_none());
        link.look(period, limit);
        link.look(period, limit);
        assert!(matches!(link.take_fault(), Some(Loss::Dead(_))));
    }

    #[test]
    fn link_that_nobody_needs_ends_after_a_while() {
        let (mut link, a) = link();
        let (period, limit) = (Duration::from_millis(250), Duration::from_secs(5));
        link.want(Family::Channel, &a);
        link.take(Notice::Joined(Family::Channel, A));
        link.look(period, limit);
        link.look(period, limit);
        assert!(!link.is_ending());
        link.unwant(Family::Channel, &a);
        link.take(Notice::Left(Family::Channel, A));
        link.look(period, limit);
        assert!(!link.is_ending());
        link.look(period, limit);
        assert!(link.is_ending());
    }
}

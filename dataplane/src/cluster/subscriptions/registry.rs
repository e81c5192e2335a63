//! Who listens to what, on which links, and whose subscriptions wait for a confirmation.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use prism_proto::model::EndpointAddr;
use tokio::sync::oneshot;

use super::link::{Link, Names};
use crate::{
    inflight::{Subscribed, Ticket},
    upstream::{Family, Nanos, Target},
};

/// Most bytes of names that a worker keeps for one cluster, each with its price.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What keeping a name costs besides its bytes.
const PRICE: usize = 256;

/// A session that has subscriptions, or had.
#[derive(Debug)]
pub struct Member {
    pub(super) ticket: Ticket,
    pub(super) names: RefCell<[BTreeSet<Rc<[u8]>>; 3]>,
    /// How many there are.
    pub counts: Rc<Subscribed>,
    /// The session is gone, or has reset itself.
    pub(super) is_gone: Cell<bool>,
}

impl Member {
    /// Makes a member of the session that holds `ticket`; `counts` is kept up to date.
    pub fn new(ticket: Ticket, counts: Rc<Subscribed>) -> Self {
        Self {
            ticket,
            names: RefCell::default(),
            counts,
            is_gone: Cell::new(false),
        }
    }

    /// Returns whether the session is subscribed to a name.
    pub fn has(&self, family: Family, name: &[u8]) -> bool {
        self.names.borrow()[family as usize].contains(name)
    }

    /// Returns the names of a family that the session is subscribed to.
    pub fn names(&self, family: Family) -> Vec<Rc<[u8]>> {
        self.names.borrow()[family as usize]
            .iter()
            .cloned()
            .collect()
    }

    /// Returns the count that confirmations of a family tell: shard channels are counted apart.
    pub fn count(&self, family: Family) -> usize {
        let [channels, patterns, shards] = self.counts.get();
        match family {
            Family::Channel | Family::Pattern => channels + patterns,
            Family::Shard => shards,
        }
    }

    pub(super) fn recount(&self) {
        let names = self.names.borrow();
        self.counts
            .set(Family::ALL.map(|family| names[family as usize].len()));
    }
}

/// One channel or pattern.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Sessions that get its messages, by their place in the session table.
    pub(super) listeners: HashMap<u32, Rc<Member>>,
    /// Requests that wait for its confirmation.
    waiting: Vec<u64>,
    /// Requests that are not answered and need it.
    pledges: usize,
    /// Numbers of the links it lives on.
    pub(super) homes: Vec<u32>,
    /// How often it was sent elsewhere since it was last confirmed.
    pub(super) hops: u8,
}

/// A request to subscribe that is not answered.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) member: Rc<Member>,
    pub(super) family: Family,
    pub(super) names: Vec<Rc<[u8]>>,
    pub(super) ticket: Ticket,
    /// The confirmations.
    pub(super) reply: Vec<u8>,
    /// Names that are not confirmed.
    pub(super) remaining: usize,
    /// Dropped once it is answered.
    pub(super) _done: oneshot::Sender<()>,
}

/// All subscriptions of one cluster on one worker.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) topics: Names<Held>,
    pub(super) links: HashMap<u32, Link>,
    pub(super) waiters: HashMap<u64, Waiter>,
    /// Endpoints that could not be reached, until when others are preferred.
    pub(super) avoided: HashMap<EndpointAddr, Nanos>,
    /// The cluster's epoch that homes were last looked up under.
    pub(super) epoch: u32,
    next_link: u32,
    next_waiter: u64,
    bytes: usize,
}

impl Registry {
    /// Returns whether `bytes` of `names` more can be kept.
    pub(super) fn has_room(&self, names: &[Rc<[u8]>]) -> bool {
        let more: usize = names.iter().map(|name| name.len() + PRICE).sum();
        self.bytes + more <= MAX_BYTES
    }

    /// Returns the link to an endpoint, and whether it is new.
    pub(super) fn link(&mut self, target: &Rc<Target>) -> (u32, bool) {
        let known = self
            .links
            .iter()
            .find(|(_, link)| link.target.addr == target.addr);
        if let Some((number, _)) = known {
            return (*number, false);
        }
        self.next_link = self.next_link.wrapping_add(1);
        self.links
            .insert(self.next_link, Link::new(Rc::clone(target)));
        (self.next_link, true)
    }

    /// Returns whether every endpoint a name lives on has confirmed it.
    pub(super) fn is_ready(&self, family: Family, name: &[u8]) -> bool {
        let Some(held) = self.topics[family as usize].get(name) else {
            return false;
        };
        let is_joined = |link: &Link| link.is_joined(family, name);
        let mut homes = held.homes.iter();
        homes.all(|home| self.links.get(home).is_some_and(is_joined))
    }

    /// Lets a name live on links, those that are new to it from now on; returns whether they changed.
    pub(super) fn settle_on(
        &mut self,
        family: Family,
        name: &Rc<[u8]>,
        homes: Vec<u32>,
        want: fn(&mut Link, Family, &Rc<[u8]>),
    ) -> bool {
        let held = self.topics[family as usize]
            .entry(Rc::clone(name))
            .or_insert_with(|| {
                self.bytes += name.len() + PRICE;
                Held::default()
            });
        let old = std::mem::replace(&mut held.homes, homes);
        let (mut has_changed, homes) = (false, held.homes.clone());
        for gone in old.iter().filter(|home| !homes.contains(home)) {
            has_changed = true;
            if let Some(link) = self.links.get_mut(gone) {
                link.unwant(family, name);
            }
        }
        for new in homes.iter().filter(|home| !old.contains(home)) {
            has_changed = true;
            if let Some(link) = self.links.get_mut(new) {
                want(link, family, name);
            }
        }
        has_changed
    }

    /// Adds a request, whose names have homes; returns its number.
    pub(super) fn wait(&mut self, mut waiter: Waiter) -> u64 {
        self.next_waiter += 1;
        let number = self.next_waiter;
        for name in &waiter.names {
            let is_ready = self.is_ready(waiter.family, name);
            if let Some(held) = self.topics[waiter.family as usize].get_mut(name) {
                held.pledges += 1;
                if !is_ready {
                    held.waiting.push(number);
                    waiter.remaining += 1;
                }
            }
        }
        self.waiters.insert(number, waiter);
        number
    }

    /// Notes that a name may be confirmed everywhere; returns the requests that are complete by it.
    pub(super) fn confirm(&mut self, family: Family, name: &[u8]) -> Vec<u64> {
        if !self.is_ready(family, name) {
            return Vec::new();
        }
        let Some(held) = self.topics[family as usize].get_mut(name) else {
            return Vec::new();
        };
        held.hops = 0;
        let mut complete = Vec::new();
        for number in std::mem::take(&mut held.waiting) {
            if let Some(waiter) = self.waiters.get_mut(&number) {
                waiter.remaining -= 1;
                if waiter.remaining == 0 {
                    complete.push(number);
                }
            }
        }
        complete
    }

    /// Ends a request's wait: its session listens to all of its names now, unless it is gone.
    pub(super) fn commit(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.get(&number)?;
        if !waiter.member.is_gone.get() {
            let member = Rc::clone(&waiter.member);
            for name in &waiter.names {
                if let Some(held) = self.topics[waiter.family as usize].get_mut(name) {
                    held.listeners
                        .insert(member.ticket.session, Rc::clone(&member));
                }
                member.names.borrow_mut()[waiter.family as usize].insert(Rc::clone(name));
            }
            member.recount();
        }
        self.abandon(number)
    }

    /// Ends a request's wait without more.
    pub(super) fn abandon(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        for name in &waiter.names {
            if let Some(held) = self.topics[waiter.family as usize].get_mut(name) {
                held.pledges -= 1;
                held.waiting.retain(|other| *other != number);
            }
            self.tidy(waiter.family, name);
        }
        Some(waiter)
    }

    /// Returns the requests that wait for a name.
    pub(super) fn waiting(&self, family: Family, name: &[u8]) -> Vec<u64> {
        let held = self.topics[family as usize].get(name);
        held.map_or_else(Vec::new, |held| held.waiting.clone())
    }

    /// Returns an endpoint whose confirmation a request waits for.
    pub(super) fn awaited(&self, number: u64) -> Option<String> {
        let waiter = self.waiters.get(&number)?;
        let family = waiter.family;
        let is_late = |name: &&Rc<[u8]>| !self.is_ready(family, name);
        let name = waiter.names.iter().find(is_late)?;
        let homes = self.topics[family as usize].get(name)?.homes.iter();
        let mut links = homes.filter_map(|home| self.links.get(home));
        let late = links.find(|link| !link.is_joined(family, name))?;
        Some(late.target.label.clone())
    }

    /// Lets a session listen to a name that is confirmed.
    pub(super) fn listen(&mut self, member: &Rc<Member>, family: Family, name: &[u8]) {
        if let Some((name, _)) = self.topics[family as usize].get_key_value(name) {
            member.names.borrow_mut()[family as usize].insert(Rc::clone(name));
        }
        if let Some(held) = self.topics[family as usize].get_mut(name) {
            held.listeners
                .insert(member.ticket.session, Rc::clone(member));
        }
        member.recount();
    }

    /// Takes a session from a name's listeners; returns whether it was one.
    pub(super) fn leave(&mut self, member: &Member, family: Family, name: &[u8]) -> bool {
        let Some(name) = member.names.borrow_mut()[family as usize].take(name) else {
            return false;
        };
        member.recount();
        if let Some(held) = self.topics[family as usize].get_mut(&name) {
            held.listeners.remove(&member.ticket.session);
        }
        self.tidy(family, &name);
        true
    }

    /// Drops a name that nobody needs.
    fn tidy(&mut self, family: Family, name: &Rc<[u8]>) {
        let topics = &mut self.topics[family as usize];
        let is_needed = |held: &Held| !held.listeners.is_empty() || held.pledges > 0;
        if topics.get(name).is_none_or(is_needed) {
            return;
        }
        if let Some(held) = topics.remove(name) {
            self.bytes -= name.len() + PRICE;
            for home in held.homes {
                if let Some(link) = self.links.get_mut(&home) {
                    link.unwant(family, name);
                }
            }
        }
    }
}

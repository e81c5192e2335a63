//! What endpoints do to subscriptions: messages, confirmations, refusals, losses.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use prism_proto::model::EndpointAddr;
use tracing::warn;

use super::{
    super::{CallError, ClusterWorker, Observation, redirect},
    homes::Plan,
    homes_on,
    link::{Link, Outcome},
};
use crate::{
    inflight::Piece,
    protocol::redis::reply::{Dialect, ErrorKind, error_kind},
    upstream::{ConnectError, Family, Loss, Notice, Target, nanos},
};

/// Time for which an endpoint that could not be reached is no home for what others can serve as well.
const AVOIDED: Duration = Duration::from_secs(2);

/// A message as each dialect has it.
struct Message<'a> {
    plain: &'a Piece<'a>,
    /// As a push; made when first needed.
    push: Option<Bytes>,
}

impl Message<'_> {
    fn piece(&mut self, dialect: Dialect) -> Piece<'_> {
        if dialect == Dialect::Resp2 {
            return match self.plain {
                Piece::Borrowed(bytes) => Piece::Borrowed(bytes),
                Piece::Shared(bytes) => Piece::Shared(bytes.clone()),
            };
        }
        let push = self.push.get_or_insert_with(|| {
            let rest = self.plain.bytes().get(1..).unwrap_or_default();
            [b">", rest].concat().into()
        });
        Piece::Shared(push.clone())
    }
}

/// How often a name is sent from one endpoint to the next before it has to wait.
const MAX_HOPS: u8 = 8;

impl ClusterWorker {
    /// Returns the endpoint of a link, which is forgotten once nobody needs it.
    pub(super) fn needed_link(&self, number: u32) -> Option<Rc<Target>> {
        let mut registry = self.subscriptions.registry.borrow_mut();
        let link = registry.links.get(&number)?;
        if link.is_needed() && !self.is_finished() {
            return Some(Rc::clone(&link.target));
        }
        registry.links.remove(&number);
        None
    }

    pub(super) fn with_link<T>(&self, number: u32, act: impl FnOnce(&mut Link) -> T) -> Option<T> {
        let mut registry = self.subscriptions.registry.borrow_mut();
        registry.links.get_mut(&number).map(act)
    }

    pub(super) fn link_opened(&self, number: u32) {
        self.with_link(number, Link::opened);
    }

    /// Notes that a connection is gone; returns how many subscriptions went with it.
    pub(super) fn link_closed(&self, number: u32) -> u64 {
        let lost = self.with_link(number, Link::closed).unwrap_or(0);
        self.metrics.subscription_gaps_total.add(lost);
        lost
    }

    /// Notes that an endpoint cannot be reached: what can lives elsewhere, and nobody is kept waiting for the rest.
    pub(super) fn link_failed(&self, number: u32, error: &ConnectError) {
        let Some(target) = self.with_link(number, |link| Rc::clone(&link.target)) else {
            return;
        };
        let until = self.context.clock.read() + nanos(AVOIDED);
        let addr = target.addr.clone();
        let mut registry = self.subscriptions.registry.borrow_mut();
        registry.avoided.insert(addr, until);
        drop(registry);
        self.adopt();
        self.settle_again(|homes| homes.contains(&number));
        let wanted = self.with_link(number, |link| link.wanted());
        let reply = self.words(&CallError::Unreachable {
            endpoint: target.label.clone(),
            reason: error.to_string(),
        });
        for (family, name) in wanted.unwrap_or_default() {
            self.fail_waiting(family, &name, &reply);
        }
    }

    fn fail_waiting(&self, family: Family, name: &[u8], reply: &[u8]) {
        let waiting = self.subscriptions.registry.borrow().waiting(family, name);
        for waiter in waiting {
            self.fail_waiter(waiter, reply);
        }
    }

    /// Takes what an endpoint says besides messages.
    pub(super) fn hear(&self, number: u32, notice: Notice<'_>, reply: &[u8]) -> Result<(), Loss> {
        let outcome = self.with_link(number, |link| link.take(notice));
        match outcome.unwrap_or(Outcome::Nothing) {
            Outcome::Nothing => {}
            Outcome::Strange => return Err(Loss::unasked(reply)),
            Outcome::Joined(family, name) => {
                let complete = {
                    let mut registry = self.subscriptions.registry.borrow_mut();
                    registry.confirm(family, &name)
                };
                self.commit(complete);
            }
            Outcome::Displaced(family, name) => {
                self.metrics.subscription_gaps_total.inc();
                self.observe(Observation::Doubt);
                self.send_elsewhere(number, family, &name, None);
            }
            Outcome::Refused(family, name) => self.refused(number, (family, &name), reply),
        }
        Ok(())
    }

    /// Does what an endpoint's refusal to subscribe asks for.
    fn refused(&self, number: u32, (family, name): (Family, &Rc<[u8]>), reply: &[u8]) {
        let is_cluster = self.settings_ref().is_cluster;
        match error_kind(reply) {
            Some(ErrorKind::Moved { slot, addr }) if is_cluster => {
                let from = self.with_link(number, |link| Rc::clone(&link.target));
                let addr = from.and_then(|from| redirect::address(addr, &from));
                let Some(addr) = addr else {
                    return self.fail_waiting(family, name, reply);
                };
                self.metrics.moved_total.inc();
                let target = self.learn_owner(slot, &addr);
                self.send_elsewhere(number, family, name, target);
            }
            Some(ErrorKind::ClusterDown | ErrorKind::Loading | ErrorKind::TryAgain) => {
                // The next look tries again.
                self.observe(Observation::Doubt);
            }
            _ => {
                warn!(cluster = %self.name(), reply = %String::from_utf8_lossy(reply).trim_end(), "subscription refused");
                self.fail_waiting(family, name, reply);
            }
        }
    }

    /// Notes who owns a slot.
    fn learn_owner(&self, slot: u16, addr: &EndpointAddr) -> Option<Rc<Target>> {
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.find(addr, |target| self.register(target))?;
        let is_news = nodes.learn(slot, node);
        let target = Rc::clone(&nodes.node(node).target);
        drop(nodes);
        if is_news {
            self.moved();
            let endpoint = addr.to_string();
            self.observe(Observation::Moved { slot, endpoint });
        }
        Some(target)
    }

    /// Lets one name live where it belongs now, or at `target`; the next look does when it was sent round too often.
    fn send_elsewhere(
        &self,
        number: u32,
        family: Family,
        name: &Rc<[u8]>,
        target: Option<Rc<Target>>,
    ) {
        let mut fresh = Vec::new();
        {
            let mut registry = self.subscriptions.registry.borrow_mut();
            let Some(held) = registry.topics[family as usize].get_mut(name) else {
                return;
            };
            held.hops = held.hops.saturating_add(1);
            if held.hops > MAX_HOPS || !held.homes.contains(&number) {
                return;
            }
            let homes = match target {
                Some(target) => vec![target],
                None => {
                    let plan = Plan::new(&self.nodes.borrow(), self.settings_ref().is_cluster);
                    self.homes_of(&registry, &plan, (family, name))
                }
            };
            let homes = homes_on(&mut registry, homes, &mut fresh);
            if homes == [number] {
                // Asked again, it says where the slot went.
                if let Some(link) = registry.links.get_mut(&number) {
                    link.want(family, name);
                }
            } else if !homes.is_empty() {
                registry.settle_on(family, name, homes, Link::want);
            }
        }
        self.start_links(fresh);
    }

    /// Gives a message to everybody who listens, unless the name has another home by now.
    pub(super) fn deliver(&self, number: u32, (family, name): (Family, &[u8]), reply: &Piece<'_>) {
        let registry = self.subscriptions.registry.borrow();
        let Some(held) = registry.topics[family as usize].get(name) else {
            return;
        };
        let link = registry.links.get(&number);
        if !held.homes.contains(&number) || !link.is_some_and(|link| link.is_joined(family, name)) {
            return;
        }
        let (limit, largest) = {
            let settings = self.settings_ref();
            (settings.client_buffer, settings.limits.max_reply_bytes)
        };
        let mut message = Message {
            plain: reply,
            push: None,
        };
        let mut table = self.table.borrow_mut();
        for member in held.listeners.values() {
            if let Some(replies) = table.get(member.ticket) {
                let dialect = self.kinds.kind(replies.kind).dialect;
                replies.push_message(message.piece(dialect), limit, largest);
                replies.bell().ring();
                self.metrics.messages_total.inc();
            }
        }
    }
}

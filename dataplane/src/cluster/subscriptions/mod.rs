//! Channels and patterns that sessions of one worker listen to: every worker subscribes for itself.
//!
//! ```text
//!   session ─ join ─> registry ─ want ─> link ─ SUBSCRIBE ─> endpoint
//!      ↑                 ↑ confirmed by every home <──────────┘ │
//!      └── deliver <─────┴──────────────── messages <───────────┘
//! ```
//!
//! A name is subscribed to upstream once, for the first session. A session's own confirmations go out when every
//! endpoint that the names live on has confirmed them; from then on it gets their messages.

mod endpoint;
mod homes;
mod line;
mod link;
mod registry;

use std::{cell::RefCell, rc::Rc, time::Duration};

use prism_proto::placement;
use tokio::{sync::oneshot, time::timeout};
use tracing::warn;

use self::{
    homes::Plan,
    link::Link,
    registry::{Registry, Waiter},
};
use super::{CallError, ClusterWorker, Observation};
use crate::{
    inflight::Ticket,
    upstream::{Family, Target},
};

pub use homes::NOTIFICATIONS;
pub use registry::Member;

/// Subscriptions of one cluster on one worker.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    registry: RefCell<Registry>,
}

/// A request to subscribe.
#[derive(Debug)]
pub struct Joining {
    /// Who wants it.
    pub member: Rc<Member>,
    /// What the names are.
    pub family: Family,
    /// The names, each once, none of which the session is subscribed to.
    pub names: Vec<Rc<[u8]>>,
    /// The confirmations.
    pub reply: Vec<u8>,
}

impl ClusterWorker {
    /// Subscribes a session if every name is confirmed already; returns whether it is.
    pub fn join_at_once(&self, member: &Rc<Member>, family: Family, names: &[Rc<[u8]>]) -> bool {
        let mut registry = self.subscriptions.registry.borrow_mut();
        let is_ready = names.iter().all(|name| registry.is_ready(family, name));
        if is_ready {
            for name in names {
                registry.listen(member, family, name);
            }
        }
        is_ready
    }

    /// Subscribes a session, whose request is answered with its confirmations, or an error and nothing done.
    pub async fn join(&self, joining: Joining, ticket: Ticket) {
        let settings = self.settings();
        let limit = settings.dial.timeout + settings.bounds.read;
        match self.begin_join(joining, ticket) {
            Ok((number, done)) => {
                if timeout(limit, done).await.is_err() {
                    let registry = self.subscriptions.registry.borrow();
                    let endpoint = registry.awaited(number).unwrap_or_default();
                    drop(registry);
                    let error = CallError::Timeout { endpoint, limit };
                    self.fail_waiter(number, &self.words(&error));
                }
            }
            Err(error) => self.settle_error(ticket, &error),
        }
    }

    /// Ends a session's subscription; returns whether there was one.
    pub fn leave(&self, member: &Member, family: Family, name: &[u8]) -> bool {
        let mut registry = self.subscriptions.registry.borrow_mut();
        registry.leave(member, family, name)
    }

    /// Ends all subscriptions of a session that is gone or has reset itself.
    pub fn leave_all(&self, member: &Member) {
        member.is_gone.set(true);
        for family in Family::ALL {
            for name in member.names(family) {
                self.leave(member, family, &name);
            }
        }
    }

    /// Looks after links, called every `period`: names go where they live now, and what failed is tried again.
    pub(super) fn tend_subscriptions(&self, period: Duration) {
        if self.subscriptions.registry.borrow().links.is_empty() {
            return;
        }
        if self.subscriptions.registry.borrow().epoch != self.epoch() {
            self.settle_again(|_| true);
        }
        let (now, dead_after) = (
            self.context.clock.now(),
            self.settings_ref().bounds.dead_after,
        );
        let mut registry = self.subscriptions.registry.borrow_mut();
        registry.avoided.retain(|_, until| *until > now);
        for link in registry.links.values_mut() {
            link.look(period, dead_after);
        }
    }

    /// Closes all connections, because they are to be opened otherwise from now on, or not at all.
    pub(super) fn reopen_subscriptions(&self) {
        let mut registry = self.subscriptions.registry.borrow_mut();
        for link in registry.links.values_mut() {
            link.outdate();
        }
    }

    /// Gives the names new homes where they have moved, if `is_affected` says so of the links they are on.
    fn settle_again(&self, is_affected: impl Fn(&[u32]) -> bool) {
        let (mut fresh, mut complete, mut gaps) = (Vec::new(), Vec::new(), 0);
        {
            let nodes = self.nodes.borrow();
            let is_cluster = self.settings_ref().is_cluster;
            let plan = Plan::new(&nodes, is_cluster);
            let mut registry = self.subscriptions.registry.borrow_mut();
            registry.epoch = self.epoch();
            for family in Family::ALL {
                let topics = registry.topics[family as usize].iter();
                let affected = topics.filter(|(_, held)| is_affected(&held.homes));
                let names: Vec<_> = affected
                    .map(|(name, held)| (Rc::clone(name), !held.listeners.is_empty()))
                    .collect();
                let want = match is_cluster && family != Family::Shard {
                    true => Link::want_later,
                    false => Link::want,
                };
                for (name, is_heard) in names {
                    let homes = self.homes_of(&registry, &plan, (family, &name));
                    let homes = homes_on(&mut registry, homes, &mut fresh);
                    if !homes.is_empty() && registry.settle_on(family, &name, homes, want) {
                        gaps += u64::from(is_heard);
                        complete.extend(registry.confirm(family, &name));
                    }
                }
            }
        }
        if gaps > 0 {
            self.metrics.subscription_gaps_total.add(gaps);
            warn!(cluster = %self.name(), subscriptions = gaps, "subscriptions moved; messages may be missed");
        }
        self.start_links(fresh);
        self.commit(complete);
    }

    fn homes_of(
        &self,
        registry: &Registry,
        plan: &Plan,
        (family, name): (Family, &[u8]),
    ) -> Vec<Rc<Target>> {
        let held = registry.topics[family as usize].get(name);
        let home = held.and_then(|held| registry.links.get(held.homes.first()?));
        let current = home.map(|link| &*link.target);
        let is_avoided = |target: &Target| registry.avoided.contains_key(&target.addr);
        plan.homes(&self.nodes.borrow(), (family, name), current, is_avoided)
    }

    /// Puts a request among those that wait.
    fn begin_join(
        &self,
        joining: Joining,
        ticket: Ticket,
    ) -> Result<(u64, oneshot::Receiver<()>), CallError> {
        self.adopt();
        let (sender, done) = oneshot::channel();
        let (mut fresh, family) = (Vec::new(), joining.family);
        let number = {
            let plan = Plan::new(&self.nodes.borrow(), self.settings_ref().is_cluster);
            let mut registry = self.subscriptions.registry.borrow_mut();
            if registry.links.is_empty() {
                registry.epoch = self.epoch();
            }
            if !registry.has_room(&joining.names) {
                let cluster = self.name().to_owned();
                return Err(CallError::TooManySubscriptions { cluster });
            }
            let mut placed = Vec::new();
            for name in &joining.names {
                if registry.topics[family as usize].contains_key(name) {
                    continue;
                }
                let homes = self.homes_of(&registry, &plan, (family, name));
                if homes.is_empty() {
                    return Err(self.nowhere(family, name));
                }
                placed.push((name, homes));
            }
            for (name, homes) in placed {
                let homes = homes_on(&mut registry, homes, &mut fresh);
                registry.settle_on(family, name, homes, Link::want);
            }
            registry.wait(Waiter {
                member: joining.member,
                family,
                names: joining.names,
                ticket,
                reply: joining.reply,
                remaining: 0,
                _done: sender,
            })
        };
        self.start_links(fresh);
        let is_complete = |waiter: &Waiter| waiter.remaining == 0;
        let registry = self.subscriptions.registry.borrow();
        if registry.waiters.get(&number).is_some_and(is_complete) {
            drop(registry);
            self.commit(vec![number]);
        }
        Ok((number, done))
    }

    /// Says why a name has no home.
    fn nowhere(&self, family: Family, name: &[u8]) -> CallError {
        let cluster = self.name().to_owned();
        if family != Family::Shard || !self.settings_ref().is_cluster {
            return CallError::NoEndpoint { cluster };
        }
        self.observe(Observation::Doubt);
        let slot = placement::slot(name);
        CallError::NoOwner { cluster, slot }
    }

    fn start_links(&self, fresh: Vec<u32>) {
        for number in fresh {
            tokio::task::spawn_local(line::run(self.shared(), number));
        }
    }

    /// Answers requests whose names are all confirmed.
    fn commit(&self, complete: Vec<u64>) {
        for number in complete {
            let waiter = self.subscriptions.registry.borrow_mut().commit(number);
            if let Some(waiter) = waiter {
                self.settle(waiter.ticket, &waiter.reply);
            }
        }
    }

    /// Answers a request with an error instead.
    fn fail_waiter(&self, number: u64, reply: &[u8]) {
        let waiter = self.subscriptions.registry.borrow_mut().abandon(number);
        if let Some(waiter) = waiter {
            self.metrics.errors_total.inc();
            self.settle(waiter.ticket, reply);
        }
    }
}

/// Returns the numbers of the links to endpoints; `fresh` gets those that are new.
fn homes_on(registry: &mut Registry, homes: Vec<Rc<Target>>, fresh: &mut Vec<u32>) -> Vec<u32> {
    let number = |target: &Rc<Target>| {
        let (number, is_new) = registry.link(target);
        if is_new {
            fresh.push(number);
        }
        number
    };
    homes.iter().map(number).collect()
}

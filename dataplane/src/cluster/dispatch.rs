//! Requests on their way out: each goes to its endpoint's outbox, whole or in parts.

use std::{cell::RefMut, collections::HashMap, rc::Rc};

use super::{
    CallError, ClusterWorker, Observation,
    nodes::{Nodes, Route},
    redirect::{self, Redirected},
};
use crate::{
    inflight::{Deferred, Finish, Merge, Piece, Replies, Table, Ticket, Wish},
    upstream::{Expect, Kind, Nanos, Pending, Refusal},
};

/// How a request travels.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What its reply looks like.
    pub expect: Expect,
    /// Whether the client wants the reply.
    pub wish: Wish,
    /// Whether it may change data.
    pub is_write: bool,
}

/// A request that may have to be divided over endpoints.
pub struct Divisible<'a> {
    /// The keys, in order.
    pub keys: &'a mut dyn Iterator<Item = &'a [u8]>,
    /// Appends the part that carries the keys at some positions.
    pub append: &'a dyn Fn(&mut Vec<u8>, &[u32]),
    /// Makes what merges the parts' replies.
    pub finish: &'a dyn Fn() -> Finish,
}

/// A request that one endpoint must serve.
pub struct Together<'a> {
    /// The whole request.
    pub whole: Piece<'a>,
    /// The keys.
    pub keys: &'a mut dyn Iterator<Item = &'a [u8]>,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// What the definition calls the endpoint.
    pub endpoint: String,
    /// The number of the shard, in a Redis Cluster of the slot; keys of one unit can be in one request.
    pub unit: usize,
}

/// The keys of one request do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys in request are not at one place")]
pub struct Apart;

/// The requests that one read of one session brought; holds what dispatch needs for that time.
pub struct Batch<'a> {
    pub(super) cluster: &'a ClusterWorker,
    pub(super) nodes: RefMut<'a, Nodes>,
    table: RefMut<'a, Table>,
    pub(super) ticket: Ticket,
    now: Nanos,
    /// Number of the kind of connections the session travels on.
    kind: u8,
}

/// The keys of a divided request that have no place.
#[derive(Default)]
struct Missing {
    indexes: Vec<u32>,
    /// Why the first of them has none.
    error: Option<CallError>,
}

/// One part of a divided request, before it has a number.
struct Portion {
    node: usize,
    indexes: Vec<u32>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        cluster: &'a ClusterWorker,
        nodes: RefMut<'a, Nodes>,
        mut table: RefMut<'a, Table>,
        ticket: Ticket,
    ) -> Self {
        let now = cluster.context.clock.now();
        let kind = table.get(ticket).map_or(0, |replies| replies.kind);
        Self {
            cluster,
            nodes,
            table,
            ticket,
            now,
            kind,
        }
    }

    /// Returns the cluster the session belongs to.
    pub fn cluster(&self) -> &'a ClusterWorker {
        self.cluster
    }

    /// Returns the session's replies.
    pub fn replies(&mut self) -> &mut Replies {
        self.table
            .get(self.ticket)
            .expect("a session outlives its batches")
    }

    /// Returns whether two keys can be at different endpoints of a pool.
    pub fn is_spread(&self) -> bool {
        self.nodes.is_spread()
    }

    /// Returns whether new requests must wait until the session's earlier ones are answered.
    pub fn must_hold(&mut self) -> bool {
        let epoch = self.cluster.epoch();
        self.replies().must_hold(epoch)
    }

    /// Returns whether all earlier requests of the session are answered; if not, the caller is to hold its request.
    pub fn is_quiet(&mut self) -> bool {
        self.replies().in_flight() == 0
    }

    /// Returns the session's ticket, with sequence and part 0.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Returns the kind of connections the session travels on.
    pub fn kind(&self) -> Kind {
        self.cluster.kinds.kind(self.kind)
    }

    /// Lets the session travel on another kind of connections, if endpoints are known to accept it.
    ///
    /// To be called when the session is quiet.
    pub fn switch(&mut self, kind: Kind) -> bool {
        let Some(number) = self.cluster.kinds.number(kind) else {
            return false;
        };
        self.kind = number;
        self.replies().kind = number;
        true
    }

    /// Takes a place in the order for a request that a task will answer through
    /// [`ClusterWorker::settle`]; later requests of the session wait for it.
    ///
    /// It may change data at any endpoint.
    pub fn defer(&mut self) -> Deferred {
        self.replies().wrote_anywhere();
        self.postpone()
    }

    /// Takes a place as [`Batch::defer`] does, for a request that changes no data.
    pub fn postpone(&mut self) -> Deferred {
        let replies = self.table.get(self.ticket);
        let replies = replies.expect("a session outlives its batches");
        let sequence = replies.begin(Wish::Reply);
        let (deferred, cancel) = Deferred::new(Ticket {
            sequence,
            ..self.ticket
        });
        replies.defer(cancel);
        deferred
    }

    /// Answers a request here, in its turn.
    pub fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.replies().answer(write);
    }

    /// Sends a request to the endpoint that has `key`.
    pub fn forward(&mut self, key: &[u8], request: Piece<'_>, call: Call) {
        match self.nodes.route(key, self.cluster.name()) {
            Ok(route) => self.forward_to(route, request, call),
            Err(error) => self.fail(call.wish, &error),
        }
    }

    /// Sends the request that `write` makes to the endpoint that has `key`.
    pub fn forward_as(&mut self, key: &[u8], call: Call, write: impl FnOnce(&mut Vec<u8>)) {
        self.cluster.context.with_build(|build| {
            write(build);
            self.forward(key, Piece::Borrowed(build), call);
        });
    }

    /// Sends a request to the endpoint that owns `slot`.
    pub fn forward_to_owner(&mut self, slot: u16, request: Piece<'_>, call: Call) {
        match self.nodes.owner(slot, self.cluster.name()) {
            Ok(route) => self.forward_to(route, request, call),
            Err(error) => self.fail(call.wish, &error),
        }
    }

    /// Returns where `key` is.
    ///
    /// # Errors
    /// When nobody is there to take it.
    pub fn locate(&self, key: &[u8]) -> Result<Located, CallError> {
        let route = self.nodes.route(key, self.cluster.name())?;
        Ok(Located {
            endpoint: self.nodes.label(route.node),
            unit: route.unit,
        })
    }

    /// Sends a request to the endpoints that have its keys, in parts if they are several.
    pub fn divide(&mut self, whole: Piece<'_>, request: Divisible<'_>, call: Call) {
        let mut portions = match self.portions(request.keys) {
            Ok(portions) => portions,
            Err(error) => return self.fail(call.wish, &error),
        };
        if let [portion] = portions.as_slice() {
            let route = Route {
                node: portion.node,
                unit: portion.node,
            };
            return self.forward_to(route, whole, call);
        }
        self.send_parts(&mut portions, Missing::default(), &request, call);
    }

    /// Sends a request to the endpoints that have its keys, always in parts; keys without a place are one that failed.
    pub fn divide_leniently(&mut self, request: Divisible<'_>, call: Call) {
        let mut missing = Missing::default();
        match self.portions_and(request.keys, Some(&mut missing)) {
            Ok(mut portions) => self.send_parts(&mut portions, missing, &request, call),
            Err(error) => self.fail(call.wish, &error),
        }
    }

    fn send_parts(
        &mut self,
        portions: &mut [Portion],
        missing: Missing,
        request: &Divisible<'_>,
        call: Call,
    ) {
        let indexes = portions
            .iter_mut()
            .map(|portion| std::mem::take(&mut portion.indexes));
        let absent = Some(missing.indexes).filter(|indexes| !indexes.is_empty());
        let merge = Merge::new(indexes.chain(absent), (request.finish)());
        let sequence = self.replies().begin_split(merge);
        if call.is_write {
            for portion in portions.iter() {
                self.replies().note_write(sequence, portion.node);
            }
        }
        if let Some(error) = missing.error {
            let text = self.told(&error);
            let part = u16::try_from(portions.len()).unwrap_or(u16::MAX);
            self.replies()
                .settle(sequence, part, Piece::Borrowed(&text));
        }
        for (part, portion) in portions.iter().enumerate() {
            let part = u16::try_from(part).unwrap_or(u16::MAX);
            let ticket = Ticket {
                sequence,
                part,
                ..self.ticket
            };
            self.cluster.context.with_build(|build| {
                let replies = self.table.get(ticket);
                if let Some(merge) = replies.and_then(|replies| replies.merge(sequence)) {
                    (request.append)(build, merge.indexes(part));
                }
                self.send(portion.node, ticket, Piece::Borrowed(build), call);
            });
        }
    }

    /// Sends a request to the endpoint that has all of its keys.
    ///
    /// # Errors
    /// When no endpoint, or in a Redis Cluster no slot, has them all; nothing is sent or answered then.
    pub fn forward_together(&mut self, request: Together<'_>, call: Call) -> Result<(), Apart> {
        match self.portions(request.keys).as_deref() {
            Ok([portion]) => {
                let route = Route {
                    node: portion.node,
                    unit: portion.node,
                };
                self.forward_to(route, request.whole, call);
            }
            Ok(_) => return Err(Apart),
            Err(error) => self.fail(call.wish, error),
        }
        Ok(())
    }

    fn portions(&self, keys: &mut dyn Iterator<Item = &[u8]>) -> Result<Vec<Portion>, CallError> {
        self.portions_and(keys, None)
    }

    /// Puts keys without a place into `missing`, if there is one.
    fn portions_and(
        &self,
        keys: &mut dyn Iterator<Item = &[u8]>,
        mut missing: Option<&mut Missing>,
    ) -> Result<Vec<Portion>, CallError> {
        let mut portions: Vec<Portion> = Vec::new();
        let mut by_unit: HashMap<usize, usize> = HashMap::new();
        for (index, key) in keys.enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let route = match (self.nodes.route(key, self.cluster.name()), &mut missing) {
                (Ok(route), _) => route,
                (Err(error), None) => return Err(error),
                (Err(error), Some(missing)) => {
                    missing.indexes.push(index);
                    missing.error.get_or_insert(error);
                    continue;
                }
            };
            let place = *by_unit.entry(route.unit).or_insert_with(|| {
                portions.push(Portion {
                    node: route.node,
                    indexes: Vec::new(),
                });
                portions.len() - 1
            });
            portions[place].indexes.push(index);
        }
        Ok(portions)
    }

    pub(super) fn forward_to(&mut self, route: Route, request: Piece<'_>, call: Call) {
        let replies = self.replies();
        let sequence = replies.begin(call.wish);
        if call.is_write {
            replies.note_write(sequence, route.node);
        }
        let ticket = Ticket {
            sequence,
            ..self.ticket
        };
        self.send(route.node, ticket, request, call);
    }

    pub(super) fn send(&mut self, node: usize, ticket: Ticket, request: Piece<'_>, call: Call) {
        let pending = Pending {
            ticket,
            queued: self.now,
            start: 0,
            len: 0,
            expect: call.expect,
            hops: 0,
            is_write: call.is_write,
            kind: self.kind,
        };
        self.cluster
            .retries
            .earn(self.cluster.settings_ref().retry_percent);
        self.nodes.node(node).metrics.requests_total.inc();
        let connection = self
            .cluster
            .connection(&mut self.nodes, node, ticket, self.kind);
        let result = connection
            .borrow_mut()
            .enqueue(request.clone(), pending, self.now);
        if let Err(refusal) = result {
            let may_move = matches!(refusal, Refusal::Down(_));
            let target = Rc::clone(&self.nodes.node(node).target);
            let error = refused(refusal, target.label.clone());
            let text = self.cluster.words(&error);
            if may_move && self.cluster.settings_ref().is_cluster {
                let item = Redirected::refused(pending, request.bytes(), &text, &target);
                self.replies().hold();
                self.cluster.observe(Observation::Doubt);
                if redirect::put_off(self.cluster, item).is_ok() {
                    return;
                }
            }
            self.nodes.node(node).metrics.errors_total.inc();
            self.cluster.metrics.errors_total.inc();
            self.replies()
                .settle(ticket.sequence, ticket.part, Piece::Borrowed(&text));
        }
    }

    /// Answers a request with an error of the proxy's own.
    pub fn fail(&mut self, wish: Wish, error: &CallError) {
        let text = self.told(error);
        let sequence = self.replies().begin(wish);
        self.replies().settle(sequence, 0, Piece::Borrowed(&text));
    }

    /// Counts an error of the proxy's own and returns what clients are told.
    fn told(&self, error: &CallError) -> Vec<u8> {
        self.cluster.metrics.errors_total.inc();
        if matches!(error, CallError::NoOwner { .. }) {
            self.cluster.observe(Observation::Doubt);
        }
        self.cluster.words(error)
    }
}

/// Returns what a client is told when an endpoint's connection did not take its request.
pub(super) fn refused(refusal: Refusal, endpoint: String) -> CallError {
    match refusal {
        Refusal::Down(reason) => CallError::Unreachable {
            endpoint,
            reason: reason.to_string(),
        },
        Refusal::TooManyBytes(limit) => CallError::QueueFull {
            endpoint,
            limit,
            unit: "bytes",
        },
        Refusal::TooManyRequests(limit) => CallError::QueueFull {
            endpoint,
            limit,
            unit: "requests",
        },
    }
}

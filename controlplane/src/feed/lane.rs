//! One lane of a feed: its table, its un-acked push, what was rejected.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prism_proto::pb::discovery::v1::{Ack, Lane, Nack};

use super::{
    desired::Desired,
    push::{InFlight, Sent, kind},
    table::{Entry, Mark, Table, Wanted},
};
use crate::store::Revision;

/// Violations kept of one nack.
const KEPT_VIOLATIONS: usize = 32;

/// What one lane holds, should hold and is being sent.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    pub(super) table: Table,
    pub(super) in_flight: Option<InFlight>,
    /// Nacks by resource name, as long as the resource stays rejected.
    pub(super) nacks: BTreeMap<Arc<str>, Nack>,
}

impl LaneState {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            table: Table::default(),
            in_flight: None,
            nacks: BTreeMap::new(),
        }
    }

    pub(super) fn want(&mut self, name: &Arc<str>, wanted: Wanted) {
        self.table.want(name, wanted);
        let entry = self.table.get(name);
        if entry.is_none() {
            self.nacks.remove(name);
        }
    }

    pub(super) fn begin(
        &mut self,
        nonce: &mut u64,
        desired: &Arc<Desired>,
        names: BTreeSet<Arc<str>>,
    ) {
        if names.is_empty() {
            return;
        }
        *nonce += 1;
        let names = names.into_iter();
        self.in_flight = Some(InFlight::new(
            self.lane,
            *nonce,
            desired,
            &self.table,
            names,
        ));
    }

    pub(super) fn hold_only(&mut self, held: BTreeMap<Arc<str>, Mark>) {
        for name in self.table.names() {
            if !held.contains_key(&name) {
                self.table.hold(&name, None);
            }
        }
        for (name, mark) in held {
            self.table.hold(&name, Some(mark));
        }
    }

    /// Books what an ack says and returns the revision that was pushed and the names in it; `None` when it answers nothing.
    pub(super) fn settle(&mut self, ack: &Ack) -> Option<(Revision, Vec<Arc<str>>)> {
        let answers = |push: &InFlight| push.nonce == ack.nonce && push.is_closed();
        let push = self.in_flight.take_if(|push| answers(push))?;
        let nacks = ack.nacks.iter().filter(|nack| nack.kind == kind(self.lane));
        let mut nacks: BTreeMap<_, _> = nacks.map(|nack| (nack.name.as_str(), nack)).collect();
        for (name, sent) in &push.items {
            match nacks.remove(&**name) {
                Some(nack) => self.rejected(name, *sent, nack),
                None => self.accepted(name, *sent),
            }
        }
        let names = push.items.iter().map(|(name, _)| Arc::clone(name));
        Some((push.revision(), names.collect()))
    }

    fn accepted(&mut self, name: &Arc<str>, sent: Sent) {
        let held = match sent {
            Sent::Delta(mark, _) | Sent::Whole(mark) => Some(mark),
            Sent::Removal(_) => None,
        };
        self.table.hold(name, held);
        self.nacks.remove(name);
    }

    fn rejected(&mut self, name: &Arc<str>, sent: Sent, nack: &Nack) {
        match sent {
            Sent::Delta(..) => return self.table.demand_whole(name),
            Sent::Removal(_) => self.table.reject(name, Wanted::Absent),
            Sent::Whole(mark) => self.table.reject(name, Wanted::Present(mark)),
        }
        let mut nack = nack.clone();
        nack.violations.truncate(KEPT_VIOLATIONS);
        self.nacks.insert(Arc::clone(name), nack);
    }

    pub(super) fn remember(&mut self, nack: Nack) {
        let name = Arc::from(nack.name.as_str());
        let mark = Mark {
            revision: nack.revision,
            hash: nack.hash,
        };
        let is_wanted = |entry: &Entry| entry.wanted == Wanted::Present(mark);
        if self.table.get(&name).is_some_and(is_wanted) {
            self.table.reject(&name, Wanted::Present(mark));
            self.nacks.insert(name, nack);
        }
    }
}

//! One un-acked push: what is in it and how it is cut into chunks.

use std::sync::Arc;

use prism_proto::pb::discovery::v1::{Lane, Push, Resource, ResourceVersion, SlotDelta};

use crate::store::Revision;

use super::{
    desired::Desired,
    table::{Mark, Table, Wanted},
};

/// Largest sum of bodies in one chunk, in bytes; a single larger resource is a chunk of its own.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// What is sent of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Delta(Mark, u64),
    Removal(Mark),
    Whole(Mark),
}

/// A push from its first chunk to its ack. Pins the state it was made of, so a stalled stream costs one old state a lane.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: u64,
    pub(super) full: bool,
    /// Upserts before removals.
    pub(super) items: Vec<(Arc<str>, Sent)>,
    lane: Lane,
    desired: Arc<Desired>,
    next: usize,
    closed: bool,
}

impl InFlight {
    /// Collects what `names` need; names without need are left out.
    pub(super) fn new(
        lane: Lane,
        nonce: u64,
        desired: &Arc<Desired>,
        table: &Table,
        names: impl Iterator<Item = Arc<str>>,
    ) -> Self {
        let mut items: Vec<_> = names
            .filter_map(|name| {
                let sent = choose(lane, desired, table, &name)?;
                Some((name, sent))
            })
            .collect();
        items.sort_by_key(|(_, sent)| matches!(sent, Sent::Removal(_)));
        Self {
            nonce,
            full: false,
            items,
            lane,
            desired: Arc::clone(desired),
            next: 0,
            closed: false,
        }
    }

    /// The fleet revision that the push brings.
    pub(super) fn revision(&self) -> Revision {
        self.desired.revision()
    }

    /// Whether the last chunk was taken.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the next chunk; `None` after the last one.
    pub(super) fn next_chunk(&mut self) -> Option<Push> {
        if self.closed {
            return None;
        }
        let revision = self.desired.revision();
        let mut push = Push {
            lane: self.lane.into(),
            nonce: self.nonce,
            epoch: revision.epoch,
            revision: revision.number,
            full: self.full,
            ..Push::default()
        };
        let mut bytes = 0;
        while let Some((name, sent)) = self.items.get(self.next) {
            let size = self.size(name, *sent);
            if bytes > 0 && bytes + size > CHUNK_BYTES {
                return Some(push);
            }
            bytes += size;
            self.put(&mut push, name, *sent);
            self.next += 1;
        }
        push.last = true;
        self.closed = true;
        Some(push)
    }

    fn put(&self, push: &mut Push, name: &Arc<str>, sent: Sent) {
        match sent {
            Sent::Delta(_, base) => {
                push.slot_deltas
                    .extend(delta(&self.desired, name, base).cloned());
            }
            Sent::Removal(held) => push.removals.push(ResourceVersion {
                kind: kind(self.lane).into(),
                name: name.to_string(),
                revision: held.revision,
                hash: held.hash,
            }),
            Sent::Whole(_) => push
                .upserts
                .extend(resource(self.lane, &self.desired, name).cloned()),
        }
    }

    fn size(&self, name: &str, sent: Sent) -> usize {
        const OVERHEAD: usize = 64;
        let body = match sent {
            Sent::Delta(_, base) => {
                delta(&self.desired, name, base).map_or(0, super::slots::delta_size)
            }
            Sent::Removal(_) => 0,
            Sent::Whole(_) => resource(self.lane, &self.desired, name).map_or(0, |r| r.body.len()),
        };
        OVERHEAD + name.len() + body
    }
}

/// The `kind` of a lane's resources.
pub(super) fn kind(lane: Lane) -> &'static str {
    match lane {
        Lane::Peers => "peers",
        Lane::SlotMaps => "slotmaps",
        Lane::Config | Lane::Unspecified => "clusters",
    }
}

fn choose(lane: Lane, desired: &Desired, table: &Table, name: &str) -> Option<Sent> {
    let entry = table.get(name)?;
    let mark = match entry.wanted {
        Wanted::Absent => return entry.held.map(Sent::Removal),
        Wanted::Present(mark) => mark,
        Wanted::Unknown => return None,
    };
    let base = entry
        .held
        .filter(|_| lane == Lane::SlotMaps && !entry.whole);
    match base {
        Some(base) if delta(desired, name, base.hash).is_some() => {
            Some(Sent::Delta(mark, base.hash))
        }
        _ => Some(Sent::Whole(mark)),
    }
}

fn resource<'a>(lane: Lane, desired: &'a Desired, name: &str) -> Option<&'a Resource> {
    match lane {
        Lane::Peers => desired.peers(name),
        Lane::SlotMaps => desired.slot_map(name).map(|item| &item.resource),
        Lane::Config | Lane::Unspecified => desired.cluster(name)?.resource.as_ref(),
    }
}

fn delta<'a>(desired: &'a Desired, name: &str, base: u64) -> Option<&'a SlotDelta> {
    let mut deltas = desired.slot_map(name)?.deltas.iter();
    deltas.find(|delta| delta.base_hash == base)
}

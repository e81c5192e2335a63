//! Private connections for requests that would disturb others on a shared one, bounded per endpoint.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    rc::Rc,
};

use prism_proto::placement;

use super::{CallError, ClusterWorker, nodes::Nodes};
use crate::{
    inflight::Ticket,
    upstream::{ConnectError, Kind, Lease, Loss, Target},
};

/// An endpoint that a task may keep across waits, whatever the topology does meanwhile.
#[derive(Clone, Debug)]
pub struct Place {
    /// The endpoint.
    pub target: Rc<Target>,
    /// Private connections to it in use.
    leases: Rc<Cell<usize>>,
}

/// A private connection, counted until it is dropped.
#[derive(Debug)]
pub struct Leased {
    lease: Lease,
    place: Place,
    _seat: Seat,
}

/// One of the private connections that an endpoint may have.
#[derive(Debug)]
struct Seat(Rc<Cell<usize>>);

impl Seat {
    fn take(place: &Place, limit: usize) -> Option<Self> {
        let taken = place.leases.get();
        if taken >= limit {
            return None;
        }
        place.leases.set(taken + 1);
        Some(Self(Rc::clone(&place.leases)))
    }
}

impl Place {
    pub(super) fn of(nodes: &mut Nodes, node: usize) -> Self {
        let node = nodes.node(node);
        Self {
            target: Rc::clone(&node.target),
            leases: Rc::clone(&node.leases),
        }
    }

    /// Returns what a client is told when a private connection to this endpoint was lost.
    pub fn lost(&self, loss: &Loss) -> CallError {
        CallError::Lost {
            endpoint: self.target.label.clone(),
            reason: loss.to_string(),
        }
    }

    /// Returns what a client is told when this endpoint cannot be reached.
    pub fn unreachable(&self, error: &ConnectError) -> CallError {
        CallError::Unreachable {
            endpoint: self.target.label.clone(),
            reason: error.to_string(),
        }
    }
}

impl Leased {
    /// Returns where the connection leads.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Deref for Leased {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl DerefMut for Leased {
    fn deref_mut(&mut self) -> &mut Lease {
        &mut self.lease
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl ClusterWorker {
    /// Returns the endpoint that has `key`.
    ///
    /// Must not be called while a [`super::Batch`] of this cluster lives.
    ///
    /// # Errors
    /// When nobody is there to take it.
    pub fn place_of(&self, key: &[u8]) -> Result<Place, CallError> {
        let mut nodes = self.nodes.borrow_mut();
        let route = nodes.route(key, self.name())?;
        Ok(Place::of(&mut nodes, route.node))
    }

    /// Returns the endpoint that has a slot of a Redis Cluster; see [`ClusterWorker::place_of`].
    ///
    /// # Errors
    /// When nobody is known to have it.
    pub fn place_of_slot(&self, slot: u16) -> Result<Place, CallError> {
        let mut nodes = self.nodes.borrow_mut();
        let route = nodes.owner(slot, self.name())?;
        Ok(Place::of(&mut nodes, route.node))
    }

    /// Returns the endpoints that together have all keys, each once; see [`ClusterWorker::place_of`].
    ///
    /// # Errors
    /// When one of them is not known or out of use.
    pub fn shards(&self) -> Result<Vec<Place>, CallError> {
        let mut nodes = self.nodes.borrow_mut();
        let shards = nodes.shards(self.name())?;
        let places = shards.into_iter().map(|node| Place::of(&mut nodes, node));
        Ok(places.collect())
    }

    /// Returns the unit of `key`: keys of one unit may travel in one command.
    ///
    /// # Errors
    /// As [`ClusterWorker::place_of`].
    pub fn unit_of(&self, key: &[u8]) -> Result<usize, CallError> {
        if self.settings_ref().is_cluster {
            return Ok(usize::from(placement::slot(key)));
        }
        let nodes = self.nodes.borrow();
        nodes.route(key, self.name()).map(|route| route.unit)
    }

    /// Opens a private connection of a kind to an endpoint, within `dial_timeout`. Cancel safe.
    ///
    /// # Errors
    /// When `max_leases` are in use there already, or the endpoint cannot be reached.
    pub async fn lease(&self, place: &Place, kind: Kind) -> Result<Leased, CallError> {
        let settings = self.settings();
        let limit = settings.max_leases;
        // Taken before the opening, so that openings at the same time do not pass the limit.
        let seat = Seat::take(place, limit).ok_or_else(|| CallError::TooManyLeases {
            endpoint: place.target.label.clone(),
            limit,
        })?;
        let opened = self
            .dial(&settings, kind)
            .open(place.target.addr.clone())
            .await;
        let stream = opened.map_err(|error| place.unreachable(&error))?;
        Ok(Leased {
            lease: Lease::new(stream, settings.limits),
            place: place.clone(),
            _seat: seat,
        })
    }

    /// Asks an endpoint for a connection of `kind`, and notes when it accepts.
    ///
    /// # Errors
    /// The reply for the client: the endpoint's own refusal, or the proxy's words when none can be asked.
    pub async fn try_kind(&self, kind: Kind) -> Result<u8, Vec<u8>> {
        let wire = self.settings_ref().wire;
        let words = |error: CallError| {
            let mut text = Vec::new();
            error.write(wire, &mut text);
            text
        };
        let places = self.shards().map_err(words)?;
        let mut last = CallError::NoEndpoint {
            cluster: self.name().to_owned(),
        };
        let dial = self.dial(&self.settings(), kind);
        for place in places {
            match dial.open(place.target.addr.clone()).await {
                Ok(_) => {
                    let limit = usize::from(u8::MAX);
                    let number = self.kinds.learn(kind);
                    let cluster = self.name().to_owned();
                    return number.ok_or_else(|| words(CallError::TooManyKinds { cluster, limit }));
                }
                Err(ConnectError::Kind(reply)) => return Err(reply),
                Err(error) => last = place.unreachable(&error),
            }
        }
        Err(words(last))
    }

    /// Lets a session travel on connections of another kind from now on.
    pub fn switch(&self, ticket: Ticket, kind: u8) {
        if let Some(replies) = self.table.borrow_mut().get(ticket) {
            replies.kind = kind;
        }
    }
}

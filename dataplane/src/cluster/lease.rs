//! Private connections for requests that would disturb others on a shared one, bounded per endpoint.

use std::{
    cell::{Cell, RefCell},
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use prism_proto::placement;
use tokio::time::timeout;

use super::{
    CallError, ClusterWorker,
    nodes::Nodes,
    spares::{Spare, Spares},
};
use crate::{
    inflight::Ticket,
    metrics::EndpointMetrics,
    protocol::redis::reply::{integer, is_error, write_array_header, write_bulk},
    upstream::{ConnectError, Dial, Kind, Lease, Loss, Target},
};

/// An endpoint that a task may keep across waits, whatever the topology does meanwhile.
#[derive(Clone, Debug)]
pub struct Place {
    /// The endpoint.
    pub target: Rc<Target>,
    /// Private connections to it in use.
    leases: Rc<Cell<usize>>,
    /// Private connections to it that wait for their next use.
    spares: Rc<RefCell<Spares>>,
    metrics: Arc<EndpointMetrics>,
}

/// A private connection, counted until it is dropped.
#[derive(Debug)]
pub struct Leased {
    lease: Lease,
    place: Place,
    kind: Kind,
    dial: Rc<Dial>,
    client: Option<i64>,
    _seat: Seat,
}

const CLIENT_ID: &[u8] = b"*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n";

/// One of the private connections that an endpoint may have.
#[derive(Debug)]
struct Seat {
    leases: Rc<Cell<usize>>,
    metrics: Arc<EndpointMetrics>,
}

impl Seat {
    fn take(place: &Place, limit: usize) -> Option<Self> {
        let taken = place.leases.get();
        if taken >= limit {
            return None;
        }
        place.leases.set(taken + 1);
        place.metrics.leases.add(1);
        Some(Self {
            leases: Rc::clone(&place.leases),
            metrics: Arc::clone(&place.metrics),
        })
    }
}

impl Place {
    pub(super) fn of(nodes: &mut Nodes, node: usize) -> Self {
        let node = nodes.node(node);
        Self {
            target: Rc::clone(&node.target),
            leases: Rc::clone(&node.leases),
            spares: Rc::clone(&node.spares),
            metrics: Arc::clone(&node.metrics),
        }
    }

    /// Returns what a client is told when a private connection to this endpoint was lost.
    pub fn lost(&self, loss: &Loss) -> CallError {
        CallError::Lost {
            endpoint: self.target.label.clone(),
            reason: loss.to_string(),
        }
    }

    /// Returns what a client is told when this endpoint did not answer in time.
    pub fn late(&self, limit: Duration) -> CallError {
        self.metrics.timeouts_total.inc();
        CallError::Timeout {
            endpoint: self.target.label.clone(),
            limit,
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

    /// Returns the kind of the connection.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the endpoint's number for the connection, where [`Leased::identify`] was told.
    pub fn client(&self) -> Option<i64> {
        self.client
    }

    /// Asks the endpoint for its number for the connection, once; an endpoint that does not tell is left alone.
    ///
    /// # Errors
    /// As [`Leased::ask_all`].
    pub async fn identify(&mut self, limit: Duration) -> Result<(), CallError> {
        if self.client.is_none() {
            let replies = self.ask_all(CLIENT_ID, 1, limit).await?;
            self.client = replies.first().and_then(|reply| integer(reply));
        }
        Ok(())
    }

    /// Sends requests and returns so many replies, all within a time. Not cancel safe.
    ///
    /// # Errors
    /// When the connection is lost or time is up; it is of no use then.
    pub async fn ask_all(
        &mut self,
        requests: &[u8],
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Vec<u8>>, CallError> {
        let lease = &mut self.lease;
        let exchange = async {
            lease.send(requests).await?;
            let mut replies = Vec::new();
            while replies.len() < count {
                replies.push(lease.reply().await?);
            }
            Ok(replies)
        };
        match timeout(limit, exchange).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(loss)) => Err(self.place.lost(&loss)),
            Err(_) => Err(self.place.late(limit)),
        }
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
        self.leases.set(self.leases.get() - 1);
        self.metrics.leases.sub(1);
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

    /// Returns the place of an endpoint by its number.
    pub(super) fn place(&self, node: usize) -> Place {
        Place::of(&mut self.nodes.borrow_mut(), node)
    }

    /// Takes back a private connection on which nothing is awaited, for the next who needs one.
    pub fn give_back(&self, leased: Leased) {
        let spare = Spare {
            lease: leased.lease,
            kind: leased.kind,
            dial: leased.dial,
            client: leased.client,
            since: self.context.clock.read(),
        };
        leased.place.spares.borrow_mut().put(spare);
    }

    /// Ends the wait of a private connection by another; whether the endpoint did it is not known.
    ///
    /// # Errors
    /// When the endpoint could not be asked.
    pub async fn unblock(&self, blocked: &Leased) -> Result<(), CallError> {
        let place = blocked.place();
        let number = blocked.client.ok_or_else(|| CallError::Lost {
            endpoint: place.target.label.clone(),
            reason: "has no number for the connection".to_owned(),
        })?;
        let limit = self.settings_ref().bounds.read;
        let mut request = Vec::new();
        write_array_header(&mut request, 4);
        for word in ["CLIENT", "UNBLOCK", &number.to_string(), "ERROR"] {
            write_bulk(&mut request, word);
        }
        let mut lease = self.lease(place, Kind::default()).await?;
        let replies = lease.ask_all(&request, 1, limit).await?;
        self.give_back(lease);
        let is_refused = replies.first().is_none_or(|reply| is_error(reply));
        match is_refused {
            true => Err(CallError::Lost {
                endpoint: place.target.label.clone(),
                reason: "does not end its waits".to_owned(),
            }),
            false => Ok(()),
        }
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
        let spare = place.spares.borrow_mut().take(kind, &settings.dial);
        if let Some(spare) = spare {
            return Ok(Leased {
                lease: spare.lease,
                place: place.clone(),
                kind,
                dial: spare.dial,
                client: spare.client,
                _seat: seat,
            });
        }
        let opened = self
            .dial(&settings, kind)
            .open(place.target.addr.clone())
            .await;
        let stream = opened.map_err(|error| place.unreachable(&error))?;
        Ok(Leased {
            lease: Lease::new(stream, settings.limits),
            place: place.clone(),
            kind,
            dial: Rc::clone(&settings.dial),
            client: None,
            _seat: seat,
        })
    }

    /// Asks an endpoint for a connection of `kind`, and notes when it accepts.
    ///
    /// # Errors
    /// The reply for the client: the endpoint's own refusal, or the proxy's words when none can be asked.
    pub async fn try_kind(&self, kind: Kind) -> Result<u8, Vec<u8>> {
        let wire = self.settings_ref().wire;
        let words = |error: CallError| error.text(wire);
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

    /// Notes that every endpoint accepts connections of a kind.
    pub fn know(&self, kind: Kind) {
        self.kinds.learn(kind);
    }

    /// Lets a session travel on connections of another kind from now on.
    pub fn switch(&self, ticket: Ticket, kind: u8) {
        if let Some(replies) = self.table.borrow_mut().get(ticket) {
            replies.kind = kind;
        }
    }
}

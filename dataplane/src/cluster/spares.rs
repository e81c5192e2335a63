//! Private connections between two uses, so that a loop of blocking commands does not dial each time.

use std::{rc::Rc, time::Duration};

use crate::upstream::{Dial, Kind, Lease, Nanos, nanos};

/// Connections kept per endpoint.
const MAX: usize = 16;

/// Time for which a connection is kept.
const LIMIT: Duration = Duration::from_secs(5);

/// The private connections to one endpoint that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Spare>);

/// An open connection on which nothing is awaited.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) lease: Lease,
    pub(super) kind: Kind,
    /// How it was opened.
    pub(super) dial: Rc<Dial>,
    /// The endpoint's number for it, where it was asked.
    pub(super) client: Option<i64>,
    /// When it was last used.
    pub(super) since: Nanos,
}

impl Spares {
    /// Takes the connection of a kind that was used last and is still good.
    pub(super) fn take(&mut self, kind: Kind, dial: &Dial) -> Option<Spare> {
        while let Some(at) = self.0.iter().rposition(|spare| spare.kind == kind) {
            let mut spare = self.0.remove(at);
            if *spare.dial == *dial && spare.lease.is_quiet() {
                return Some(spare);
            }
        }
        None
    }

    /// Keeps a connection, in the place of the oldest if there are many.
    pub(super) fn put(&mut self, spare: Spare) {
        if self.0.len() >= MAX {
            self.0.remove(0);
        }
        self.0.push(spare);
    }

    /// Closes those that have waited for too long.
    pub(super) fn prune(&mut self, now: Nanos) {
        self.0.retain(|spare| spare.since + nanos(LIMIT) > now);
    }
}

//! The live stream of a data plane, as the registry sees it.

use std::sync::{Arc, Mutex};

use prism_proto::pb::discovery::v1::{Nack, Report};
use tokio::{sync::watch, time::Instant};

use super::{Fleet, Observed, Standing, lock, record::Record};

/// What a record hands to a new stream.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Tells this stream from those before and after it.
    pub(super) stream: u64,
    /// Closed when another stream takes the place.
    pub(super) holder: watch::Receiver<()>,
}

/// Registers a stream as long as it lives; dropped, the data plane counts as disconnected.
#[derive(Debug)]
pub struct Link {
    fleet: Fleet,
    record: Arc<Mutex<Record>>,
    ticket: Ticket,
    id: Arc<str>,
    zone: Arc<str>,
}

impl Link {
    pub(super) fn new(
        fleet: Fleet,
        record: Arc<Mutex<Record>>,
        ticket: Ticket,
        (id, zone): (Arc<str>, Arc<str>),
    ) -> Self {
        Self {
            fleet,
            record,
            ticket,
            id,
            zone,
        }
    }

    /// The data plane's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Resolves when a newer stream of the same instance took the place. Cancel safe.
    pub async fn replaced(&mut self) {
        while self.ticket.holder.changed().await.is_ok() {}
    }

    /// Notes that the data plane belongs to another fleet.
    pub fn foreign(&self, fleet_id: &str) {
        self.change(|record| record.set_foreign(fleet_id));
    }

    /// Notes that it resumed, and whether from disk.
    pub fn resumed(&self, from_snapshot: bool) {
        self.change(|record| record.resumed(from_snapshot));
    }

    /// Notes that something came from it.
    pub fn seen(&self) {
        let mut record = lock(&self.record);
        if record.is_stream(self.ticket.stream) {
            record.seen();
        }
    }

    /// Notes whether it is about to end; wakes watchers only if that is news.
    pub fn draining(&self, is_draining: bool) {
        let mut record = lock(&self.record);
        if record.is_stream(self.ticket.stream) && record.set_draining(is_draining) {
            drop(record);
            self.fleet.changed();
        }
    }

    /// Notes how it stands and what it rejects; wakes watchers only if that is news.
    pub fn stands(&self, standing: Standing, nacks: Vec<Nack>) {
        let mut record = lock(&self.record);
        if record.is_stream(self.ticket.stream) && record.stands(standing, nacks) {
            drop(record);
            self.fleet.changed();
        }
    }

    /// Notes an error about it.
    pub fn failed(&self, error: impl Into<String>) {
        let error = error.into();
        self.change(|record| record.last_error = error);
    }

    /// Takes a report: what people see is kept here, the whole goes to whoever judges health.
    pub fn report(&self, report: Report) {
        let is_news = lock(&self.record).report(&report);
        self.fleet.observe(Observed {
            dataplane: Arc::clone(&self.id),
            zone: Arc::clone(&self.zone),
            at: Instant::now(),
            report,
        });
        if is_news {
            self.fleet.changed();
        }
    }

    /// Returns what this run of the data plane rejected on an earlier stream.
    pub fn earlier_nacks(&self) -> Vec<Nack> {
        lock(&self.record).nacks()
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        let mut record = lock(&self.record);
        if record.is_stream(self.ticket.stream) {
            change(&mut record);
            record.settle();
            drop(record);
            self.fleet.changed();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.change(Record::disconnect);
    }
}

//! The data planes: who they are, how they stand to what they should have, what they report.
//!
//! A data plane is known from its first stream until a day after its last. It does not know what should be delivered: `feed`
//! tells it how each data plane stands.

mod link;
mod record;
mod standing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prism_proto::{
    model::Selector,
    pb::{admin::v1::Dataplane, discovery::v1::Report},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::store::Revision;

pub use link::Link;
pub use standing::Standing;

use record::Record;

/// Reports that wait to be read; more are dropped and counted.
const WAITING_REPORTS: usize = 1024;
/// How long a data plane is remembered after its last stream.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// Data planes that are known at a time.
const MAX_DATAPLANES: usize = 20_000;

/// Who a data plane says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name in the fleet.
    pub id: String,
    /// Tells two runs of one id apart.
    pub instance: String,
    /// Where it stands.
    pub zone: String,
    /// What it is.
    pub labels: BTreeMap<String, String>,
    /// What cluster-aware clients are told.
    pub advertise: String,
    /// Its version text.
    pub build: String,
    /// What it understands.
    pub features: Vec<String>,
    /// Replaces the host of every listen address there; empty when it does not.
    pub bind_ip: String,
    /// The address its stream comes from.
    pub peer: String,
}

/// A data plane in service, for the clients of Redis Clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Its name in the fleet.
    pub id: String,
    /// What cluster-aware clients are told; may be empty.
    pub advertise: String,
    /// Replaces the host of every listen address there; may be empty.
    pub bind_ip: String,
    /// The address its stream comes from.
    pub peer: String,
    /// The Redis Clusters it serves.
    pub clusters: Arc<BTreeSet<Arc<str>>>,
}

/// A report with its sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The data plane's id.
    pub dataplane: Arc<str>,
    /// Where it stands.
    pub zone: Arc<str>,
    /// When it arrived.
    pub at: Instant,
    /// What it saw.
    pub report: Report,
}

/// Why a stream is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Another live run has the id.
    #[error("data plane {id} is already connected from {peer} as instance {instance}")]
    Held {
        /// The id.
        id: String,
        /// The instance that holds it.
        instance: String,
        /// Where that one connects from.
        peer: String,
    },
    /// The registry is full of live data planes.
    #[error("{MAX_DATAPLANES} data planes are known already")]
    TooMany,
}

/// How the data planes that should have one cluster stand to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    /// Connected data planes that should have it.
    pub selected: u32,
    /// Those that serve its current revision.
    pub synced: u32,
    /// Those that reject it.
    pub nacked: u32,
}

/// The registry of data planes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<BTreeMap<Arc<str>, Arc<Mutex<Record>>>>,
    alarms: Mutex<BTreeMap<&'static str, String>>,
    changes: watch::Sender<u64>,
    reports: mpsc::Sender<Observed>,
    dropped_reports: AtomicU64,
}

impl Fleet {
    /// Makes an empty registry and the end where reports arrive.
    pub fn new() -> (Self, mpsc::Receiver<Observed>) {
        let (reports, receiver) = mpsc::channel(WAITING_REPORTS);
        let shared = Shared {
            records: Mutex::default(),
            alarms: Mutex::default(),
            changes: watch::Sender::new(0),
            reports,
            dropped_reports: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        (Self { shared }, receiver)
    }

    /// Registers the stream of a data plane; it counts as connected until the link is dropped.
    ///
    /// A stream of the same instance takes the place of the old one, whose [`Link::replaced`] resolves.
    ///
    /// # Errors
    /// When another instance with this id has a live stream.
    pub fn connect(&self, identity: Identity) -> Result<Link, ConnectError> {
        let id: Arc<str> = identity.id.as_str().into();
        let zone: Arc<str> = identity.zone.as_str().into();
        let mut records = lock(&self.shared.records);
        if !records.contains_key(&id) {
            forget_old(&mut records)?;
        }
        let record = Arc::clone(records.entry(Arc::clone(&id)).or_default());
        drop(records);
        let ticket = lock(&record).connect(identity)?;
        self.changed();
        Ok(Link::new(self.clone(), record, ticket, (id, zone)))
    }

    /// Returns all data planes, sorted by id, as they stand to the fleet's `head`.
    pub fn list(&self, head: Revision) -> Vec<Dataplane> {
        let now = Instant::now();
        self.records()
            .iter()
            .map(|record| lock(record).describe(head, now))
            .collect()
    }

    /// Returns the ids of the data planes that have a live stream.
    pub fn connected(&self) -> BTreeSet<Arc<str>> {
        let records = lock(&self.shared.records);
        let is_connected = |record: &Mutex<Record>| lock(record).away(Instant::now()).is_none();
        let connected = records.iter().filter(|(_, record)| is_connected(record));
        connected.map(|(id, _)| Arc::clone(id)).collect()
    }

    /// Returns the data planes in service by id, and when the next one will count as gone.
    ///
    /// One without a stream is in service until nothing has come from it for `patience`; one that drains is not.
    pub fn serving(&self, patience: Duration) -> (Vec<Serving>, Option<Instant>) {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut serving = Vec::new();
        for record in self.records() {
            let record = lock(&record);
            let left = record.away(now).map(|away| patience.checked_sub(away));
            match left {
                Some(None | Some(Duration::ZERO)) => continue,
                Some(Some(left)) => next = next.into_iter().chain([now + left]).min(),
                None => {}
            }
            serving.extend(record.serving());
        }
        (serving, next)
    }

    /// Counts how the connected data planes stand to a cluster whose own revision number is `revision`.
    pub fn cluster_counts(&self, name: &str, selector: &Selector, revision: u64) -> ClusterCounts {
        let mut counts = ClusterCounts::default();
        for record in self.records() {
            lock(&record).count(name, selector, revision, &mut counts);
        }
        counts
    }

    /// Follows changes of any data plane; the number only says that there was one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Raises a condition that someone must look at, such as `STORE_REGRESS`; the newest detail is shown.
    pub fn raise(&self, alarm: &'static str, detail: impl Into<String>) {
        lock(&self.shared.alarms).insert(alarm, detail.into());
        self.changed();
    }

    /// Takes an alarm back.
    pub fn clear(&self, alarm: &str) {
        if lock(&self.shared.alarms).remove(alarm).is_some() {
            self.changed();
        }
    }

    /// Returns all alarms: those raised, and `FOREIGN_FLEET` for each data plane of another fleet.
    pub fn alarms(&self) -> Vec<String> {
        let raised: Vec<_> = lock(&self.shared.alarms)
            .iter()
            .map(|(alarm, detail)| format!("{alarm}: {detail}"))
            .collect();
        let foreign = self
            .records()
            .into_iter()
            .filter_map(|record| lock(&record).foreign_alarm());
        raised.into_iter().chain(foreign).collect()
    }

    /// Number of reports that nobody read in time.
    pub fn dropped_reports(&self) -> u64 {
        self.shared.dropped_reports.load(Ordering::Relaxed)
    }

    fn records(&self) -> Vec<Arc<Mutex<Record>>> {
        lock(&self.shared.records).values().cloned().collect()
    }

    fn observe(&self, observed: Observed) {
        if self.shared.reports.try_send(observed).is_err() {
            self.shared.dropped_reports.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn changed(&self) {
        self.shared
            .changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Makes room for one more: forgets who was away for long, and when full, who has been away longest.
fn forget_old(records: &mut BTreeMap<Arc<str>, Arc<Mutex<Record>>>) -> Result<(), ConnectError> {
    if records.len() < MAX_DATAPLANES && !records.len().is_multiple_of(64) {
        return Ok(());
    }
    let now = Instant::now();
    let away = |record: &Arc<Mutex<Record>>| lock(record).away(now);
    records.retain(|_, record| away(record).is_none_or(|time| time < REMEMBERED));
    if records.len() < MAX_DATAPLANES {
        return Ok(());
    }
    let oldest = records
        .iter()
        .filter_map(|(id, record)| Some((away(record)?, Arc::clone(id))));
    let (_, oldest) = oldest.max().ok_or(ConnectError::TooMany)?;
    records.remove(&oldest);
    Ok(())
}

/// Locks; what a panicking holder left is whole, since no change spans an unwinding call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

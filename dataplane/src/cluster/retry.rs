//! Requests that an endpoint refused for the time being, until they are tried again.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{sync::Notify, time::sleep_until};

use super::{
    ClusterWorker,
    redirect::{self, Redirected},
};
use crate::upstream::{Nanos, WorkerContext, nanos};

/// Requests that may wait at once, per cluster and worker.
const CAPACITY: usize = 4096;

/// Bytes of requests that may wait at once, per cluster and worker.
const CAPACITY_BYTES: usize = 64 * 1024 * 1024;

/// Cost of one retry, in the unit that requests earn percents of.
const PRICE: u32 = 100;

/// Credit that can be saved up: so many retries at once.
const SAVINGS: u32 = 1000 * PRICE;

/// Wait before the first retry; grows with each hop.
const WAIT: Duration = Duration::from_millis(20);

/// Requests that wait to be tried again, inside the retry budget.
pub(super) struct Retries {
    queue: RefCell<Vec<Delayed>>,
    /// Bytes of the requests in the queue.
    held: Cell<usize>,
    changed: Notify,
    credit: Cell<u32>,
}

struct Delayed {
    due: Nanos,
    item: Redirected,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            queue: RefCell::default(),
            held: Cell::new(0),
            changed: Notify::new(),
            credit: Cell::new(SAVINGS / 10),
        }
    }
}

impl Retries {
    /// Adds what one request earns: `percent` of a retry.
    pub(super) fn earn(&self, percent: u32) {
        self.credit.set((self.credit.get() + percent).min(SAVINGS));
    }

    /// Puts a request aside for a while.
    ///
    /// # Errors
    /// Gives it back when it would be too late, when too many wait, or when the budget is spent.
    pub(super) fn schedule(
        &self,
        context: &WorkerContext,
        mut item: Redirected,
        deadline: Nanos,
    ) -> Result<(), Box<Redirected>> {
        let wait = WAIT * 2u32.pow(u32::from(item.pending.hops.min(4)));
        let jitter = context.random() % nanos(WAIT);
        let due = context.clock.now() + nanos(wait) + jitter;
        let credit = self.credit.get();
        let held = self.held.get() + item.request.len();
        let is_full = self.queue.borrow().len() >= CAPACITY || held > CAPACITY_BYTES;
        if due >= deadline || credit < PRICE || is_full {
            return Err(Box::new(item));
        }
        self.credit.set(credit - PRICE);
        self.held.set(held);
        // Waiting is bounded by the deadline, so only redirects count as hops.
        item.pending.hops = item.pending.hops.min(redirect::PATIENT_HOPS);
        self.queue.borrow_mut().push(Delayed { due, item });
        self.changed.notify_one();
        Ok(())
    }

    /// Wakes the task, so that it looks whether it is to end.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    fn next_due(&self) -> Option<Nanos> {
        self.queue.borrow().iter().map(|delayed| delayed.due).min()
    }

    /// Takes the requests that are due, the oldest first.
    fn take_due(&self, now: Nanos) -> Vec<Redirected> {
        let mut queue = self.queue.borrow_mut();
        let (due, rest) = std::mem::take(&mut *queue)
            .into_iter()
            .partition(|delayed| delayed.due <= now);
        *queue = rest;
        self.held
            .set(queue.iter().map(|delayed| delayed.item.request.len()).sum());
        let due: Vec<Delayed> = due;
        due.into_iter().map(|delayed| delayed.item).collect()
    }
}

/// Tries requests again when they are due; ends with the cluster.
pub(super) async fn run(cluster: Rc<ClusterWorker>) {
    loop {
        if cluster.is_finished() {
            return;
        }
        match cluster.retries.next_due() {
            None => cluster.retries.changed.notified().await,
            Some(due) => {
                let due = cluster.context.clock.instant(due);
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = cluster.retries.changed.notified() => {}
                }
            }
        }
        let now = cluster.context.clock.read();
        for item in cluster.retries.take_due(now) {
            redirect::again(&cluster, item);
        }
    }
}

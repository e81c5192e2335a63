//! The embedded store: sled 0.34.7 behind the guards that its defects need.
//!
//! One thread owns the database and does all its I/O. Resident values are served from the published state, so reads go on while
//! the disk refuses. After a failed write the outcome is unknown: the database is closed, and the next commit opens it again
//! and publishes whatever head it finds.

mod disk;
#[cfg(test)]
mod faults;
mod folder;
mod open;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::PathBuf, thread, time::Duration};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use self::writer::{Request, Seen, Writer};
use super::{
    Commit, Entry, Family, Head, Health, Key, Listing, Pending, Revision, Store, StoreError, Watch,
    watch::last_of,
};

/// Requests waiting for the writer; beyond it, callers wait in line.
const QUEUE: usize = 64;
/// Longest wait for the writer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How a sled store is opened.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// The data folder; made if absent, mode 0700.
    pub dir: PathBuf,
    /// How long to wait for a lock that another handle still holds.
    pub lock_wait: Duration,
    /// How often sled writes and cleans by itself.
    pub flush_every: Duration,
}

impl SledOptions {
    /// The options of a data folder in service.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            lock_wait: Duration::from_secs(2),
            flush_every: Duration::from_millis(500),
        }
    }
}

/// Keeps everything in a folder on disk.
#[derive(Debug)]
pub struct SledStore {
    requests: Option<mpsc::Sender<Request>>,
    seen: Seen,
    thread: Option<thread::JoinHandle<()>>,
}

impl SledStore {
    /// Opens the store of a data folder, or makes it.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NewerSchema`], [`StoreError::Damaged`], or [`StoreError::Unavailable`] when the
    /// folder cannot be read and written.
    pub async fn open(options: SledOptions) -> Result<Self, StoreError> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let run = move || match Writer::open(options) {
            Ok((writer, seen)) => {
                // A caller that went away drops the queue too, so the writer ends at once.
                let _ = ready.send(Ok(seen));
                writer.run(queue);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = thread::Builder::new()
            .name("prism-store".into())
            .spawn(run)
            .map_err(|error| {
                StoreError::Unavailable(format!("no thread for the store: {error}"))
            })?;
        let seen = opened.await.map_err(|_| stopped())??;
        Ok(Self {
            requests: Some(requests),
            seen,
            thread: Some(thread),
        })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        let exchange = async {
            requests.send(request(reply)).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        };
        let late = |_| StoreError::Unavailable(format!("no answer within {ANSWER_WITHIN:?}"));
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .map_err(late)?
    }
}

impl Drop for SledStore {
    /// Waits for the writer, so that the folder is free afterwards.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("store writer panicked");
        }
    }
}

impl Store for SledStore {
    fn head(&self) -> Head {
        self.seen.published.borrow().head.clone()
    }

    fn get(&self, key: Key) -> Pending<'_, Option<Entry>> {
        if key.family().is_resident() {
            let entry = self.seen.published.borrow().entries.get(&key).cloned();
            return Box::pin(async move { Ok(entry) });
        }
        Box::pin(self.ask(move |reply| Request::Get(key, reply)))
    }

    fn list(&self, family: Family, last: usize) -> Pending<'_, Listing> {
        if family.is_resident() {
            let published = self.seen.published.borrow().clone();
            return Box::pin(async move {
                Ok(Listing {
                    entries: last_of(&published.entries, family, last),
                    head: published.head,
                })
            });
        }
        Box::pin(self.ask(move |reply| Request::List(family, last, reply)))
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Head> {
        Box::pin(self.ask(move |reply| Request::Commit(commit, reply)))
    }

    fn watch(&self, from: Option<Revision>) -> Watch {
        Watch::new(self.seen.published.clone(), from)
    }

    fn export(&self) -> Pending<'_, Bytes> {
        Box::pin(self.ask(Request::Export))
    }

    fn import(&self, export: Bytes) -> Pending<'_, Head> {
        Box::pin(self.ask(move |reply| Request::Import(export, reply)))
    }

    fn health(&self) -> Health {
        Health {
            kind: "sled",
            failure: self.seen.failure.borrow().clone(),
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store's writer has stopped".into())
}

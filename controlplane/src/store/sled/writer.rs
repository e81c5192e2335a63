//! The one thread that owns the database: it answers requests in order and publishes what is durable.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    super::{
        Commit, Entry, Family, Head, Key, Listing, Op, StoreError, commit::next_head, export,
        watch::Published,
    },
    SledOptions,
    disk::{Disk, Index, Place, Slot, apply},
    folder::Folder,
    open::open,
};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked; a reply nobody waits for any more is dropped.
pub(super) enum Request {
    Commit(Commit, Reply<Head>),
    Export(Reply<Bytes>),
    Get(Key, Reply<Option<Entry>>),
    Import(Bytes, Reply<Head>),
    List(Family, usize, Reply<Listing>),
}

/// What others see of the writer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) published: watch::Receiver<Published>,
    pub(super) failure: watch::Receiver<Option<String>>,
}

/// Owns folder and database.
pub(super) struct Writer {
    /// `None` after a failed write, until it opens again. Dropped before the folder, whose lock says that it is closed.
    disk: Option<Disk>,
    folder: Folder,
    options: SledOptions,
    head: Head,
    index: Index,
    published: watch::Sender<Published>,
    failure: watch::Sender<Option<String>>,
}

impl Writer {
    /// Claims the folder, opens the database and reads it.
    pub(super) fn open(options: SledOptions) -> Result<(Self, Seen), StoreError> {
        let folder = Folder::claim(&options.dir, options.lock_wait)?;
        let disk = open(&folder, &options)?;
        let (head, index) = disk.load()?;
        let (published, published_seen) = watch::channel(published(&head, &index));
        let (failure, failure_seen) = watch::channel(None);
        let writer = Self {
            folder,
            options,
            disk: Some(disk),
            head,
            index,
            published,
            failure,
        };
        Ok((
            writer,
            Seen {
                published: published_seen,
                failure: failure_seen,
            },
        ))
    }

    /// Answers until the queue is closed.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(request) = queue.blocking_recv() {
            match request {
                Request::Commit(commit, reply) => drop(reply.send(self.commit(&commit))),
                Request::Export(reply) => drop(reply.send(self.export())),
                Request::Get(key, reply) => drop(reply.send(self.get(&key))),
                Request::Import(bytes, reply) => drop(reply.send(self.import(&bytes))),
                Request::List(family, last, reply) => drop(reply.send(self.list(family, last))),
            }
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<Head, StoreError> {
        self.reopen()?;
        let next = next_head(&self.head, commit, |key| {
            self.index.get(key).map(|slot| slot.place.revision)
        })?;
        self.advance(next, &commit.ops)
    }

    fn import(&mut self, bytes: &[u8]) -> Result<Head, StoreError> {
        self.reopen()?;
        let keys = self.index.keys().cloned().collect();
        let (next, commit) = export::replacement((&self.head, keys), bytes)?;
        self.advance(next, &commit.ops)
    }

    fn export(&mut self) -> Result<Bytes, StoreError> {
        let keys: Vec<Key> = self.index.keys().cloned().collect();
        let entries = keys
            .iter()
            .map(|key| self.get(key))
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(export::write(&self.head, &entries))
    }

    fn get(&mut self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let Some(Slot { place, value }) = self.index.get(key).cloned() else {
            return Ok(None);
        };
        let value = match value {
            Some(value) => value,
            None => self.archived(place)?,
        };
        Ok(Some(Entry {
            key: key.clone(),
            value,
            revision: place.revision,
        }))
    }

    fn list(&mut self, family: Family, last: usize) -> Result<Listing, StoreError> {
        self.reopen()?;
        let of_family = self
            .index
            .keys()
            .rev()
            .filter(|key| key.family() == family)
            .take(last);
        let keys: Vec<Key> = of_family.cloned().collect();
        let entries = keys
            .iter()
            .rev()
            .map(|key| self.get(key))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(Listing {
            head: self.head.clone(),
            entries,
        })
    }

    fn archived(&mut self, place: Place) -> Result<Bytes, StoreError> {
        match self.reopen()?.read(place)? {
            Op::Put(_, value) => Ok(value),
            Op::Delete(key) => Err(StoreError::Damaged(format!(
                "{key} is a removal where a value should be"
            ))),
        }
    }

    /// Makes a commit durable, then publishes it. After a failure nobody knows what is on disk: the database is closed.
    fn advance(&mut self, next: Head, ops: &[Op]) -> Result<Head, StoreError> {
        let from = self.head.clone();
        match self.reopen()?.commit(&from, &next, ops) {
            Ok(places) => {
                self.head = next;
                self.settle(ops, places);
                let now = published(&self.head, &self.index);
                self.published.send_replace(now);
                Ok(self.head.clone())
            }
            Err(error) => {
                self.disk = None;
                tracing::error!(revision = %next.revision, %error, "commit failed, store closed until the next one");
                Err(self.failed(error))
            }
        }
    }

    /// Brings the index up to date and removes what the commit replaced.
    fn settle(&mut self, ops: &[Op], places: Vec<Place>) {
        let mut dead = Vec::new();
        for (op, place) in ops.iter().zip(places) {
            dead.extend(apply(&mut self.index, op.clone(), place));
        }
        if let Some(Err(error)) = self.disk.as_ref().map(|disk| disk.remove(&dead)) {
            tracing::warn!(%error, "replaced values not removed");
        }
    }

    /// Shows why writes are refused.
    fn failed(&self, error: StoreError) -> StoreError {
        let why = match error {
            StoreError::Unavailable(why) => why,
            error => error.to_string(),
        };
        self.failure.send_replace(Some(why.clone()));
        StoreError::Unavailable(why)
    }

    /// Opens the database again after a failure, and publishes what the failed commit came to.
    fn reopen(&mut self) -> Result<&Disk, StoreError> {
        if self.disk.is_none() {
            let disk = open(&self.folder, &self.options).and_then(|disk| Ok((disk.load()?, disk)));
            let ((head, index), disk) = disk.map_err(|error| self.failed(error))?;
            if head != self.head {
                tracing::warn!(revision = %head.revision, "unanswered commit found complete");
            }
            (self.head, self.index) = (head, index);
            self.published
                .send_replace(published(&self.head, &self.index));
            self.failure.send_replace(None);
            self.disk = Some(disk);
        }
        self.disk
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the database is closed".into()))
    }
}

fn published(head: &Head, index: &Index) -> Published {
    let resident = index.iter().filter_map(|(key, slot)| {
        let value = slot.value.clone()?;
        Some((
            key.clone(),
            Entry {
                key: key.clone(),
                value,
                revision: slot.place.revision,
            },
        ))
    });
    Published {
        head: head.clone(),
        entries: Arc::new(resident.collect()),
    }
}

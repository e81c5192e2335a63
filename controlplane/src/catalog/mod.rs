//! The definitions of the fleet and the only way to change them: check, commit, publish what the store delivers.
//!
//! Reads are answered from an immutable [`Image`] in memory. [`Catalog::apply`] checks the whole result, commits it against the
//! head it was checked with, and returns once it is durable and in the image.

mod change;
mod check;
mod effect;
mod error;
mod history;
mod image;
mod record;
mod request;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use prism_proto::model::{ClusterSpec, Draft};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};

pub use self::{
    change::{Change, ChangeKind, ClusterChange, Outcome, Removal, Write},
    error::CatalogError,
    history::HistoryEntry,
    image::{Image, StoredCluster},
};
use self::{effect::Effect, history::Kept};
use crate::store::{Commit, Compare, Delivery, Health, Key, Op, Revision, Store, StoreError};

/// Where the key of shown secrets is kept.
const SECRET_KEY: &str = "secret-key";
/// Commits lost to another writer before giving up.
const ATTEMPTS: usize = 3;
/// Longest wait for the store to deliver what it committed.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How a catalog is opened.
#[derive(Clone)]
pub struct CatalogOptions {
    /// Revisions kept in the history.
    pub history: usize,
    /// Dates changes and ends the life of request ids.
    pub clock: Clock,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            history: 1000,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl fmt::Debug for CatalogOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CatalogOptions")
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

/// A handle of the catalog; clones share it.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    options: CatalogOptions,
    image: watch::Receiver<Arc<Image>>,
    /// The key of shown secrets until the first commit has stored it.
    new_secret_key: Bytes,
    /// Held while a change is checked and committed; guards what is known of the kept history.
    writing: Mutex<Kept>,
    follower: JoinHandle<()>,
}

impl Catalog {
    /// Reads the store and follows it from then on.
    ///
    /// # Errors
    /// [`CatalogError::Store`] when a stored record cannot be read.
    pub async fn open(
        store: Arc<dyn Store>,
        options: CatalogOptions,
    ) -> Result<Self, CatalogError> {
        let mut deliveries = store.watch(None);
        let first = deliveries
            .next()
            .await
            .ok_or_else(|| gone("the store was closed"))?;
        let image = Image::new(&first).map_err(CatalogError::Store)?;
        let kept = history::kept(&*store).await?;
        let (publish, published) = watch::channel(Arc::new(image));
        let follower = tokio::spawn(async move {
            while let Some(delivery) = deliveries.next().await {
                follow(&publish, &delivery);
            }
        });
        let new_secret_key = random_key()?;
        let writing = Mutex::new(kept);
        Ok(Self(Arc::new(Inner {
            store,
            options,
            image: published,
            new_secret_key,
            writing,
            follower,
        })))
    }

    /// The definitions at the newest published revision.
    pub fn image(&self) -> Arc<Image> {
        self.0.image.borrow().clone()
    }

    /// Follows the images; a slow reader misses some, never the newest.
    pub fn watch(&self) -> watch::Receiver<Arc<Image>> {
        self.0.image.clone()
    }

    /// Makes a change, all or nothing; it is durable and in the image before this returns. Cancel safe: a change that was begun is
    /// finished.
    ///
    /// # Errors
    /// Everything of [`CatalogError`]. After [`CatalogError::Store`] the change may still have happened: the image shows it then,
    /// and a retry with the same `request_id` is answered as the first try would have been.
    pub async fn apply(&self, change: Change) -> Result<Outcome, CatalogError> {
        let inner = self.0.clone();
        let applying = tokio::spawn(async move { inner.apply(&change).await });
        applying
            .await
            .map_err(|_| gone("the change was interrupted"))?
    }

    /// Raises the epoch above one that a data plane reported, unless it is above it already; returns the head.
    ///
    /// # Errors
    /// [`CatalogError::Store`] when the store does not take writes.
    pub async fn bump_epoch(&self, reported: u64) -> Result<Revision, CatalogError> {
        let inner = self.0.clone();
        let bumping = tokio::spawn(async move { inner.bump_epoch(reported).await });
        bumping
            .await
            .map_err(|_| gone("the change was interrupted"))?
    }

    /// Returns at most `limit` revisions, newest first; secrets are shown as digests.
    ///
    /// # Errors
    /// [`CatalogError::Store`] when the store cannot be read.
    pub async fn history(&self, limit: usize) -> Result<Vec<HistoryEntry>, CatalogError> {
        history::read(&*self.0.store, limit, &self.0.secret_key()).await
    }

    /// Returns a definition as it may be shown: secrets are digests, which [`Catalog::apply`] takes for "unchanged".
    pub fn shown(&self, spec: &ClusterSpec) -> Draft {
        spec.draft().redacted(&self.0.secret_key())
    }

    /// The kind of store and whether it takes writes.
    pub fn health(&self) -> Health {
        self.0.store.health()
    }
}

impl Inner {
    async fn apply(&self, change: &Change) -> Result<Outcome, CatalogError> {
        let mut kept = self.writing.lock().await;
        let mut attempt = 1;
        loop {
            match self.attempt(change, &mut kept).await {
                Err(CatalogError::Store(StoreError::Conflict { head, .. }))
                    if attempt < ATTEMPTS =>
                {
                    self.wait_for(head).await?;
                    *kept = history::kept(&*self.store).await?;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Checks against the present image and commits against its revision.
    async fn attempt(&self, change: &Change, kept: &mut Kept) -> Result<Outcome, CatalogError> {
        let image = self.image.borrow().clone();
        let now = (self.options.clock)();
        let secret_key = self.secret_key();
        if let Some(outcome) =
            request::repeated(change, &image, &*self.store, now, &secret_key).await?
        {
            return Ok(outcome);
        }
        if let Some(expected) = change
            .if_revision
            .filter(|expected| *expected != image.revision)
        {
            return Err(CatalogError::RevisionMismatch {
                expected,
                current: image.revision,
            });
        }
        let effect = Effect::of(change, &image, &secret_key, now)?;
        if change.validate_only || effect.is_empty() {
            return Ok(effect.into_outcome(image.revision, &secret_key));
        }
        let next = Revision {
            number: image.revision.number + 1,
            ..image.revision
        };
        let mut ops = effect.ops(next)?;
        ops.extend(request::ops(change, &image, next, now));
        let revision = self.commit(ops, None, kept).await?;
        Ok(effect.into_outcome(revision, &secret_key))
    }

    async fn bump_epoch(&self, reported: u64) -> Result<Revision, CatalogError> {
        let mut kept = self.writing.lock().await;
        let present = self.image.borrow().revision;
        if present.epoch > reported {
            return Ok(present);
        }
        let epoch = reported
            .checked_add(1)
            .ok_or_else(|| gone("there is no epoch above the reported one"))?;
        let next = Revision {
            epoch,
            number: present.number + 1,
        };
        let reason =
            format!("a data plane reported epoch {reported}: the store has lost revisions");
        let ops = vec![history::op(next, (self.options.clock)(), "", &reason)];
        self.commit(ops, Some(epoch), &mut kept).await
    }

    /// Commits against the image's revision and waits until the image shows it.
    async fn commit(
        &self,
        mut ops: Vec<Op>,
        epoch: Option<u64>,
        kept: &mut Kept,
    ) -> Result<Revision, CatalogError> {
        let image = self.image.borrow().clone();
        if image.secret_key.is_none() {
            ops.push(Op::Put(
                Key::Setting(SECRET_KEY.into()),
                self.new_secret_key.clone(),
            ));
        }
        let pruned = kept.beyond(self.options.history.saturating_sub(1));
        ops.extend(
            pruned
                .iter()
                .map(|revision| Op::Delete(Key::History(*revision))),
        );
        let compare = vec![Compare::Head(image.revision)];
        let head = self
            .store
            .commit(Commit {
                compare,
                ops,
                epoch,
            })
            .await
            .map_err(CatalogError::Store)?;
        kept.advance(head.revision, pruned.len());
        self.wait_for(head.revision).await?;
        Ok(head.revision)
    }

    async fn wait_for(&self, revision: Revision) -> Result<(), CatalogError> {
        let mut image = self.image.clone();
        let seen = timeout(
            DELIVERED_WITHIN,
            image.wait_for(|image| image.revision >= revision),
        )
        .await;
        match seen {
            Ok(Ok(_)) => Ok(()),
            _ => Err(gone("the store does not deliver what it committed")),
        }
    }

    fn secret_key(&self) -> Bytes {
        self.image
            .borrow()
            .secret_key
            .clone()
            .unwrap_or_else(|| self.new_secret_key.clone())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Catalog")
            .field("revision", &self.image().revision)
            .finish_non_exhaustive()
    }
}

/// Publishes the next image. A record that cannot be read leaves its cluster as it was: an unreadable definition never takes a
/// cluster away.
fn follow(publish: &watch::Sender<Arc<Image>>, delivery: &Delivery) {
    let present = publish.borrow().clone();
    let next = present.next(delivery);
    publish.send_replace(Arc::new(next));
}

fn gone(why: &str) -> CatalogError {
    CatalogError::Store(StoreError::Unavailable(why.into()))
}

fn random_key() -> Result<Bytes, CatalogError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| gone(&format!("no random bytes: {error}")))?;
    Ok(Bytes::copy_from_slice(&key))
}

//! Where the truth is kept: ordered keys, atomic commits, one head that only moves forward.
//!
//! A store knows nothing of clusters: values are opaque. Every commit makes one new [`Revision`]; readers follow through
//! [`Store::watch`], which is level-triggered: a slow reader misses steps, never the outcome. `memory` is the reference model,
//! `sled` the embedded default; one suite of tests runs on both.

mod commit;
mod encoding;
mod export;
mod key;
mod memory;
mod sled;
#[cfg(test)]
mod suite;
mod watch;

use std::{fmt, future::Future, path::PathBuf, pin::Pin};

use bytes::Bytes;

pub use commit::{Commit, Compare, Op};
pub use encoding::SCHEMA;
pub use key::{Family, Key};
pub use memory::MemoryStore;
pub use sled::{SledOptions, SledStore};
pub use watch::{Delivery, Watch};

/// What a store's operations return: a boxed future, so that `dyn Store` can be held.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place in the fleet's history; ordered by epoch, then number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Grows on every restore or change of store.
    pub epoch: u64,
    /// Grows by one a commit.
    pub number: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.epoch, self.number)
    }
}

/// The identity of a store and the newest revision in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The fleet's UUID, made when the store was first opened.
    pub fleet_id: String,
    /// The newest revision.
    pub revision: Revision,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is kept.
    pub key: Key,
    /// What was put there.
    pub value: Bytes,
    /// The revision that put it there.
    pub revision: Revision,
}

/// Entries of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The revision all entries belong to.
    pub head: Head,
    /// Sorted by key.
    pub entries: Vec<Entry>,
}

/// Whether a store takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `memory`, `sled` or `etcd`.
    pub kind: &'static str,
    /// Why writes are refused; `None` while they are taken.
    pub failure: Option<String>,
}

/// Why a store refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// A condition of the commit does not hold.
    #[error("the head is at revision {head}: {condition} does not hold")]
    Conflict {
        /// The revision the conditions were compared at.
        head: Revision,
        /// The first one that failed.
        condition: String,
    },
    /// What is stored cannot be read; the text says what and where.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// An epoch below the present one was asked for.
    #[error("epoch {asked} is below the present epoch {present}")]
    EpochBehind {
        /// The epoch in the commit.
        asked: u64,
        /// The store's.
        present: u64,
    },
    /// Another process, or a handle that was not closed, holds the store.
    #[error("{} is locked by {holder}", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// Who holds it, as far as it is known.
        holder: String,
    },
    /// The store was written by a newer build.
    #[error(
        "the store has schema {found}, this build knows schemas up to {known}: use the build that wrote it or a newer one"
    )]
    NewerSchema {
        /// What is stored.
        found: u32,
        /// The newest one this build reads.
        known: u32,
    },
    /// The text is not an export, or not a whole one.
    #[error("not a whole export: {0}")]
    NotAnExport(String),
    /// The medium does not take writes; what was read before stays readable.
    #[error("the store does not take writes: {0}")]
    Unavailable(String),
}

/// Ordered keys with atomic commits.
pub trait Store: Send + Sync + 'static {
    /// The identity and the newest revision.
    fn head(&self) -> Head;

    /// Returns one entry.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Unavailable`] when an archived value cannot be read.
    fn get(&self, key: Key) -> Pending<'_, Option<Entry>>;

    /// Returns the entries of a family with the greatest keys, at most `last`, in ascending order.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn list(&self, family: Family, last: usize) -> Pending<'_, Listing>;

    /// Applies a commit; durable before it returns, and then seen by every watch. Not cancel safe: a dropped future leaves the
    /// outcome to the watch.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::EpochBehind`]: nothing happened. [`StoreError::Unavailable`]: the outcome is
    /// unknown until the next commit or open, and is then delivered through the watch.
    fn commit(&self, commit: Commit) -> Pending<'_, Head>;

    /// Follows the resident families. The first delivery is the whole state unless `from` is the head.
    fn watch(&self, from: Option<Revision>) -> Watch;

    /// Returns everything as one checked piece of bytes.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn export(&self) -> Pending<'_, Bytes>;

    /// Replaces everything, identity included, by an export; the epoch becomes larger than both.
    ///
    /// # Errors
    /// [`StoreError::NotAnExport`], [`StoreError::NewerSchema`], and those of [`Store::commit`].
    fn import(&self, export: Bytes) -> Pending<'_, Head>;

    /// Says whether writes are taken.
    fn health(&self) -> Health;
}

/// Makes a random UUID, version 4.
///
/// # Errors
/// [`StoreError::Unavailable`] when the system gives no random bytes.
pub fn random_uuid() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Unavailable(format!("no random bytes: {error}")))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

//! The published state and those who follow it; level-triggered, so a slow follower holds nothing back.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use super::{Entry, Family, Head, Key, Revision};

/// The resident entries of one revision.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) head: Head,
    pub(super) entries: Arc<BTreeMap<Key, Entry>>,
}

/// Returns the entries of a family in `entries`, in order: the last `last` of them.
pub(super) fn last_of(entries: &BTreeMap<Key, Entry>, family: Family, last: usize) -> Vec<Entry> {
    let of_family = entries
        .values()
        .rev()
        .filter(|entry| entry.key.family() == family);
    let mut entries: Vec<Entry> = of_family.take(last).cloned().collect();
    entries.reverse();
    entries
}

/// One step of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The revision after this step.
    pub head: Head,
    /// Whether `changed` is the whole state.
    pub full: bool,
    /// Entries put since the last step; sorted by key.
    pub changed: Vec<Entry>,
    /// Keys removed since the last step; sorted.
    pub removed: Vec<Key>,
}

/// Follows a store; steps that were missed are folded into the next one.
#[derive(Debug)]
pub struct Watch {
    receiver: watch::Receiver<Published>,
    seen: Option<Published>,
}

impl Watch {
    pub(super) fn new(receiver: watch::Receiver<Published>, from: Option<Revision>) -> Self {
        let published = receiver.borrow().clone();
        let seen = (from == Some(published.head.revision)).then_some(published);
        Self { receiver, seen }
    }

    /// Waits for the state to differ from what was last delivered. `None`: the store was closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            let published = self.receiver.borrow_and_update().clone();
            if self
                .seen
                .as_ref()
                .is_none_or(|seen| seen.head != published.head)
            {
                let delivery = difference(self.seen.as_ref(), &published);
                self.seen = Some(published);
                return Some(delivery);
            }
            self.receiver.changed().await.ok()?;
        }
    }
}

fn difference(seen: Option<&Published>, now: &Published) -> Delivery {
    let before = seen.map(|seen| &*seen.entries);
    let is_new =
        |entry: &&Entry| before.is_none_or(|before| before.get(&entry.key) != Some(*entry));
    let is_gone = |key: &&Key| !now.entries.contains_key(*key);
    Delivery {
        head: now.head.clone(),
        full: seen.is_none(),
        changed: now.entries.values().filter(is_new).cloned().collect(),
        removed: before
            .map(|before| before.keys().filter(is_gone).cloned().collect())
            .unwrap_or_default(),
    }
}

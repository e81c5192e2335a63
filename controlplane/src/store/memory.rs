//! The reference model of a store: a map behind a lock, gone with the process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Commit, Entry, Family, Head, Health, Key, Listing, Op, Pending, Revision, Store, StoreError,
    Watch,
    commit::next_head,
    export, random_uuid,
    watch::{Published, last_of},
};

/// Keeps everything in memory.
#[derive(Debug)]
pub struct MemoryStore {
    model: Mutex<Model>,
    published: watch::Sender<Published>,
}

#[derive(Debug)]
struct Model {
    head: Head,
    entries: BTreeMap<Key, Entry>,
}

impl MemoryStore {
    /// Makes an empty store with a new identity.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the system gives no random bytes.
    pub fn new() -> Result<Self, StoreError> {
        let head = Head {
            fleet_id: random_uuid()?,
            revision: Revision {
                epoch: 1,
                number: 0,
            },
        };
        let published = Published {
            head: head.clone(),
            entries: Arc::default(),
        };
        Ok(Self {
            model: Mutex::new(Model {
                head,
                entries: BTreeMap::new(),
            }),
            published: watch::Sender::new(published),
        })
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_now(&self, commit: &Commit) -> Result<Head, StoreError> {
        let mut model = self.model();
        let next = next_head(&model.head, commit, |key| {
            model.entries.get(key).map(|entry| entry.revision)
        })?;
        model.apply(next, commit);
        Ok(self.publish(&model))
    }

    fn import_now(&self, bytes: &[u8]) -> Result<Head, StoreError> {
        let mut model = self.model();
        let keys = model.entries.keys().cloned().collect();
        let (next, commit) = export::replacement((&model.head, keys), bytes)?;
        model.apply(next, &commit);
        Ok(self.publish(&model))
    }

    fn publish(&self, model: &Model) -> Head {
        let resident = model
            .entries
            .iter()
            .filter(|(key, _)| key.family().is_resident());
        let entries = resident
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect();
        self.published.send_replace(Published {
            head: model.head.clone(),
            entries: Arc::new(entries),
        });
        model.head.clone()
    }
}

impl Model {
    fn apply(&mut self, next: Head, commit: &Commit) {
        for op in &commit.ops {
            match op {
                Op::Delete(key) => drop(self.entries.remove(key)),
                Op::Put(key, value) => {
                    let entry = Entry {
                        key: key.clone(),
                        value: value.clone(),
                        revision: next.revision,
                    };
                    self.entries.insert(key.clone(), entry);
                }
            }
        }
        self.head = next;
    }
}

impl Store for MemoryStore {
    fn head(&self) -> Head {
        self.model().head.clone()
    }

    fn get(&self, key: Key) -> Pending<'_, Option<Entry>> {
        Box::pin(async move { Ok(self.model().entries.get(&key).cloned()) })
    }

    fn list(&self, family: Family, last: usize) -> Pending<'_, Listing> {
        Box::pin(async move {
            let model = self.model();
            Ok(Listing {
                head: model.head.clone(),
                entries: last_of(&model.entries, family, last),
            })
        })
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Head> {
        Box::pin(async move { self.commit_now(&commit) })
    }

    fn watch(&self, from: Option<Revision>) -> Watch {
        Watch::new(self.published.subscribe(), from)
    }

    fn export(&self) -> Pending<'_, Bytes> {
        Box::pin(async move {
            let model = self.model();
            Ok(export::write(
                &model.head,
                &model.entries.values().cloned().collect::<Vec<_>>(),
            ))
        })
    }

    fn import(&self, export: Bytes) -> Pending<'_, Head> {
        Box::pin(async move { self.import_now(&export) })
    }

    fn health(&self) -> Health {
        Health {
            kind: "memory",
            failure: None,
        }
    }
}

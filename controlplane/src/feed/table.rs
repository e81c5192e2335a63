//! What one lane of a data plane should hold, holds, and must be sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What should be held under one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing.
    #[default]
    Absent,
    /// This.
    Present(Mark),
    /// Whatever is held: what should be is not known yet.
    Unknown,
}

/// Tells one state of a resource from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) revision: u64,
    pub(super) hash: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) wanted: Wanted,
    pub(super) held: Option<Mark>,
    /// What was wanted when the data plane rejected it; not sent again until that changes.
    pub(super) rejected: Option<Wanted>,
    /// A delta was rejected: the next one is sent whole.
    pub(super) whole: bool,
}

impl Entry {
    /// Whether what is wanted now was rejected.
    pub(super) fn is_rejected(&self) -> bool {
        self.rejected == Some(self.wanted)
    }

    fn is_wanted(&self) -> bool {
        self.wanted != Wanted::Absent
    }

    fn must_send(&self) -> bool {
        let differs = match self.wanted {
            Wanted::Absent => self.held.is_some(),
            Wanted::Present(mark) => self.held != Some(mark),
            Wanted::Unknown => false,
        };
        differs && !self.is_rejected()
    }

    fn wanted_hash(&self) -> u64 {
        match self.wanted {
            Wanted::Absent => 0,
            Wanted::Present(mark) => mark.hash,
            Wanted::Unknown => self.held_hash(),
        }
    }

    fn held_hash(&self) -> u64 {
        self.held.map_or(0, |mark| mark.hash)
    }
}

/// All names of one lane; keeps the digests and the dirty set true through every change.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Arc<str>, Entry>,
    dirty: BTreeSet<Arc<str>>,
    held_digest: u64,
    wanted_digest: u64,
    wanted_count: usize,
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.entries.keys().cloned().collect()
    }

    /// Names whose state must be sent.
    pub(super) fn dirty(&self) -> &BTreeSet<Arc<str>> {
        &self.dirty
    }

    pub(super) fn held_digest(&self) -> u64 {
        self.held_digest
    }

    pub(super) fn wanted_digest(&self) -> u64 {
        self.wanted_digest
    }

    /// Number of names that should be held.
    pub(super) fn wanted_count(&self) -> usize {
        self.wanted_count
    }

    pub(super) fn want(&mut self, name: &Arc<str>, wanted: Wanted) {
        self.change(name, |entry| {
            if entry.wanted != wanted {
                entry.rejected = None;
                entry.wanted = wanted;
            }
        });
    }

    pub(super) fn hold(&mut self, name: &Arc<str>, held: Option<Mark>) {
        self.change(name, |entry| {
            entry.held = held;
            entry.whole = false;
        });
    }

    pub(super) fn reject(&mut self, name: &Arc<str>, rejected: Wanted) {
        self.change(name, |entry| entry.rejected = Some(rejected));
    }

    pub(super) fn demand_whole(&mut self, name: &Arc<str>) {
        self.change(name, |entry| entry.whole = true);
    }

    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Entry)) {
        let entry = self.entries.entry(Arc::clone(name)).or_default();
        self.held_digest ^= entry.held_hash();
        self.wanted_digest ^= entry.wanted_hash();
        self.wanted_count -= usize::from(entry.is_wanted());
        change(entry);
        self.held_digest ^= entry.held_hash();
        self.wanted_digest ^= entry.wanted_hash();
        self.wanted_count += usize::from(entry.is_wanted());
        if entry.must_send() {
            self.dirty.insert(Arc::clone(name));
        } else {
            self.dirty.remove(name);
        }
        if entry.wanted == Wanted::Absent && entry.held.is_none() {
            self.entries.remove(name);
        }
    }
}

//! Keeps a data plane from crashing over the same resource again and again.
//!
//! What a push changes is under suspicion from before it is applied until it has served a minute. A process that finds
//! armed suspects when it starts has crashed; a suspect that was there for two crashes is quarantined until it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prism_proto::pb::discovery::v1::ResourceVersion;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How long a resource must serve to be cleared.
const PROBATION: Duration = Duration::from_secs(60);
/// Crashes that a resource may be there for, less one.
const CRASHES: u32 = 2;

/// One resource in one state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// The resource's kind.
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// Hash of its body.
    pub hash: u64,
}

impl Pair {
    /// Names a resource by kind, name and hash.
    pub fn new(kind: &str, name: &str, hash: u64) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            hash,
        }
    }

    fn is_other_state_of(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name && self.hash != other.hash
    }
}

impl From<&ResourceVersion> for Pair {
    fn from(version: &ResourceVersion) -> Self {
        Self::new(&version.kind, &version.name, version.hash)
    }
}

/// Who is under suspicion and who is convicted.
#[derive(Debug, Default)]
pub struct PoisonGuard {
    suspects: BTreeMap<Pair, Suspect>,
    quarantined: BTreeSet<Pair>,
}

#[derive(Debug, Default)]
struct Suspect {
    crashes: u32,
    /// When probation ends; `None` while it is not being applied.
    armed_until: Option<Instant>,
}

/// What goes to disk of a guard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Marks {
    suspects: Vec<Mark>,
    quarantined: Vec<Pair>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    pair: Pair,
    crashes: u32,
    armed: bool,
}

impl PoisonGuard {
    /// Takes over what the last run left, counting a crash for each suspect that it was applying.
    pub(super) fn after_last_run(marks: Marks) -> Self {
        let mut guard = Self {
            suspects: BTreeMap::new(),
            quarantined: marks.quarantined.into_iter().collect(),
        };
        for mark in marks.suspects {
            let crashes = mark.crashes + u32::from(mark.armed);
            if crashes >= CRASHES {
                guard.quarantined.insert(mark.pair);
                continue;
            }
            let suspect = Suspect {
                crashes,
                armed_until: None,
            };
            guard.suspects.insert(mark.pair, suspect);
        }
        guard
    }

    /// Puts what is about to be applied under suspicion.
    pub fn arm(&mut self, pairs: impl IntoIterator<Item = Pair>, now: Instant) {
        for pair in pairs {
            let suspect = self.suspects.entry(pair).or_default();
            suspect.armed_until = Some(now + PROBATION);
        }
    }

    /// Puts those of `pairs` under suspicion that were there when the last run crashed.
    pub fn arm_known(&mut self, pairs: impl IntoIterator<Item = Pair>, now: Instant) {
        let known: Vec<_> = pairs
            .into_iter()
            .filter(|p| self.suspects.contains_key(p))
            .collect();
        self.arm(known, now);
    }

    /// Clears those that have served long enough. Returns whether there were any.
    pub fn clear_served(&mut self, now: Instant) -> bool {
        let count = self.suspects.len();
        self.suspects
            .retain(|_, suspect| suspect.armed_until.is_none_or(|until| now < until));
        self.suspects.len() != count
    }

    /// Returns when somebody may be cleared.
    pub fn deadline(&self) -> Option<Instant> {
        self.suspects
            .values()
            .filter_map(|suspect| suspect.armed_until)
            .min()
    }

    /// Clears everybody who is being applied: the process ends in order.
    pub fn clean_exit(&mut self) {
        self.suspects
            .retain(|_, suspect| suspect.armed_until.is_none());
    }

    /// Convicts a resource.
    #[cfg(test)]
    pub(in crate::discovery) fn quarantine(&mut self, pair: Pair) {
        self.quarantined.insert(pair);
    }

    /// Tells whether a resource must not be applied.
    pub fn is_quarantined(&self, pair: &Pair) -> bool {
        self.quarantined.contains(pair)
    }

    /// Forgets other states of a resource that has changed. Returns whether there were any.
    pub fn release_changed(&mut self, pair: &Pair) -> bool {
        let count = self.quarantined.len();
        self.quarantined
            .retain(|held| !pair.is_other_state_of(held));
        self.suspects
            .retain(|held, _| !pair.is_other_state_of(held));
        self.quarantined.len() != count
    }

    /// Returns who is quarantined, for a report.
    pub fn quarantined(&self) -> Vec<ResourceVersion> {
        let version = |pair: &Pair| ResourceVersion {
            kind: pair.kind.clone(),
            name: pair.name.clone(),
            revision: 0,
            hash: pair.hash,
        };
        self.quarantined.iter().map(version).collect()
    }

    /// Returns what goes to disk.
    pub fn marks(&self) -> Marks {
        let mark = |(pair, suspect): (&Pair, &Suspect)| Mark {
            pair: pair.clone(),
            crashes: suspect.crashes,
            armed: suspect.armed_until.is_some(),
        };
        Marks {
            suspects: self.suspects.iter().map(mark).collect(),
            quarantined: self.quarantined.iter().cloned().collect(),
        }
    }
}

impl Marks {
    pub(super) fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.quarantined.is_empty()
    }
}

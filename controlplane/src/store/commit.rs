//! What a commit asks for, and whether its conditions hold.

use bytes::Bytes;

use super::{Head, Key, Revision, StoreError};

/// A condition of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The head is at this revision.
    Head(Revision),
    /// The key was last put by this revision; `None`: it is absent.
    Key(Key, Option<Revision>),
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Removes a key; an absent one is no error.
    Delete(Key),
    /// Creates or replaces a key.
    Put(Key, Bytes),
}

/// A set of changes that happens as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// All must hold.
    pub compare: Vec<Compare>,
    /// Applied in order; may be empty when only the epoch moves.
    pub ops: Vec<Op>,
    /// The epoch to go to; `None` keeps it. Never lower than the present one.
    pub epoch: Option<u64>,
}

/// Checks the conditions of a commit and returns the head it leads to; `revision_of` looks a key up.
pub(super) fn next_head(
    head: &Head,
    commit: &Commit,
    revision_of: impl Fn(&Key) -> Option<Revision>,
) -> Result<Head, StoreError> {
    for compare in &commit.compare {
        let (holds, condition) = match compare {
            Compare::Head(expected) => (head.revision == *expected, format!("head at {expected}")),
            Compare::Key(key, None) => (revision_of(key).is_none(), format!("{key} absent")),
            Compare::Key(key, Some(expected)) => (
                revision_of(key) == Some(*expected),
                format!("{key} at {expected}"),
            ),
        };
        if !holds {
            return Err(StoreError::Conflict {
                head: head.revision,
                condition,
            });
        }
    }
    let present = head.revision.epoch;
    let asked = commit.epoch.unwrap_or(present);
    if asked < present {
        return Err(StoreError::EpochBehind { asked, present });
    }
    Ok(Head {
        fleet_id: head.fleet_id.clone(),
        revision: Revision {
            epoch: asked,
            number: head.revision.number + 1,
        },
    })
}

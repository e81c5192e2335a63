//! Where a Memcached client comes in, and what it may do behind that; each protocol has its own words for it.

use std::rc::Rc;

use super::standing::Standing;
use crate::{cluster::ClusterWorker, protocol::memcache::command::Command};

/// Who one client is, and whether its requests have to be looked at.
pub(super) struct Gate {
    cluster: Rc<ClusterWorker>,
    standing: Standing,
}

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The client is to authenticate first.
    Shut,
    /// The client may not do that; the words say what.
    Forbidden(String),
}

impl Gate {
    pub(super) fn new(cluster: &Rc<ClusterWorker>) -> Self {
        Self {
            cluster: Rc::clone(cluster),
            standing: Standing::new(cluster),
        }
    }

    /// Returns whether nothing is forbidden to the client, so that its requests need no look.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.standing.is_free(&self.cluster)
    }

    /// Returns whether the client is to authenticate before anything else.
    #[cold]
    pub(super) fn is_shut(&mut self) -> bool {
        self.standing.review(&self.cluster);
        !self.standing.is_admitted()
    }

    /// Returns whether clients authenticate here at all.
    pub(super) fn is_locked(&self) -> bool {
        self.cluster.is_locked()
    }

    /// Makes the client the user of this name and password, or nobody when they are not right; returns whether they are.
    pub(super) fn present(&mut self, user: &[u8], password: &[u8]) -> bool {
        let standing = Standing::of(&self.cluster, user, password);
        let is_right = standing.is_some();
        self.standing = standing.unwrap_or_else(|| Standing::new(&self.cluster));
        is_right
    }

    /// Makes the client nobody.
    pub(super) fn leave(&mut self) {
        self.standing = Standing::new(&self.cluster);
    }

    /// Checks whether the client may send a request; `is_change` tells that one which else only reads changes something.
    ///
    /// # Errors
    /// Why it is not to be served.
    #[cold]
    pub(super) fn check<K: AsRef<[u8]>>(
        &mut self,
        (command, is_change): (&'static Command, bool),
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), Stop> {
        if self.is_shut() {
            return Err(Stop::Shut);
        }
        let Standing { user, access, .. } = &self.standing;
        let verdict = access.check_memcached(user, (command, is_change), keys);
        verdict.map_err(|forbidden| Stop::Forbidden(forbidden.words(user)))?;
        self.standing.note_free();
        Ok(())
    }

    /// Returns whether the client's user is gone or has another password, so that the client is to leave.
    pub(super) fn is_dismissed(&mut self) -> bool {
        self.standing.review(&self.cluster);
        self.standing.is_dismissed()
    }
}

//! Who a client is, and whether it may be here, whatever it speaks.

use std::sync::Arc;

use crate::{
    access::{Access, User},
    cluster::ClusterWorker,
};

/// Who a client is, and whether its requests have to be looked at.
pub(super) struct Standing {
    pub(super) user: Arc<User>,
    pub(super) access: Arc<Access>,
    /// It presented the password of its user.
    has_presented: bool,
    /// Its user is gone or has another password: it is to leave.
    is_dismissed: bool,
    /// Its rules about channels changed: what it listens to may be forbidden by now.
    has_lost_channels: bool,
    /// The rules that `user` and `access` are of.
    generation: u32,
    /// The rules under which nothing is forbidden to it; 0 for none.
    free_under: u32,
}

impl Standing {
    /// A client that has presented nothing.
    pub(super) fn new(cluster: &ClusterWorker) -> Self {
        let access = Arc::clone(&cluster.runtime().access);
        Self {
            user: Arc::clone(access.default_user()),
            access,
            has_presented: false,
            is_dismissed: false,
            has_lost_channels: false,
            generation: cluster.rules(),
            free_under: 0,
        }
    }

    /// A client that presents this name and password; nothing when they are not right.
    pub(super) fn of(cluster: &ClusterWorker, user: &[u8], password: &[u8]) -> Option<Self> {
        let mut standing = Self::new(cluster);
        let user = standing.access.authenticate(user, password);
        standing.user = Arc::clone(user?);
        // What was never checked does not count once a password is asked for.
        standing.has_presented = !standing.user.is_open();
        Some(standing)
    }

    /// Whether nothing is forbidden to the client, so that its requests need no look.
    #[inline]
    pub(super) fn is_free(&self, cluster: &ClusterWorker) -> bool {
        self.free_under == cluster.rules()
    }

    /// Notes whether nothing is forbidden to the client, until rules change.
    pub(super) fn note_free(&mut self) {
        if self.is_admitted() && self.access.is_unlimited(&self.user) {
            self.free_under = self.generation;
        }
    }

    /// Takes over rules that changed since the last look.
    pub(super) fn review(&mut self, cluster: &ClusterWorker) {
        if self.generation == cluster.rules() {
            return;
        }
        self.generation = cluster.rules();
        self.access = Arc::clone(&cluster.runtime().access);
        let named = self.access.user(self.user.name().as_bytes()).cloned();
        match &named {
            Some(user) if user.is_open() => self.has_presented = false,
            Some(user) if !self.has_presented || user.admits(&self.user) => {}
            _ => self.dismiss(),
        }
        let keeps_channels = |user: &Arc<User>| user.keeps_channels_of(&self.user);
        self.has_lost_channels |= !named.as_ref().is_some_and(keeps_channels);
        let user = named.filter(|_| !self.is_dismissed);
        self.user = user.unwrap_or_else(|| Arc::clone(self.access.default_user()));
    }

    /// Takes away the right to be here.
    pub(super) fn dismiss(&mut self) {
        self.is_dismissed = true;
        self.has_presented = false;
    }

    /// Whether the client may run commands at all: it has presented a password, or none is asked for.
    pub(super) fn is_admitted(&self) -> bool {
        !self.is_dismissed && (self.has_presented || self.user.is_open())
    }

    /// Whether the client is to leave.
    pub(super) fn is_dismissed(&self) -> bool {
        self.is_dismissed
    }

    /// Returns, once, whether its rules about channels changed.
    pub(super) fn take_lost_channels(&mut self) -> bool {
        std::mem::take(&mut self.has_lost_channels)
    }
}

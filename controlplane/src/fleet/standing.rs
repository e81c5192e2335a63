//! How one data plane stands to what it should have.

use std::{collections::BTreeSet, sync::Arc};

use crate::store::Revision;

/// What is known of a stream's progress; made by the feed after every step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The fleet revision that was last compared with what is held.
    pub desired: Revision,
    /// The fleet revision of the newest push it acked, or what it should have while it is in step.
    pub acked: Revision,
    /// XOR of the hashes of all resources it should hold.
    pub desired_digest: u64,
    /// The digest it reported last; `None` before it resumed.
    pub reported_digest: Option<u64>,
    /// Clusters that are on their way to it.
    pub behind: BTreeSet<Arc<str>>,
    /// Number of clusters it should serve.
    pub clusters: usize,
    /// Redis Clusters it serves; `None` before it resumed.
    pub serves: Option<Arc<BTreeSet<Arc<str>>>>,
}

impl Standing {
    /// Tells whether it holds exactly what it should.
    pub fn is_synced(&self) -> bool {
        self.reported_digest == Some(self.desired_digest)
    }
}

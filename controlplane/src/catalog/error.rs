//! Why a change was refused.

use std::time::Duration;

use prism_proto::model::Violations;

use crate::store::{Revision, StoreError};

/// Why a change was refused; nothing of it happened, but for [`CatalogError::Store`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    /// The cluster was changed after the writer read it.
    #[error(
        "cluster `{name}` was changed by `{author}` {age:?} ago, at revision {revision}: its etag is `{etag}` now"
    )]
    EtagMismatch {
        /// The cluster's name.
        name: String,
        /// The present etag; empty when the cluster is gone.
        etag: String,
        /// The revision that last changed it; the head when it is gone.
        revision: Revision,
        /// Who changed it last.
        author: String,
        /// How long ago.
        age: Duration,
    },
    /// There is no cluster of this name.
    #[error("there is no cluster `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The head is not where the writer thinks.
    #[error("the fleet is at revision {current}, not at {expected}")]
    RevisionMismatch {
        /// What the writer demanded.
        expected: Revision,
        /// The head.
        current: Revision,
    },
    /// More than half of a cluster's endpoints would go.
    #[error(
        "cluster `{name}` would keep {kept} of {present} endpoints: confirm that it shrinks from revision {revision}"
    )]
    ShrinkGuard {
        /// The cluster's name.
        name: String,
        /// The revision that must be confirmed.
        revision: Revision,
        /// Endpoints now.
        present: usize,
        /// Endpoints that would stay.
        kept: usize,
    },
    /// The store does not take it.
    #[error(transparent)]
    Store(StoreError),
    /// The definitions are too long.
    #[error("the definitions have {bytes} bytes, at most {limit} are taken")]
    TooLarge {
        /// Encoded length.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// There would be too many clusters.
    #[error("{count} clusters are more than {limit}")]
    TooManyClusters {
        /// How many there would be.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The definitions are wrong; all that is.
    #[error("{0}")]
    Violations(Violations),
}

//! Checked values that all sides share; what is held here has been validated.

mod access;
mod address;
mod advice;
mod check;
mod cluster;
mod command;
mod defaults;
mod draft;
mod fleet;
mod limits;
mod nearest;
mod peer;
mod redact;
mod resource;
mod rule;
mod secret;
mod selector;
mod sharding;
mod spec;
mod unsupported;
mod violation;
mod word;

#[cfg(test)]
pub(crate) mod tests;

pub use access::{DEFAULT_USER, User};
pub use address::{AddressError, EndpointAddr, ListenAddr, parse_host};
pub use cluster::{Cluster, Endpoint, HotKeys, Limits, Probing, Slowlog, Timeouts, TopologyPolicy};
pub use command::{CATEGORIES, COMMANDS, MEMCACHE_WORDS, REDIS_WORDS, Vocabulary};
pub use draft::{
    AuthDraft, BackendAuthDraft, BackendTlsDraft, BackupRequestDraft, ClientCacheDraft, Draft,
    EndpointDraft, HotKeysDraft, SlowlogThreshold, TlsDraft, UserDraft,
};
pub use fleet::check_fleet;
pub(crate) use fleet::check_fleet_at;
pub use limits::{MAX_CLUSTERS, MAX_ENDPOINTS, MAX_MANIFEST_BYTES, MAX_NAME_BYTES};
pub(crate) use nearest::nearest;
pub use peer::{MAX_PEERS, Peer, node_id, shard_id};
pub use resource::resource_hash;
pub use rule::{AclRule, CommandClass, RuleError};
pub use secret::{Credentials, Secret, SecretError};
pub use selector::Selector;
pub use sharding::{Distribution, Hash, HashBytes, KetamaFloat, Sharding};
pub use spec::ClusterSpec;
pub use violation::{Violation, Violations};
pub use word::{CacheType, MultiKeyPolicy, OnEjection, OnReadmit, ReadPolicy, RolloutMode, Word};

//! One cluster as its author wrote it: nothing checked, nothing filled in.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{
    CacheType, Distribution, Hash, HashBytes, KetamaFloat, MultiKeyPolicy, OnEjection, OnReadmit,
    ReadPolicy, RolloutMode, Secret, Selector,
};

/// One cluster as written; `None` is "not written". Meanings and defaults: the definitions file of the README.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "the fields are the keys of the definitions file, described there and in config.proto"
)]
pub struct Draft {
    pub name: String,
    pub listen_addr: String,
    pub cache_type: Option<CacheType>,
    pub endpoints: Vec<EndpointDraft>,
    pub selector: Selector,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub rollout: Option<RolloutMode>,

    pub hash: Option<Hash>,
    pub distribution: Option<Distribution>,
    pub hash_tag: Option<String>,
    pub hash_bytes: Option<HashBytes>,
    pub ketama_float: Option<KetamaFloat>,

    pub read_timeout: Option<Duration>,
    pub write_timeout: Option<Duration>,
    pub dead_after: Option<Duration>,
    pub dial_timeout: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    pub tcp_keepalive: Option<Duration>,
    pub node_connections: Option<u32>,

    pub max_clients: Option<u64>,
    pub max_pending: Option<u64>,
    pub max_pending_bytes: Option<u64>,
    pub client_buffer_bytes: Option<u64>,
    pub max_leases: Option<u64>,
    pub retry_budget_percent: Option<u32>,
    pub max_request_bytes: Option<u64>,
    pub max_reply_bytes: Option<u64>,

    pub fetch_interval: Option<Duration>,
    pub fetch_min_interval: Option<Duration>,
    pub read_policy: Option<ReadPolicy>,
    pub max_replica_lag: Option<Duration>,
    pub multi_key_policy: Option<MultiKeyPolicy>,

    pub ping_fail_limit: Option<u32>,
    pub ping_interval: Option<Duration>,
    pub ping_succ_interval: Option<Duration>,
    pub ping_timeout: Option<Duration>,
    pub ping_succ_limit: Option<u32>,
    pub ping_succ_window: Option<Duration>,
    pub on_ejection: Option<OnEjection>,
    pub on_readmit: Option<OnReadmit>,
    pub max_ejection_percent: Option<u32>,
    pub no_panic: Option<bool>,

    pub auth: Option<AuthDraft>,
    pub backend_auth: Option<BackendAuthDraft>,
    pub redis_db: Option<u32>,
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub tls: Option<TlsDraft>,
    pub backend_tls: Option<BackendTlsDraft>,

    pub slowlog_slower_than: Option<SlowlogThreshold>,
    pub slowlog_max_len: Option<u32>,
    pub hot_keys: HotKeysDraft,
    pub client_cache: Option<ClientCacheDraft>,
    pub backup_request: Option<BackupRequestDraft>,
    pub join_gets: Option<bool>,
}

/// One endpoint as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointDraft {
    /// `host:port`, `[v6]:port` or `unix:/path`.
    pub addr: String,
    /// Share of the ring.
    pub weight: Option<u32>,
    /// Name on the ring.
    pub alias: Option<String>,
    /// Where it stands.
    pub zone: Option<String>,
    /// Alias of the shard it replicates.
    pub replica_of: Option<String>,
}

/// What clients must present, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthDraft {
    /// Of the default user; the key `password` is the same.
    pub password: Option<Secret>,
    /// Named users.
    pub users: Vec<UserDraft>,
}

/// One named user, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserDraft {
    /// The name given to AUTH.
    pub username: String,
    /// What the client must present.
    pub password: Option<Secret>,
    /// Rules in the spelling of Redis ACLs.
    pub commands: Vec<String>,
    /// Key patterns in the spelling of Redis ACLs.
    pub keys: Vec<String>,
}

/// What the proxy presents upstream, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendAuthDraft {
    /// `None` for the default user.
    pub username: Option<String>,
    /// The keys `backend_password` and `redis_auth` are the same.
    pub password: Option<Secret>,
}

/// The certificate of a listener, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsDraft {
    /// Path of a PEM chain.
    pub cert: String,
    /// Path of a PEM key.
    pub key: String,
    /// Path of the authorities that clients must be signed by; empty for none.
    pub client_ca: String,
}

/// TLS towards endpoints, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTlsDraft {
    /// Path of the authorities that endpoints must be signed by.
    pub ca: String,
    /// Path of the proxy's own PEM chain; empty for none.
    pub cert: String,
    /// Path of the proxy's own PEM key; empty for none.
    pub key: String,
    /// Replaces the endpoint's host name in the handshake; empty for not.
    pub server_name: String,
}

/// From when on a command is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowlogThreshold {
    /// No command is.
    Off,
    /// What takes longer is.
    SlowerThan(Duration),
}

/// The tuning of the hot key sketch, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HotKeysDraft {
    /// One request of so many is counted.
    pub sample_every: Option<u32>,
    /// Counters a row.
    pub sketch_width: Option<u32>,
    /// Rows.
    pub sketch_depth: Option<u32>,
    /// Keys kept.
    pub capacity: Option<u32>,
    /// Multiplies counts each window.
    pub decay: Option<f64>,
}

/// The near cache, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCacheDraft {
    /// Turns it on.
    pub enabled: bool,
    /// Bounds the number of keys.
    pub max_entries: Option<u64>,
    /// Bounds one value.
    pub max_value_bytes: Option<u64>,
}

/// Hedged reads, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BackupRequestDraft {
    /// Turns them on.
    pub enabled: bool,
    /// How long to wait before the second request.
    pub trigger_slow: Option<Duration>,
    /// Multiple of the mean latency that triggers the second request.
    pub multiplier: Option<f64>,
}

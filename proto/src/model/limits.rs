//! Every limit of a definition.

use std::{ops::RangeInclusive, time::Duration};

/// Most clusters of a fleet.
pub const MAX_CLUSTERS: usize = 1000;
/// Largest definitions file, and largest Apply.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Most endpoints of a cluster.
pub const MAX_ENDPOINTS: usize = 1000;
/// Longest name of a cluster or data plane.
pub const MAX_NAME_BYTES: usize = 128;
/// Most labels, annotations or data planes of one cluster.
pub(super) const MAX_ENTRIES: usize = 256;
/// Longest text of a label, annotation or password.
pub(super) const MAX_TEXT_BYTES: usize = 4096;

/// Weight of an endpoint.
pub(super) const WEIGHT: RangeInclusive<u64> = 1..=1000;
/// Upstream connections per endpoint and worker.
pub(super) const NODE_CONNECTIONS: RangeInclusive<u64> = 1..=64;
/// Timeouts that must end.
pub(super) const TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(86_400);
/// Times where 0 means never or off.
pub(super) const TIMEOUT_OR_NEVER: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(31 * 86_400);
/// Shares.
pub(super) const PERCENT: RangeInclusive<u64> = 0..=100;
/// Counts of things that must be possible at all.
pub(super) const COUNT: RangeInclusive<u64> = 1..=1024 * 1024;
/// Counts where 0 has a meaning.
pub(super) const COUNT_OR_NONE: RangeInclusive<u64> = 0..=16 * 1024 * 1024;
/// Sizes in bytes.
pub(super) const BYTES: RangeInclusive<u64> = 1024..=64 * 1024 * 1024 * 1024;

//! What a data plane refuses to be told without an explicit confirmation.

use prism_proto::{
    model::{CacheType, Cluster, Violations},
    placement::SlotMap,
};

use super::HeldResource;

/// Refuses a definition that drops more than half of the endpoints in service.
///
/// `confirmed` is the revision that the sender confirmed to shrink from; seeds of a Redis Cluster are not counted, since
/// they own nothing. Spec: control-plane.md §4 rule 8.
pub(super) fn check_cluster(
    held: Option<&HeldResource<Cluster>>,
    new: &Cluster,
    confirmed: u64,
) -> Result<(), Violations> {
    let Some(held) = held.filter(|held| held.revision != confirmed || confirmed == 0) else {
        return Ok(());
    };
    let pool = |cluster: &Cluster| cluster.cache_type() != CacheType::RedisCluster;
    if !pool(&held.value) || !pool(new) {
        return Ok(());
    }
    let (before, after) = (held.value.endpoints().len(), new.endpoints().len());
    if after * 2 >= before {
        return Ok(());
    }
    let revision = held.revision;
    let description = format!(
        "{after} of {before} endpoints left: over half dropped without a confirmation that names revision {revision}"
    );
    Err(Violations::one("endpoints", description))
}

/// Refuses a slot map in which slots lose their owner and get no other.
pub(super) fn check_slot_map(
    held: Option<&HeldResource<SlotMap>>,
    new: &SlotMap,
    confirmed: u64,
) -> Result<(), Violations> {
    let Some(held) = held.filter(|held| held.revision != confirmed || confirmed == 0) else {
        return Ok(());
    };
    let owners = held.value.owners().iter().zip(new.owners());
    let lost = owners
        .filter(|(old, new)| old.is_some() && new.is_none())
        .count();
    if lost == 0 {
        return Ok(());
    }
    let revision = held.revision;
    let description = format!(
        "{lost} slots lose their owner without a confirmation that names revision {revision}"
    );
    Err(Violations::one("ranges", description))
}

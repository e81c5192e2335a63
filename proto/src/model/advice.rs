//! What is accepted but does not do what its author may think.

use std::fmt::Display;

use crate::model::{
    CacheType, Cluster, Distribution, Draft, OnEjection, RolloutMode, Sharding, Violations,
};

/// Collects what is accepted but does not do what its author may think.
pub(super) fn warnings(draft: &Draft, cache_type: CacheType) -> Violations {
    let mut warnings = Violations::new();
    if draft.rollout == Some(RolloutMode::Staged) {
        warnings.push(
            "rollout",
            "staged delivery is not supported by this version: changes go at once",
        );
    }
    if cache_type != CacheType::RedisCluster {
        if draft.distribution == Some(Distribution::Random) {
            warnings.push("distribution", "random does not find again what it stored");
        }
        return warnings;
    }
    let ignored = [
        ("hash", draft.hash.is_some()),
        ("distribution", draft.distribution.is_some()),
        ("hash_tag", draft.hash_tag.is_some()),
        ("hash_bytes", draft.hash_bytes.is_some()),
        ("ketama_float", draft.ketama_float.is_some()),
    ];
    for (field, _) in ignored.iter().filter(|(_, written)| *written) {
        warnings.push(*field, "is ignored: a Redis Cluster places keys by slot");
    }
    for (index, endpoint) in draft.endpoints.iter().enumerate() {
        if endpoint.weight.is_some_and(|weight| weight != 1) {
            let field = format!("endpoints[{index}].weight");
            warnings.push(field, "is ignored: a Redis Cluster places keys by slot");
        }
    }
    if draft.on_ejection == Some(OnEjection::Rehash) {
        warnings.push("on_ejection", "is ignored: a Redis Cluster never rehashes");
    }
    warnings
}

/// Collects defaults that replace what an existing pool's definition said, and so move its keys.
pub(super) fn moved_by_defaults(draft: &Draft, now: &Cluster, before: &Cluster) -> Violations {
    let mut warnings = Violations::new();
    if now.cache_type() == CacheType::RedisCluster || now.cache_type() != before.cache_type() {
        return warnings;
    }
    let (new, old) = (now.sharding(), before.sharding());
    let mut compare = |field: &str, is_written: bool, new: &dyn Display, old: &dyn Display| {
        let (new, old) = (new.to_string(), old.to_string());
        if !is_written && new != old {
            let description =
                format!("is not written: the default {new} replaces {old} and moves keys");
            warnings.push(field, description);
        }
    };
    let tag = |sharding: Sharding| {
        let tag = sharding.hash_tag.map(|tag| tag.map(char::from));
        tag.map_or_else(|| "none".to_owned(), |tag| tag.iter().collect())
    };
    compare("hash", draft.hash.is_some(), &new.hash, &old.hash);
    let written = draft.distribution.is_some();
    compare(
        "distribution",
        written,
        &new.distribution,
        &old.distribution,
    );
    compare("hash_tag", draft.hash_tag.is_some(), &tag(new), &tag(old));
    let written = draft.hash_bytes.is_some();
    compare("hash_bytes", written, &new.hash_bytes, &old.hash_bytes);
    let written = draft.ketama_float.is_some();
    compare(
        "ketama_float",
        written,
        &new.ketama_float,
        &old.ketama_float,
    );
    warnings
}

//! Keys that this version reads but does not do: refused, because they protect or change an answer.

use crate::model::{Draft, ReadPolicy, Violations};

/// What is said of such a key.
const REFUSAL: &str = "not supported by this version";

/// A path, and whether the draft asks for what is behind it.
type Row = (&'static str, fn(&Draft) -> bool);

const TABLE: &[Row] = &[
    ("tls", |draft| draft.tls.is_some()),
    ("backend_tls", |draft| draft.backend_tls.is_some()),
    ("redis_db", |draft| draft.redis_db.unwrap_or(0) != 0),
    ("read_policy", |draft| {
        draft.read_policy.unwrap_or_default() != ReadPolicy::Primary
    }),
    ("client_cache.enabled", |draft| {
        draft.client_cache.is_some_and(|cache| cache.enabled)
    }),
    ("backup_request.enabled", |draft| {
        draft.backup_request.is_some_and(|backup| backup.enabled)
    }),
];

/// Refuses every such key that is written.
pub(super) fn check(draft: &Draft, violations: &mut Violations) {
    for (field, is_asked_for) in TABLE {
        if is_asked_for(draft) {
            violations.push(*field, REFUSAL);
        }
    }
    for (index, endpoint) in draft.endpoints.iter().enumerate() {
        if endpoint.replica_of.is_some() {
            violations.push(format!("endpoints[{index}].replica_of"), REFUSAL);
        }
    }
}

//! Refusals of the catalog as gRPC says them.

use prism_proto::status;
use tonic::Status;

use crate::{catalog::CatalogError, store::StoreError};

/// Says why a change was refused.
pub(super) fn from_catalog(error: &CatalogError) -> Status {
    let text = error.to_string();
    match error {
        CatalogError::EtagMismatch {
            name,
            etag,
            revision,
            author,
            age,
        } => {
            let (revision, age) = (revision.to_string(), age.as_secs().to_string());
            let facts = [
                ("cluster", name.as_str()),
                ("etag", etag),
                ("revision", &revision),
                ("author", author),
                ("age_seconds", &age),
            ];
            status::aborted("ETAG_MISMATCH", text, &facts)
        }
        CatalogError::NotFound { name } => no_cluster(name),
        CatalogError::RevisionMismatch { expected, current } => {
            let (expected, current) = (expected.to_string(), current.to_string());
            let facts = [("expected", expected.as_str()), ("revision", &current)];
            status::aborted("REVISION_MISMATCH", text, &facts)
        }
        CatalogError::ShrinkGuard { name, revision, .. } => {
            let revision = revision.to_string();
            let facts = [("cluster", name.as_str()), ("revision", &revision)];
            status::failed_precondition("SHRINK_GUARD", text, &facts)
        }
        CatalogError::Store(error) => from_store(error),
        CatalogError::TooLarge { .. } => {
            status::resource_exhausted("DEFINITIONS_TOO_LARGE", text, &[])
        }
        CatalogError::TooManyClusters { .. } => {
            status::resource_exhausted("TOO_MANY_CLUSTERS", text, &[])
        }
        CatalogError::Violations(violations) => status::invalid_argument(violations),
    }
}

/// Says that there is no such cluster.
pub(super) fn no_cluster(name: &str) -> Status {
    let text = format!("there is no cluster `{name}`");
    status::not_found("CLUSTER_NOT_FOUND", text, &[("cluster", name)])
}

fn from_store(error: &StoreError) -> Status {
    let text = error.to_string();
    match error {
        StoreError::Conflict { .. } => status::aborted("CONFLICT", text, &[]),
        StoreError::Damaged(_) | StoreError::NewerSchema { .. } => {
            status::internal("STORE_DAMAGED", text)
        }
        _ => status::unavailable("STORE_UNAVAILABLE", text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prism_proto::model::Violations;
    use tonic::Code;

    use super::*;
    use crate::store::Revision;

    #[test]
    fn each_refusal_has_its_code_and_one_reason() {
        let revision = Revision {
            epoch: 1,
            number: 7,
        };
        let name = || "a".to_owned();
        let etag = CatalogError::EtagMismatch {
            name: name(),
            etag: "e".into(),
            revision,
            author: "ann".into(),
            age: Duration::from_secs(61),
        };
        let table = [
            (etag, Code::Aborted, "ETAG_MISMATCH"),
            (
                CatalogError::NotFound { name: name() },
                Code::NotFound,
                "CLUSTER_NOT_FOUND",
            ),
            (
                CatalogError::RevisionMismatch {
                    expected: revision,
                    current: revision,
                },
                Code::Aborted,
                "REVISION_MISMATCH",
            ),
            (
                CatalogError::ShrinkGuard {
                    name: name(),
                    revision,
                    present: 9,
                    kept: 1,
                },
                Code::FailedPrecondition,
                "SHRINK_GUARD",
            ),
            (
                CatalogError::Store(StoreError::Unavailable("full".into())),
                Code::Unavailable,
                "STORE_UNAVAILABLE",
            ),
            (
                CatalogError::TooLarge { bytes: 9, limit: 1 },
                Code::ResourceExhausted,
                "DEFINITIONS_TOO_LARGE",
            ),
            (
                CatalogError::Violations(Violations::one("clusters[0].name", "is missing")),
                Code::InvalidArgument,
                "INVALID_DEFINITION",
            ),
        ];
        for (error, code, reason) in table {
            let status = from_catalog(&error);
            assert_eq!(status.code(), code, "{error}");
            assert_eq!(status::reason(&status).as_deref(), Some(reason), "{error}");
        }
    }

    #[test]
    fn loser_learns_etag_revision_author_and_age() {
        let status = from_catalog(&CatalogError::EtagMismatch {
            name: "a".into(),
            etag: "e".into(),
            revision: Revision {
                epoch: 1,
                number: 7,
            },
            author: "ann".into(),
            age: Duration::from_secs(61),
        });
        let facts = status::facts(&status);
        let expected = [
            ("etag", "e"),
            ("revision", "1.7"),
            ("author", "ann"),
            ("age_seconds", "61"),
        ];
        assert!(
            expected.iter().all(|(key, value)| facts[*key] == *value),
            "{facts:?}"
        );
    }
}

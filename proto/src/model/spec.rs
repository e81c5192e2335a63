//! One checked definition.

use crate::model::{Cluster, Draft, Secret, Violation, Violations, advice, check, defaults};

/// One cluster as written, checked: all of it is in range and resolves.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec {
    draft: Draft,
    cluster: Cluster,
}

impl ClusterSpec {
    /// Checks a draft.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with the path of its field.
    pub fn new(draft: Draft) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let parts = check::check(&draft, &mut violations);
        match parts {
            Some(parts) if violations.is_empty() => {
                let cluster = defaults::resolve(&draft, parts);
                Ok(Self { draft, cluster })
            }
            _ => Err(violations),
        }
    }

    /// What its author wrote.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Gives back what its author wrote.
    pub fn into_draft(self) -> Draft {
        self.draft
    }

    /// Its unique name.
    pub fn name(&self) -> &str {
        &self.draft.name
    }

    /// The cluster with every default filled in.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the cluster with every default filled in.
    pub fn resolve(&self) -> Cluster {
        self.cluster.clone()
    }

    /// Returns the definition with every default written out: what is pushed to data planes.
    pub fn resolved_draft(&self) -> Draft {
        defaults::write_out(&self.draft, &self.cluster)
    }

    /// Returns what is accepted but does not do what its author may think.
    pub fn warnings(&self) -> Violations {
        advice::warnings(&self.draft, self.cluster.cache_type())
    }

    /// Returns a warning for each default that replaces what `stored` says and so moves keys between its shards.
    pub fn warnings_against(&self, stored: &Self) -> Violations {
        advice::moved_by_defaults(&self.draft, &self.cluster, &stored.cluster)
    }

    /// Returns a violation for each secret of which only a shown digest is at hand.
    pub fn unrestored_secrets(&self) -> Violations {
        let unrestored = |secret: &Secret| matches!(secret, Secret::Unchanged(_));
        let secrets = self.draft.secrets().into_iter();
        secrets
            .filter(|(_, secret)| unrestored(secret))
            .map(|(field, _)| Violation {
                field,
                description: "a shown digest stands in place of the secret".to_owned(),
            })
            .collect()
    }
}

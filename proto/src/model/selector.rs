//! Which data planes serve a cluster.

use std::collections::BTreeMap;

/// Chooses data planes; an empty one chooses all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Ids; empty for any.
    pub dataplanes: Vec<String>,
    /// What a data plane's labels must say.
    pub labels: BTreeMap<String, String>,
}

impl Selector {
    /// Tells whether the data plane `id` with `labels` is chosen.
    pub fn selects(&self, id: &str, labels: &BTreeMap<String, String>) -> bool {
        let named = self.dataplanes.is_empty() || self.dataplanes.iter().any(|known| known == id);
        let mut wanted = self.labels.iter();
        named && wanted.all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Tells whether a data plane can be chosen by both.
    pub fn may_share(&self, other: &Self) -> bool {
        let (own, others) = (&self.dataplanes, &other.dataplanes);
        let named = own.is_empty() || others.is_empty() || own.iter().any(|id| others.contains(id));
        let contradicts =
            |(key, value): (&String, &String)| other.labels.get(key).is_some_and(|v| v != value);
        named && !self.labels.iter().any(contradicts)
    }

    /// Tells whether every data plane is chosen.
    pub fn is_empty(&self) -> bool {
        self.dataplanes.is_empty() && self.labels.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(dataplanes: &[&str], labels: &[(&str, &str)]) -> Selector {
        Selector {
            dataplanes: dataplanes.iter().map(|id| (*id).to_owned()).collect(),
            labels: map(labels),
        }
    }

    fn map(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        labels.iter().map(owned).collect()
    }

    #[test]
    fn ids_and_all_labels_must_match() {
        let labels = map(&[("tier", "edge"), ("az", "a")]);
        assert!(selector(&[], &[]).selects("dp-1", &labels));
        assert!(selector(&["dp-1"], &[("az", "a")]).selects("dp-1", &labels));
        assert!(!selector(&["dp-2"], &[]).selects("dp-1", &labels));
        assert!(!selector(&[], &[("az", "b")]).selects("dp-1", &labels));
        assert!(!selector(&[], &[("rack", "1")]).selects("dp-1", &labels));
    }

    #[test]
    fn selectors_share_unless_ids_or_labels_rule_it_out() {
        let all = selector(&[], &[]);
        assert!(all.may_share(&selector(&["dp-1"], &[("az", "a")])));
        assert!(!selector(&["dp-1"], &[]).may_share(&selector(&["dp-2"], &[])));
        assert!(!selector(&[], &[("az", "a")]).may_share(&selector(&[], &[("az", "b")])));
        assert!(selector(&[], &[("az", "a")]).may_share(&selector(&[], &[("rack", "b")])));
    }
}

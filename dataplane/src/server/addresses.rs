//! Who listens where: decides before anything is bound which definitions can have the address they want.

use std::collections::{BTreeMap, BTreeSet};

use prism_proto::model::{ListenAddr, Violations};

/// The addresses of all clusters as they will be, if nothing more goes wrong.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Where clusters listen now.
    open: BTreeMap<String, ListenAddr>,
    /// Where they will.
    planned: BTreeMap<String, ListenAddr>,
    /// Clusters that need a new listener even where they are.
    anew: BTreeSet<String>,
    rejected: BTreeMap<String, Violations>,
}

impl Addresses {
    /// Plans the `wanted` addresses beside those that are `open` and not `removed`; of two that overlap, the one that is
    /// new there gives way.
    pub(super) fn plan<'a>(
        open: BTreeMap<String, ListenAddr>,
        wanted: impl IntoIterator<Item = (String, ListenAddr)>,
        removed: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let mut planned = open.clone();
        for name in removed {
            planned.remove(name);
        }
        planned.extend(wanted);
        let mut plan = Self {
            open,
            planned,
            anew: BTreeSet::new(),
            rejected: BTreeMap::new(),
        };
        plan.settle();
        plan
    }

    /// Gives these clusters a new listener even if their address stays.
    pub(super) fn anew(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.anew.extend(names);
        self
    }

    /// Returns the clusters that need a listener they do not have.
    pub(super) fn to_bind(&self) -> Vec<(String, ListenAddr)> {
        let planned = self.planned.iter();
        planned
            .filter(|(name, addr)| self.anew.contains(*name) || self.open.get(*name) != Some(addr))
            .map(|(name, addr)| (name.clone(), addr.clone()))
            .collect()
    }

    /// Tells whether this process listens on an address that overlaps `addr`.
    pub(super) fn is_ours(&self, addr: &ListenAddr) -> bool {
        self.open.values().any(|open| open.overlaps(addr))
    }

    /// Gives up on a cluster's new address; it keeps the one it has, and whoever wanted that gives way.
    pub(super) fn reject(&mut self, name: &str, violations: Violations) {
        match self.open.get(name) {
            Some(addr) => self.planned.insert(name.to_owned(), addr.clone()),
            None => self.planned.remove(name),
        };
        self.anew.remove(name);
        self.rejected.insert(name.to_owned(), violations);
        self.settle();
    }

    /// Tells whether a cluster was rejected.
    pub(super) fn is_rejected(&self, name: &str) -> bool {
        self.rejected.contains_key(name)
    }

    /// Returns who was rejected, and why.
    pub(super) fn into_rejected(self) -> BTreeMap<String, Violations> {
        self.rejected
    }

    /// Rejects newcomers until no two clusters overlap; each round takes one away, so it ends.
    fn settle(&mut self) {
        while let Some((newcomer, violations)) = self.overlap() {
            self.reject(&newcomer, violations);
        }
    }

    fn overlap(&self) -> Option<(String, Violations)> {
        let is_new = |name: &str| self.open.get(name) != self.planned.get(name);
        for (name, addr) in &self.planned {
            let earlier = self.planned.range::<String, _>(..name);
            let Some((other, theirs)) = earlier.into_iter().find(|(_, a)| a.overlaps(addr)) else {
                continue;
            };
            let (newcomer, addr, holder, theirs) = if is_new(name) {
                (name, addr, other, theirs)
            } else if is_new(other) {
                (other, theirs, name, addr)
            } else {
                continue;
            };
            let description = format!("{addr} overlaps {theirs} of cluster `{holder}`");
            return Some((
                newcomer.clone(),
                Violations::one("listen_addr", description),
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(pairs: &[(&str, &str)]) -> BTreeMap<String, ListenAddr> {
        let read = |(name, addr): &(&str, &str)| {
            (
                name.to_string(),
                addr.parse().expect("the address is right"),
            )
        };
        pairs.iter().map(read).collect()
    }

    fn plan(open: &[(&str, &str)], wanted: &[(&str, &str)], removed: &[&str]) -> Addresses {
        let removed: Vec<_> = removed.iter().map(|name| (*name).to_owned()).collect();
        Addresses::plan(addrs(open), addrs(wanted), &removed)
    }

    fn binds(addresses: &Addresses) -> Vec<String> {
        let bind = |(name, addr)| format!("{name} {addr}");
        addresses.to_bind().into_iter().map(bind).collect()
    }

    #[test]
    fn only_addresses_that_changed_are_bound() {
        let open = [("a", "127.0.0.1:1"), ("b", "127.0.0.1:2")];
        let wanted = [
            ("a", "127.0.0.1:1"),
            ("b", "127.0.0.1:3"),
            ("c", "127.0.0.1:4"),
        ];
        let addresses = plan(&open, &wanted, &[]);
        assert_eq!(binds(&addresses), ["b 127.0.0.1:3", "c 127.0.0.1:4"]);
    }

    #[test]
    fn cluster_that_starts_anew_is_bound_where_it_is() {
        let open = [("a", "127.0.0.1:1")];
        let addresses = plan(&open, &open, &[]).anew(["a".to_owned()]);
        assert_eq!(binds(&addresses), ["a 127.0.0.1:1"]);
    }

    #[test]
    fn two_clusters_may_swap_addresses() {
        let open = [("a", "127.0.0.1:1"), ("b", "127.0.0.1:2")];
        let wanted = [("a", "127.0.0.1:2"), ("b", "127.0.0.1:1")];
        let addresses = plan(&open, &wanted, &[]);
        assert_eq!(binds(&addresses).len(), 2);
        assert!(addresses.is_ours(&"127.0.0.1:1".parse().expect("the address is right")));
    }

    #[test]
    fn renamed_cluster_takes_its_address_along() {
        let addresses = plan(&[("a", "127.0.0.1:1")], &[("b", "127.0.0.1:1")], &["a"]);
        assert_eq!(binds(&addresses), ["b 127.0.0.1:1"]);
        assert!(addresses.into_rejected().is_empty());
    }

    #[test]
    fn newcomer_gives_way_to_who_is_there() {
        for (open, wanted) in [("a", "b"), ("b", "a")] {
            let addresses = plan(&[(open, "127.0.0.1:1")], &[(wanted, "0.0.0.0:1")], &[]);
            assert!(binds(&addresses).is_empty());
            let rejected = addresses.into_rejected();
            assert_eq!(rejected.keys().collect::<Vec<_>>(), [wanted]);
        }
    }

    #[test]
    fn of_two_newcomers_the_first_by_name_stays() {
        let addresses = plan(&[], &[("a", "127.0.0.1:1"), ("b", "127.0.0.1:1")], &[]);
        assert_eq!(binds(&addresses), ["a 127.0.0.1:1"]);
        assert!(addresses.is_rejected("b"));
    }

    #[test]
    fn who_cannot_move_keeps_its_address_and_the_one_that_wanted_it_gives_way() {
        let open = [("a", "127.0.0.1:1")];
        let wanted = [("a", "127.0.0.1:2"), ("b", "127.0.0.1:1")];
        let mut addresses = plan(&open, &wanted, &[]);
        assert_eq!(binds(&addresses).len(), 2);
        addresses.reject("a", Violations::one("listen_addr", "in use"));
        assert!(binds(&addresses).is_empty());
        let rejected = addresses.into_rejected();
        assert_eq!(rejected.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}

//! What a set of clusters must hold to as a whole.

use std::collections::BTreeMap;

use crate::model::{ClusterSpec, ListenAddr, Violations, limits};

/// Collects what is wrong with `specs` taken together: too many, one name twice, listeners that collide.
///
/// Paths start with `clusters[i]`, `i` being the place in `specs`; of two that collide the later one is named.
pub fn check_fleet<'a>(specs: impl IntoIterator<Item = &'a ClusterSpec>) -> Violations {
    check_fleet_at(specs.into_iter().enumerate())
}

/// As [`check_fleet`], each cluster with its own place.
pub(crate) fn check_fleet_at<'a>(
    specs: impl IntoIterator<Item = (usize, &'a ClusterSpec)>,
) -> Violations {
    let mut violations = Violations::new();
    let mut names = BTreeMap::new();
    let mut listeners: BTreeMap<Option<u16>, Vec<&ClusterSpec>> = BTreeMap::new();
    let mut count = 0;
    for (index, spec) in specs {
        count += 1;
        let name = spec.name();
        if let Some(first) = names.insert(name, index) {
            violations.push(
                format!("clusters[{index}].name"),
                format!("`{name}` is already the name of clusters[{first}]"),
            );
            continue;
        }
        let port = match spec.cluster().listen() {
            ListenAddr::Tcp { port, .. } => Some(*port),
            ListenAddr::Unix { .. } => None,
        };
        let beside = listeners.entry(port).or_default();
        if let Some(other) = beside.iter().find(|other| collide(spec, other)) {
            let (listen, theirs) = (spec.cluster().listen(), other.cluster().listen());
            let other = other.name();
            violations.push(
                format!("clusters[{index}].listen_addr"),
                format!(
                    "{listen} overlaps {theirs} of cluster `{other}` on data planes that serve both"
                ),
            );
        }
        beside.push(spec);
    }
    if count > limits::MAX_CLUSTERS {
        let most = limits::MAX_CLUSTERS;
        violations.push("clusters", format!("{count} are more than {most}"));
    }
    violations
}

fn collide(a: &ClusterSpec, b: &ClusterSpec) -> bool {
    let share = a.cluster().selector().may_share(b.cluster().selector());
    share && a.cluster().listen().overlaps(b.cluster().listen())
}

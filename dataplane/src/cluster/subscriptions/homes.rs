//! Where channels and patterns live.
//!
//! In a pool a channel lives where a key of its name does, a pattern on all endpoints. Every endpoint of a Redis
//! Cluster hears of every message, so that a channel or a pattern lives on one, which stays while it can; shard
//! channels follow their slot. What endpoints themselves tell of keys is told by each for its own, so that those
//! channels live everywhere.

use std::rc::Rc;

use prism_proto::placement;

use super::super::nodes::Nodes;
use crate::upstream::{Family, Target};

/// How the channels begin on which endpoints tell what happens to their keys.
pub const NOTIFICATIONS: &[u8] = b"__key";

/// Who may be a home, at one point in time.
pub(super) struct Plan {
    holders: Vec<Rc<Target>>,
    is_cluster: bool,
}

impl Plan {
    pub(super) fn new(nodes: &Nodes, is_cluster: bool) -> Self {
        Self {
            holders: nodes.holders(),
            is_cluster,
        }
    }

    /// Returns the endpoints that a name is to live on, none when there are none.
    pub(super) fn homes(
        &self,
        nodes: &Nodes,
        (family, name): (Family, &[u8]),
        current: Option<&Target>,
        is_avoided: impl Fn(&Target) -> bool,
    ) -> Vec<Rc<Target>> {
        if family == Family::Shard {
            return nodes.holder(name).into_iter().collect();
        }
        let is_everywhere = !self.is_cluster && family == Family::Pattern;
        if is_everywhere || name.starts_with(NOTIFICATIONS) {
            return self.holders.clone();
        }
        let owner = nodes.holder(name);
        if !self.is_cluster {
            return owner.into_iter().collect();
        }
        let usable = self.holders.iter().filter(|target| !is_avoided(target));
        let usable: Vec<_> = usable.collect();
        let stays = |target: &&&Rc<Target>| current.is_some_and(|old| old.addr == target.addr);
        let is_owner = |target: &&&Rc<Target>| owner.as_ref() == Some(**target);
        let any = usable.get(usize::from(placement::slot(name)) % usable.len().max(1));
        let mut choices = usable.iter();
        let chosen = choices
            .find(stays)
            .or_else(|| usable.iter().find(is_owner))
            .or(any);
        match chosen {
            Some(target) => vec![Rc::clone(target)],
            None => owner.into_iter().collect(),
        }
    }
}

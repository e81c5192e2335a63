//! Builds the fleet's desired state from what is defined and what probing found out; encodes each thing once.

use std::{collections::BTreeMap, sync::Arc};

use prism_proto::{
    convert::encode_resolved,
    model::{CacheType, ClusterSpec, resource_hash},
    pb::discovery::v1::{Lane, Resource},
};

use super::{ClusterItem, Desired, push::kind, slots::Maps};
use crate::{probe::SlotMaps, store::Revision};

/// One defined cluster.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// The checked definition.
    pub spec: &'a ClusterSpec,
    /// The fleet revision number that last changed it.
    pub revision: u64,
    /// The revision number that a confirmed shrink starts from; 0: none.
    pub confirm_shrink_from: u64,
}

/// Makes one [`Desired`] after the other; what did not change is taken over.
#[derive(Debug, Default)]
pub struct Source {
    desired: Arc<Desired>,
    maps: BTreeMap<Arc<str>, Maps>,
}

impl Source {
    /// Makes the state at `revision`; the same one when nothing differs.
    pub fn build<'a>(
        &mut self,
        revision: Revision,
        definitions: impl IntoIterator<Item = Definition<'a>>,
        slot_maps: &SlotMaps,
    ) -> Arc<Desired> {
        let clusters: BTreeMap<_, _> = definitions
            .into_iter()
            .map(|definition| self.cluster(definition))
            .collect();
        self.maps.retain(|name, _| clusters.contains_key(name));
        let mut maps = BTreeMap::new();
        for (name, map) in &slot_maps.clusters {
            let known = clusters.get_key_value(name.as_str());
            if let Some((name, _)) = known.filter(|(_, item)| item.has_slots) {
                let cached = self.maps.entry(Arc::clone(name)).or_default();
                maps.insert(Arc::clone(name), cached.item(name, map));
            }
        }
        self.desired = Arc::new(self.desired.next(revision, clusters, maps));
        Arc::clone(&self.desired)
    }

    fn cluster(&self, definition: Definition<'_>) -> (Arc<str>, Arc<ClusterItem>) {
        let name = definition.spec.name();
        let revision = definition.revision;
        if let Some((name, item)) = self.desired.clusters().get_key_value(name) {
            let known = item.resource.as_ref();
            if known.is_some_and(|resource| resource.revision == revision) {
                return (Arc::clone(name), Arc::clone(item));
            }
        }
        let cluster = definition.spec.cluster();
        let item = ClusterItem {
            selector: cluster.selector().clone(),
            resource: Some(resource(definition)),
            has_slots: cluster.cache_type() == CacheType::RedisCluster,
        };
        (name.into(), Arc::new(item))
    }
}

fn resource(definition: Definition<'_>) -> Resource {
    let kind = kind(Lane::Config);
    let name = definition.spec.name();
    let body = encode_resolved(definition.spec);
    Resource {
        kind: kind.into(),
        name: name.into(),
        revision: definition.revision,
        hash: resource_hash(kind, name, &body),
        body,
        confirm_shrink_from: definition.confirm_shrink_from,
    }
}

#[cfg(test)]
mod tests {
    use prism_proto::{
        convert::decode_resolved,
        model::{Draft, EndpointDraft},
        placement::SlotMap,
    };

    use super::*;

    fn spec(name: &str, cache_type: CacheType) -> ClusterSpec {
        ClusterSpec::new(Draft {
            name: name.into(),
            listen_addr: "127.0.0.1:9001".into(),
            cache_type: Some(cache_type),
            endpoints: vec![EndpointDraft {
                addr: "127.0.0.1:6379".into(),
                ..EndpointDraft::default()
            }],
            ..Draft::default()
        })
        .expect("valid")
    }

    fn definition(spec: &ClusterSpec, revision: u64) -> Definition<'_> {
        Definition {
            spec,
            revision,
            confirm_shrink_from: 0,
        }
    }

    fn at(number: u64) -> Revision {
        Revision { epoch: 1, number }
    }

    #[test]
    fn body_is_the_resolved_definition() {
        let spec = spec("a", CacheType::Redis);
        let desired = Source::default().build(at(1), [definition(&spec, 1)], &SlotMaps::default());
        let resource = desired.clusters()["a"]
            .resource
            .clone()
            .expect("a resource");
        let decoded = decode_resolved(&resource.body).expect("resolved");
        assert_eq!(decoded.cluster(), spec.cluster());
        assert_eq!(
            resource.hash,
            resource_hash("clusters", "a", &resource.body)
        );
    }

    #[test]
    fn unchanged_cluster_is_not_encoded_again() {
        let (one, two) = (spec("a", CacheType::Redis), spec("b", CacheType::Redis));
        let mut source = Source::default();
        let first = source.build(at(1), [definition(&one, 1)], &SlotMaps::default());
        let both = [definition(&one, 1), definition(&two, 2)];
        let second = source.build(at(2), both, &SlotMaps::default());
        assert!(Arc::ptr_eq(&first.clusters()["a"], &second.clusters()["a"]));
        assert_eq!(
            second.touched_since(&first).map(|names| names.len()),
            Some(1)
        );
    }

    #[test]
    fn slot_maps_belong_to_redis_clusters_only() {
        let (pool, cluster) = (
            spec("pool", CacheType::Redis),
            spec("rc", CacheType::RedisCluster),
        );
        let map = Arc::new(SlotMap::new(1, vec![], []).expect("empty"));
        let names = ["pool", "rc", "gone"];
        let slot_maps = SlotMaps {
            clusters: names.map(|name| (name.to_owned(), Arc::clone(&map))).into(),
        };
        let both = [definition(&pool, 1), definition(&cluster, 1)];
        let desired = Source::default().build(at(1), both, &slot_maps);
        let names: Vec<_> = desired.slot_maps().keys().map(|name| &**name).collect();
        assert_eq!(names, ["rc"]);
    }
}

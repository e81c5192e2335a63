//! Builds the fleet's desired state from what is defined and what probing found out; each body is shared by all streams.

use std::{collections::BTreeMap, sync::Arc};

use prism_proto::{
    convert::encode_peers,
    model::{CacheType, Peer, resource_hash},
    pb::discovery::v1::{Lane, Resource},
};

use super::{ClusterItem, Desired, PeerItems, PeerLists, push::kind, slots::Maps};
use crate::{
    catalog::{Image, StoredCluster},
    probe::SlotMaps,
};

/// Makes one [`Desired`] after the other; what did not change is taken over.
#[derive(Debug, Default)]
pub struct Source {
    desired: Arc<Desired>,
    maps: BTreeMap<Arc<str>, Maps>,
    lists: BTreeMap<Arc<str>, (Vec<Peer>, Arc<Resource>)>,
}

impl Source {
    /// Makes the state that follows the last one.
    pub fn build(
        &mut self,
        image: &Image,
        slot_maps: &SlotMaps,
        peers: &PeerLists,
    ) -> Arc<Desired> {
        let stored = image.clusters.iter();
        let clusters: BTreeMap<_, _> = stored
            .map(|(name, stored)| self.cluster(name, stored))
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
        let peers = self.peers(peers);
        self.desired = Arc::new(self.desired.next(image.revision, clusters, maps, peers));
        Arc::clone(&self.desired)
    }

    fn peers(&mut self, peers: &PeerLists) -> PeerItems {
        self.lists
            .retain(|name, _| peers.clusters.contains_key(name));
        for (name, list) in &peers.clusters {
            let is_known = |(known, _): &(Vec<Peer>, _)| known == list;
            if !self.lists.get(name).is_some_and(is_known) {
                let resource = Arc::new(list_resource(name, list, peers.stamp));
                self.lists
                    .insert(Arc::clone(name), (list.clone(), resource));
            }
        }
        let lists = self.lists.iter();
        PeerItems {
            lists: lists
                .map(|(name, (_, resource))| (Arc::clone(name), Arc::clone(resource)))
                .collect(),
            is_settled: peers.is_settled,
        }
    }

    fn cluster(&self, name: &str, stored: &StoredCluster) -> (Arc<str>, Arc<ClusterItem>) {
        if let Some((name, item)) = self.desired.clusters().get_key_value(name)
            && item
                .resource
                .as_ref()
                .is_some_and(|known| is_of(known, stored))
        {
            return (Arc::clone(name), Arc::clone(item));
        }
        let cluster = stored.spec.cluster();
        let item = ClusterItem {
            selector: cluster.selector().clone(),
            resource: Some(resource(name, stored)),
            has_slots: cluster.cache_type() == CacheType::RedisCluster,
        };
        (name.into(), Arc::new(item))
    }
}

fn is_of(resource: &Resource, stored: &StoredCluster) -> bool {
    resource.revision == stored.revision.number && resource.hash == stored.hash
}

fn resource(name: &str, stored: &StoredCluster) -> Resource {
    Resource {
        kind: kind(Lane::Config).into(),
        name: name.into(),
        revision: stored.revision.number,
        body: stored.body.clone(),
        hash: stored.hash,
        confirm_shrink_from: stored.confirm_shrink_from.map_or(0, |from| from.number),
    }
}

fn list_resource(name: &str, list: &[Peer], stamp: u64) -> Resource {
    let kind = kind(Lane::Peers);
    let body = encode_peers(name, list);
    Resource {
        kind: kind.into(),
        name: name.into(),
        revision: stamp,
        hash: resource_hash(kind, name, &body),
        body,
        confirm_shrink_from: 0,
    }
}

#[cfg(test)]
mod tests {
    use prism_proto::{
        convert::decode_resolved,
        model::{ClusterSpec, Draft, EndpointDraft},
        placement::SlotMap,
    };

    use super::*;
    use crate::{
        catalog::{Catalog, CatalogOptions, Change, Write},
        store::MemoryStore,
    };

    async fn catalog() -> Catalog {
        let store = Arc::new(MemoryStore::new().expect("random bytes"));
        let options = CatalogOptions::default();
        Catalog::open(store, options).await.expect("an empty store")
    }

    async fn apply(catalog: &Catalog, name: &str, port: u16, cache_type: CacheType) {
        let spec = ClusterSpec::new(Draft {
            name: name.into(),
            listen_addr: format!("127.0.0.1:{port}"),
            cache_type: Some(cache_type),
            endpoints: vec![EndpointDraft {
                addr: "127.0.0.1:6379".into(),
                ..EndpointDraft::default()
            }],
            ..Draft::default()
        });
        let change = Change {
            clusters: vec![Write::new(spec.expect("valid"))],
            ..Change::default()
        };
        catalog.apply(change).await.expect("applied");
    }

    #[tokio::test]
    async fn body_is_the_resolved_definition() {
        let catalog = catalog().await;
        apply(&catalog, "a", 9001, CacheType::Redis).await;
        let image = catalog.image();
        let desired = Source::default().build(&image, &SlotMaps::default(), &PeerLists::default());
        let resource = desired.clusters()["a"]
            .resource
            .clone()
            .expect("a resource");
        let decoded = decode_resolved(&resource.body).expect("resolved");
        assert_eq!(decoded.cluster(), image.clusters["a"].spec.cluster());
        assert_eq!(
            resource.hash,
            resource_hash("clusters", "a", &resource.body)
        );
        assert_eq!(resource.revision, desired.revision().number);
    }

    #[tokio::test]
    async fn unchanged_cluster_is_taken_over() {
        let catalog = catalog().await;
        let mut source = Source::default();
        apply(&catalog, "a", 9001, CacheType::Redis).await;
        let first = source.build(
            &catalog.image(),
            &SlotMaps::default(),
            &PeerLists::default(),
        );
        apply(&catalog, "b", 9002, CacheType::Redis).await;
        let second = source.build(
            &catalog.image(),
            &SlotMaps::default(),
            &PeerLists::default(),
        );
        assert!(Arc::ptr_eq(&first.clusters()["a"], &second.clusters()["a"]));
        assert_eq!(
            second.touched_since(&first).map(|names| names.len()),
            Some(1)
        );
    }

    #[tokio::test]
    async fn slot_maps_belong_to_redis_clusters_only() {
        let catalog = catalog().await;
        apply(&catalog, "pool", 9001, CacheType::Redis).await;
        apply(&catalog, "rc", 9002, CacheType::RedisCluster).await;
        let map = Arc::new(SlotMap::new(1, vec![], []).expect("empty"));
        let names = ["pool", "rc", "gone"];
        let slot_maps = SlotMaps {
            clusters: names.map(|name| (name.to_owned(), Arc::clone(&map))).into(),
        };
        let desired = Source::default().build(&catalog.image(), &slot_maps, &PeerLists::default());
        let names: Vec<_> = desired.slot_maps().keys().map(|name| &**name).collect();
        assert_eq!(names, ["rc"]);
    }
}

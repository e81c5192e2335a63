//! The definitions of one revision, in memory and immutable.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use bytes::Bytes;
use prism_proto::model::ClusterSpec;

use super::{
    SECRET_KEY,
    record::{read_cluster, read_request},
    request::Request,
};
use crate::store::{Delivery, Entry, Head, Key, Revision, StoreError};

/// All definitions at one revision.
#[derive(Clone, Debug)]
pub struct Image {
    /// The fleet's UUID.
    pub fleet_id: String,
    /// The head.
    pub revision: Revision,
    /// By name.
    pub clusters: BTreeMap<String, Arc<StoredCluster>>,
    pub(super) requests: BTreeMap<String, Request>,
    pub(super) secret_key: Option<Bytes>,
}

/// One definition with what is kept beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCluster {
    /// What its author wrote; secrets in plain.
    pub spec: ClusterSpec,
    /// Tells two clusters of one name apart that lived one after the other.
    pub uid: String,
    /// Changes with every change of the definition.
    pub etag: String,
    /// The revision that last changed the definition.
    pub revision: Revision,
    /// The definition with every default filled in: the body of the resource that data planes are sent.
    pub body: Bytes,
    /// The hash of that resource.
    pub hash: u64,
    /// When it was first applied.
    pub created: SystemTime,
    /// When it last changed.
    pub updated: SystemTime,
    /// Who changed it last.
    pub author: String,
    /// Why, in the author's words.
    pub reason: String,
    /// The name it was last applied under; empty when none.
    pub manifest: String,
    /// The revision that the last change was confirmed to shrink from.
    pub confirm_shrink_from: Option<Revision>,
}

impl Image {
    /// Reads a whole state.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] at the first record that cannot be read.
    pub(super) fn new(delivery: &Delivery) -> Result<Self, StoreError> {
        let mut image = Self::empty(&delivery.head);
        for entry in &delivery.changed {
            image.put(entry)?;
        }
        Ok(image)
    }

    /// Returns the image after a delivery; a record that cannot be read changes nothing.
    pub(super) fn next(&self, delivery: &Delivery) -> Self {
        let Head { fleet_id, revision } = delivery.head.clone();
        let mut image = Self {
            fleet_id,
            revision,
            ..self.clone()
        };
        if delivery.full {
            let is_there = |key: Key| delivery.changed.iter().any(|entry| entry.key == key);
            image
                .clusters
                .retain(|name, _| is_there(Key::Cluster(name.clone())));
            image.requests.clear();
        }
        for entry in &delivery.changed {
            if let Err(error) = image.put(entry) {
                tracing::error!(key = %entry.key, %error, "stored record ignored");
            }
        }
        delivery.removed.iter().for_each(|key| image.remove(key));
        image
    }

    fn empty(head: &Head) -> Self {
        Self {
            fleet_id: head.fleet_id.clone(),
            revision: head.revision,
            clusters: BTreeMap::new(),
            requests: BTreeMap::new(),
            secret_key: None,
        }
    }

    fn put(&mut self, entry: &Entry) -> Result<(), StoreError> {
        match &entry.key {
            Key::Cluster(name) => {
                let cluster =
                    read_cluster(&entry.value).map_err(|what| damaged(&entry.key, &what))?;
                self.clusters.insert(name.clone(), Arc::new(cluster));
            }
            Key::Request(id) => {
                let request =
                    read_request(&entry.value).map_err(|what| damaged(&entry.key, &what))?;
                self.requests.insert(id.clone(), request);
            }
            Key::Setting(name) if name == SECRET_KEY => self.secret_key = Some(entry.value.clone()),
            Key::History(_) | Key::Setting(_) => {}
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) {
        match key {
            Key::Cluster(name) => drop(self.clusters.remove(name)),
            Key::Request(id) => drop(self.requests.remove(id)),
            Key::Setting(name) if name == SECRET_KEY => self.secret_key = None,
            Key::History(_) | Key::Setting(_) => {}
        }
    }
}

fn damaged(key: &Key, what: &str) -> StoreError {
    StoreError::Damaged(format!("{key}: {what}"))
}

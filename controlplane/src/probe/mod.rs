//! What probing finds out about the topology of Redis Clusters, ready to be delivered.

use std::{collections::BTreeMap, sync::Arc};

use prism_proto::placement::SlotMap;

/// The newest slot maps of all Redis Clusters; published whole, the latest wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotMaps {
    /// Maps by cluster name. A cluster that was not probed yet is not here: what data planes hold of it stays.
    pub clusters: BTreeMap<String, Arc<SlotMap>>,
}

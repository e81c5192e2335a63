//! Who owns which cells, and their sums over all workers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    ClusterMetrics, ControlMetrics, EndpointMetrics,
    table::{ClusterSums, EndpointSums},
};

/// Endpoints of one cluster whose counters are kept after their last owner let go.
const MAX_RETIRED_ENDPOINTS: usize = 1_024;

/// Holds the cells of all workers.
///
/// A worker asks for its cells once and keeps the `Arc`; when it lets go, the next scrape folds the counters into the
/// cluster's sums, so that a total never goes down while the cluster is in service.
#[derive(Debug, Default)]
pub struct Registry {
    clusters: Mutex<BTreeMap<String, ClusterCells>>,
    control: ControlMetrics,
}

#[derive(Debug, Default)]
struct ClusterCells {
    workers: BTreeMap<usize, Arc<ClusterMetrics>>,
    endpoints: BTreeMap<String, EndpointCells>,
    retired: ClusterSums,
}

#[derive(Debug, Default)]
struct EndpointCells {
    workers: BTreeMap<usize, Arc<EndpointMetrics>>,
    retired: EndpointSums,
}

/// The sums of one cluster over all workers.
#[derive(Clone, Debug, Default)]
pub struct ClusterTotals {
    /// Name of the cluster.
    pub cluster: String,
    /// Sums of the cluster's own cells.
    pub sums: ClusterSums,
    /// Sums by endpoint address.
    pub endpoints: BTreeMap<String, EndpointSums>,
}

impl Registry {
    /// Starts without any cells.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns the cells of the control thread.
    pub fn control(&self) -> &ControlMetrics {
        &self.control
    }

    /// Returns the cells of one cluster on one worker; only that worker may write them.
    pub fn cluster(&self, worker: usize, cluster: &str) -> Arc<ClusterMetrics> {
        let mut clusters = self.lock();
        let cells = clusters.entry(cluster.to_owned()).or_default();
        Arc::clone(cells.workers.entry(worker).or_default())
    }

    /// Returns the cells of one endpoint on one worker; only that worker may write them.
    pub fn endpoint(&self, worker: usize, cluster: &str, endpoint: &str) -> Arc<EndpointMetrics> {
        let mut clusters = self.lock();
        let cells = clusters.entry(cluster.to_owned()).or_default();
        let cells = cells.endpoints.entry(endpoint.to_owned()).or_default();
        Arc::clone(cells.workers.entry(worker).or_default())
    }

    /// Adds all workers up, after folding away cells that nobody owns any more.
    pub fn totals(&self) -> Vec<ClusterTotals> {
        let mut clusters = self.lock();
        clusters.values_mut().for_each(ClusterCells::fold);
        clusters.retain(|_, cells| cells.is_owned());
        clusters
            .iter()
            .map(|(name, cells)| cells.totals(name))
            .collect()
    }

    /// Adds all workers of one cluster up.
    pub fn sums(&self, cluster: &str) -> ClusterSums {
        let mut clusters = self.lock();
        let Some(cells) = clusters.get_mut(cluster) else {
            return ClusterSums::default();
        };
        cells.fold();
        let mut sums = cells.retired.clone();
        for worker in cells.workers.values() {
            worker.add_to(&mut sums);
        }
        sums
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ClusterCells>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClusterCells {
    fn is_owned(&self) -> bool {
        !self.workers.is_empty()
            || self
                .endpoints
                .values()
                .any(|cells| !cells.workers.is_empty())
    }

    fn fold(&mut self) {
        let retired = &mut self.retired;
        keep_owned(&mut self.workers, |cells| cells.retire_into(retired));
        for endpoint in self.endpoints.values_mut() {
            let retired = &mut endpoint.retired;
            keep_owned(&mut endpoint.workers, |cells| cells.retire_into(retired));
        }
        let unowned = |cells: &EndpointCells| cells.workers.is_empty();
        let retired = self.endpoints.values().filter(|c| unowned(c)).count();
        let mut surplus = retired.saturating_sub(MAX_RETIRED_ENDPOINTS);
        self.endpoints.retain(|_, cells| {
            let is_dropped = surplus > 0 && unowned(cells);
            surplus -= usize::from(is_dropped);
            !is_dropped
        });
    }

    fn totals(&self, name: &str) -> ClusterTotals {
        let mut sums = self.retired.clone();
        for cells in self.workers.values() {
            cells.add_to(&mut sums);
        }
        ClusterTotals {
            cluster: name.to_owned(),
            sums,
            endpoints: self
                .endpoints
                .iter()
                .map(|(endpoint, cells)| (endpoint.clone(), cells.sums()))
                .collect(),
        }
    }
}

impl EndpointCells {
    fn sums(&self) -> EndpointSums {
        let mut sums = self.retired.clone();
        for cells in self.workers.values() {
            cells.add_to(&mut sums);
        }
        sums
    }
}

/// Hands cells that only the registry holds to `retire` and forgets them.
fn keep_owned<T>(workers: &mut BTreeMap<usize, Arc<T>>, mut retire: impl FnMut(&T)) {
    workers.retain(|_, cells| {
        if Arc::strong_count(cells) > 1 {
            return true;
        }
        // Pairs with the release in `Arc::drop`, so that the owner's last counts are seen.
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        retire(cells);
        false
    });
}

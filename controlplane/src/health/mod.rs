//! Runs probes and verdicts over all defined clusters and publishes what comes of it, ready for frames and lists.
//!
//! One task, [`run`], owns everything: it follows definitions, begins the probes and refreshes that are due, takes in what data
//! planes report, has it judged ten times a second and publishes what changed.

mod figures;
mod flush;
mod follow;
mod keeper;
mod notice;
mod publish;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use prism_proto::pb::{
    admin::v1::EndpointState,
    discovery::v1::{EndpointHealth, EndpointReport},
};
use tokio::sync::{mpsc, watch};

use crate::{
    catalog::Image,
    fleet::{Fleet, Observed},
    probe::{Prober, SlotMaps},
};

pub use figures::{Reading, Readings};
pub use keeper::run;

/// What is watched, and where what was found out goes.
pub struct Rounds {
    /// The definitions.
    pub images: watch::Receiver<Arc<Image>>,
    /// The data planes; conditions that someone must look at are raised here.
    pub fleet: Fleet,
    /// What data planes report.
    pub reports: mpsc::Receiver<Observed>,
    /// Asks endpoints.
    pub prober: Arc<dyn Prober>,
    /// Where verdicts are published. Receivers wake when a state changed; what else is shown is renewed silently.
    pub verdicts: watch::Sender<Arc<Verdicts>>,
    /// Where slot maps are published.
    pub slot_maps: watch::Sender<Arc<SlotMaps>>,
    /// Becomes true when the program ends.
    pub ending: watch::Receiver<bool>,
}

/// The newest verdicts of all clusters; published whole, the latest wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Verdicts by cluster name.
    pub clusters: BTreeMap<String, ClusterVerdict>,
}

/// The verdict over one cluster's endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterVerdict {
    /// The resource revision that the order of `states` comes from: the cluster's, or the slot map's of a Redis Cluster.
    pub revision: u64,
    /// One state an endpoint, in definition order; in slot map order for a Redis Cluster.
    pub states: Vec<EndpointHealth>,
    /// What is shown to people, in the order of `states`.
    pub endpoints: Vec<EndpointStatus>,
}

/// One endpoint as shown to people.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointStatus {
    /// The endpoint's address.
    pub addr: String,
    /// Its name; empty when none.
    pub alias: String,
    /// What probes say.
    pub state: EndpointState,
    /// When that state began.
    pub since: SystemTime,
    /// Consecutive failed probes.
    pub failures: u32,
    /// The last probe's error; empty when it succeeded.
    pub last_error: String,
    /// How long the last successful probe took.
    pub latency: Option<Duration>,
    /// `primary`, `replica` or empty.
    pub role: String,
    /// The earliest time it can return.
    pub ejected_until: Option<SystemTime>,
    /// What it says it runs; empty when not known.
    pub server_version: String,
    /// What data planes sent to it.
    pub traffic: Traffic,
}

/// What all data planes sent to one endpoint since this program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Requests that failed by the endpoint's fault.
    pub errors: u64,
    /// Connects that failed.
    pub connect_failures: u64,
}

impl Traffic {
    fn add(&mut self, seen: &EndpointReport) {
        self.requests = self.requests.saturating_add(seen.requests);
        self.errors = self.errors.saturating_add(seen.errors);
        self.connect_failures = self.connect_failures.saturating_add(seen.connect_failures);
    }
}

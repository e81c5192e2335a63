//! What happened and what someone must look at: told to the log and to the fleet's alarms.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::{fleet::Fleet, verdict::Event};

/// How long the alarm of a topology reset stays.
const RESET_SHOWN: Duration = Duration::from_secs(600);
/// Places that one alarm names.
const MAX_PLACES: usize = 20;

/// Keeps the fleet's alarms in step with what is judged.
#[derive(Debug, Default)]
pub(super) struct Notices {
    raised: BTreeMap<&'static str, String>,
    resets: BTreeMap<String, Instant>,
}

impl Notices {
    /// Logs an event.
    pub(super) fn happened(event: &Event) {
        if event.is_warning() {
            warn!(event = event.name(), "{event}");
        } else {
            info!(event = event.name(), "{event}");
        }
    }

    /// Notes that the topology of a cluster was taken over although nobody knew its nodes.
    pub(super) fn reset(&mut self, cluster: &str, now: Instant) {
        warn!(
            cluster,
            "TOPOLOGY_RESET: no node knows a recorded owner, accepted what they say now"
        );
        self.resets.insert(cluster.into(), now);
    }

    /// Raises what is new and takes back what is over.
    pub(super) fn tell(
        &mut self,
        fleet: &Fleet,
        alarms: BTreeMap<&'static str, Vec<String>>,
        now: Instant,
    ) {
        self.resets
            .retain(|_, at| now.duration_since(*at) < RESET_SHOWN);
        let mut wanted: BTreeMap<_, _> = alarms
            .into_iter()
            .map(|(name, places)| (name, places_text(&places)))
            .collect();
        if !self.resets.is_empty() {
            let places: Vec<_> = self.resets.keys().cloned().collect();
            wanted.insert("TOPOLOGY_RESET", places_text(&places));
        }
        let over: BTreeSet<_> = self
            .raised
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .copied()
            .collect();
        for name in over {
            fleet.clear(name);
        }
        for (name, detail) in &wanted {
            if self.raised.get(name) != Some(detail) {
                fleet.raise(name, format!("{} {detail}", meaning(name)));
            }
        }
        self.raised = wanted;
    }
}

fn meaning(alarm: &str) -> &'static str {
    match alarm {
        "CONTROL_PLANE_PARTITIONED" => {
            "data planes reach endpoints that the control plane does not, in"
        }
        "FLUSH_FAILED" => "endpoints that answer stay ejected, for they could not be emptied:",
        "MISCONFIGURED" => "endpoints refuse the credentials of the definition:",
        "OBSERVER_SUSPECT" => "no endpoint answers the control plane, which ejects none, in",
        "PANIC" => "less than half of the endpoints are healthy and ejections are suspended in",
        "TOPOLOGY_RESET" => "the nodes of a cluster were replaced by unknown ones in",
        _ => "see",
    }
}

fn places_text(places: &[String]) -> String {
    let shown = places[..places.len().min(MAX_PLACES)].join(", ");
    match places.len().saturating_sub(MAX_PLACES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

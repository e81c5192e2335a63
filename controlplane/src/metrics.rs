//! Every metric of the control plane in one place, and its text form.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One label named `outcome`: `ok`, or the code of the error.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Call {
    /// Name of the call.
    pub method: &'static str,
    /// `ok`, or the code of the error.
    pub outcome: String,
}

/// One label named `lane`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LaneLabel {
    /// `config` or `slot_maps`.
    pub lane: &'static str,
}

/// One label named `state`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    /// State of a data plane, such as `synced`.
    pub state: &'static str,
}

/// All metrics; shared by everything that counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Chunks of pushes sent.
    pub pushes: Family<LaneLabel, Counter>,
    /// Acks received.
    pub acks: Family<LaneLabel, Counter>,
    /// Resources that data planes rejected.
    pub nacks: Family<LaneLabel, Counter>,
    /// Health frames sent.
    pub health_frames: Counter,
    /// Data planes asked to say what they hold, because digests differed.
    pub resyncs: Counter,
    /// Messages of an unknown kind.
    pub unknown_messages: Counter,
    /// Streams refused or dropped.
    pub failed_streams: Counter,
    /// Calls of the admin API.
    pub calls: Family<Call, Counter>,
    /// Data planes by state; set on scrape.
    pub dataplanes: Family<StateLabel, Gauge>,
    /// Clusters defined; set on scrape.
    pub clusters: Gauge,
    /// The head's epoch; set on scrape.
    pub epoch: Gauge,
    /// The head's revision; set on scrape.
    pub revision: Gauge,
    /// Whether the store takes writes; set on scrape.
    pub store_writable: Gauge,
    /// Reports that nobody read in time; set on scrape.
    pub dropped_reports: Gauge,
}

impl Metrics {
    /// Makes all metrics, at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("prism"),
            pushes: Family::default(),
            acks: Family::default(),
            nacks: Family::default(),
            health_frames: Counter::default(),
            resyncs: Counter::default(),
            unknown_messages: Counter::default(),
            failed_streams: Counter::default(),
            calls: Family::default(),
            dataplanes: Family::default(),
            clusters: Gauge::default(),
            epoch: Gauge::default(),
            revision: Gauge::default(),
            store_writable: Gauge::default(),
            dropped_reports: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let r = &mut self.registry;
        r.register("build", "Build of this program", build);
        let r = r.sub_registry_with_prefix("control");
        r.register("pushes", "Chunks of pushes sent", self.pushes.clone());
        r.register("acks", "Pushes acknowledged", self.acks.clone());
        r.register(
            "nacks",
            "Resources rejected by data planes",
            self.nacks.clone(),
        );
        r.register(
            "health_frames",
            "Health frames sent",
            self.health_frames.clone(),
        );
        r.register(
            "resyncs",
            "Digest mismatches that were repaired",
            self.resyncs.clone(),
        );
        r.register(
            "unknown_messages",
            "Messages of an unknown kind",
            self.unknown_messages.clone(),
        );
        r.register(
            "failed_streams",
            "Streams refused or dropped",
            self.failed_streams.clone(),
        );
        r.register("calls", "Calls of the admin API", self.calls.clone());
        r.register(
            "dataplanes",
            "Data planes by state",
            self.dataplanes.clone(),
        );
        r.register("clusters", "Clusters defined", self.clusters.clone());
        r.register("epoch", "Epoch of the head", self.epoch.clone());
        r.register("revision", "Revision of the head", self.revision.clone());
        r.register(
            "store_writable",
            "1 while the store takes writes",
            self.store_writable.clone(),
        );
        r.register(
            "dropped_reports",
            "Reports nobody read in time",
            self.dropped_reports.clone(),
        );
    }

    /// Returns everything as text.
    ///
    /// # Errors
    /// When a metric cannot be written, which means a defect.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_every_metric_once_with_prefix() {
        let metrics = Metrics::new();
        metrics
            .pushes
            .get_or_create(&LaneLabel { lane: "config" })
            .inc();
        metrics.revision.set(7);
        let text = metrics.text().expect("text");
        assert!(text.contains("prism_build_info{version=\""));
        assert!(text.contains("prism_control_pushes_total{lane=\"config\"} 1"));
        assert!(text.contains("prism_control_revision 7"));
        assert!(
            text.lines()
                .all(|line| line.starts_with("prism_") || line.starts_with('#'))
        );
    }
}

//! The text of a scrape, in the OpenMetrics format.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
};

use super::{
    ClusterTotals, Registry,
    cell::Sample,
    process,
    table::{ClusterSums, ControlSums, EndpointSums, Row},
};

/// The content type of what [`render`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes every metric of the process.
///
/// # Errors
/// Only when the formatter fails, which a `String` never does.
pub fn render(registry: &Arc<Registry>) -> Result<String, fmt::Error> {
    let mut collectors = prometheus_client::registry::Registry::default();
    collectors.register_collector(Box::new(Scrape(Arc::clone(registry))));
    let mut text = String::new();
    encode(&mut text, &collectors)?;
    Ok(text)
}

#[derive(Debug)]
struct Scrape(Arc<Registry>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        encode_build(&mut encoder)?;
        let totals = self.0.totals();
        for row in ClusterSums::ROWS {
            encode_clusters(&mut encoder, row, &totals)?;
        }
        for row in EndpointSums::ROWS {
            encode_endpoints(&mut encoder, row, &totals)?;
        }
        let mut control = ControlSums::default();
        self.0.control().add_to(&mut control);
        for row in ControlSums::ROWS {
            encode_sample(&mut descriptor(&mut encoder, row)?, (row.read)(&control))?;
        }
        for value in process::values() {
            let mut metric = encoder.encode_descriptor(value.name, value.help, None, value.kind)?;
            match value.kind {
                MetricType::Counter => {
                    metric.encode_counter::<NoLabelSet, _, f64>(&value.value, None)?
                }
                _ => metric.encode_gauge(&value.value)?,
            }
        }
        Ok(())
    }
}

fn descriptor<'a, S>(
    encoder: &'a mut DescriptorEncoder,
    row: &'a Row<S>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let help = row.help.trim_end_matches('.');
    encoder.encode_descriptor(row.name, help, None, row.kind)
}

fn encode_sample(metric: &mut MetricEncoder, sample: Sample<'_>) -> fmt::Result {
    match sample {
        Sample::Counter(value) => metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
        Sample::Gauge(value) => metric.encode_gauge(&value),
        Sample::Histogram(totals) => metric.encode_histogram::<NoLabelSet>(
            totals.sum_seconds(),
            totals.count(),
            &totals.octaves(),
            None,
        ),
    }
}

fn encode_build(encoder: &mut DescriptorEncoder) -> fmt::Result {
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    encoder
        .encode_descriptor(
            "prism_build",
            "What this program was built from",
            None,
            MetricType::Info,
        )?
        .encode_info(&labels)
}

fn encode_clusters(
    encoder: &mut DescriptorEncoder,
    row: &Row<ClusterSums>,
    totals: &[ClusterTotals],
) -> fmt::Result {
    let mut family = descriptor(encoder, row)?;
    for cluster in totals {
        let labels = [("cluster", cluster.cluster.as_str())];
        encode_sample(
            &mut family.encode_family(&labels)?,
            (row.read)(&cluster.sums),
        )?;
    }
    Ok(())
}

fn encode_endpoints(
    encoder: &mut DescriptorEncoder,
    row: &Row<EndpointSums>,
    totals: &[ClusterTotals],
) -> fmt::Result {
    let mut family = descriptor(encoder, row)?;
    for cluster in totals {
        for (endpoint, sums) in &cluster.endpoints {
            let labels = [
                ("cluster", cluster.cluster.as_str()),
                ("endpoint", endpoint),
            ];
            encode_sample(&mut family.encode_family(&labels)?, (row.read)(sums))?;
        }
    }
    Ok(())
}

//! Every metric of the data plane: cells the workers write, one table of names, the text of a scrape.
//!
//! A worker writes its own cells with plain loads and stores; a scrape adds the workers up. Nothing here is shared for writing.

mod cell;
mod histogram;
mod process;
mod registry;
mod table;
mod text;

pub use cell::{Counter, Gauge};
pub use histogram::{Histogram, HistogramTotals};
pub use process::{processor_seconds, resident_bytes};
pub use registry::{ClusterTotals, Registry};
pub use table::{
    ClusterMetrics, ClusterSums, ControlMetrics, ControlSums, EndpointMetrics, EndpointSums,
};
pub use text::{CONTENT_TYPE, render};

#[cfg(test)]
mod tests;

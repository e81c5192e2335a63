//! A latency histogram of log-linear buckets: 8 to an octave, from 1 µs to about a minute.

use std::{fmt, time::Duration};

use prometheus_client::metrics::MetricType;

use super::{
    Counter,
    cell::{Cell, Sample},
};

/// Buckets an octave is cut into.
const SUB: u64 = 8;
/// log2 of `SUB`.
const SUB_BITS: u32 = 3;
/// Values from 2^26 µs (67 s) share the last bucket.
const TOP_BITS: u32 = 26;
/// Below 8 µs a bucket is 1 µs wide, above it an eighth of its octave; the last one is for what is longer.
const BUCKETS: usize = (SUB + (TOP_BITS - SUB_BITS) as u64 * SUB) as usize + 1;

/// Counts durations, written by one thread.
///
/// Recording is two relaxed additions; a bucket is at most 12.5 % wide.
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[index_of(ns / 1_000)].inc();
        self.sum_ns.add(ns);
    }
}

impl Cell for Histogram {
    type Sum = HistogramTotals;
    const KIND: MetricType = MetricType::Histogram;

    fn add_to(&self, sum: &mut HistogramTotals) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.value();
        }
        sum.sum_ns += u128::from(self.sum_ns.value());
    }

    fn sample(sum: &HistogramTotals) -> Sample<'_> {
        Sample::Histogram(sum)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { Counter::new() }; BUCKETS],
            sum_ns: Counter::default(),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut totals = HistogramTotals::default();
        self.add_to(&mut totals);
        f.debug_struct("Histogram")
            .field("count", &totals.count())
            .finish_non_exhaustive()
    }
}

/// The sum of several histograms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramTotals {
    buckets: Vec<u64>,
    sum_ns: u128,
}

impl HistogramTotals {
    /// Returns the counts by log-linear bucket, shortest durations first.
    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// Returns how many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the sum of all durations in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Returns the counts by octave, as (upper bound in seconds, count); the last bound is infinity.
    pub fn octaves(&self) -> Vec<(f64, u64)> {
        let (bounded, beyond) = self.buckets.split_at(BUCKETS - 1);
        let mut octaves: Vec<(f64, u64)> = bounded
            .chunks(SUB as usize)
            .enumerate()
            .map(|(octave, counts)| {
                let upper_us = SUB << octave;
                (upper_us as f64 / 1e6, counts.iter().sum())
            })
            .collect();
        octaves.push((f64::INFINITY, beyond.iter().sum()));
        octaves
    }
}

impl Default for HistogramTotals {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            sum_ns: 0,
        }
    }
}

/// Returns the bucket of a duration in microseconds.
#[inline]
fn index_of(us: u64) -> usize {
    if us < SUB {
        return us as usize;
    }
    let top = u64::BITS - 1 - us.leading_zeros();
    if top >= TOP_BITS {
        return BUCKETS - 1;
    }
    let octave = u64::from(top - SUB_BITS);
    let within = (us >> (top - SUB_BITS)) - SUB;
    (SUB + octave * SUB + within) as usize
}

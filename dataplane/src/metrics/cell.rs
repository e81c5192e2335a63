//! Cells with one writer: a relaxed load and store, no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::metrics::MetricType;

use super::HistogramTotals;

/// A number that only grows, written by one thread.
///
/// Any thread may read it; two writers would lose counts.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Starts at 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Returns the count so far.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down, written by one thread; never below 0.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Starts at 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0
            .store(self.0.load(Relaxed).saturating_add(n), Relaxed);
    }

    /// Takes `n` away, down to 0.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0
            .store(self.0.load(Relaxed).saturating_sub(n), Relaxed);
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Returns the value now.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One value as a scrape shows it.
#[derive(Clone, Copy, Debug)]
pub enum Sample<'a> {
    /// A count.
    Counter(u64),
    /// A level.
    Gauge(u64),
    /// Durations.
    Histogram(&'a HistogramTotals),
}

/// What several workers write and a scrape adds up.
pub trait Cell {
    /// The sum over workers.
    type Sum: Clone + Default;

    /// How a scrape names the kind.
    const KIND: MetricType;

    /// Adds what this cell holds to `sum`.
    fn add_to(&self, sum: &mut Self::Sum);

    /// Adds what outlives the cell's owner to `sum`: counts stay, levels go.
    fn retire_into(&self, sum: &mut Self::Sum) {
        self.add_to(sum);
    }

    /// Returns a sum as a scrape shows it.
    fn sample(sum: &Self::Sum) -> Sample<'_>;
}

impl Cell for Counter {
    type Sum = u64;
    const KIND: MetricType = MetricType::Counter;

    fn add_to(&self, sum: &mut u64) {
        *sum = sum.wrapping_add(self.value());
    }

    fn sample(sum: &u64) -> Sample<'_> {
        Sample::Counter(*sum)
    }
}

impl Cell for Gauge {
    type Sum = u64;
    const KIND: MetricType = MetricType::Gauge;

    fn add_to(&self, sum: &mut u64) {
        *sum = sum.saturating_add(self.value());
    }

    fn retire_into(&self, _: &mut u64) {}

    fn sample(sum: &u64) -> Sample<'_> {
        Sample::Gauge(*sum)
    }
}

//! What `/proc` says about this process.

use std::fs;

use prometheus_client::metrics::MetricType;

/// One number about the process.
#[derive(Debug)]
pub(super) struct ProcessValue {
    /// Name as scraped, but for the `_total` of a counter.
    pub(super) name: &'static str,
    /// One sentence for people.
    pub(super) help: &'static str,
    /// Counter or gauge.
    pub(super) kind: MetricType,
    /// The number now.
    pub(super) value: f64,
}

/// Reads what is known; what cannot be read is left out.
pub(super) fn values() -> Vec<ProcessValue> {
    let cpu = processor_seconds().map(|(user, system)| ProcessValue {
        name: "process_cpu_seconds",
        help: "Processor time used",
        kind: MetricType::Counter,
        value: user + system,
    });
    let resident = resident_bytes().map(|bytes| ProcessValue {
        name: "process_resident_memory_bytes",
        help: "Resident memory",
        kind: MetricType::Gauge,
        value: bytes as f64,
    });
    let files = fs::read_dir("/proc/self/fd")
        .ok()
        .map(|entries| ProcessValue {
            name: "process_open_fds",
            help: "Open file descriptors",
            kind: MetricType::Gauge,
            value: entries.count() as f64,
        });
    [cpu, resident, files].into_iter().flatten().collect()
}

/// Returns the processor time used by this process and by the system for it, in seconds; `None` where `/proc` does not say.
///
/// The two follow the 11th field after the command's closing bracket.
pub fn processor_seconds() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let after_command = stat.rsplit_once(')')?.1;
    let mut fields = after_command.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some((user / ticks, system / ticks))
}

/// Returns the memory that this process holds, in bytes; `None` where `/proc` does not say.
pub fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}

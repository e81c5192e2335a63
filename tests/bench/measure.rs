//! What a process costs, read from `/proc`, and which core it runs on.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident_kib: u64,
    /// The most since [`reset_peak`].
    pub(crate) peak_kib: u64,
}

/// Nanoseconds all threads of `pid` have been on a core.
pub(crate) fn cpu_nanos(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// The memory of `pid` now.
pub(crate) fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or_default()
    };
    Memory {
        resident_kib: field("VmRSS:"),
        peak_kib: field("VmHWM:"),
    }
}

/// Forgets the peak so far; where the kernel refuses, it counts from the start of the process.
pub(crate) fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").ok();
}

/// Which core runs what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The core of the proxy; `None` leaves it to the scheduler.
    pub(crate) proxy: Option<usize>,
    /// The core of the endpoints and of the load generator.
    pub(crate) rest: Option<usize>,
}

impl Layout {
    /// Keeps this thread, and what it starts from now on, on the core of the rest.
    pub(crate) fn enter(self) {
        pin(self.rest);
    }

    /// Runs `start` on the core of the proxy, so that what it starts stays there.
    pub(crate) fn start_proxy<T>(self, start: impl FnOnce() -> T) -> T {
        let Ok(before) = sched_getaffinity(None) else {
            return start();
        };
        pin(self.proxy);
        let started = start();
        sched_setaffinity(None, &before).ok();
        started
    }
}

/// Keeps this thread on `core`, if it can be had.
fn pin(core: Option<usize>) {
    let Some(core) = core.filter(|&core| core < CpuSet::MAX_CPU) else {
        return;
    };
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).ok();
}

//! What the machine gives this process: processors, memory, file descriptors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::sched_getaffinity,
};
use tracing::{info, warn};

/// Share of the cgroup's memory that this process should stay below, in percent.
const MEMORY_PERCENT: u64 = 80;

/// The workers to start, one entry each: the processor it is bound to, if any.
///
/// With as many workers as processors each gets its own; otherwise the system places them.
pub(crate) fn worker_processors(wanted: Option<usize>) -> Vec<Option<usize>> {
    let allowed = allowed_processors();
    let quota = cpu_quota().map_or(allowed.len(), |quota| quota.ceil() as usize);
    let count = wanted.unwrap_or_else(|| quota.clamp(1, allowed.len().max(1)));
    if count == allowed.len() && quota >= count {
        return allowed.into_iter().map(Some).collect();
    }
    vec![None; count]
}

/// The resident bytes beyond which an alarm is raised; `None` without a limit.
pub(crate) fn memory_limit(wanted: Option<u64>) -> Option<u64> {
    let limits = cgroup_values("memory.max", |text| text.trim().parse::<u64>().ok());
    wanted.or_else(|| Some(limits.into_iter().min()? / 100 * MEMORY_PERCENT))
}

/// Raises the number of files this process may open as far as it is allowed to.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => info!(limit = ?raised.current, "open files allowed"),
        Err(error) => warn!(%error, limit = ?limit.current, "open file limit not raised"),
    }
}

fn allowed_processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else {
        return vec![0];
    };
    (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&processor| set.is_set(processor))
        .collect()
}

/// The processors' worth of time that the cgroups of this process allow.
fn cpu_quota() -> Option<f64> {
    cgroup_values("cpu.max", parse_cpu_max)
        .into_iter()
        .min_by(f64::total_cmp)
}

fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Reads one file of this process's cgroup (v2) and of all above it.
fn cgroup_values<T>(file: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let Some(own) = own else {
        return Vec::new();
    };
    let root = Path::new("/sys/fs/cgroup");
    let folder: PathBuf = root.join(own);
    let folders = folder.ancestors().take_while(|path| path.starts_with(root));
    folders
        .filter_map(|folder| parse(&fs::read_to_string(folder.join(file)).ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_read_from_cpu_max() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
        assert_eq!(parse_cpu_max("junk"), None);
    }

    #[test]
    fn as_many_workers_as_asked_for() {
        assert_eq!(worker_processors(Some(7)).len(), 7);
        assert!(!worker_processors(None).is_empty());
    }

    #[test]
    fn written_memory_limit_wins() {
        assert_eq!(memory_limit(Some(5)), Some(5));
    }
}

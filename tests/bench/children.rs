//! Everything this program started ends with it, also after a signal or a panic.

use std::{fs, panic, process, thread};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after a signal.
const INTERRUPTED: i32 = 130;

/// Ends all children when this program is told to end, or panics.
///
/// # Errors
/// When signals cannot be taken.
pub(crate) fn watch() -> anyhow::Result<()> {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        end_all();
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(wait_signal());
        end_all();
        process::exit(INTERRUPTED);
    });
    Ok(())
}

async fn wait_signal() {
    let taken = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    if let (Ok(mut interrupt), Ok(mut terminate)) = taken {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    } else {
        std::future::pending::<()>().await;
    }
}

fn end_all() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return;
    };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        for pid in pids.filter_map(Pid::from_raw) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

//! From options to a running data plane, and to its end.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, LocalOptions};
use tracing::{error, info, warn};

use super::{
    Options,
    control::Control,
    machine::{memory_limit, raise_open_files, worker_processors},
    worker::{WorkerHandle, spawn_worker},
};
use crate::{
    discovery::last_good::{Boot, LastGood},
    metrics::Registry,
};

/// How long worker threads may take to end after they were told to.
const JOIN_LIMIT: Duration = Duration::from_secs(2);

/// Why a data plane does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it was told to do is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The system does not let it.
    #[error("{0}")]
    Failed(String),
}

/// Runs a data plane until it is told to end; the calling thread becomes the control thread.
///
/// # Errors
/// When it cannot start.
pub fn run(options: Options) -> Result<(), StartError> {
    raise_open_files();
    let admin = bind_admin(&options)?;
    let (store, boot) = open_state(&options)?;
    let registry = Registry::new();
    let workers = spawn_workers(&options, &registry)?;
    info!(
        id = options.id,
        workers = workers.len(),
        "data plane starting"
    );
    let (mailboxes, threads): (Vec<_>, Vec<_>) = workers
        .into_iter()
        .map(|worker| (worker.mailbox, worker.thread))
        .unzip();
    let limit = memory_limit(options.memory_limit);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| StartError::Failed(format!("no runtime: {error}")))?;
    let control = Control::new(options, registry, mailboxes, limit);
    let result = runtime.block_on(control.run(admin, store.map(Arc::new), boot));
    // Tasks that are left hold mailboxes; workers end when those are gone.
    runtime.shutdown_background();
    join(threads);
    info!("data plane ended");
    result
}

/// Binds the admin pages; beyond loopback only if that was asked for by name.
fn bind_admin(options: &Options) -> Result<TcpListener, StartError> {
    let addr = &options.admin;
    let resolved: Vec<SocketAddr> = addr
        .to_socket_addrs()
        .map_err(|error| StartError::Configuration(format!("--admin {addr}: {error}")))?
        .collect();
    if resolved.iter().any(|addr| !addr.ip().is_loopback()) {
        if !options.insecure {
            let text = format!(
                "--admin {addr} is beyond loopback and has no authentication: say --insecure if that is meant"
            );
            return Err(StartError::Configuration(text));
        }
        warn!(%addr, "admin pages can be read by anybody who reaches this address");
    }
    let failed = |error: io::Error| StartError::Failed(format!("--admin {addr}: {error}"));
    let listener = TcpListener::bind(resolved.as_slice()).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    info!(addr = %bound, "admin listening");
    Ok(listener)
}

fn open_state(options: &Options) -> Result<(Option<LastGood>, Boot), StartError> {
    let Some(folder) = &options.state_dir else {
        return Ok((None, Boot::default()));
    };
    let opened = LastGood::open(folder).map_err(|error| StartError::Failed(error.to_string()))?;
    Ok((Some(opened.0), opened.1))
}

fn spawn_workers(
    options: &Options,
    registry: &Arc<Registry>,
) -> Result<Vec<WorkerHandle>, StartError> {
    let processors = worker_processors(options.workers);
    let spawn = |(index, cpu)| spawn_worker(index, cpu, Arc::clone(registry));
    let workers: io::Result<Vec<_>> = processors.into_iter().enumerate().map(spawn).collect();
    workers.map_err(|error| StartError::Failed(format!("no worker thread: {error}")))
}

/// Waits for worker threads to end; one that does not is left behind with the process.
fn join(threads: Vec<thread::JoinHandle<()>>) {
    let deadline = std::time::Instant::now() + JOIN_LIMIT;
    for (worker, thread) in threads.into_iter().enumerate() {
        while !thread.is_finished() && std::time::Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            error!(worker, "worker did not end in time");
            continue;
        }
        if thread.join().is_err() {
            error!(worker, "worker ended badly");
        }
    }
}

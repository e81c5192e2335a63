//! One worker: a thread, a runtime of its own, and everything it serves.
//!
//! A worker shares nothing with the others but what is immutable. The control thread reaches it through its mailbox.

use std::{
    collections::BTreeMap,
    io,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use prism_proto::model::ListenAddr;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tracing::{error, warn};

use crate::{
    cluster::{ClusterWorker, Runtime},
    downstream::{ListenSocket, Listener},
    metrics::Registry,
    upstream::WorkerContext,
};

/// Messages that may wait for one worker.
const MAILBOX: usize = 64;

/// Tasks polled between two looks at the sockets.
const EVENT_INTERVAL: u32 = 256;

/// Time between two looks at whether a drain is done.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// What the control thread tells a worker.
#[derive(Debug)]
pub enum WorkerMessage {
    /// A new generation is in service; answered once this worker serves it.
    Apply {
        /// All clusters.
        runtime: Arc<Runtime>,
        /// Sockets bound for listeners that are new.
        listeners: Vec<NewListener>,
        /// Told when done.
        done: oneshot::Sender<()>,
    },
    /// Accept no more, close sessions at a quiet boundary, and end.
    Drain {
        /// When to end in any case.
        deadline: Instant,
        /// Told when all sessions are gone or the deadline has passed.
        done: oneshot::Sender<()>,
    },
}

/// A socket for a listener that is new.
#[derive(Debug)]
pub struct NewListener {
    /// The cluster it serves.
    pub cluster: String,
    /// Where it listens, `--bind-ip` applied.
    pub addr: ListenAddr,
    /// The bound socket.
    pub socket: ListenSocket,
}

/// The control thread's end of a worker.
#[derive(Debug)]
pub struct WorkerHandle {
    /// Where messages go; bounded.
    pub mailbox: mpsc::Sender<WorkerMessage>,
    /// The worker's thread; ends after a drain, or when the mailbox is dropped.
    pub thread: JoinHandle<()>,
}

/// Starts worker `index`, pinned to `cpu` if one is given.
///
/// # Errors
/// When the thread cannot be started.
pub fn spawn_worker(
    index: usize,
    cpu: Option<usize>,
    registry: Arc<Registry>,
) -> io::Result<WorkerHandle> {
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let thread = thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            if let Some(cpu) = cpu {
                pin(cpu);
            }
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(Worker::new(index, registry).run(messages)),
                Err(error) => error!(worker = index, %error, "worker has no runtime"),
            }
        })?;
    Ok(WorkerHandle { mailbox, thread })
}

fn pin(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        warn!(cpu, %error, "worker not pinned");
    }
}

struct Worker {
    context: Rc<WorkerContext>,
    clusters: BTreeMap<String, Rc<ClusterWorker>>,
    listeners: Vec<Open>,
    /// Clusters that were removed and whose sessions are not all gone.
    leaving: Vec<Rc<ClusterWorker>>,
}

/// A listener in service.
struct Open {
    cluster: String,
    addr: ListenAddr,
    closing: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    fn new(index: usize, registry: Arc<Registry>) -> Self {
        Self {
            context: Rc::new(WorkerContext::new(index, registry)),
            clusters: BTreeMap::new(),
            listeners: Vec::new(),
            leaving: Vec::new(),
        }
    }

    async fn run(mut self, mut messages: mpsc::Receiver<WorkerMessage>) {
        while let Some(message) = messages.recv().await {
            match message {
                WorkerMessage::Apply {
                    runtime,
                    listeners,
                    done,
                } => {
                    self.apply(&runtime, listeners).await;
                    // Nobody waits when the control thread is ending.
                    let _ = done.send(());
                }
                WorkerMessage::Drain { deadline, done } => {
                    self.drain(deadline).await;
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Serves a generation: clusters first, then new listeners; removals last.
    async fn apply(&mut self, runtime: &Runtime, listeners: Vec<NewListener>) {
        for (name, next) in &runtime.clusters {
            match self.clusters.get(name) {
                Some(cluster) if Arc::ptr_eq(&cluster.runtime(), next) => {}
                Some(cluster) => cluster.update(Arc::clone(next)),
                None => {
                    let cluster = ClusterWorker::start(Rc::clone(&self.context), Arc::clone(next));
                    self.clusters.insert(name.clone(), cluster);
                }
            }
        }
        for listener in listeners {
            self.listen(listener);
        }
        self.close_listeners(runtime).await;
        self.close_clusters(runtime);
    }

    fn listen(&mut self, new: NewListener) {
        let NewListener {
            cluster,
            addr,
            socket,
        } = new;
        let Some(serving) = self.clusters.get(&cluster) else {
            return;
        };
        match Listener::new(socket, Rc::clone(serving)) {
            Ok(listener) => {
                let (closing, closed) = watch::channel(false);
                let task = tokio::task::spawn_local(listener.run(closed));
                self.listeners.push(Open {
                    cluster,
                    addr,
                    closing,
                    task,
                });
            }
            Err(error) => error!(%cluster, %addr, %error, "listener not opened"),
        }
    }

    /// Closes every listener whose address its cluster no longer has.
    async fn close_listeners(&mut self, runtime: &Runtime) {
        let is_wanted = |open: &Open| {
            runtime
                .clusters
                .get(&open.cluster)
                .is_some_and(|cluster| cluster.listen == open.addr)
        };
        let (wanted, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.listeners)
            .into_iter()
            .partition(is_wanted);
        self.listeners = wanted;
        close(gone).await;
    }

    fn close_clusters(&mut self, runtime: &Runtime) {
        self.leaving.retain(|cluster| !cluster.is_finished());
        let gone: Vec<_> = self
            .clusters
            .keys()
            .filter(|name| !runtime.clusters.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(cluster) = self.clusters.remove(&name) {
                cluster.close();
                self.leaving.push(cluster);
            }
        }
    }

    async fn drain(&mut self, deadline: Instant) {
        close(std::mem::take(&mut self.listeners)).await;
        self.leaving
            .extend(std::mem::take(&mut self.clusters).into_values());
        for cluster in &self.leaving {
            cluster.close();
        }
        while Instant::now() < deadline && self.leaving.iter().any(|cluster| !cluster.is_finished())
        {
            sleep(DRAIN_LOOK).await;
        }
    }
}

async fn close(listeners: Vec<Open>) {
    for open in &listeners {
        open.closing.send_replace(true);
    }
    for open in listeners {
        if let Err(error) = open.task.await {
            error!(cluster = %open.cluster, %error, "listener ended badly");
        }
    }
}

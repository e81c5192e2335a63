//! The control thread: starts what there is to serve, then follows its source and the signals until the end.

use std::{
    net::TcpListener,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, mpsc, oneshot},
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};
use tracing::{error, info, warn};

use super::{
    Options, Source, StartError,
    apply::Applier,
    bootstrap::{Reader, Stamp},
    follow::Follow,
    service::Service,
    sockets::Sockets,
    worker::WorkerMessage,
};
use crate::{
    admin::Admin,
    cluster::Own,
    discovery::{
        Status, Sync,
        last_good::{Boot, LastGood},
    },
    metrics::{Registry, resident_bytes},
};

/// Time between two looks at a definitions file.
const FILE_PERIOD: Duration = Duration::from_secs(1);
/// Time between two looks at this process's memory.
const MEMORY_PERIOD: Duration = Duration::from_secs(5);
/// How long the control plane may take to tell the other data planes that this one ends.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);
/// How long the disk may take at the end.
const EXIT_LIMIT: Duration = Duration::from_secs(5);
/// How long workers may take beyond the drain deadline.
const DRAIN_SLACK: Duration = Duration::from_secs(1);

/// Everything the control thread holds.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) options: Options,
    pub(super) registry: Arc<Registry>,
    pub(super) status: Status,
    pub(super) service: Service,
    pub(super) applier: Rc<Mutex<Applier>>,
    workers: Vec<mpsc::Sender<WorkerMessage>>,
    memory_limit: Option<u64>,
}

/// What ends a wait of the control thread.
enum Wake<T> {
    End,
    Reread,
    Source(T),
}

impl Control {
    /// Takes the workers over.
    pub(super) fn new(
        options: Options,
        registry: Arc<Registry>,
        workers: Vec<mpsc::Sender<WorkerMessage>>,
        memory_limit: Option<u64>,
    ) -> Self {
        let service = Service::new(Own {
            id: options.id.clone(),
            advertise: options.advertise.clone(),
        });
        let applier = Applier {
            workers: workers.clone(),
            service: service.clone(),
            bind_ip: options.bind_ip,
            registry: Arc::clone(&registry),
            sockets: Sockets::default(),
        };
        Self {
            options,
            registry,
            status: Status::default(),
            service,
            applier: Rc::new(Mutex::new(applier)),
            workers,
            memory_limit,
        }
    }

    /// Serves until a signal or the control plane ends it, then drains.
    ///
    /// # Errors
    /// When it cannot start.
    pub(super) async fn run(
        self,
        admin: TcpListener,
        store: Option<Arc<LastGood>>,
        boot: Boot,
    ) -> Result<(), StartError> {
        let mut signals = Signals::new()?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.registry.control().start_seconds.set(now.as_secs());
        self.serve_admin(admin);
        spawn_local(watch_memory(self.memory_limit));
        match self.options.source.clone() {
            Source::Bootstrap(path) => {
                let reader = Reader {
                    path,
                    id: self.options.id.clone(),
                    labels: self.options.labels.clone(),
                };
                self.follow_file(&reader, &mut signals).await?;
                self.drain(&mut signals, self.options.drain_timeout).await;
            }
            Source::Control(urls) => {
                let mut follow = Follow::start(&self, urls, store, boot).await;
                self.follow_control(&mut follow, &mut signals).await;
                self.status.change(|facts| facts.is_draining = true);
                let is_urgent = tokio::select! {
                    () = follow.leave(LEAVE_LIMIT.min(self.options.drain_timeout)) => false,
                    () = signals.end() => true,
                };
                if is_urgent {
                    self.drain(&mut signals, Duration::ZERO).await;
                } else {
                    self.drain(&mut signals, self.options.drain_timeout).await;
                }
                if timeout(EXIT_LIMIT, follow.clean_exit()).await.is_err() {
                    warn!("the disk is too slow to keep the last state");
                }
            }
        }
        Ok(())
    }

    fn serve_admin(&self, listener: TcpListener) {
        let admin = Admin {
            id: self.options.id.clone(),
            runtime: Arc::clone(&self.service.runtime),
            registry: Arc::clone(&self.registry),
            status: self.status.clone(),
        };
        spawn_local(async move {
            if let Err(error) = admin.serve(listener).await {
                error!(%error, "admin pages ended");
            }
        });
    }

    async fn follow_control(&self, follow: &mut Follow, signals: &mut Signals) {
        loop {
            let wake = tokio::select! {
                wake = signals.next() => wake,
                due = follow.due() => Wake::Source(due),
            };
            match wake {
                Wake::End => return,
                Wake::Reread => {
                    info!("nothing to read again: definitions come from a control plane")
                }
                Wake::Source(due) => {
                    if !follow.act(due).await {
                        return;
                    }
                }
            }
        }
    }

    /// Serves the file and follows its changes; a broken one leaves in service what is.
    async fn follow_file(&self, reader: &Reader, signals: &mut Signals) -> Result<(), StartError> {
        let mut stamp = Stamp::of(&reader.path);
        self.status.change(|facts| facts.sync = Sync::Alone);
        self.apply_file(reader).await?;
        self.status.change(|facts| facts.is_ready = true);
        let mut looks = interval(FILE_PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = tokio::select! {
                wake = signals.next() => wake,
                _ = looks.tick() => Wake::Source(()),
            };
            let now = Stamp::of(&reader.path);
            match wake {
                Wake::End => return Ok(()),
                Wake::Source(()) if now.is_none() || now == stamp => continue,
                Wake::Reread | Wake::Source(()) => {}
            }
            stamp = now;
            let result = self.apply_file(reader).await;
            let error = result
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            if !error.is_empty() {
                error!(%error, "definitions file not applied as a whole");
            }
            self.status.change(|facts| facts.last_error = error);
        }
    }

    async fn apply_file(&self, reader: &Reader) -> Result<(), StartError> {
        let definitions = reader
            .read()
            .map_err(|error| StartError::Configuration(error.to_string()))?;
        for warning in &definitions.warnings {
            warn!(%warning, "definitions file");
        }
        let delta = definitions.delta(&self.service.runtime.load());
        let rejected = self.applier.lock().await.apply(delta).await;
        let lines = rejected
            .iter()
            .flat_map(|(name, why)| definitions.locate(name, why));
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() {
            return Ok(());
        }
        Err(StartError::Failed(lines.join("\n")))
    }

    /// Lets sessions finish for `timeout`, or until a second signal.
    async fn drain(&self, signals: &mut Signals, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        info!(?timeout, "draining");
        self.status.change(|facts| facts.is_draining = true);
        let mut waiting = Vec::new();
        for mailbox in &self.workers {
            let (done, is_done) = oneshot::channel();
            let message = WorkerMessage::Drain { deadline, done };
            if let Ok(Ok(())) = timeout_at(deadline, mailbox.send(message)).await {
                waiting.push(is_done);
            }
        }
        let all_done = async {
            for is_done in waiting {
                // An error means that the worker is gone.
                is_done.await.ok();
            }
        };
        tokio::select! {
            done = timeout_at(deadline + DRAIN_SLACK, all_done) => {
                if done.is_err() {
                    warn!("sessions are cut off at the drain deadline");
                }
            }
            () = signals.end() => warn!("second signal, sessions are cut off"),
        }
        if let Ok(mut applier) = self.applier.try_lock() {
            applier.sockets.close();
        }
    }
}

/// The signals that mean something.
#[derive(Debug)]
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let listen =
            |kind| signal(kind).map_err(|error| StartError::Failed(format!("no signals: {error}")));
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next<T>(&mut self) -> Wake<T> {
        tokio::select! {
            _ = self.hangup.recv() => Wake::Reread,
            _ = self.interrupt.recv() => Wake::End,
            _ = self.terminate.recv() => Wake::End,
        }
    }

    async fn end(&mut self) {
        while !matches!(self.next::<()>().await, Wake::End) {}
    }
}

/// Raises an alarm while this process uses more memory than it should.
async fn watch_memory(limit: Option<u64>) {
    let Some(limit) = limit else { return };
    let mut looks = interval(MEMORY_PERIOD);
    let mut is_beyond = false;
    loop {
        looks.tick().await;
        let resident = resident_bytes().unwrap_or_default();
        if (resident > limit) != is_beyond {
            is_beyond = resident > limit;
            match is_beyond {
                true => error!(resident, limit, "memory beyond its limit"),
                false => info!(resident, limit, "memory below its limit again"),
            }
        }
    }
}

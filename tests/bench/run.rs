//! The runner: every repetition visits every peer, in rotated order, so that noise hits all alike.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    case::{Case, Pace, Topology},
    endpoints::Endpoints,
    load::{Generator, Load, Target},
    measure::{self, Layout},
    memory,
    peer::{Peer, Program, Proxy},
    wire::Tally,
};

/// How long a proxy may take to reach its endpoints.
const SETTLING: Duration = Duration::from_secs(15);

/// Load before the first repetition of a case, not measured.
const WARM_UP: Duration = Duration::from_millis(200);

/// Runs with more failures than this share of requests say nothing.
const MOST_FAILURES: f64 = 0.01;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) repetitions: usize,
    /// How long each run lasts.
    pub(crate) length: Duration,
    pub(crate) connections: usize,
    pub(crate) layout: Layout,
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) peer: String,
    pub(crate) repetition: usize,
    /// Names and values; units are in the names.
    pub(crate) figures: Value,
}

impl Row {
    /// One figure, if the run has it.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures[name].as_f64()
    }

    /// All of it as one JSON object.
    pub(crate) fn to_json(&self) -> Value {
        let mut row = self.figures.clone();
        row["topology"] = json!(self.case.topology.name());
        row["case"] = json!(self.case.name);
        row["peer"] = json!(self.peer);
        row["repetition"] = json!(self.repetition);
        row
    }
}

/// Where rows and remarks go while the plan runs.
pub(crate) trait Sink {
    /// Takes a finished run.
    fn row(&mut self, row: Row);
    /// Takes a remark for the reader.
    fn note(&mut self, text: &str);
}

/// Runs all cases of `plan`, one topology after the other.
///
/// # Errors
/// When the endpoints cannot be used; a peer that fails is left out with a note.
pub(crate) fn run(plan: &Plan, sink: &mut dyn Sink) -> anyhow::Result<()> {
    plan.layout.enter();
    for topology in Topology::ALL {
        let of_topology = plan.cases.iter().filter(|case| case.topology == topology);
        let cases: Vec<_> = of_topology.copied().collect();
        if !cases.is_empty() {
            Stage::set(plan, topology, cases[0], sink)?.play(&cases, sink)?;
        }
    }
    Ok(())
}

/// A topology with the peers in front of it.
struct Stage<'a> {
    plan: &'a Plan,
    topology: Topology,
    endpoints: Endpoints,
    filled: Case,
    actors: Vec<(&'a Peer, Option<Proxy>)>,
}

impl<'a> Stage<'a> {
    fn set(
        plan: &'a Plan,
        topology: Topology,
        first: Case,
        sink: &mut dyn Sink,
    ) -> anyhow::Result<Self> {
        sink.note(&format!("{topology}: starting endpoints and proxies"));
        let endpoints = Endpoints::start(topology);
        endpoints.fill(&first)?;
        let mut stage = Self {
            plan,
            topology,
            endpoints,
            filled: first,
            actors: Vec::new(),
        };
        for peer in plan.peers.iter().filter(|peer| peer.serves(topology)) {
            match stage.start(peer) {
                Ok(proxy) => stage.actors.push((peer, proxy)),
                Err(error) => sink.note(&format!("{topology}: without {}: {error:#}", peer.name)),
            }
        }
        Ok(stage)
    }

    fn start(&self, peer: &Peer) -> anyhow::Result<Option<Proxy>> {
        let addrs = self.endpoints.addrs();
        let layout = self.plan.layout;
        let proxy = layout.start_proxy(|| peer.start(self.topology, &addrs))?;
        let deadline = Instant::now() + SETTLING;
        loop {
            let targets = self.targets(proxy.as_ref(), &self.filled);
            let once = Pace::Idle { connections: 50 };
            let load = self.load(&self.filled, once, &targets);
            let tried = Generator::connect(&load);
            match tried.and_then(|generator| check(generator.tally())) {
                Ok(()) => return Ok(proxy),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn play(&mut self, cases: &[Case], sink: &mut dyn Sink) -> anyhow::Result<()> {
        for case in cases {
            sink.note(&case.title());
            if case.value_bytes != self.filled.value_bytes {
                self.endpoints.fill(case)?;
                self.filled = *case;
            }
            match case.pace {
                Pace::Idle { .. } => self.play_idle(case, sink),
                Pace::Closed { .. } | Pace::Open { .. } => self.play_load(case, sink),
            }
        }
        Ok(())
    }

    fn play_load(&mut self, case: &Case, sink: &mut dyn Sink) {
        for repetition in 0..self.plan.repetitions {
            for step in 0..self.actors.len() {
                let at = (repetition + step) % self.actors.len();
                match self.measure(at, case, repetition) {
                    Ok(row) => sink.row(row),
                    Err(error) => {
                        let peer = self.actors[at].0;
                        sink.note(&format!("{}: {}: {error:#}", case.title(), peer.name));
                        self.actors[at].1 = None;
                        self.actors[at].1 = self.start(peer).unwrap_or_default();
                    }
                }
            }
        }
    }

    /// Memory is not noisy: one repetition, with a fresh process for each peer.
    fn play_idle(&mut self, case: &Case, sink: &mut dyn Sink) {
        for peer in self
            .plan
            .peers
            .iter()
            .filter(|peer| peer.serves(self.topology))
        {
            let measured = self.start(peer).and_then(|proxy| {
                let Some(proxy) = proxy else { return Ok(None) };
                let targets = self.targets(Some(&proxy), case);
                memory::idle(proxy.process.pid(), &self.load(case, case.pace, &targets)).map(Some)
            });
            match measured {
                Ok(None) => {}
                Ok(Some(figures)) => sink.row(Row {
                    case: *case,
                    peer: peer.name.clone(),
                    repetition: 0,
                    figures,
                }),
                Err(error) => sink.note(&format!("{}: {}: {error:#}", case.title(), peer.name)),
            }
        }
    }

    fn measure(&mut self, at: usize, case: &Case, repetition: usize) -> anyhow::Result<Row> {
        let caches = self.endpoints.pids();
        let (peer, proxy) = &self.actors[at];
        let is_direct = peer.program == Program::Direct;
        ensure!(proxy.is_some() || is_direct, "it does not run");
        let targets = self.targets(proxy.as_ref(), case);
        let load = self.load(case, case.pace, &targets);
        if repetition == 0 {
            let length = WARM_UP;
            let warm_up = Load {
                length,
                ..load.clone()
            };
            Generator::connect(&warm_up)?.run().context("warming up")?;
        }
        let pid = proxy.as_ref().map(|proxy| proxy.process.pid());
        let cpu = || {
            let of_caches: u64 = caches.iter().map(|&pid| measure::cpu_nanos(pid)).sum();
            let own = measure::cpu_nanos(std::process::id());
            [pid.map_or(0, measure::cpu_nanos), of_caches, own]
        };
        if let Some(pid) = pid {
            measure::reset_peak(pid);
        }
        let generator = Generator::connect(&load)?;
        let before = cpu();
        let outcome = generator.run()?;
        let after = cpu();
        check(&outcome.tally)?;
        let requests = outcome.tally.replies as f64;
        let spent = |at: usize| (after[at] - before[at]) as f64 / 1e3 / requests;
        let quantile = |share: f64| outcome.latency.value_at_quantile(share) as f64 / 1e3;
        let memory = pid.map(measure::memory).unwrap_or_default();
        Ok(Row {
            case: *case,
            peer: peer.name.clone(),
            repetition,
            figures: json!({
                "requests": outcome.tally.replies,
                "seconds": outcome.elapsed.as_secs_f64(),
                "requests_per_second": requests / outcome.elapsed.as_secs_f64(),
                "proxy_cpu_us": pid.map(|_| spent(0)),
                "endpoint_cpu_us": spent(1),
                "client_cpu_us": spent(2),
                "p50_us": quantile(0.5),
                "p99_us": quantile(0.99),
                "p999_us": quantile(0.999),
                "resident_kib": pid.map(|_| memory.resident_kib),
                "peak_kib": pid.map(|_| memory.peak_kib),
                "errors": outcome.tally.errors,
                "misses": outcome.tally.misses,
            }),
        })
    }

    /// Where clients of `proxy` connect: to it, with all keys, or to the endpoints when there is none.
    fn targets(&self, proxy: Option<&Proxy>, case: &Case) -> Vec<Target> {
        match proxy {
            None => self.endpoints.targets(case.keys()),
            Some(proxy) => vec![Target {
                addr: proxy.addr.clone(),
                keys: (0..case.keys()).collect(),
            }],
        }
    }

    fn load<'t>(&self, case: &Case, pace: Pace, targets: &'t [Target]) -> Load<'t> {
        let connections = match pace {
            Pace::Idle { connections } => connections,
            Pace::Closed { .. } | Pace::Open { .. } => self.plan.connections,
        };
        Load {
            dialect: self.endpoints.dialect(),
            targets,
            connections,
            pace,
            set_percent: case.set_percent,
            value_bytes: case.value_bytes,
            length: self.plan.length,
        }
    }
}

/// Refuses a run in which requests failed.
fn check(tally: &Tally) -> anyhow::Result<()> {
    let failed = (tally.errors + tally.misses) as f64;
    ensure!(
        failed <= tally.replies as f64 * MOST_FAILURES,
        "{} errors ({}) and {} misses in {} replies",
        tally.errors,
        tally.first_error.as_deref().unwrap_or("none"),
        tally.misses,
        tally.replies
    );
    Ok(())
}

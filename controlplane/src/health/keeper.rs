//! The one task that watches all clusters.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use prism_proto::pb::discovery::v1::ClusterReport;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info};

use super::{
    Rounds,
    follow::ask,
    notice::Notices,
    watched::{Wall, Watched},
};
use crate::{
    fleet::Observed,
    probe::{Checked, Learned, View},
    verdict::{EndpointName, Judge, Outcome, Passive, Probe},
};

/// Time between two looks at everything.
const TICK: Duration = Duration::from_millis(100);
/// A tick that comes later than this was no tick: nobody can tell what probes meant in between.
const SLIP: Duration = Duration::from_secs(2);
/// Time between two silent renewals of what is shown.
const RENEWAL: Duration = Duration::from_secs(1);
/// Probes on their way at a time; the others wait for a tick.
const MAX_PROBES: usize = 512;
/// Failures of a node after which its cluster's topology is looked at now and then only.
const MANY_FAILURES: u32 = 60;

/// Watches all defined clusters until the program ends. Everything it begins ends with it.
pub async fn run(rounds: Rounds) {
    let mut ending = rounds.ending.clone();
    let mut keeper = Keeper::new(rounds);
    keeper.define();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = keeper.rounds.images.changed() => match changed {
                Ok(()) => keeper.define(),
                Err(_) => return,
            },
            Some(observed) = keeper.rounds.reports.recv() => keeper.observed(&observed),
            Some(done) = keeper.probes.join_next_with_id() => keeper.probed(done),
            Some(done) = keeper.flushes.join_next_with_id() => keeper.flushed(done),
            Some(done) = keeper.refreshes.join_next_with_id() => keeper.refreshed(done),
            _ = ending.wait_for(|ending| *ending) => return,
            _ = ticks.tick() => keeper.tick(),
        }
    }
}

pub(super) type Done<T> = Result<(Id, T), JoinError>;

/// Everything that is watched, and what is on its way.
pub(super) struct Keeper {
    pub(super) rounds: Rounds,
    pub(super) judge: Judge,
    pub(super) watched: BTreeMap<Arc<str>, Watched>,
    probes: JoinSet<(Probe, Checked)>,
    probing: HashMap<Id, EndpointName>,
    pub(super) flushes: JoinSet<Result<(), String>>,
    pub(super) flushing: HashMap<Id, EndpointName>,
    refreshes: JoinSet<Vec<Result<View, String>>>,
    refreshing: HashMap<Id, (Arc<str>, u64)>,
    notices: Notices,
    pub(super) wall: Wall,
    last_tick: Option<Instant>,
    renewed: Option<Instant>,
}

impl Keeper {
    fn new(rounds: Rounds) -> Self {
        let at = Instant::now().into_std();
        let time = SystemTime::now();
        let seed = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            rounds,
            judge: Judge::new(u64::from(seed.subsec_nanos()) ^ seed.as_secs()),
            watched: BTreeMap::new(),
            probes: JoinSet::new(),
            probing: HashMap::new(),
            flushes: JoinSet::new(),
            flushing: HashMap::new(),
            refreshes: JoinSet::new(),
            refreshing: HashMap::new(),
            notices: Notices::default(),
            wall: Wall { at, time },
            last_tick: None,
            renewed: None,
        }
    }

    /// Takes over the definitions.
    fn define(&mut self) {
        let image = self.rounds.images.borrow_and_update().clone();
        self.watched
            .retain(|name, _| image.clusters.contains_key(&**name));
        for (name, stored) in &image.clusters {
            match self.watched.get_mut(&**name) {
                Some(watched) if Arc::ptr_eq(&watched.stored, stored) => continue,
                Some(watched) => watched.define(Arc::clone(stored)),
                None => {
                    self.watched
                        .insert(name.as_str().into(), Watched::new(Arc::clone(stored)));
                }
            }
            self.enlist(&Arc::from(name.as_str()));
        }
        let watched = &self.watched;
        self.judge.retain(|name| watched.contains_key(name));
        self.publish_maps();
        self.publish();
    }

    /// Hands a cluster's endpoints to the judge.
    fn enlist(&mut self, name: &Arc<str>) {
        if let Some(watched) = self.watched.get_mut(name) {
            let members = watched.members();
            self.judge
                .define(name, watched.cluster().probing(), members);
        }
    }

    fn observed(&mut self, observed: &Observed) {
        self.judge.heard(&observed.dataplane);
        let window = observed
            .report
            .window
            .and_then(|window| window.try_into().ok());
        for report in &observed.report.clusters {
            self.observed_cluster(observed, report, window.unwrap_or_default());
        }
    }

    fn observed_cluster(&mut self, observed: &Observed, report: &ClusterReport, window: Duration) {
        let Some((name, watched)) = self.watched.get_key_value(report.cluster.as_str()) else {
            return;
        };
        for seen in &report.endpoints {
            let Some(addr) = watched.addr_of(&seen.addr) else {
                continue;
            };
            let endpoint = EndpointName {
                cluster: Arc::clone(name),
                addr: Arc::clone(addr),
            };
            let passive = Passive {
                dataplane: Arc::clone(&observed.dataplane),
                at: observed.at.into_std(),
                window,
                requests: seen.requests,
                errors: seen.errors,
                connect_failures: seen.connect_failures,
                vetoed: seen.vetoed,
            };
            self.judge.reported(&endpoint, &passive);
        }
        let Some(watched) = self.watched.get_mut(report.cluster.as_str()) else {
            return;
        };
        for seen in &report.endpoints {
            watched.add_traffic(seen);
        }
        if let Some(follow) = &mut watched.follow {
            for moved in &report.moved {
                follow.want(moved.addr.parse().ok());
            }
            if report.refresh_wanted {
                follow.want(None);
            }
        }
    }

    fn probed(&mut self, done: Done<(Probe, Checked)>) {
        let (id, result) = split(done);
        let Some(endpoint) = self.probing.remove(&id) else {
            return;
        };
        let Some((probe, checked)) = result else {
            self.judge.abandoned(&endpoint);
            return;
        };
        let is_changed = matches!(probe.outcome, Outcome::RoleChanged(_));
        let is_failed = matches!(probe.outcome, Outcome::Failed(_));
        debug!(cluster = %endpoint.cluster, endpoint = %endpoint.addr, outcome = ?probe.outcome, "probed");
        self.judge.probed(&endpoint, probe);
        let failures = self.judge.failures(&endpoint);
        let Some(watched) = self.watched.get_mut(&endpoint.cluster) else {
            return;
        };
        let is_other = watched.checked(&endpoint.addr, checked);
        let is_news = is_failed && (failures <= MANY_FAILURES || failures.is_multiple_of(10));
        if let Some(follow) = watched
            .follow
            .as_mut()
            .filter(|_| is_changed || is_other || is_news)
        {
            follow.want(None);
        }
    }

    fn refreshed(&mut self, done: Done<Vec<Result<View, String>>>) {
        let (id, result) = split(done);
        let Some((name, generation)) = self.refreshing.remove(&id) else {
            return;
        };
        let Some(watched) = self.watched.get_mut(&name) else {
            return;
        };
        watched.is_stale = true;
        let Some(follow) = watched
            .follow
            .as_mut()
            .filter(|follow| follow.generation == generation)
        else {
            return;
        };
        match follow.end(result.unwrap_or_default()) {
            Learned::Changed(map) => {
                info!(cluster = %name, sequence = map.sequence(), shards = map.shards().len(), covered = map.covered(), "slot map learned");
            }
            Learned::Reset(_) => self.notices.reset(&name, Instant::now()),
            Learned::Held(_) | Learned::Nothing => {
                debug!(cluster = %name, error = %follow.error, "slot map not learned");
                return;
            }
            Learned::Same => return,
        }
        self.enlist(&name);
        self.publish_maps();
        self.publish();
    }

    /// Begins what is due, judges and publishes.
    fn tick(&mut self) {
        let now = Instant::now();
        let slipped = self
            .last_tick
            .replace(now)
            .is_some_and(|last| now.duration_since(last) > TICK + SLIP);
        if slipped {
            self.judge.slipped(now.into_std());
        }
        if !self.judge.is_warm() {
            self.judge.connected(self.rounds.fleet.connected());
        }
        for event in self.judge.judge(now.into_std()) {
            Notices::happened(&event);
        }
        self.begin_probes(now);
        self.begin_flushes();
        self.begin_refreshes(now);
        self.publish();
        if self
            .renewed
            .is_none_or(|at| now.duration_since(at) >= RENEWAL)
        {
            self.renewed = Some(now);
            self.renew();
            self.notices
                .tell(&self.rounds.fleet, self.judge.alarms(), now);
        }
    }

    fn begin_probes(&mut self, now: Instant) {
        // Half a tick early is nearer than half a tick late.
        let due = self.judge.due((now + TICK / 2).into_std());
        let room = MAX_PROBES.saturating_sub(self.probes.len());
        for endpoint in due.into_iter().take(room) {
            let watched = self.watched.get(&endpoint.cluster);
            let Some(target) = watched.and_then(|watched| watched.target(&endpoint.addr)) else {
                continue;
            };
            let check = self.rounds.prober.check(target);
            let started = now.into_std();
            let task = self.probes.spawn(async move {
                let checked = check.await;
                let outcome = checked.outcome.clone();
                let ended = Instant::now().into_std();
                (
                    Probe {
                        started,
                        ended,
                        outcome,
                    },
                    checked,
                )
            });
            self.judge.started(&endpoint, started);
            self.probing.insert(task.id(), endpoint);
        }
    }

    fn begin_refreshes(&mut self, now: Instant) {
        for (name, watched) in &mut self.watched {
            let policy = watched.stored.spec.cluster().topology();
            let Some(follow) = watched
                .follow
                .as_mut()
                .filter(|follow| follow.is_due(policy, now))
            else {
                continue;
            };
            let asked = follow.begin(now);
            let generation = follow.generation;
            let targets = asked
                .into_iter()
                .map(|addr| watched.target_at(addr))
                .collect();
            let task = self
                .refreshes
                .spawn(ask(Arc::clone(&self.rounds.prober), targets));
            self.refreshing
                .insert(task.id(), (Arc::clone(name), generation));
        }
    }
}

pub(super) fn split<T>(done: Done<T>) -> (Id, Option<T>) {
    match done {
        Ok((id, result)) => (id, Some(result)),
        Err(error) => (error.id(), None),
    }
}

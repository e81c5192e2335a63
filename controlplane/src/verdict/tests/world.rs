//! A world of endpoints that a judge watches, on a clock of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use prism_proto::model::{CacheType, Cluster, ClusterSpec, Draft, EndpointDraft, Probing};

use crate::verdict::{EndpointName, Event, Judge, Member, Outcome, Passive, Probe, Shown};

/// Time between two steps, when a test does not say.
const STEP: Duration = Duration::from_millis(100);

/// How an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Denied,
    Loading,
    Pong,
    Readonly,
    Refused,
    Silent,
}

/// Makes a pool of `count` endpoints.
pub(super) fn definition(count: u16, change: impl FnOnce(&mut Draft)) -> Cluster {
    let endpoint = |number| EndpointDraft {
        addr: addr(number),
        ..EndpointDraft::default()
    };
    let mut draft = Draft {
        name: "pool".into(),
        listen_addr: "127.0.0.1:9001".into(),
        cache_type: Some(CacheType::Redis),
        endpoints: (1..=count).map(endpoint).collect(),
        ..Draft::default()
    };
    change(&mut draft);
    ClusterSpec::new(draft)
        .expect("a valid definition")
        .resolve()
}

/// The address of an endpoint of every pool here.
pub(super) fn addr(number: u16) -> String {
    format!("10.0.0.1:{}", 7000 + number)
}

/// The members of a definition.
pub(super) fn members(cluster: &Cluster) -> Vec<Member> {
    let member = |endpoint: &prism_proto::model::Endpoint| Member {
        addr: endpoint.addr().to_string().into(),
        zone: endpoint.zone().unwrap_or_default().into(),
        replica_of: None,
    };
    cluster.endpoints().iter().map(member).collect()
}

/// The emptying of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Flush {
    pub(super) at: Instant,
    pub(super) endpoint: String,
    /// What data planes were told then.
    pub(super) shown: Shown,
}

pub(super) struct World {
    pub(super) judge: Judge,
    pub(super) now: Instant,
    pub(super) step: Duration,
    cluster: Arc<str>,
    definition: Cluster,
    replies: BTreeMap<String, Reply>,
    in_flight: Vec<(Instant, EndpointName, Probe)>,
    probes: BTreeMap<String, usize>,
    shown: BTreeMap<String, Shown>,
    pushes: BTreeMap<String, Vec<Instant>>,
    pub(super) events: Vec<Event>,
    pub(super) flushes: Vec<Flush>,
    pub(super) flush_answer: Result<(), String>,
    /// Answers to flushes do not arrive.
    pub(super) hold_flushes: bool,
    flushing: Vec<EndpointName>,
}

impl World {
    pub(super) fn new(definition: Cluster) -> Self {
        let cluster: Arc<str> = definition.name().into();
        let mut judge = Judge::new(7);
        judge.define(&cluster, definition.probing(), members(&definition));
        Self {
            judge,
            now: Instant::now(),
            step: STEP,
            cluster,
            definition,
            replies: BTreeMap::new(),
            in_flight: Vec::new(),
            probes: BTreeMap::new(),
            shown: BTreeMap::new(),
            pushes: BTreeMap::new(),
            events: Vec::new(),
            flushes: Vec::new(),
            flush_answer: Ok(()),
            hold_flushes: false,
            flushing: Vec::new(),
        }
    }

    pub(super) fn probing(&self) -> &Probing {
        self.definition.probing()
    }

    pub(super) fn reply(&mut self, addr: &str, reply: Reply) {
        self.replies.insert(addr.to_owned(), reply);
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Runs until `check` holds, at most for `limit` and a little; returns how long that took.
    pub(super) fn run_until(&mut self, limit: Duration, check: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !check(self) && self.now <= start + limit {
            self.step();
        }
        self.now - start
    }

    fn step(&mut self) {
        self.now += self.step;
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.in_flight = waiting;
        for (_, endpoint, probe) in done {
            self.judge.probed(&endpoint, probe);
        }
        for endpoint in self.judge.due(self.now) {
            self.judge.started(&endpoint, self.now);
            *self.probes.entry(endpoint.addr.to_string()).or_default() += 1;
            let reply = self
                .replies
                .get(&*endpoint.addr)
                .copied()
                .unwrap_or(Reply::Pong);
            let ended = self.now
                + if reply == Reply::Silent {
                    self.probing().timeout
                } else {
                    Duration::ZERO
                };
            let probe = Probe {
                started: self.now,
                ended,
                outcome: outcome(reply),
            };
            self.in_flight.push((ended, endpoint, probe));
        }
        if !self.hold_flushes {
            for endpoint in std::mem::take(&mut self.flushing) {
                let answer = self.flush_answer.clone();
                self.judge.emptied(&endpoint, answer, self.now);
            }
        }
        self.events.extend(self.judge.judge(self.now));
        for endpoint in self.judge.to_empty() {
            self.judge.emptying(&endpoint);
            self.flushes.push(Flush {
                at: self.now,
                endpoint: endpoint.addr.to_string(),
                shown: self.finding(&endpoint.addr).shown,
            });
            self.flushing.push(endpoint);
        }
        for (member, finding) in self.judge.findings(&self.cluster) {
            let addr = member.addr.to_string();
            let before = self.shown.insert(addr.clone(), finding.shown);
            let is_first = before.is_none_or(|before| before == Shown::Unknown);
            if before != Some(finding.shown) && !is_first {
                self.pushes.entry(addr).or_default().push(self.now);
            }
        }
    }

    pub(super) fn ejected(&self) -> Vec<String> {
        let ejected = self
            .shown
            .iter()
            .filter(|(_, shown)| **shown == Shown::Ejected);
        ejected.map(|(addr, _)| addr.clone()).collect()
    }

    pub(super) fn shown(&self, addr: &str) -> Shown {
        self.shown[addr]
    }

    pub(super) fn failures(&self, addr: &str) -> u32 {
        self.finding(addr).failures
    }

    pub(super) fn error(&self, addr: &str) -> String {
        self.finding(addr).error
    }

    pub(super) fn ejection_time(&self, addr: &str) -> Duration {
        let last = self.events.iter().rev().find_map(|event| match event {
            Event::Ejected { endpoint, time, .. } if **endpoint == *addr => Some(*time),
            _ => None,
        });
        last.expect("it was ejected")
    }

    pub(super) fn probes(&self, addr: &str) -> usize {
        self.probes.get(addr).copied().unwrap_or_default()
    }

    pub(super) fn pushes(&self, addr: &str) -> usize {
        self.pushes.get(addr).map_or(0, Vec::len)
    }

    pub(super) fn most_pushes_a_minute(&self, addr: &str) -> usize {
        let pushes = self.pushes.get(addr).cloned().unwrap_or_default();
        let in_minute = |from: &Instant| {
            let end = *from + Duration::from_secs(60);
            pushes
                .iter()
                .filter(|at| **at >= *from && **at < end)
                .count()
        };
        pushes.iter().map(in_minute).max().unwrap_or_default()
    }

    pub(super) fn has_event(&self, name: &str) -> bool {
        self.events.iter().any(|event| event.name() == name)
    }

    /// A report in which nothing could be connected to.
    pub(super) fn connect_failures(&mut self, dataplane: &str, addr: &str) {
        self.report(dataplane, addr, |passive| passive.connect_failures = 3);
    }

    /// A report of the last second.
    pub(super) fn report(
        &mut self,
        dataplane: &str,
        addr: &str,
        change: impl FnOnce(&mut Passive),
    ) {
        let mut passive = Passive {
            dataplane: dataplane.into(),
            at: self.now,
            window: Duration::from_secs(1),
            requests: 0,
            errors: 0,
            connect_failures: 0,
            vetoed: false,
        };
        change(&mut passive);
        self.judge.heard(&passive.dataplane);
        let endpoint = EndpointName {
            cluster: Arc::clone(&self.cluster),
            addr: addr.into(),
        };
        self.judge.reported(&endpoint, &passive);
    }

    pub(super) fn connect(&mut self, dataplanes: &[&str]) {
        let dataplanes: BTreeSet<Arc<str>> = dataplanes.iter().map(|&id| id.into()).collect();
        self.judge.connected(dataplanes);
    }

    fn finding(&self, addr: &str) -> crate::verdict::Finding {
        let findings = self.judge.findings(&self.cluster);
        let found = findings
            .into_iter()
            .find(|(member, _)| *member.addr == *addr);
        found.expect("a member").1
    }
}

fn outcome(reply: Reply) -> Outcome {
    match reply {
        Reply::Denied => Outcome::Misconfigured("NOAUTH Authentication required.".into()),
        Reply::Loading => Outcome::Warming,
        Reply::Pong => Outcome::Ok,
        Reply::Readonly => {
            Outcome::RoleChanged("READONLY You can't write against a read only replica.".into())
        }
        Reply::Refused => Outcome::Failed("connection refused".into()),
        Reply::Silent => Outcome::Failed("no answer within 500ms".into()),
    }
}

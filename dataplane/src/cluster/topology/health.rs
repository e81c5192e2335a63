//! Which endpoints of a pool are in use: what the control plane says while its lease holds, else what is seen here.

use std::time::Duration;

use prism_proto::model::{Cluster, EndpointAddr, OnEjection, OnReadmit, Probing};

use super::EndpointHealth;
use crate::upstream::{Detector, may_eject};

/// Least successful share of recent requests that keeps an endpoint in use against the control plane's word.
const VETO_PERCENT: u64 = 90;

/// The endpoints of one pool, in definition order.
#[derive(Debug)]
pub(super) struct Health {
    probing: Probing,
    endpoints: Vec<Watched>,
    /// Until when the control plane's word holds.
    lease: Option<Duration>,
}

#[derive(Debug)]
struct Watched {
    addr: EndpointAddr,
    central: EndpointHealth,
    is_vetoed: bool,
    detector: Detector,
    /// The word that ejected it came on an earlier stream: who speaks now may not know of it.
    is_old_word: bool,
    /// It is fine, somebody says who did not empty it: it is not used before that was done from here.
    is_owed: bool,
}

/// What came of a probe of this data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probed {
    /// It answered, and said that it was emptied.
    Emptied,
    /// It did not answer.
    Silent,
    /// It answered.
    There,
}

/// Requests to one endpoint over the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) requests: u64,
    pub(super) errors: u64,
}

impl Traffic {
    fn is_good(self) -> bool {
        let good = self.requests.saturating_sub(self.errors);
        self.requests > 0 && good * 100 > self.requests * VETO_PERCENT
    }
}

impl Health {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let mut health = Self {
            probing: cluster.probing().clone(),
            endpoints: Vec::new(),
            lease: None,
        };
        health.update(cluster);
        health
    }

    /// Takes over a definition; what is known of endpoints that stay is kept.
    pub(super) fn update(&mut self, cluster: &Cluster) {
        self.probing = cluster.probing().clone();
        let is_emptied = self.is_emptied();
        let mut old = std::mem::take(&mut self.endpoints);
        for endpoint in cluster.endpoints() {
            let known = old
                .iter()
                .position(|watched| watched.addr == *endpoint.addr());
            self.endpoints.push(match known {
                Some(index) => {
                    let mut kept = old.swap_remove(index);
                    kept.is_owed &= is_emptied;
                    kept
                }
                None => Watched {
                    addr: endpoint.addr().clone(),
                    central: EndpointHealth::Healthy,
                    is_vetoed: false,
                    detector: Detector::default(),
                    is_old_word: false,
                    is_owed: false,
                },
            });
        }
    }

    /// Whether endpoints are emptied before they return.
    fn is_emptied(&self) -> bool {
        self.probing.on_readmit == OnReadmit::Flush
    }

    /// Notes that a stream began: a control plane that has just started does not know of ejections.
    pub(super) fn new_stream(&mut self) {
        for watched in &mut self.endpoints {
            watched.is_old_word = true;
        }
    }

    /// Takes over what the control plane says, for the time of `lease`.
    ///
    /// `traffic` gives what was seen of an endpoint lately: a pool whose keys do not move keeps one that works. Who ejected an
    /// endpoint has emptied it before it says that it is fine, where that is to be done; of others it is owed.
    pub(super) fn central(
        &mut self,
        states: &[EndpointHealth],
        until: Duration,
        traffic: impl Fn(&EndpointAddr) -> Traffic,
    ) {
        if states.len() != self.endpoints.len() {
            return;
        }
        let before = self.states();
        let had_lease = self.lease.replace(until).is_some();
        let is_emptied = self.is_emptied();
        let may_veto = self.probing.on_ejection == OnEjection::Fail;
        for ((watched, state), before) in self.endpoints.iter_mut().zip(states).zip(before) {
            let is_vouched_for = had_lease && !watched.is_old_word && !watched.is_owed;
            let is_back = before == EndpointHealth::Ejected && *state != EndpointHealth::Ejected;
            watched.is_owed = is_emptied && is_back && !is_vouched_for;
            watched.is_old_word = false;
            let is_new =
                watched.central != EndpointHealth::Ejected && *state == EndpointHealth::Ejected;
            if *state != EndpointHealth::Ejected {
                watched.is_vetoed = false;
            } else if is_new {
                watched.is_vetoed = may_veto && traffic(&watched.addr).is_good();
            }
            watched.central = *state;
            if *state != EndpointHealth::Ejected && watched.detector.is_ejected() {
                watched.detector.reset();
            }
        }
    }

    /// Notes that traffic to `addr` failed.
    pub(super) fn suspect(&mut self, addr: &str) {
        for watched in &mut self.endpoints {
            if watched.addr.to_string() == addr {
                watched.detector.suspect();
                watched.is_vetoed = false;
            }
        }
    }

    /// Notes the result of a probe of this data plane.
    pub(super) fn probed(&mut self, addr: &EndpointAddr, probed: Probed, now: Duration) {
        let probing = self.probing.clone();
        let is_emptied = self.is_emptied();
        let (total, ejected) = (self.endpoints.len(), self.ejected_here());
        for watched in self
            .endpoints
            .iter_mut()
            .filter(|watched| watched.addr == *addr)
        {
            let must_wait = is_emptied && probed != Probed::Emptied;
            if probed != Probed::Silent {
                watched.is_owed &= must_wait;
                if !must_wait || !watched.detector.is_due_back(now, &probing) {
                    watched.detector.succeeded(now, &probing);
                }
            } else if watched.detector.failed(&probing) && may_eject(total, ejected, &probing) {
                watched.detector.eject();
            }
        }
    }

    /// Lets the lease run out: what was ejected stays so until this data plane's own probes bring it back.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.lease.is_none_or(|until| until > now) {
            return;
        }
        self.lease = None;
        for watched in &mut self.endpoints {
            let is_out = watched.central == EndpointHealth::Ejected && !watched.is_vetoed;
            if is_out || watched.is_owed {
                watched.detector.eject();
            }
            watched.is_owed = false;
            watched.central = EndpointHealth::Healthy;
        }
    }

    /// Returns when the lease runs out.
    pub(super) fn lease(&self) -> Option<Duration> {
        self.lease
    }

    /// Returns the endpoints that this data plane is to probe: while the control plane does, only those that it owes to empty.
    pub(super) fn to_probe(&self) -> Vec<EndpointAddr> {
        let is_wanting = |watched: &&Watched| match self.lease {
            Some(_) => watched.is_owed,
            None => watched.detector.wants_probe(),
        };
        let wanting = self.endpoints.iter().filter(is_wanting);
        wanting.map(|watched| watched.addr.clone()).collect()
    }

    /// Returns whether an endpoint is to be emptied if it answers: it would return by that.
    pub(super) fn is_to_be_emptied(&self, addr: &EndpointAddr, now: Duration) -> bool {
        let is_due =
            |watched: &Watched| watched.is_owed || watched.detector.is_due_back(now, &self.probing);
        let mut named = self
            .endpoints
            .iter()
            .filter(|watched| watched.addr == *addr);
        self.is_emptied() && named.any(is_due)
    }

    /// Returns what is to be done about each endpoint.
    pub(super) fn states(&self) -> Vec<EndpointHealth> {
        let state = |watched: &Watched| match self.lease {
            Some(_) if watched.is_owed => EndpointHealth::Ejected,
            Some(_) if watched.is_vetoed => EndpointHealth::Healthy,
            Some(_) => watched.central,
            None if watched.detector.is_ejected() => EndpointHealth::Ejected,
            None => EndpointHealth::Healthy,
        };
        self.endpoints.iter().map(state).collect()
    }

    /// Returns the addresses of endpoints that are out of use.
    pub(super) fn ejected(&self) -> impl Iterator<Item = String> {
        let out = |state: &EndpointHealth| *state == EndpointHealth::Ejected;
        let states = self.states();
        self.endpoints
            .iter()
            .zip(states)
            .filter(move |(_, state)| out(state))
            .map(|(watched, _)| watched.addr.to_string())
    }

    /// Returns the addresses of endpoints that stay in use against the control plane's word.
    pub(super) fn vetoed(&self) -> impl Iterator<Item = String> {
        let vetoed = self.endpoints.iter().filter(|watched| watched.is_vetoed);
        vetoed.map(|watched| watched.addr.to_string())
    }

    fn ejected_here(&self) -> usize {
        self.endpoints
            .iter()
            .filter(|watched| watched.detector.is_ejected())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use prism_proto::model::{CacheType, ClusterSpec, Draft, EndpointDraft};

    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const OUT: EndpointHealth = EndpointHealth::Ejected;
    const IN: EndpointHealth = EndpointHealth::Healthy;

    fn pool(on_ejection: OnEjection) -> Cluster {
        let draft = pool_draft(on_ejection);
        ClusterSpec::new(draft).expect("valid").resolve()
    }

    fn pool_draft(on_ejection: OnEjection) -> Draft {
        let endpoint = |port: u16| EndpointDraft {
            addr: format!("127.0.0.1:{port}"),
            ..EndpointDraft::default()
        };
        Draft {
            name: "pool".to_owned(),
            listen_addr: "127.0.0.1:9000".to_owned(),
            cache_type: Some(CacheType::Redis),
            endpoints: vec![endpoint(1), endpoint(2), endpoint(3)],
            on_ejection: Some(on_ejection),
            ..Draft::default()
        }
    }

    fn no_traffic(_: &EndpointAddr) -> Traffic {
        Traffic::default()
    }

    #[test]
    fn lease_that_runs_out_leaves_ejected_endpoints_to_own_probes() {
        let cluster = pool(OnEjection::Rehash);
        let mut health = Health::new(&cluster);
        health.central(&[IN, OUT, IN], LEASE, no_traffic);
        assert_eq!(health.states(), [IN, OUT, IN]);
        assert!(health.to_probe().is_empty(), "the control plane probes");
        health.expire(LEASE);
        assert_eq!(health.states(), [IN, OUT, IN]);
        let addr = cluster.endpoints()[1].addr().clone();
        assert_eq!(health.to_probe(), std::slice::from_ref(&addr));
        for second in 31..=41 {
            assert_eq!(health.states(), [IN, OUT, IN]);
            health.probed(&addr, Probed::There, Duration::from_secs(second));
        }
        assert_eq!(health.states(), [IN, IN, IN]);
    }

    #[test]
    fn failed_probes_eject_only_without_a_lease() {
        let cluster = pool(OnEjection::Rehash);
        let mut health = Health::new(&cluster);
        let addr = cluster.endpoints()[0].addr().clone();
        health.central(&[IN, IN, IN], LEASE, no_traffic);
        health.suspect(&addr.to_string());
        for _ in 0..3 {
            health.probed(&addr, Probed::Silent, Duration::ZERO);
        }
        assert_eq!(health.states(), [IN, IN, IN]);
        health.expire(LEASE);
        assert_eq!(health.states(), [OUT, IN, IN]);
    }

    #[test]
    fn working_endpoint_of_a_pool_that_fails_keys_is_kept() {
        let good = |_: &EndpointAddr| Traffic {
            requests: 100,
            errors: 9,
        };
        let mut fail = Health::new(&pool(OnEjection::Fail));
        fail.central(&[OUT, IN, IN], LEASE, good);
        assert_eq!(fail.states(), [IN, IN, IN]);
        assert_eq!(fail.vetoed().count(), 1);
        fail.suspect("127.0.0.1:1");
        assert_eq!(fail.states(), [OUT, IN, IN], "a failure ends the veto");
        let mut rehash = Health::new(&pool(OnEjection::Rehash));
        rehash.central(&[OUT, IN, IN], LEASE, good);
        assert_eq!(
            rehash.states(),
            [OUT, IN, IN],
            "else one key would live on two shards"
        );
    }

    #[test]
    fn states_for_another_number_of_endpoints_are_not_guessed_at() {
        let mut health = Health::new(&pool(OnEjection::Rehash));
        health.central(&[OUT, IN], LEASE, no_traffic);
        assert_eq!(health.states(), [IN, IN, IN]);
        assert_eq!(health.lease(), None);
    }
    fn emptied_pool() -> Cluster {
        let mut draft = pool_draft(OnEjection::Rehash);
        draft.on_readmit = Some(OnReadmit::Flush);
        ClusterSpec::new(draft).expect("valid").resolve()
    }

    #[test]
    fn endpoint_that_is_to_be_emptied_returns_with_the_probe_that_did_it() {
        let cluster = emptied_pool();
        let addr = cluster.endpoints()[1].addr().clone();
        let mut health = Health::new(&cluster);
        health.central(&[IN, OUT, IN], LEASE, no_traffic);
        health.expire(LEASE);
        let at = Duration::from_secs;
        for second in 31..=45 {
            let is_due = second >= 41;
            assert_eq!(
                health.is_to_be_emptied(&addr, at(second)),
                is_due,
                "{second}"
            );
            health.probed(&addr, Probed::There, at(second));
            assert_eq!(health.states(), [IN, OUT, IN], "{second}");
        }
        health.probed(&addr, Probed::Silent, at(46));
        assert!(!health.is_to_be_emptied(&addr, at(47)), "counted anew");
        for second in 47..=56 {
            health.probed(&addr, Probed::There, at(second));
        }
        health.probed(&addr, Probed::Emptied, at(57));
        assert_eq!(health.states(), [IN, IN, IN]);
        assert!(health.to_probe().is_empty());
    }

    #[test]
    fn word_of_who_ejected_an_endpoint_is_taken() {
        let mut health = Health::new(&emptied_pool());
        health.central(&[IN, OUT, IN], LEASE, no_traffic);
        health.central(&[IN, IN, IN], LEASE, no_traffic);
        assert_eq!(health.states(), [IN, IN, IN], "it was emptied");
    }

    #[test]
    fn word_of_who_did_not_eject_an_endpoint_leaves_it_to_be_emptied_here() {
        let cluster = emptied_pool();
        let addr = cluster.endpoints()[1].addr().clone();
        let restarted = |health: &mut Health| health.new_stream();
        let expired = |health: &mut Health| health.expire(LEASE);
        let cases: [&dyn Fn(&mut Health); 2] = [&restarted, &expired];
        for come_between in cases {
            let mut health = Health::new(&cluster);
            health.central(&[IN, OUT, IN], LEASE, no_traffic);
            come_between(&mut health);
            for _ in 0..2 {
                health.central(&[IN, IN, IN], LEASE * 2, no_traffic);
                assert_eq!(health.states(), [IN, OUT, IN]);
                assert_eq!(health.to_probe(), std::slice::from_ref(&addr));
                assert!(health.is_to_be_emptied(&addr, LEASE));
                health.probed(&addr, Probed::There, LEASE);
            }
            health.probed(&addr, Probed::Emptied, LEASE);
            assert_eq!(health.states(), [IN, IN, IN]);
            assert!(health.to_probe().is_empty());
        }
        let mut health = Health::new(&cluster);
        health.central(&[IN, OUT, IN], LEASE, no_traffic);
        health.new_stream();
        health.central(&[IN, OUT, IN], LEASE, no_traffic);
        health.central(&[IN, IN, IN], LEASE, no_traffic);
        assert_eq!(health.states(), [IN, IN, IN], "it knew, and emptied it");
    }

    #[test]
    fn what_is_owed_when_the_lease_runs_out_is_ejected_here() {
        let cluster = emptied_pool();
        let mut health = Health::new(&cluster);
        health.central(&[IN, OUT, IN], LEASE, no_traffic);
        health.new_stream();
        health.central(&[IN, IN, IN], LEASE, no_traffic);
        health.expire(LEASE);
        assert_eq!(health.states(), [IN, OUT, IN]);
        health.central(&[IN, IN, IN], LEASE * 2, no_traffic);
        assert_eq!(health.states(), [IN, OUT, IN]);
        let mut draft = pool_draft(OnEjection::Rehash);
        draft.on_readmit = Some(OnReadmit::Trust);
        health.update(&ClusterSpec::new(draft).expect("valid").resolve());
        assert_eq!(
            health.states(),
            [IN, IN, IN],
            "what it holds is trusted now"
        );
    }
}

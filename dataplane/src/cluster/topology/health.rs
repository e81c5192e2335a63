//! Which endpoints of a pool are in use: what the control plane says while its lease holds, else what is seen here.

use std::time::Duration;

use prism_proto::model::{Cluster, EndpointAddr, OnEjection, Probing};

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
        let mut old = std::mem::take(&mut self.endpoints);
        for endpoint in cluster.endpoints() {
            let known = old
                .iter()
                .position(|watched| watched.addr == *endpoint.addr());
            self.endpoints.push(match known {
                Some(index) => old.swap_remove(index),
                None => Watched {
                    addr: endpoint.addr().clone(),
                    central: EndpointHealth::Healthy,
                    is_vetoed: false,
                    detector: Detector::default(),
                },
            });
        }
    }

    /// Takes over what the control plane says, for the time of `lease`.
    ///
    /// `traffic` gives what was seen of an endpoint lately: a pool whose keys do not move keeps one that works.
    pub(super) fn central(
        &mut self,
        states: &[EndpointHealth],
        until: Duration,
        traffic: impl Fn(&EndpointAddr) -> Traffic,
    ) {
        if states.len() != self.endpoints.len() {
            return;
        }
        self.lease = Some(until);
        let may_veto = self.probing.on_ejection == OnEjection::Fail;
        for (watched, state) in self.endpoints.iter_mut().zip(states) {
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
    pub(super) fn probed(&mut self, addr: &EndpointAddr, is_there: bool, now: Duration) {
        let probing = self.probing.clone();
        let (total, ejected) = (self.endpoints.len(), self.ejected_here());
        for watched in self
            .endpoints
            .iter_mut()
            .filter(|watched| watched.addr == *addr)
        {
            if is_there {
                watched.detector.succeeded(now, &probing);
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
            if watched.central == EndpointHealth::Ejected && !watched.is_vetoed {
                watched.detector.eject();
            }
            watched.central = EndpointHealth::Healthy;
        }
    }

    /// Returns when the lease runs out.
    pub(super) fn lease(&self) -> Option<Duration> {
        self.lease
    }

    /// Returns the endpoints that this data plane is to probe: none while the control plane does.
    pub(super) fn to_probe(&self) -> Vec<EndpointAddr> {
        if self.lease.is_some() {
            return Vec::new();
        }
        let wanting = self
            .endpoints
            .iter()
            .filter(|watched| watched.detector.wants_probe());
        wanting.map(|watched| watched.addr.clone()).collect()
    }

    /// Returns what is to be done about each endpoint.
    pub(super) fn states(&self) -> Vec<EndpointHealth> {
        let state = |watched: &Watched| match self.lease {
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
        let endpoint = |port: u16| EndpointDraft {
            addr: format!("127.0.0.1:{port}"),
            ..EndpointDraft::default()
        };
        let draft = Draft {
            name: "pool".to_owned(),
            listen_addr: "127.0.0.1:9000".to_owned(),
            cache_type: Some(CacheType::Redis),
            endpoints: vec![endpoint(1), endpoint(2), endpoint(3)],
            on_ejection: Some(on_ejection),
            ..Draft::default()
        };
        ClusterSpec::new(draft).expect("valid").resolve()
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
            health.probed(&addr, true, Duration::from_secs(second));
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
            health.probed(&addr, false, Duration::ZERO);
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
}

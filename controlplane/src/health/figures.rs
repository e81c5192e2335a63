//! Figures of endpoints, read when somebody asks, and not more often than is of use.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    probe::{Figures, Prober, Target},
    verdict::EndpointName,
};

/// A reading this young is told again.
const YOUNG: Duration = Duration::from_secs(1);
/// How long one endpoint may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How long everything may take; what was not read by then is not told.
const ALL: Duration = Duration::from_secs(3);
/// Endpoints asked at a time, whoever asks.
const AT_ONCE: usize = 64;

/// What was read of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub time: SystemTime,
    /// What it said, or why it said nothing.
    pub said: Result<Figures, String>,
    at: Instant,
}

/// Reads figures, and keeps them for a moment.
#[derive(Clone)]
pub struct Readings {
    prober: Arc<OnceLock<Arc<dyn Prober>>>,
    held: Arc<Mutex<BTreeMap<EndpointName, Reading>>>,
    room: Arc<Semaphore>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            prober: Arc::default(),
            held: Arc::default(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Readings {
    /// Reads with `prober` from now on, unless it was told before.
    pub fn read_with(&self, prober: Arc<dyn Prober>) {
        // The first one stays: there is one for each run of the program.
        let _ = self.prober.set(prober);
    }

    /// Returns readings of endpoints that are at most a second old; what does not answer in time is left out or says so.
    ///
    /// Cancel safe.
    pub async fn read(
        &self,
        targets: Vec<(EndpointName, Target)>,
    ) -> BTreeMap<EndpointName, Reading> {
        let mut readings = BTreeMap::new();
        let mut asked = JoinSet::new();
        for (name, target) in targets {
            match self.young(&name) {
                Some(reading) => drop(readings.insert(name, reading)),
                None => self.ask(&mut asked, name, target),
            }
        }
        let all = async {
            while let Some(done) = asked.join_next().await {
                if let Ok((name, reading)) = done {
                    readings.insert(name, reading);
                }
            }
        };
        // What is still asked ends with its set.
        let _ = timeout(ALL, all).await;
        self.keep(&readings);
        readings
    }

    fn ask(
        &self,
        asked: &mut JoinSet<(EndpointName, Reading)>,
        name: EndpointName,
        mut target: Target,
    ) {
        let Some(prober) = self.prober.get().map(Arc::clone) else {
            return;
        };
        let room = Arc::clone(&self.room);
        target.timeout = ANSWER;
        asked.spawn(async move {
            let _place = room.acquire_owned().await;
            let said = prober.figures(target).await;
            let (time, at) = (SystemTime::now(), Instant::now());
            (name, Reading { time, said, at })
        });
    }

    fn young(&self, name: &EndpointName) -> Option<Reading> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = held.get(name)?;
        (reading.at.elapsed() < YOUNG).then(|| reading.clone())
    }

    fn keep(&self, readings: &BTreeMap<EndpointName, Reading>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, reading| reading.at.elapsed() < YOUNG);
        let new = readings.iter();
        held.extend(new.map(|(name, reading)| (name.clone(), reading.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prism_proto::model::{CacheType, EndpointAddr};
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::probe::{Answer, Checked, View};

    /// Endpoints with an odd port never answer.
    #[derive(Debug, Default)]
    struct Endpoints {
        asked: AtomicUsize,
    }

    impl Prober for Endpoints {
        fn check(&self, _: Target) -> Answer<Checked> {
            Box::pin(std::future::pending())
        }

        fn figures(&self, target: Target) -> Answer<Result<Figures, String>> {
            let items = self.asked.fetch_add(1, Ordering::Relaxed) as u64;
            let is_there = target.addr.to_string().ends_with(['0', '2', '4', '6', '8']);
            Box::pin(async move {
                if !is_there {
                    sleep(target.timeout).await;
                    return Err("no answer".into());
                }
                Ok(Figures {
                    items: Some(items),
                    ..Figures::default()
                })
            })
        }

        fn flush(&self, _: Target) -> Answer<Result<(), String>> {
            Box::pin(std::future::pending())
        }

        fn view(&self, _: Target) -> Answer<Result<View, String>> {
            Box::pin(std::future::pending())
        }
    }

    fn targets(ports: std::ops::Range<u16>, step: usize) -> Vec<(EndpointName, Target)> {
        let target = |port: u16| {
            let addr = EndpointAddr::tcp("127.0.0.1", port);
            let name = EndpointName {
                cluster: "pool".into(),
                addr: addr.to_string().into(),
            };
            let target = Target {
                addr,
                cache_type: CacheType::Memcache,
                credentials: None,
                timeout: Duration::from_millis(100),
            };
            (name, target)
        };
        ports.step_by(step).map(target).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn reading_is_told_again_for_a_second() {
        let endpoints = Arc::new(Endpoints::default());
        let readings = Readings::default();
        readings.read_with(Arc::clone(&endpoints) as Arc<dyn Prober>);
        let first = readings.read(targets(10..12, 1)).await;
        assert_eq!(first.len(), 2);
        let said: Vec<_> = first.values().map(|reading| &reading.said).collect();
        assert!(said[0].is_ok() && *said[1] == Err("no answer".into()));
        assert_eq!(readings.read(targets(11..12, 1)).await.len(), 1);
        assert_eq!(endpoints.asked.load(Ordering::Relaxed), 2);
        advance(YOUNG).await;
        readings.read(targets(10..11, 1)).await;
        assert_eq!(endpoints.asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_do_not_answer_cost_a_bounded_time_and_number() {
        let endpoints = Arc::new(Endpoints::default());
        let readings = Readings::default();
        readings.read_with(Arc::clone(&endpoints) as Arc<dyn Prober>);
        let began = Instant::now();
        let read = readings.read(targets(1..2001, 2)).await;
        assert!(began.elapsed() <= Duration::from_millis(3010));
        assert!(read.len() < 1000, "{} were left out", 1000 - read.len());
        assert!(endpoints.asked.load(Ordering::Relaxed) <= 4 * 64);
        let there = readings.read(targets(2..2002, 2)).await;
        assert_eq!(there.len(), 1000, "those that answer are all read");
    }

    #[tokio::test]
    async fn without_a_prober_nothing_is_read() {
        assert!(
            Readings::default()
                .read(targets(10..20, 1))
                .await
                .is_empty()
        );
    }
}

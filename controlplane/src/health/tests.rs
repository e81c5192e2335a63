//! A fleet's endpoints on a paused clock: what is published, when, and bound to what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use prism_proto::{
    model::{CacheType, ClusterSpec, Draft, EndpointAddr, EndpointDraft, OnReadmit},
    pb::{
        admin::v1::EndpointState,
        discovery::v1::{ClusterReport, EndpointHealth, EndpointReport, MovedReport, Report},
    },
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, advance, sleep, timeout},
};

use super::{ClusterVerdict, Rounds, Verdicts, run};
use crate::{
    catalog::{Catalog, CatalogOptions, Change, Removal, Write},
    fleet::{Fleet, Identity, Link},
    probe::{About, Answer, Checked, Figures, Prober, SlotMaps, Target, View, read_nodes},
    store::MemoryStore,
    verdict::Outcome,
};

use EndpointHealth::{Ejected, Healthy};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Endpoints that answer unless they are down, and nodes that answer what they are given.
#[derive(Debug, Default)]
struct World {
    down: BTreeSet<String>,
    nodes: BTreeMap<String, String>,
    views: Vec<Instant>,
    flushed: Vec<String>,
}

#[derive(Debug, Default)]
struct Answers(Mutex<World>);

impl Answers {
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.0.lock().expect("no test panics here"))
    }
}

impl Prober for Answers {
    fn check(&self, target: Target) -> Answer<Checked> {
        let is_down = self.change(|world| world.down.contains(&target.addr.to_string()));
        let outcome = if is_down {
            Outcome::Failed("refused".into())
        } else {
            Outcome::Ok
        };
        let latency = (!is_down).then_some(Duration::from_millis(1));
        Box::pin(async move {
            Checked {
                outcome,
                latency,
                about: About::default(),
            }
        })
    }

    fn figures(&self, _: Target) -> Answer<Result<Figures, String>> {
        Box::pin(async { Err("nobody asks".into()) })
    }

    fn flush(&self, target: Target) -> Answer<Result<(), String>> {
        self.change(|world| world.flushed.push(target.addr.to_string()));
        Box::pin(async { Ok(()) })
    }

    fn view(&self, target: Target) -> Answer<Result<View, String>> {
        let text = self.change(|world| {
            world.views.push(Instant::now());
            world.nodes.get(&target.addr.to_string()).cloned()
        });
        Box::pin(async move {
            let text = text.ok_or("refused")?;
            read_nodes(&text, &target.addr).map_err(|error| error.to_string())
        })
    }
}

struct Rig {
    catalog: Catalog,
    fleet: Fleet,
    world: Arc<Answers>,
    verdicts: watch::Receiver<Arc<Verdicts>>,
    slot_maps: watch::Receiver<Arc<SlotMaps>>,
    ending: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Rig {
    async fn start() -> Self {
        let store = Arc::new(MemoryStore::new().expect("random bytes"));
        let catalog = Catalog::open(store, CatalogOptions::default())
            .await
            .expect("an empty store");
        let (fleet, reports) = Fleet::new();
        let world = Arc::new(Answers::default());
        let verdicts = watch::Sender::new(Arc::default());
        let slot_maps = watch::Sender::new(Arc::default());
        let ending = watch::Sender::new(false);
        let receivers = (verdicts.subscribe(), slot_maps.subscribe());
        let rounds = Rounds {
            images: catalog.watch(),
            fleet: fleet.clone(),
            reports,
            prober: world.clone(),
            verdicts,
            slot_maps,
            ending: ending.subscribe(),
        };
        let running = tokio::spawn(run(rounds));
        Self {
            catalog,
            fleet,
            world,
            verdicts: receivers.0,
            slot_maps: receivers.1,
            ending,
            running,
        }
    }

    async fn apply(&self, draft: Draft) -> u64 {
        let spec = ClusterSpec::new(draft).expect("valid");
        let change = Change {
            clusters: vec![Write::new(spec)],
            ..Change::default()
        };
        self.catalog
            .apply(change)
            .await
            .expect("applied")
            .revision
            .number
    }

    fn verdict(&self, cluster: &str) -> ClusterVerdict {
        self.verdicts
            .borrow()
            .clusters
            .get(cluster)
            .cloned()
            .unwrap_or_default()
    }

    /// Waits until verdicts fulfil `check`; returns how long that took.
    async fn until(&mut self, check: impl Fn(&Verdicts) -> bool) -> Duration {
        let start = Instant::now();
        let wait = timeout(
            seconds(600),
            self.verdicts.wait_for(|verdicts| check(verdicts)),
        )
        .await;
        wait.expect("in time").expect("published");
        start.elapsed()
    }

    fn connect(&self, id: &str) -> Link {
        let identity = Identity {
            id: id.into(),
            instance: id.into(),
            ..Identity::default()
        };
        self.fleet.connect(identity).expect("free")
    }
}

fn pool(count: u16) -> Draft {
    let endpoint = |number| EndpointDraft {
        addr: format!("10.0.0.{number}:6379"),
        alias: Some(format!("redis-{number}")),
        ..EndpointDraft::default()
    };
    Draft {
        name: "pool".into(),
        listen_addr: "127.0.0.1:9001".into(),
        cache_type: Some(CacheType::Redis),
        endpoints: (1..=count).map(endpoint).collect(),
        ..Draft::default()
    }
}

fn states(verdicts: &Verdicts, cluster: &str) -> Vec<EndpointHealth> {
    verdicts
        .clusters
        .get(cluster)
        .map(|verdict| verdict.states.clone())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn killed_endpoint_is_published_as_ejected_in_time() {
    let mut rig = Rig::start().await;
    let revision = rig.apply(pool(3)).await;
    sleep(seconds(15)).await;
    assert_eq!(rig.verdict("pool").states, [Healthy; 3]);
    rig.world
        .change(|world| world.down.insert("10.0.0.2:6379".into()));
    let took = rig
        .until(|verdicts| states(verdicts, "pool") == [Healthy, Ejected, Healthy])
        .await;
    assert!(
        took <= Duration::from_millis(2 * 1000 + 10_000 + 500 + 1000),
        "{took:?}"
    );
    let verdict = rig.verdict("pool");
    assert_eq!(verdict.revision, revision);
    let shown = &verdict.endpoints[1];
    assert_eq!(
        (shown.addr.as_str(), shown.alias.as_str()),
        ("10.0.0.2:6379", "redis-2")
    );
    assert_eq!(
        (shown.state, shown.failures, shown.last_error.as_str()),
        (EndpointState::Ejected, 3, "refused")
    );
    assert!(shown.ejected_until.is_some_and(|until| until > shown.since));
    rig.world.change(|world| world.down.clear());
    rig.until(|verdicts| states(verdicts, "pool") == [Healthy; 3])
        .await;
}

#[tokio::test(start_paused = true)]
async fn endpoint_is_emptied_by_the_time_it_is_published_as_healthy() {
    let mut rig = Rig::start().await;
    rig.apply(Draft {
        on_readmit: Some(OnReadmit::Flush),
        ..pool(3)
    })
    .await;
    sleep(seconds(15)).await;
    rig.world
        .change(|world| world.down.insert("10.0.0.2:6379".into()));
    rig.until(|verdicts| states(verdicts, "pool") == [Healthy, Ejected, Healthy])
        .await;
    rig.world.change(|world| {
        world.down.clear();
        assert_eq!(world.flushed, [""; 0]);
    });
    rig.until(|verdicts| states(verdicts, "pool") == [Healthy; 3])
        .await;
    let flushed = rig.world.change(|world| world.flushed.clone());
    assert_eq!(flushed, ["10.0.0.2:6379"]);
}

#[tokio::test(start_paused = true)]
async fn receivers_wake_for_states_and_lists_are_renewed_silently() {
    let mut rig = Rig::start().await;
    rig.apply(pool(3)).await;
    sleep(seconds(15)).await;
    rig.verdicts.borrow_and_update();
    sleep(seconds(60)).await;
    assert!(!rig.verdicts.has_changed().expect("open"));
    rig.world
        .change(|world| world.down.insert("10.0.0.2:6379".into()));
    sleep(Duration::from_millis(200)).await;
    let link = rig.connect("dp-1");
    let failing = EndpointReport {
        addr: "redis-2 (10.0.0.2:6379)".into(),
        connect_failures: 1,
        ..EndpointReport::default()
    };
    let cluster = ClusterReport {
        cluster: "pool".into(),
        endpoints: vec![failing],
        ..ClusterReport::default()
    };
    link.report(Report {
        clusters: vec![cluster],
        ..Report::default()
    });
    sleep(Duration::from_millis(1300)).await;
    assert!(!rig.verdicts.has_changed().expect("open"));
    let shown = &rig.verdict("pool").endpoints[1];
    assert_eq!(
        shown.state,
        EndpointState::Suspect,
        "a report that names the label had it probed at once"
    );
}

#[tokio::test(start_paused = true)]
async fn changed_definition_binds_states_to_its_revision_at_once() {
    let mut rig = Rig::start().await;
    rig.apply(pool(3)).await;
    sleep(seconds(15)).await;
    rig.world
        .change(|world| world.down.insert("10.0.0.3:6379".into()));
    rig.until(|verdicts| states(verdicts, "pool").contains(&Ejected))
        .await;
    let mut smaller = pool(4);
    smaller.endpoints.remove(0);
    let revision = rig.apply(smaller).await;
    let took = rig
        .until(|verdicts| verdicts.clusters["pool"].revision == revision)
        .await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    let states = rig.verdict("pool").states;
    assert_eq!((states[0], states[1], states.len()), (Healthy, Ejected, 3));

    let removal = Removal {
        name: "pool".into(),
        etag: None,
    };
    let change = Change {
        deletes: vec![removal],
        ..Change::default()
    };
    rig.catalog.apply(change).await.expect("applied");
    rig.until(|verdicts| verdicts.clusters.is_empty()).await;
}

const SEED: &str = "10.0.1.1:7001";

/// Two primaries that share the slots at `cut`, with one replica.
fn nodes(own: &str, cut: u16, epoch: u64) -> String {
    let flags = |id| if id == own { "myself,master" } else { "master" };
    format!(
        "aaa 10.0.1.1:7001@17001 {} - 0 0 1 connected 0-{}\n\
         bbb 10.0.1.2:7001@17001 {} - 0 0 {epoch} connected {cut}-16383\n\
         rrr 10.0.1.3:7001@17001 slave aaa 0 0 1 connected\n",
        flags("aaa"),
        cut - 1,
        flags("bbb"),
    )
}

fn redis_cluster() -> Draft {
    let seed = EndpointDraft {
        addr: SEED.into(),
        ..EndpointDraft::default()
    };
    Draft {
        name: "rc".into(),
        cache_type: Some(CacheType::RedisCluster),
        endpoints: vec![seed],
        ..pool(1)
    }
}

fn set_nodes(rig: &Rig, cut: u16, epoch: u64) {
    rig.world.change(|world| {
        world.nodes.insert(SEED.into(), nodes("aaa", cut, epoch));
        world
            .nodes
            .insert("10.0.1.2:7001".into(), nodes("bbb", cut, epoch));
    });
}

fn moved(addr: &str) -> Report {
    let moved = MovedReport {
        slot: 8_000,
        addr: addr.into(),
    };
    let cluster = ClusterReport {
        cluster: "rc".into(),
        moved: vec![moved],
        ..ClusterReport::default()
    };
    Report {
        clusters: vec![cluster],
        ..Report::default()
    }
}

#[tokio::test(start_paused = true)]
async fn slot_map_is_published_and_states_are_in_its_order() {
    let mut rig = Rig::start().await;
    rig.apply(redis_cluster()).await;
    sleep(seconds(5)).await;
    let unknown = rig.verdict("rc");
    assert!(unknown.states.is_empty() && rig.slot_maps.borrow().clusters.is_empty());
    assert_eq!(unknown.endpoints[0].last_error, "refused");
    set_nodes(&rig, 8_000, 2);
    let maps = timeout(seconds(3), rig.slot_maps.changed()).await;
    maps.expect("in time").expect("published");
    let map = Arc::clone(&rig.slot_maps.borrow().clusters["rc"]);
    assert_eq!((map.shards().len(), map.covered()), (2, 16_384));
    sleep(seconds(5)).await;
    let verdict = rig.verdict("rc");
    assert_eq!(
        (verdict.revision, verdict.states.len()),
        (map.sequence(), 3)
    );
    let order: Vec<_> = verdict
        .endpoints
        .iter()
        .map(|shown| (shown.addr.as_str(), shown.role.as_str()))
        .collect();
    let expected = [
        ("10.0.1.1:7001", "primary"),
        ("10.0.1.3:7001", "replica"),
        ("10.0.1.2:7001", "primary"),
    ];
    assert_eq!(order, expected);
    rig.world
        .change(|world| world.down.insert("10.0.1.2:7001".into()));
    rig.until(|verdicts| states(verdicts, "rc") == [Healthy, Healthy, Ejected])
        .await;
}

#[tokio::test(start_paused = true)]
async fn moved_refreshes_soon_but_not_too_often() {
    let mut rig = Rig::start().await;
    let mut draft = redis_cluster();
    draft.fetch_min_interval = Some(seconds(2));
    set_nodes(&rig, 8_000, 2);
    rig.apply(draft).await;
    sleep(seconds(30)).await;
    rig.slot_maps.borrow_and_update();
    let link = rig.connect("dp-1");
    let before = rig.world.change(|world| world.views.len());
    set_nodes(&rig, 7_000, 3);
    link.report(moved("10.0.1.2:7001"));
    let began = Instant::now();
    rig.slot_maps.changed().await.expect("published");
    assert!(
        began.elapsed() <= Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(rig.slot_maps.borrow().clusters["rc"].owner(7_500), Some(1));
    for _ in 0..50 {
        link.report(moved("10.0.1.2:7001"));
        sleep(Duration::from_millis(100)).await;
    }
    let asked = rig.world.change(|world| world.views[before..].to_vec());
    let mut refreshes = asked;
    refreshes.dedup();
    assert!(
        (3..=4).contains(&refreshes.len()),
        "5 s, one in 2 s: {}",
        refreshes.len()
    );
    assert!(
        !rig.slot_maps.has_changed().expect("open"),
        "an equal map is no news"
    );
}

#[tokio::test(start_paused = true)]
async fn topology_is_looked_at_now_and_then() {
    let rig = Rig::start().await;
    set_nodes(&rig, 8_000, 2);
    rig.apply(redis_cluster()).await;
    sleep(seconds(30)).await;
    let before = rig.world.change(|world| world.views.len());
    sleep(seconds(500)).await;
    assert_eq!(rig.world.change(|world| world.views.len()), before);
    sleep(seconds(200)).await;
    assert!(rig.world.change(|world| world.views.len()) > before);
}

#[tokio::test(start_paused = true)]
async fn replaced_cluster_is_accepted_at_the_third_look_with_an_alarm() {
    let mut rig = Rig::start().await;
    set_nodes(&rig, 8_000, 2);
    rig.apply(redis_cluster()).await;
    sleep(seconds(5)).await;
    let other = nodes("aaa", 9_000, 9)
        .replace("aaa", "xxx")
        .replace("bbb", "yyy");
    rig.world.change(|world| {
        world.nodes.clear();
        world.nodes.insert(SEED.into(), other);
    });
    rig.slot_maps.borrow_and_update();
    rig.connect("dp-1").report(moved("10.0.1.2:7001"));
    let began = Instant::now();
    rig.slot_maps.changed().await.expect("published");
    assert!(
        (seconds(2)..seconds(4)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    sleep(seconds(2)).await;
    assert!(
        rig.fleet.alarms()[0].starts_with("TOPOLOGY_RESET: "),
        "{:?}",
        rig.fleet.alarms()
    );
}

#[tokio::test(start_paused = true)]
async fn alarms_are_raised_and_taken_back() {
    let rig = Rig::start().await;
    rig.apply(pool(3)).await;
    sleep(seconds(15)).await;
    rig.world.change(|world| {
        world
            .down
            .extend((1..=3).map(|number| format!("10.0.0.{number}:6379")))
    });
    sleep(seconds(20)).await;
    let alarms = rig.fleet.alarms();
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm.starts_with("OBSERVER_SUSPECT: ") && alarm.ends_with(" pool")),
        "{alarms:?}"
    );
    assert_eq!(rig.verdict("pool").states, [Healthy; 3]);
    rig.world.change(|world| world.down.clear());
    sleep(seconds(20)).await;
    assert!(rig.fleet.alarms().is_empty());
}

#[tokio::test(start_paused = true)]
async fn clock_that_stood_still_delays_ejections() {
    let mut rig = Rig::start().await;
    rig.apply(pool(3)).await;
    sleep(seconds(15)).await;
    rig.world
        .change(|world| world.down.insert("10.0.0.1:6379".into()));
    advance(seconds(5)).await;
    let took = rig
        .until(|verdicts| states(verdicts, "pool").contains(&Ejected))
        .await;
    assert!((seconds(29)..seconds(32)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn task_ends_with_the_program() {
    let rig = Rig::start().await;
    rig.apply(pool(3)).await;
    rig.ending.send_replace(true);
    timeout(seconds(1), rig.running)
        .await
        .expect("ends")
        .expect("well");
    assert!("10.0.0.1:6379".parse::<EndpointAddr>().is_ok());
}

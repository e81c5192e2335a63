//! What the catalog promises those who change definitions, and those who follow them.

use std::sync::atomic::{AtomicU64, Ordering};

use prism_proto::model::{
    CacheType, EndpointDraft, HashBytes, KetamaFloat, MAX_CLUSTERS, RolloutMode, Secret, Selector,
    Violations,
};

use tokio::sync::Semaphore;

use super::*;
use crate::store::{Commit, Entry, Family, Head, Listing, MemoryStore, Pending, Watch};

fn draft(name: &str) -> Draft {
    let port = 9000
        + name
            .bytes()
            .fold(0_u16, |sum, byte| (sum * 7 + u16::from(byte)) % 1000);
    Draft {
        name: name.into(),
        listen_addr: format!("127.0.0.1:{port}"),
        cache_type: Some(CacheType::Redis),
        endpoints: endpoints(&["10.0.0.1:6379"]),
        ..Draft::default()
    }
}

fn endpoints(addrs: &[&str]) -> Vec<EndpointDraft> {
    addrs
        .iter()
        .map(|addr| EndpointDraft {
            addr: (*addr).into(),
            ..EndpointDraft::default()
        })
        .collect()
}

fn write(draft: Draft) -> Write {
    Write::new(ClusterSpec::new(draft).unwrap())
}

fn change(drafts: impl IntoIterator<Item = Draft>) -> Change {
    Change {
        clusters: drafts.into_iter().map(write).collect(),
        author: "ann".into(),
        ..Change::default()
    }
}

fn deletion(name: &str) -> Change {
    Change {
        deletes: vec![Removal {
            name: name.into(),
            etag: None,
        }],
        ..Change::default()
    }
}

async fn catalog() -> Catalog {
    over(Arc::new(MemoryStore::new().unwrap())).await
}

async fn over(store: Arc<dyn Store>) -> Catalog {
    Catalog::open(store, CatalogOptions::default())
        .await
        .unwrap()
}

fn at(epoch: u64, number: u64) -> Revision {
    Revision { epoch, number }
}

fn kinds(outcome: &Outcome) -> Vec<(&str, ChangeKind)> {
    outcome
        .changes
        .iter()
        .map(|change| (change.name.as_str(), change.kind))
        .collect()
}

async fn violations(catalog: &Catalog, change: Change) -> Violations {
    match catalog.apply(change).await {
        Err(CatalogError::Violations(violations)) => violations,
        other => panic!("no violations: {other:?}"),
    }
}

#[tokio::test]
async fn created_cluster_is_in_the_image_when_apply_returns() {
    let catalog = catalog().await;
    let outcome = catalog
        .apply(Change {
            reason: "new".into(),
            ..change([draft("a"), draft("b")])
        })
        .await
        .unwrap();
    assert_eq!(outcome.revision, at(1, 1));
    assert_eq!(
        kinds(&outcome),
        [("a", ChangeKind::Created), ("b", ChangeKind::Created)]
    );
    let image = catalog.image();
    assert_eq!((image.revision, image.clusters.len()), (at(1, 1), 2));
    let stored = &image.clusters["a"];
    assert_eq!(
        (
            stored.revision,
            stored.author.as_str(),
            stored.reason.as_str()
        ),
        (at(1, 1), "ann", "new")
    );
    assert_ne!(stored.uid, image.clusters["b"].uid);
    assert_eq!(stored.spec.draft(), &draft("a"));
}

#[tokio::test]
async fn equal_definition_makes_no_revision() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let before = catalog.image();
    let outcome = catalog.apply(change([draft("a")])).await.unwrap();
    assert_eq!(
        (outcome.revision, kinds(&outcome)),
        (at(1, 1), vec![("a", ChangeKind::Unchanged)])
    );
    assert_eq!(catalog.image().clusters["a"], before.clusters["a"]);
}

#[tokio::test]
async fn update_keeps_uid_and_birth_and_changes_the_etag() {
    let catalog = catalog().await;
    catalog
        .apply(change([draft("a"), draft("b")]))
        .await
        .unwrap();
    let before = catalog.image();
    let wider = Draft {
        endpoints: endpoints(&["10.0.0.1:6379", "10.0.0.2:6379"]),
        ..draft("a")
    };
    let outcome = catalog
        .apply(Change {
            author: "bob".into(),
            ..change([draft("b"), wider.clone()])
        })
        .await
        .unwrap();
    assert_eq!(
        kinds(&outcome),
        [("b", ChangeKind::Unchanged), ("a", ChangeKind::Updated)]
    );
    assert_eq!(outcome.changes[1].before, Some(draft("a")));
    assert_eq!(outcome.changes[1].after, Some(wider));
    let image = catalog.image();
    let (old, new) = (&before.clusters["a"], &image.clusters["a"]);
    assert_eq!((&new.uid, new.created), (&old.uid, old.created));
    assert_ne!(new.etag, old.etag);
    assert_ne!(new.hash, old.hash);
    assert_eq!((new.revision, new.author.as_str()), (at(1, 2), "bob"));
    assert_eq!(image.clusters["b"], before.clusters["b"]);
}

#[tokio::test]
async fn cluster_made_again_has_another_uid() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let first = catalog.image().clusters["a"].clone();
    let outcome = catalog.apply(deletion("a")).await.unwrap();
    assert_eq!(kinds(&outcome), [("a", ChangeKind::Deleted)]);
    assert!(catalog.image().clusters.is_empty());
    catalog.apply(change([draft("a")])).await.unwrap();
    let second = catalog.image().clusters["a"].clone();
    assert_ne!(
        (first.uid.as_str(), first.etag.as_str()),
        (second.uid.as_str(), second.etag.as_str())
    );
}

#[tokio::test]
async fn one_wrong_part_stops_the_whole() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let missing = Change {
        deletes: deletion("nowhere").deletes,
        ..change([draft("b")])
    };
    assert!(
        matches!(catalog.apply(missing).await, Err(CatalogError::NotFound { name }) if name == "nowhere")
    );
    assert_eq!(catalog.image().revision, at(1, 1));
    assert!(!catalog.image().clusters.contains_key("b"));
}

#[tokio::test]
async fn writer_with_an_old_etag_learns_the_present_one() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let read = catalog.image().clusters["a"].etag.clone();
    let update = |ports: &[&str]| Draft {
        endpoints: endpoints(ports),
        ..draft("a")
    };
    let with_etag = |draft: Draft| Change {
        clusters: vec![Write {
            etag: Some(read.clone()),
            ..write(draft)
        }],
        ..change([])
    };
    catalog
        .apply(Change {
            author: "bob".into(),
            ..with_etag(update(&["10.0.0.2:6379"]))
        })
        .await
        .unwrap();
    let present = catalog.image().clusters["a"].clone();
    for attempt in [
        with_etag(update(&["10.0.0.3:6379"])),
        Change {
            deletes: vec![Removal {
                name: "a".into(),
                etag: Some(read.clone()),
            }],
            ..Change::default()
        },
    ] {
        let error = catalog.apply(attempt).await.unwrap_err();
        let CatalogError::EtagMismatch {
            etag,
            revision,
            author,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(
            (etag, revision, author.as_str()),
            (present.etag.clone(), at(1, 2), "bob")
        );
    }
    let gone = Change {
        clusters: vec![Write {
            etag: Some(read),
            ..write(draft("z"))
        }],
        ..Change::default()
    };
    assert!(
        matches!(catalog.apply(gone).await, Err(CatalogError::EtagMismatch { etag, .. }) if etag.is_empty())
    );
}

#[tokio::test]
async fn change_for_another_revision_is_refused() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let stale = Change {
        if_revision: Some(at(1, 0)),
        ..change([draft("b")])
    };
    let result = catalog.apply(stale.clone()).await;
    assert!(
        matches!(result, Err(CatalogError::RevisionMismatch { current, .. }) if current == at(1, 1)),
        "{result:?}"
    );
    catalog
        .apply(Change {
            if_revision: Some(at(1, 1)),
            ..stale
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn validate_only_says_all_and_writes_nothing() {
    let catalog = catalog().await;
    let outcome = catalog
        .apply(Change {
            validate_only: true,
            ..change([draft("a")])
        })
        .await
        .unwrap();
    assert_eq!(
        (outcome.revision, kinds(&outcome)),
        (at(1, 0), vec![("a", ChangeKind::Created)])
    );
    assert!(catalog.image().clusters.is_empty());
    assert!(catalog.history(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn listeners_that_overlap_on_shared_data_planes_are_refused() {
    let catalog = catalog().await;
    let listening = |name: &str, addr: &str, dataplanes: &[&str]| Draft {
        listen_addr: addr.into(),
        selector: Selector {
            dataplanes: dataplanes.iter().map(|id| (*id).into()).collect(),
            ..Selector::default()
        },
        ..draft(name)
    };
    catalog
        .apply(change([listening("old", "0.0.0.0:9001", &["dp-1"])]))
        .await
        .unwrap();
    let attempt = change([
        draft("x"),
        listening("new", "127.0.0.1:9001", &["dp-2", "dp-1"]),
    ]);
    let found = violations(&catalog, attempt).await;
    assert_eq!(
        found
            .iter()
            .map(|violation| violation.field.as_str())
            .collect::<Vec<_>>(),
        ["clusters[1].listen_addr"]
    );
    assert!(found.to_string().contains("`old`"), "{found}");
    catalog
        .apply(change([listening("new", "127.0.0.1:9001", &["dp-2"])]))
        .await
        .unwrap();
    let swap = Change {
        deletes: deletion("old").deletes,
        ..change([listening("new", "127.0.0.1:9001", &[])])
    };
    catalog.apply(swap).await.unwrap();
}

#[tokio::test]
async fn all_violations_are_told_at_once() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let twice = Change {
        prune: true,
        deletes: deletion("x").deletes,
        ..change([
            draft("x"),
            draft("x"),
            Draft {
                listen_addr: draft("a").listen_addr,
                ..draft("y")
            },
        ])
    };
    let found = violations(&catalog, twice).await;
    let fields: Vec<&str> = found
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "clusters[1].name",
            "deletes[0].name",
            "manifest",
            "clusters[2].listen_addr"
        ]
    );
}

#[tokio::test]
async fn shrink_by_more_than_half_must_name_the_revision() {
    let catalog = catalog().await;
    let sized = |count: usize| {
        let addrs: Vec<String> = (1..=count)
            .map(|index| format!("10.0.0.{index}:6379"))
            .collect();
        Draft {
            endpoints: endpoints(&addrs.iter().map(String::as_str).collect::<Vec<_>>()),
            ..draft("a")
        }
    };
    catalog.apply(change([sized(8)])).await.unwrap();
    let result = catalog.apply(change([sized(3)])).await;
    let guard = |result: &Result<Outcome, CatalogError>| match result {
        Err(CatalogError::ShrinkGuard {
            revision,
            present,
            kept,
            ..
        }) => Some((*revision, *present, *kept)),
        _ => None,
    };
    assert_eq!(guard(&result), Some((at(1, 1), 8, 3)), "{result:?}");
    let confirmed = |revision| Change {
        clusters: vec![Write {
            confirm_shrink_from: Some(revision),
            ..write(sized(3))
        }],
        ..Change::default()
    };
    catalog.apply(change([sized(7)])).await.unwrap();
    assert!(
        guard(&catalog.apply(confirmed(at(1, 1))).await).is_some(),
        "an old confirmation"
    );
    catalog.apply(confirmed(at(1, 2))).await.unwrap();
    assert_eq!(
        catalog.image().clusters["a"].confirm_shrink_from,
        Some(at(1, 2))
    );
    catalog.apply(change([sized(2)])).await.unwrap();
    assert_eq!(catalog.image().clusters["a"].confirm_shrink_from, None);
    catalog
        .apply(change([Draft {
            endpoints: endpoints(&["10.1.0.1:6379", "10.1.0.2:6379"]),
            ..draft("a")
        }]))
        .await
        .unwrap();
}

#[tokio::test]
async fn advice_names_staged_rollout_and_defaults_that_move_keys() {
    let catalog = catalog().await;
    let imported = Draft {
        hash_bytes: Some(HashBytes::Unsigned),
        ketama_float: Some(KetamaFloat::F64),
        rollout: Some(RolloutMode::Staged),
        ..draft("a")
    };
    let fields = |outcome: Outcome| {
        outcome
            .warnings
            .into_iter()
            .map(|warning| warning.field)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        fields(
            catalog
                .apply(change([draft("b"), imported.clone()]))
                .await
                .unwrap()
        ),
        ["clusters[1].rollout"]
    );
    assert_eq!(
        catalog.image().clusters["a"].spec.draft().rollout,
        Some(RolloutMode::Staged)
    );
    let plain = Change {
        validate_only: true,
        ..change([draft("a")])
    };
    assert_eq!(
        fields(catalog.apply(plain).await.unwrap()),
        ["clusters[0].hash_bytes", "clusters[0].ketama_float"]
    );
    let instant = Change {
        instant: true,
        ..change([Draft {
            redis_db: None,
            ..imported
        }])
    };
    assert_eq!(
        fields(catalog.apply(instant).await.unwrap()),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn prune_takes_only_what_was_last_applied_under_the_manifest() {
    let catalog = catalog().await;
    let under = |manifest: &str, drafts: &[&str]| Change {
        manifest: manifest.into(),
        ..change(drafts.iter().map(|name| draft(name)))
    };
    catalog.apply(under("web", &["a", "b", "c"])).await.unwrap();
    catalog.apply(under("other", &["d"])).await.unwrap();
    let moved = catalog.apply(under("other", &["b"])).await.unwrap();
    assert_eq!(
        (moved.revision, kinds(&moved)),
        (at(1, 3), vec![("b", ChangeKind::Unchanged)])
    );
    assert_eq!(
        catalog.image().clusters["b"].revision,
        at(1, 1),
        "the definition did not change"
    );
    let outcome = catalog
        .apply(Change {
            prune: true,
            ..under("web", &["a"])
        })
        .await
        .unwrap();
    assert_eq!(
        kinds(&outcome),
        [("a", ChangeKind::Unchanged), ("c", ChangeKind::Deleted)]
    );
    assert_eq!(
        catalog.image().clusters.keys().collect::<Vec<_>>(),
        ["a", "b", "d"]
    );
}

#[tokio::test]
async fn repeated_request_is_answered_and_not_done_again() {
    let store = Arc::new(MemoryStore::new().unwrap());
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let clock = seconds.clone();
    let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::SeqCst));
    let options = CatalogOptions {
        clock: Arc::new(now),
        ..CatalogOptions::default()
    };
    let catalog = Catalog::open(store.clone(), options.clone()).await.unwrap();
    let request = Change {
        request_id: "r-1".into(),
        ..change([draft("a")])
    };
    let first = catalog.apply(request.clone()).await.unwrap();
    catalog.apply(deletion("a")).await.unwrap();
    for catalog in [
        catalog.clone(),
        Catalog::open(store.clone(), options).await.unwrap(),
    ] {
        let again = catalog.apply(request.clone()).await.unwrap();
        assert_eq!(
            (again.revision, again.changes),
            (first.revision, first.changes.clone())
        );
        assert!(catalog.image().clusters.is_empty());
    }
    let found = violations(
        &catalog,
        Change {
            clusters: vec![write(draft("b"))],
            ..request.clone()
        },
    )
    .await;
    assert!(found.to_string().contains("another change"), "{found}");

    seconds.fetch_add(24 * 60 * 60, Ordering::SeqCst);
    assert_eq!(catalog.apply(request).await.unwrap().revision, at(1, 3));
    assert_eq!(
        store.list(Family::Request, 9).await.unwrap().entries.len(),
        1
    );
}

#[tokio::test]
async fn secrets_are_shown_as_digests_and_taken_back_unchanged() {
    let store = Arc::new(MemoryStore::new().unwrap());
    let catalog = over(store.clone()).await;
    let password = |text: &str| Draft {
        auth: Some(prism_proto::model::AuthDraft {
            password: Some(Secret::from_written(text)),
            users: Vec::new(),
        }),
        ..draft("a")
    };
    let created = catalog.apply(change([password("hunter2")])).await.unwrap();
    let stored = catalog.image().clusters["a"].spec.clone();
    assert!(
        stored
            .draft()
            .auth
            .as_ref()
            .unwrap()
            .password
            .as_ref()
            .unwrap()
            .matches(b"hunter2")
    );
    let shown = over(store).await.shown(&stored);
    assert!(
        matches!(&shown.auth.as_ref().unwrap().password, Some(Secret::Unchanged(text)) if text.starts_with("secret:"))
    );
    assert_eq!(created.changes[0].after.as_ref(), Some(&shown));
    assert_eq!(
        catalog.history(1).await.unwrap()[0].changes[0]
            .after
            .as_ref(),
        Some(&shown)
    );

    let back = catalog.apply(change([shown.clone()])).await.unwrap();
    assert_eq!(kinds(&back), [("a", ChangeKind::Unchanged)]);
    let edited = Draft {
        redis_db: Some(0),
        ..shown.clone()
    };
    catalog.apply(change([edited])).await.unwrap();
    let kept = catalog.image().clusters["a"].spec.clone();
    assert!(
        kept.draft()
            .auth
            .as_ref()
            .unwrap()
            .password
            .as_ref()
            .unwrap()
            .matches(b"hunter2")
    );
    let found = violations(&catalog, change([draft("x"), password("secret:0000")])).await;
    assert_eq!(
        found.iter().next().unwrap().field,
        "clusters[1].auth.password"
    );
    let elsewhere = Draft {
        auth: shown.auth,
        ..draft("b")
    };
    assert_eq!(violations(&catalog, change([elsewhere])).await.len(), 1);
}

#[tokio::test]
async fn caps_are_kept() {
    let catalog = catalog().await;
    let numbered = |index: usize| Draft {
        listen_addr: format!("127.0.0.1:{}", 1000 + index),
        ..draft(&format!("c{index}"))
    };
    catalog
        .apply(change((0..MAX_CLUSTERS).map(numbered)))
        .await
        .unwrap();
    let result = catalog.apply(change([numbered(MAX_CLUSTERS)])).await;
    assert!(
        matches!(
            result,
            Err(CatalogError::TooManyClusters { count: 1001, .. })
        ),
        "{result:?}"
    );
    let long = |index: usize| Draft {
        annotations: (0..250)
            .map(|key| (key.to_string(), "x".repeat(4000)))
            .collect(),
        ..numbered(index)
    };
    let result = catalog.apply(change((0..5).map(long))).await;
    assert!(
        matches!(result, Err(CatalogError::TooLarge { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn history_keeps_the_newest_revisions() {
    let store = Arc::new(MemoryStore::new().unwrap());
    let options = CatalogOptions {
        history: 3,
        ..CatalogOptions::default()
    };
    let mut catalog = Catalog::open(store.clone(), options.clone()).await.unwrap();
    for round in 1..=6_u64 {
        let draft = Draft {
            labels: [("round".into(), round.to_string())].into(),
            ..draft("a")
        };
        catalog
            .apply(Change {
                reason: format!("round {round}"),
                request_id: format!("r{round}"),
                ..change([draft])
            })
            .await
            .unwrap();
        if round == 4 {
            catalog = Catalog::open(store.clone(), options.clone()).await.unwrap();
        }
    }
    let history = catalog.history(10).await.unwrap();
    assert_eq!(
        history
            .iter()
            .map(|entry| entry.revision.number)
            .collect::<Vec<_>>(),
        [6, 5, 4]
    );
    let newest = &history[0];
    assert_eq!(
        (
            newest.author.as_str(),
            newest.reason.as_str(),
            newest.request_id.as_str()
        ),
        ("ann", "round 6", "r6")
    );
    let label = |draft: &Option<Draft>| draft.as_ref().unwrap().labels["round"].clone();
    assert_eq!(
        (
            label(&newest.changes[0].before),
            label(&newest.changes[0].after)
        ),
        ("5".into(), "6".into())
    );
    assert_eq!(catalog.history(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn epoch_rises_above_the_reported_one_and_only_once() {
    let catalog = catalog().await;
    catalog.apply(change([draft("a")])).await.unwrap();
    assert_eq!(catalog.bump_epoch(4).await.unwrap(), at(5, 2));
    assert_eq!(catalog.bump_epoch(4).await.unwrap(), at(5, 2));
    assert_eq!(catalog.image().revision, at(5, 2));
    assert_eq!(catalog.image().clusters["a"].revision, at(1, 1));
    assert_eq!(
        catalog.apply(change([draft("b")])).await.unwrap().revision,
        at(5, 3)
    );
    assert_eq!(catalog.history(9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let store = Arc::new(MemoryStore::new().unwrap());
    let catalog = over(store.clone()).await;
    catalog
        .apply(change([draft("a"), draft("b")]))
        .await
        .unwrap();
    catalog.apply(deletion("b")).await.unwrap();
    let reopened = over(store).await;
    assert_eq!(reopened.image().revision, at(1, 2));
    assert_eq!(reopened.image().clusters, catalog.image().clusters);
    assert_eq!(reopened.image().fleet_id, catalog.image().fleet_id);
}

#[tokio::test]
async fn image_follows_commits_of_another_hand_and_loses_no_writer() {
    let store = Arc::new(MemoryStore::new().unwrap());
    let (one, two) = (over(store.clone()).await, over(store).await);
    let mut seen = two.watch();
    one.apply(change([draft("a")])).await.unwrap();
    two.apply(change([draft("b")])).await.unwrap();
    seen.wait_for(|image| image.clusters.len() == 2)
        .await
        .unwrap();
    one.apply(change([draft("c")])).await.unwrap();
    two.watch()
        .wait_for(|image| image.clusters.len() == 3)
        .await
        .unwrap();
    assert_eq!(two.history(9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn record_that_cannot_be_read_takes_no_cluster_away() {
    let store = Arc::new(MemoryStore::new().unwrap());
    let catalog = over(store.clone()).await;
    catalog.apply(change([draft("a")])).await.unwrap();
    let broken = Op::Put(Key::Cluster("a".into()), Bytes::from_static(b"\xff\xff"));
    store
        .commit(Commit {
            ops: vec![broken],
            ..Commit::default()
        })
        .await
        .unwrap();
    catalog
        .watch()
        .wait_for(|image| image.revision == at(1, 2))
        .await
        .unwrap();
    assert_eq!(catalog.image().clusters["a"].revision, at(1, 1));
    let error = Catalog::open(store, CatalogOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cluster/a"), "{error}");
}

/// A store whose commits wait for a permit, and are overtaken once by a rival's.
struct Crossing {
    inner: MemoryStore,
    permits: Semaphore,
    rival: Mutex<Option<Commit>>,
}

impl Crossing {
    fn new(permits: usize, rival: Option<Commit>) -> Arc<Self> {
        let inner = MemoryStore::new().unwrap();
        let (permits, rival) = (Semaphore::new(permits), Mutex::new(rival));
        Arc::new(Self {
            inner,
            permits,
            rival,
        })
    }
}

impl Store for Crossing {
    fn head(&self) -> Head {
        self.inner.head()
    }

    fn get(&self, key: Key) -> Pending<'_, Option<Entry>> {
        self.inner.get(key)
    }

    fn list(&self, family: Family, last: usize) -> Pending<'_, Listing> {
        self.inner.list(family, last)
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Head> {
        Box::pin(async move {
            self.permits.acquire().await.unwrap().forget();
            if let Some(rival) = self.rival.lock().await.take() {
                self.inner.commit(rival).await?;
            }
            self.inner.commit(commit).await
        })
    }

    fn watch(&self, from: Option<Revision>) -> Watch {
        self.inner.watch(from)
    }

    fn export(&self) -> Pending<'_, Bytes> {
        self.inner.export()
    }

    fn import(&self, export: Bytes) -> Pending<'_, Head> {
        self.inner.import(export)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

#[tokio::test]
async fn change_that_was_overtaken_is_checked_again_at_the_new_head() {
    let rival = Op::Put(Key::Setting("rival".into()), Bytes::new());
    let store = Crossing::new(
        9,
        Some(Commit {
            ops: vec![rival],
            ..Commit::default()
        }),
    );
    let catalog = over(store).await;
    let outcome = catalog.apply(change([draft("a")])).await.unwrap();
    assert_eq!(outcome.revision, at(1, 2));
    assert_eq!(catalog.image().clusters["a"].revision, at(1, 2));
    assert_eq!(catalog.history(9).await.unwrap()[0].revision, at(1, 2));
}

#[tokio::test]
async fn change_that_was_begun_is_finished_without_its_caller() {
    let store = Crossing::new(0, None);
    let catalog = over(store.clone()).await;
    let waiting = timeout(
        Duration::from_millis(10),
        catalog.apply(change([draft("a")])),
    )
    .await;
    assert!(waiting.is_err(), "the store was not ready");
    store.permits.add_permits(1);
    let mut images = catalog.watch();
    let seen = images.wait_for(|image| image.clusters.contains_key("a"));
    timeout(Duration::from_secs(10), seen)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_shows_each_change_when_apply_returns() {
    let catalog = catalog().await;
    for round in 0..300_u64 {
        let labelled = Draft {
            labels: [("round".into(), round.to_string())].into(),
            ..draft("a")
        };
        let outcome = catalog.apply(change([labelled])).await.unwrap();
        assert!(
            catalog.image().revision >= outcome.revision,
            "round {round}"
        );
    }
}

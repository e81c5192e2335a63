//! What every store must do; one suite for all implementations.

use std::{collections::BTreeSet, sync::Arc};

use super::*;

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() {
                super::$name(std::sync::Arc::new(crate::store::MemoryStore::new().unwrap())).await;
            })*
        }
        mod sled {
            $(#[tokio::test] async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let options = crate::store::SledOptions::new(dir.path());
                super::$name(std::sync::Arc::new(crate::store::SledStore::open(options).await.unwrap())).await;
            })*
        }
    };
}

suite! {
    new_store_has_an_identity_and_no_revision,
    commit_makes_the_next_revision,
    failed_condition_changes_nothing,
    conditions_see_keys_that_came_and_went,
    deleting_an_absent_key_is_no_error,
    epoch_moves_forward_and_never_back,
    list_is_ordered_and_cut_to_the_last,
    large_value_reads_back,
    watch_starts_with_everything_unless_it_resumes_at_the_head,
    watch_folds_missed_steps_into_one,
    watch_that_is_never_read_stalls_nobody,
    history_is_kept_but_not_watched,
    export_replaces_a_store_and_its_identity,
    broken_export_changes_nothing,
    export_of_a_newer_schema_is_refused,
    writers_that_compare_the_head_lose_no_step,
    health_is_good,
}

type Subject = Arc<dyn Store>;

fn cluster(name: &str) -> Key {
    Key::Cluster(name.into())
}

fn put(name: &str, value: &str) -> Op {
    Op::Put(cluster(name), Bytes::copy_from_slice(value.as_bytes()))
}

fn commit(ops: impl Into<Vec<Op>>) -> Commit {
    Commit {
        ops: ops.into(),
        ..Commit::default()
    }
}

fn at(epoch: u64, number: u64) -> Revision {
    Revision { epoch, number }
}

fn names(delivery: &Delivery) -> Vec<String> {
    delivery
        .changed
        .iter()
        .map(|entry| entry.key.to_string())
        .collect()
}

async fn new_store_has_an_identity_and_no_revision(store: Subject) {
    let head = store.head();
    assert_eq!(head.revision, at(1, 0));
    assert_eq!(head.fleet_id.len(), 36);
    assert_eq!(
        &head.fleet_id[14..15],
        "4",
        "a version 4 UUID: {}",
        head.fleet_id
    );
    assert_eq!(
        store
            .list(Family::Cluster, usize::MAX)
            .await
            .unwrap()
            .entries,
        []
    );
}

async fn commit_makes_the_next_revision(store: Subject) {
    let head = store
        .commit(commit([put("a", "1"), put("b", "1")]))
        .await
        .unwrap();
    assert_eq!(head.revision, at(1, 1));
    let head = store.commit(commit([put("b", "2")])).await.unwrap();
    assert_eq!(head.revision, at(1, 2));
    assert_eq!(store.head(), head);
    let entry = store.get(cluster("b")).await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"2"[..], at(1, 2)));
    let entry = store.get(cluster("a")).await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"1"[..], at(1, 1)));
    assert_eq!(store.get(cluster("c")).await.unwrap(), None);
}

async fn failed_condition_changes_nothing(store: Subject) {
    store.commit(commit([put("a", "1")])).await.unwrap();
    let before = store.list(Family::Cluster, usize::MAX).await.unwrap();
    for compare in [
        Compare::Head(at(1, 0)),
        Compare::Head(at(2, 1)),
        Compare::Key(cluster("a"), None),
        Compare::Key(cluster("a"), Some(at(1, 0))),
        Compare::Key(cluster("b"), Some(at(1, 1))),
    ] {
        let attempt = Commit {
            compare: vec![Compare::Head(at(1, 1)), compare.clone()],
            ..commit([put("a", "2"), put("b", "2")])
        };
        let result = store.commit(attempt).await;
        assert!(
            matches!(&result, Err(StoreError::Conflict { head, .. }) if *head == at(1, 1)),
            "{compare:?}: {result:?}"
        );
    }
    assert_eq!(
        store.list(Family::Cluster, usize::MAX).await.unwrap(),
        before
    );
}

async fn conditions_see_keys_that_came_and_went(store: Subject) {
    store.commit(commit([put("a", "1")])).await.unwrap();
    let present = Commit {
        compare: vec![Compare::Key(cluster("a"), Some(at(1, 1)))],
        ..commit([Op::Delete(cluster("a"))])
    };
    store.commit(present).await.unwrap();
    let absent = Commit {
        compare: vec![Compare::Key(cluster("a"), None)],
        ..commit([put("a", "2")])
    };
    assert_eq!(store.commit(absent).await.unwrap().revision, at(1, 3));
    assert_eq!(
        store.get(cluster("a")).await.unwrap().unwrap().revision,
        at(1, 3)
    );
}

async fn deleting_an_absent_key_is_no_error(store: Subject) {
    let ops = [
        put("a", "1"),
        Op::Delete(cluster("a")),
        Op::Delete(cluster("b")),
    ];
    assert_eq!(store.commit(commit(ops)).await.unwrap().revision, at(1, 1));
    assert_eq!(store.get(cluster("a")).await.unwrap(), None);
}

async fn epoch_moves_forward_and_never_back(store: Subject) {
    store.commit(commit([put("a", "1")])).await.unwrap();
    let head = store
        .commit(Commit {
            epoch: Some(7),
            ..Commit::default()
        })
        .await
        .unwrap();
    assert_eq!(head.revision, at(7, 2));
    let back = store
        .commit(Commit {
            epoch: Some(6),
            ..commit([put("a", "2")])
        })
        .await;
    assert_eq!(
        back,
        Err(StoreError::EpochBehind {
            asked: 6,
            present: 7
        })
    );
    assert_eq!(
        store
            .commit(commit([put("a", "3")]))
            .await
            .unwrap()
            .revision,
        at(7, 3)
    );
}

async fn list_is_ordered_and_cut_to_the_last(store: Subject) {
    let numbers = [300, 1, 255, 256];
    let ops = numbers.map(|number| Op::Put(Key::History(at(1, number)), Bytes::new()));
    store.commit(commit(ops)).await.unwrap();
    store
        .commit(commit([put("b", ""), put("a", "")]))
        .await
        .unwrap();
    let keys = |listing: Listing| {
        listing
            .entries
            .into_iter()
            .map(|entry| entry.key)
            .collect::<Vec<_>>()
    };
    let history = |numbers: &[u64]| {
        numbers
            .iter()
            .map(|number| Key::History(at(1, *number)))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(store.list(Family::History, usize::MAX).await.unwrap()),
        history(&[1, 255, 256, 300])
    );
    assert_eq!(
        keys(store.list(Family::History, 2).await.unwrap()),
        history(&[256, 300])
    );
    assert_eq!(
        keys(store.list(Family::Cluster, 1).await.unwrap()),
        [cluster("b")]
    );
}

async fn large_value_reads_back(store: Subject) {
    let value: Bytes = (0..3_000_000_u32)
        .map(|index| ((index * 7) >> 3) as u8)
        .collect::<Vec<_>>()
        .into();
    for key in [cluster("large"), Key::History(at(1, 1))] {
        store
            .commit(commit([Op::Put(key.clone(), value.clone())]))
            .await
            .unwrap();
        assert!(store.get(key).await.unwrap().unwrap().value == value);
    }
}

async fn watch_starts_with_everything_unless_it_resumes_at_the_head(store: Subject) {
    store
        .commit(commit([put("a", "1"), put("b", "1")]))
        .await
        .unwrap();
    let first = store.watch(None).next().await.unwrap();
    assert!(first.full);
    assert_eq!(
        (first.head.revision, names(&first)),
        (at(1, 1), vec!["cluster/a".into(), "cluster/b".into()])
    );
    let stale = store.watch(Some(at(1, 0))).next().await.unwrap();
    assert!(stale.full);

    let mut resumed = store.watch(Some(at(1, 1)));
    store.commit(commit([put("b", "2")])).await.unwrap();
    let step = resumed.next().await.unwrap();
    assert!(!step.full);
    assert_eq!(
        (step.head.revision, names(&step), step.removed),
        (at(1, 2), vec!["cluster/b".into()], vec![])
    );
}

async fn watch_folds_missed_steps_into_one(store: Subject) {
    store
        .commit(commit([put("gone", "1"), put("kept", "1")]))
        .await
        .unwrap();
    let mut watch = store.watch(Some(at(1, 1)));
    store.commit(commit([put("new", "1")])).await.unwrap();
    store.commit(commit([put("new", "2")])).await.unwrap();
    store
        .commit(commit([Op::Delete(cluster("gone")), put("brief", "1")]))
        .await
        .unwrap();
    store
        .commit(commit([Op::Delete(cluster("brief"))]))
        .await
        .unwrap();
    let step = watch.next().await.unwrap();
    assert_eq!(
        (step.head.revision, names(&step)),
        (at(1, 5), vec!["cluster/new".into()])
    );
    assert_eq!(
        (&step.changed[0].value[..], step.removed),
        (&b"2"[..], vec![cluster("gone")])
    );
}

async fn watch_that_is_never_read_stalls_nobody(store: Subject) {
    let mut watch = store.watch(None);
    for round in 0..100 {
        store
            .commit(commit([put("a", &round.to_string())]))
            .await
            .unwrap();
    }
    assert_eq!(&watch.next().await.unwrap().changed[0].value[..], b"99");
    drop(watch);
    store.commit(commit([put("a", "after")])).await.unwrap();
}

async fn history_is_kept_but_not_watched(store: Subject) {
    let mut watch = store.watch(Some(at(1, 0)));
    store
        .commit(commit([Op::Put(
            Key::History(at(1, 1)),
            Bytes::from_static(b"what"),
        )]))
        .await
        .unwrap();
    assert_eq!(watch.next().await.unwrap().changed, []);
    assert_eq!(
        &store
            .get(Key::History(at(1, 1)))
            .await
            .unwrap()
            .unwrap()
            .value[..],
        b"what"
    );
}

async fn export_replaces_a_store_and_its_identity(store: Subject) {
    store
        .commit(commit([put("old", "1"), put("both", "1")]))
        .await
        .unwrap();
    let other = MemoryStore::new().unwrap();
    other
        .commit(Commit {
            epoch: Some(5),
            ..commit([
                put("both", "2"),
                Op::Put(Key::History(at(5, 1)), Bytes::new()),
            ])
        })
        .await
        .unwrap();
    let mut watch = store.watch(Some(at(1, 1)));

    let head = store.import(other.export().await.unwrap()).await.unwrap();
    assert_eq!(
        head,
        Head {
            fleet_id: other.head().fleet_id,
            revision: at(6, 2)
        }
    );
    assert_eq!(store.head(), head);
    let listing = store.list(Family::Cluster, usize::MAX).await.unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(
        (&listing.entries[0].value[..], listing.entries[0].revision),
        (&b"2"[..], at(6, 2))
    );
    assert_eq!(
        store
            .list(Family::History, usize::MAX)
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
    let step = watch.next().await.unwrap();
    assert_eq!((step.head, step.removed), (head, vec![cluster("old")]));

    let back = MemoryStore::new().unwrap();
    back.import(store.export().await.unwrap()).await.unwrap();
    let values = |listing: Listing| {
        listing
            .entries
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        values(back.list(Family::Cluster, 9).await.unwrap()),
        values(store.list(Family::Cluster, 9).await.unwrap())
    );
}

async fn broken_export_changes_nothing(store: Subject) {
    store.commit(commit([put("a", "1")])).await.unwrap();
    let export = store.export().await.unwrap();
    let before = store.head();
    for end in [0, 5, 30, export.len() - 1] {
        let result = store.import(export.slice(..end)).await;
        assert!(
            matches!(result, Err(StoreError::NotAnExport(_))),
            "cut at {end}: {result:?}"
        );
    }
    let mut flipped = export.to_vec();
    flipped[60] ^= 1;
    assert!(matches!(
        store.import(flipped.into()).await,
        Err(StoreError::NotAnExport(_))
    ));
    assert_eq!(store.head(), before);
}

async fn export_of_a_newer_schema_is_refused(store: Subject) {
    let mut export = store.export().await.unwrap().to_vec();
    export[22] = 9;
    let result = store.import(export.into()).await;
    assert_eq!(
        result,
        Err(StoreError::NewerSchema {
            found: 9,
            known: SCHEMA
        })
    );
}

async fn writers_that_compare_the_head_lose_no_step(store: Subject) {
    let increment = |store: Subject| async move {
        for _ in 0..10 {
            loop {
                let listing = store.list(Family::Cluster, 1).await.unwrap();
                let value = listing.entries.first().map_or(0, |entry| entry.value[0]);
                let op = Op::Put(cluster("count"), vec![value + 1].into());
                let attempt = Commit {
                    compare: vec![Compare::Head(listing.head.revision)],
                    ..commit([op])
                };
                match store.commit(attempt).await {
                    Ok(_) => break,
                    Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let tasks: Vec<_> = (0..4)
        .map(|_| tokio::spawn(increment(store.clone())))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        store.get(cluster("count")).await.unwrap().unwrap().value[0],
        40
    );
    assert_eq!(store.head().revision, at(1, 40));
}

async fn health_is_good(store: Subject) {
    let kinds = BTreeSet::from(["memory", "sled"]);
    let health = store.health();
    assert!(kinds.contains(health.kind));
    assert_eq!(health.failure, None);
}

//! What the sled store must survive within one process; each guard against sled has its test here or in `faults`.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    super::{Compare, MemoryStore, Op, encoding::SCHEMA},
    folder::Folder,
    *,
};

fn options(dir: &Path) -> SledOptions {
    SledOptions::new(dir)
}

async fn open(dir: &Path) -> SledStore {
    SledStore::open(options(dir)).await.unwrap()
}

fn put(name: &str, value: impl Into<Bytes>) -> Op {
    Op::Put(Key::Cluster(name.into()), value.into())
}

fn commit(ops: impl Into<Vec<Op>>) -> Commit {
    Commit {
        ops: ops.into(),
        ..Commit::default()
    }
}

async fn value(store: &SledStore, name: &str) -> Option<Bytes> {
    store
        .get(Key::Cluster(name.into()))
        .await
        .unwrap()
        .map(|entry| entry.value)
}

/// Opens the database behind the store's back, and closes it again.
fn tamper<T>(dir: &Path, with: impl FnOnce(&disk::Disk, &::sled::Db) -> T) -> T {
    let folder = Folder::claim(dir, Duration::from_secs(2)).unwrap();
    let db = open::config(&folder, &options(dir)).open().unwrap();
    let disk = disk::Disk::new(db.clone(), &folder).unwrap();
    let result = with(&disk, &db);
    db.flush().unwrap();
    result
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("sled"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("snap.")
        })
        .collect()
}

fn folder_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                folder_bytes(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let large = vec![5; 200_000];
    store
        .commit(commit([
            put("a", "1"),
            put("large", large.clone()),
            put("gone", large.clone()),
        ]))
        .await
        .unwrap();
    let ops = [
        put("a", "2"),
        Op::Delete(Key::Cluster("gone".into())),
        Op::Put(Key::History(Revision::default()), large.clone().into()),
    ];
    let head = store
        .commit(Commit {
            epoch: Some(4),
            ..commit(ops)
        })
        .await
        .unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open(dir.path()).await;
        assert_eq!(store.head(), head);
        assert_eq!(value(&store, "a").await.unwrap(), "2");
        assert_eq!(value(&store, "large").await.unwrap(), large);
        assert_eq!(value(&store, "gone").await, None);
        let history = store
            .get(Key::History(Revision::default()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (history.value, history.revision),
            (large.clone().into(), head.revision)
        );
    }
}

#[tokio::test]
async fn chunks_of_a_commit_without_head_never_come_alive() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let head = store.commit(commit([put("a", "1")])).await.unwrap();
    drop(store);
    let lost = Revision {
        number: head.revision.number + 1,
        ..head.revision
    };
    tamper(dir.path(), |disk, _| {
        disk.write(
            lost,
            &[
                put("x", "lost"),
                put("y", vec![1; 100_000]),
                put("a", "lost"),
            ],
        )
        .unwrap()
    });
    let store = open(dir.path()).await;
    assert_eq!(store.head(), head);
    assert_eq!(
        store
            .commit(commit([put("b", "1")]))
            .await
            .unwrap()
            .revision,
        lost
    );
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(value(&store, "a").await.unwrap(), "1");
    assert_eq!(
        (value(&store, "x").await, value(&store, "y").await),
        (None, None)
    );
}

#[tokio::test]
async fn replaced_and_removed_values_leave_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for round in 0..20_u8 {
        let ops = [
            put("a", vec![round; 30_000]),
            put("b", "1"),
            put("c", vec![round; 30_000]),
        ];
        store.commit(commit(ops)).await.unwrap();
        store
            .commit(commit([
                Op::Delete(Key::Cluster("b".into())),
                Op::Delete(Key::Cluster("c".into())),
            ]))
            .await
            .unwrap();
    }
    drop(store);
    assert_eq!(
        tamper(dir.path(), |_, db| db.scan_prefix("rev/").count()),
        5,
        "the chunks of one value of 30 000 bytes"
    );
}

#[tokio::test]
async fn dead_chunks_that_were_not_removed_are_swept_when_opened() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let first = store
        .commit(commit([put("a", "1")]))
        .await
        .unwrap()
        .revision;
    let second = store
        .commit(commit([put("a", "2")]))
        .await
        .unwrap()
        .revision;
    drop(store);
    tamper(dir.path(), |disk, _| {
        disk.write(first, &[put("a", "1")]).unwrap()
    });
    assert_eq!(
        tamper(dir.path(), |_, db| db.scan_prefix("rev/").count()),
        2
    );
    let store = open(dir.path()).await;
    assert_eq!(
        store
            .get(Key::Cluster("a".into()))
            .await
            .unwrap()
            .unwrap()
            .revision,
        second
    );
    drop(store);
    assert_eq!(
        tamper(dir.path(), |_, db| db.scan_prefix("rev/").count()),
        1
    );
}

#[tokio::test]
async fn large_values_leave_no_blobs_and_do_not_grow_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    for round in 0..30_u8 {
        store
            .commit(commit([put("a", vec![round; 1 << 20])]))
            .await
            .unwrap();
        if round % 10 == 9 {
            drop(store);
            store = open(dir.path()).await;
        }
    }
    assert_eq!(
        fs::read_dir(dir.path().join("sled/blobs")).unwrap().count(),
        0
    );
    let size = folder_bytes(dir.path());
    assert!(size < 24 << 20, "{size} bytes for one value of 1 MiB");
}

#[tokio::test]
async fn only_the_owner_may_read_the_folder() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let store = open(&dir).await;
    store.commit(commit([put("a", "1")])).await.unwrap();
    drop(store);
    drop(open(&dir).await);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (
            mode(&dir),
            mode(&dir.join("sled")),
            mode(&dir.join("sled.lock"))
        ),
        (0o700, 0o700, 0o600)
    );
    for entry in fs::read_dir(dir.join("sled")).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    assert!(
        !snapshots(&dir).is_empty(),
        "a snapshot was among the files"
    );
}

#[tokio::test]
async fn folder_that_others_could_read_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(dir.path()).await);
    assert_eq!(
        fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn cache_of_sled_is_64_mib() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::claim(dir.path(), Duration::ZERO).unwrap();
    assert_eq!(
        open::config(&folder, &options(dir.path())).cache_capacity,
        64 << 20
    );
}

#[tokio::test]
async fn newer_schema_is_refused_by_number_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).await);
    tamper(dir.path(), |_, db| {
        db.insert("schema", &(SCHEMA + 6).to_be_bytes()).unwrap()
    });
    for _ in 0..2 {
        let error = SledStore::open(options(dir.path())).await.unwrap_err();
        assert_eq!(
            error,
            StoreError::NewerSchema {
                found: SCHEMA + 6,
                known: SCHEMA
            }
        );
        assert!(error.to_string().contains("schema 7"), "{error}");
    }
}

#[tokio::test]
async fn second_opening_names_the_lock_and_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path()).await;
    let impatient = SledOptions {
        lock_wait: Duration::from_millis(50),
        ..options(dir.path())
    };
    let error = SledStore::open(impatient).await.unwrap_err();
    let expected = StoreError::Locked {
        path: dir.path().join("sled.lock"),
        holder: format!("process {}", std::process::id()),
    };
    assert_eq!(error, expected);
}

/// Holds a lock for a while, as the threads of a handle dropped a moment ago do.
fn hold(path: PathBuf, hold_for: Duration) -> thread::JoinHandle<()> {
    let file = File::options().write(true).open(path).unwrap();
    file.try_lock().unwrap();
    thread::spawn(move || {
        thread::sleep(hold_for);
        drop(file);
    })
}

#[tokio::test]
async fn opening_waits_for_locks_that_are_let_go_soon() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).await);
    for name in ["sled.lock", "sled/db"] {
        let holder = hold(dir.path().join(name), Duration::from_millis(300));
        let store = SledStore::open(options(dir.path())).await;
        assert!(store.is_ok(), "{name}: {store:?}");
        holder.join().unwrap();
    }
}

#[tokio::test]
async fn lock_of_sled_that_stays_is_named_after_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).await);
    let file = File::options()
        .write(true)
        .open(dir.path().join("sled/db"))
        .unwrap();
    file.try_lock().unwrap();
    let begin = Instant::now();
    let error = SledStore::open(options(dir.path())).await.unwrap_err();
    assert!(
        begin.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        matches!(&error, StoreError::Locked { path, .. } if path.ends_with("sled/db")),
        "{error}"
    );
}

async fn store_with_snapshot(dir: &Path) -> Head {
    let store = open(dir).await;
    store
        .commit(commit([put("a", vec![3; 50_000])]))
        .await
        .unwrap();
    drop(store);
    let store = open(dir).await;
    let head = store.commit(commit([put("b", "2")])).await.unwrap();
    drop(store);
    assert_eq!(snapshots(dir).len(), 1);
    head
}

async fn assert_intact(dir: &Path, head: &Head, case: &str) {
    let store = SledStore::open(options(dir))
        .await
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(&store.head(), head, "{case}");
    assert_eq!(value(&store, "a").await.unwrap(), vec![3; 50_000], "{case}");
    assert_eq!(value(&store, "b").await.unwrap(), "2", "{case}");
}

#[tokio::test]
async fn unfinished_recovery_snapshot_does_not_stop_the_opening() {
    let dir = tempfile::tempdir().unwrap();
    let head = store_with_snapshot(dir.path()).await;
    let whole = fs::read(&snapshots(dir.path())[0]).unwrap();
    let name = dir.path().join("sled/snap.FFFFFFFFFFFFFF00.generating");
    for (case, content) in [
        ("empty", &b""[..]),
        ("short", b"short"),
        ("half", &whole[..whole.len() / 2]),
    ] {
        fs::write(&name, content).unwrap();
        assert_intact(dir.path(), &head, case).await;
        assert!(!name.exists(), "{case}");
        let aside = fs::read_dir(dir.path().join("sled"))
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("aside.")
            });
        assert_eq!(aside.count(), 0, "{case}: the good snapshot was used");
    }
}

#[tokio::test]
async fn broken_recovery_snapshot_is_moved_aside_and_the_log_rebuilds_all() {
    let dir = tempfile::tempdir().unwrap();
    let head = store_with_snapshot(dir.path()).await;
    for case in ["empty", "cut", "flipped"] {
        let path = snapshots(dir.path()).pop().unwrap();
        let mut content = fs::read(&path).unwrap();
        match case {
            "empty" => content.clear(),
            "cut" => content.truncate(content.len() / 2),
            _ => content[0] ^= 0xff,
        }
        fs::write(&path, content).unwrap();
        assert_intact(dir.path(), &head, case).await;
    }
}

#[tokio::test]
async fn log_that_is_gone_is_told_and_not_replaced_by_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    store_with_snapshot(dir.path()).await;
    let _ = snapshots(dir.path())
        .into_iter()
        .try_for_each(fs::remove_file);
    File::options()
        .write(true)
        .open(dir.path().join("sled/db"))
        .unwrap()
        .set_len(0)
        .unwrap();
    for _ in 0..2 {
        let error = SledStore::open(options(dir.path())).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }
}

#[tokio::test]
async fn store_without_schema_or_head_is_damaged() {
    for (key, told) in [("schema", "no schema"), ("head", "no head")] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).await);
        tamper(dir.path(), |_, db| db.remove(key).unwrap());
        let error = SledStore::open(options(dir.path())).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged(what) if what.contains(told)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn creation_that_was_interrupted_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sled")).unwrap();
    fs::write(dir.path().join("sled/conf"), "segment_si").unwrap();
    fs::write(dir.path().join("sled.creating"), "").unwrap();
    let store = open(dir.path()).await;
    store.commit(commit([put("a", "1")])).await.unwrap();
    assert!(!dir.path().join("sled.creating").exists());
    drop(store);
    assert_eq!(value(&open(dir.path()).await, "a").await.unwrap(), "1");
}

#[tokio::test]
async fn flipped_byte_in_a_record_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.commit(commit([put("a", "value")])).await.unwrap();
    drop(store);
    tamper(dir.path(), |_, db| {
        let (key, chunk) = db.scan_prefix("rev/").next().unwrap().unwrap();
        let mut broken = chunk.to_vec();
        *broken.last_mut().unwrap() ^= 1;
        db.insert(key, broken).unwrap();
    });
    let error = SledStore::open(options(dir.path())).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged(what) if what.contains("revision 1.1")),
        "{error}"
    );
}

#[test]
fn defective_parts_of_sled_are_not_used() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sled");
    let mut seen = 0;
    for entry in fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("tests.rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        seen += 1;
        for word in ["watch_prefix", "watch_all", "generate_id", "open_tree"] {
            assert!(!source.contains(word), "{word} in {}", path.display());
        }
    }
    assert!(seen >= 5);
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Commit),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![
        "[abc]".prop_map(Key::Cluster),
        (1..3_u64, 250..260_u64)
            .prop_map(|(epoch, number)| Key::History(Revision { epoch, number })),
        "[ab]".prop_map(Key::Request),
    ];
    let value = prop_oneof![0..40_usize, 6_000..20_000_usize]
        .prop_map(|length| Bytes::from(vec![b'v'; length]));
    let op = prop_oneof![
        1 => key.clone().prop_map(Op::Delete),
        3 => (key, value).prop_map(|(key, value)| Op::Put(key, value)),
    ];
    let compare = prop_oneof![
        4 => Just(None),
        1 => (1..12_u64).prop_map(|number| Some(Compare::Head(Revision { epoch: 1, number }))),
        1 => "[abc]".prop_map(|name| Some(Compare::Key(Key::Cluster(name), None))),
    ];
    let commit = (
        proptest::collection::vec(op, 0..5),
        compare,
        proptest::option::weighted(0.1, 1..4_u64),
    );
    let commit = commit.prop_map(|(ops, compare, epoch)| Commit {
        compare: compare.into_iter().collect(),
        ops,
        epoch,
    });
    proptest::collection::vec(
        prop_oneof![6 => commit.prop_map(Step::Commit), 1 => Just(Step::Reopen)],
        1..14,
    )
}

async fn contents(store: &dyn Store) -> Vec<Entry> {
    let mut all = Vec::new();
    for family in [
        Family::Cluster,
        Family::History,
        Family::Request,
        Family::Setting,
    ] {
        all.extend(store.list(family, usize::MAX).await.unwrap().entries);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_commits_and_reopenings_leave_what_the_reference_model_has(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let model = MemoryStore::new().unwrap();
            let mut store = Some(open(dir.path()).await);
            for step in steps {
                let Step::Commit(commit) = step else {
                    drop(store.take());
                    store = Some(open(dir.path()).await);
                    continue;
                };
                let store = store.as_ref().unwrap();
                let revision = |result: Result<Head, StoreError>| result.map(|head| head.revision);
                assert_eq!(revision(store.commit(commit.clone()).await), revision(model.commit(commit).await));
                assert_eq!(contents(store).await, contents(&model).await);
            }
            drop(store.take());
            assert_eq!(contents(&open(dir.path()).await).await, contents(&model).await);
        });
    }
}

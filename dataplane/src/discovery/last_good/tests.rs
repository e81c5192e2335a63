//! Every guard of the folder: torn, foreign, newer and quarantined snapshots, two processes, permissions.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use prism_proto::pb::discovery::v1::{Resource, Snapshot};
use tempfile::TempDir;
use tokio::{sync::watch, time::Instant};

use super::*;
use crate::{
    discovery::{CLUSTERS, Held, tests::pool},
    metrics::Registry,
};

fn snapshot(revision: u64, resources: Vec<Resource>) -> Snapshot {
    Snapshot {
        fleet_id: "f".into(),
        epoch: 1,
        revision,
        resources,
    }
}

fn open(folder: &Path) -> (LastGood, Boot) {
    LastGood::open(folder).expect("the folder is ours")
}

fn revision(boot: &Boot) -> Option<u64> {
    boot.held.as_ref().map(|held| held.revision)
}

fn folder() -> TempDir {
    TempDir::new().expect("the temporary folder is writable")
}

/// Starts a process that applies `resources` and crashes at once.
fn crash_while_applying(folder: &Path, resources: &[Resource]) {
    let (store, mut boot) = open(folder);
    let pair = |resource: &Resource| Pair::new(&resource.kind, &resource.name, resource.hash);
    boot.guard.arm(resources.iter().map(pair), Instant::now());
    store
        .write_marks(&boot.guard.marks())
        .expect("the folder is writable");
}

#[test]
fn what_was_written_is_served_after_a_restart() {
    let folder = folder();
    let (store, boot) = open(folder.path());
    assert!(boot.held.is_none());
    let resource = pool("a", 3, 2);
    store
        .write(Generation::Newest, &snapshot(7, vec![resource.clone()]))
        .unwrap();
    drop(store);
    let (_, boot) = open(folder.path());
    let held = boot.held.expect("a snapshot was written");
    assert_eq!(
        (held.fleet_id.as_str(), held.epoch, held.revision),
        ("f", 1, 7)
    );
    assert_eq!(held.digest(), resource.hash);
    assert_eq!(held.clusters["a"].value.endpoints().len(), 2);
}

#[test]
fn older_generation_serves_when_the_newest_is_torn_at_any_byte() {
    let folder = folder();
    let (store, _) = open(folder.path());
    store
        .write(
            Generation::ServedMinute,
            &snapshot(1, vec![pool("a", 1, 1)]),
        )
        .unwrap();
    store
        .write(Generation::Newest, &snapshot(2, vec![pool("a", 2, 1)]))
        .unwrap();
    drop(store);
    let path = folder.path().join("newest.snapshot");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (_, boot) = open(folder.path());
        assert_eq!(revision(&boot), Some(1), "cut at {length}");
    }
    for flipped in [0, 20, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[flipped] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(
            revision(&open(folder.path()).1),
            Some(1),
            "flipped at {flipped}"
        );
    }
}

#[test]
fn newer_format_is_refused_and_never_deleted() {
    let folder = folder();
    let (store, _) = open(folder.path());
    store
        .write(Generation::Newest, &snapshot(9, Vec::new()))
        .unwrap();
    drop(store);
    let path = folder.path().join("newest.snapshot");
    let mut newer = fs::read(&path).unwrap();
    newer[8..12].copy_from_slice(&2u32.to_be_bytes());
    fs::write(&path, &newer).unwrap();
    let (store, boot) = open(folder.path());
    assert!(boot.held.is_none());
    assert_eq!(fs::read(&path).unwrap(), newer);
    store
        .write(Generation::Newest, &snapshot(1, Vec::new()))
        .unwrap();
    let kept = folder.path().join("newest.format-2");
    assert_eq!(fs::read(kept).unwrap(), newer);
    drop(store);
    assert_eq!(revision(&open(folder.path()).1), Some(1));
}

#[test]
fn second_process_is_refused() {
    let folder = folder();
    let (_held, _) = open(folder.path());
    let second = LastGood::open(folder.path());
    assert!(
        matches!(second, Err(LastGoodError::InUse { .. })),
        "{second:?}"
    );
}

#[test]
fn nobody_else_can_read_the_folder() {
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (store, mut boot) = open(folder.path());
    store
        .write(Generation::Newest, &snapshot(1, Vec::new()))
        .unwrap();
    boot.guard
        .arm([Pair::new(CLUSTERS, "a", 1)], Instant::now());
    store.write_marks(&boot.guard.marks()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path()), 0o700);
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn resource_that_crashed_twice_is_quarantined_and_an_older_generation_serves() {
    let folder = folder();
    let (good, bad) = (pool("a", 1, 1), pool("a", 2, 1));
    let (store, _) = open(folder.path());
    store
        .write(Generation::Newest, &snapshot(2, vec![bad.clone()]))
        .unwrap();
    store
        .write(Generation::ServedMinute, &snapshot(1, vec![good]))
        .unwrap();
    drop(store);
    crash_while_applying(folder.path(), std::slice::from_ref(&bad));
    let (_, boot) = open(folder.path());
    assert_eq!(revision(&boot), Some(2), "one crash proves nothing");
    drop(boot);
    crash_while_applying(folder.path(), std::slice::from_ref(&bad));
    let (_, boot) = open(folder.path());
    assert_eq!(revision(&boot), Some(1));
    let quarantined = boot.guard.quarantined();
    assert_eq!(
        (quarantined[0].name.as_str(), quarantined[0].hash),
        ("a", bad.hash)
    );
    let (_, boot) = open(folder.path());
    assert_eq!(boot.guard.quarantined().len(), 1, "it stays quarantined");
}

#[test]
fn without_an_older_generation_the_quarantined_are_left_out() {
    let folder = folder();
    let (good, bad) = (pool("a", 1, 1), pool("b", 2, 1));
    let (store, _) = open(folder.path());
    store
        .write(Generation::Newest, &snapshot(2, vec![good, bad.clone()]))
        .unwrap();
    drop(store);
    for _ in 0..2 {
        crash_while_applying(folder.path(), std::slice::from_ref(&bad));
    }
    let (_, boot) = open(folder.path());
    let held = boot.held.expect("something is left");
    assert_eq!(held.clusters.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn suspects_of_the_last_crash_are_armed_again_when_they_are_started_from() {
    let folder = folder();
    let bad = pool("a", 1, 1);
    crash_while_applying(folder.path(), std::slice::from_ref(&bad));
    // The second run applies what is on disk: the suspect, and one that never crashed.
    let (store, mut boot) = open(folder.path());
    let known = Pair::new(CLUSTERS, "a", bad.hash);
    let innocent = Pair::new(CLUSTERS, "b", 5);
    boot.guard
        .arm_known([known.clone(), innocent.clone()], Instant::now());
    store.write_marks(&boot.guard.marks()).unwrap();
    drop((store, boot));
    let (_, boot) = open(folder.path());
    assert!(boot.guard.is_quarantined(&known));
    assert!(!boot.guard.is_quarantined(&innocent));
}

#[test]
fn clean_exit_clears_the_marker() {
    let folder = folder();
    for _ in 0..3 {
        let (store, mut boot) = open(folder.path());
        boot.guard
            .arm([Pair::new(CLUSTERS, "a", 1)], Instant::now());
        store.write_marks(&boot.guard.marks()).unwrap();
        boot.guard.clean_exit();
        store.write_marks(&boot.guard.marks()).unwrap();
        assert!(!folder.path().join("suspects.json").exists());
    }
    assert!(open(folder.path()).1.guard.quarantined().is_empty());
}

#[test]
fn unreadable_marks_do_not_stop_a_start() {
    let folder = folder();
    drop(open(folder.path()));
    fs::write(folder.path().join("suspects.json"), "{").unwrap();
    assert!(open(folder.path()).1.guard.quarantined().is_empty());
}

#[tokio::test(start_paused = true)]
async fn generations_follow_the_time_a_state_served() {
    let folder = folder();
    let (store, _) = open(folder.path());
    let held = |revision| {
        let held = Held {
            fleet_id: "f".into(),
            revision,
            ..Held::default()
        };
        Arc::new(held)
    };
    let (states, receiver) = watch::channel(held(0));
    let registry = Registry::new();
    let counted = Arc::clone(&registry);
    let keeper = tokio::spawn(async move {
        keep(Arc::new(store), receiver, counted.control()).await;
    });
    let saved = |generation: &str| {
        let path = folder.path().join(generation);
        file::read(&path).ok().map(|snapshot| snapshot.revision)
    };
    let written = async |count| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while registry.control().snapshots_total.value() < count {
            assert!(Instant::now() < deadline, "snapshot {count} is not written");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    states.send_replace(held(1));
    written(1).await;
    assert_eq!(saved("newest.snapshot"), Some(1));
    assert_eq!(saved("served-minute.snapshot"), None);
    tokio::time::sleep(Duration::from_secs(61)).await;
    written(2).await;
    assert_eq!(saved("served-minute.snapshot"), Some(1));
    states.send_replace(held(2));
    written(3).await;
    assert_eq!(saved("newest.snapshot"), Some(2));
    assert_eq!(saved("served-minute.snapshot"), Some(1));
    tokio::time::sleep(Duration::from_secs(601)).await;
    written(5).await;
    assert_eq!(saved("served-ten-minutes.snapshot"), Some(2));
    drop(states);
    keeper.await.expect("the keeper ends with the states");
}

//! What the sled store must survive from outside: kills, full disks, folders it may not write, and proof that it syncs.
//!
//! The other process is this test binary again, running `child` alone, told what to do by the environment.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{super::Op, *};

const TASK: &str = "PRISM_TEST_STORE_TASK";
const DIR: &str = "PRISM_TEST_STORE_DIR";
const NOBODY: u32 = 65534;

/// Does nothing unless another test started this process.
#[test]
fn child() {
    let (Ok(task), Ok(dir)) = (env::var(TASK), env::var(DIR)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = Path::new(&dir);
    runtime.block_on(async {
        match task.as_str() {
            "fill" => fill(dir).await,
            "open" => say(&format!("opened {}", opened(dir).await)),
            "sync" => sync(dir).await,
            _ => write_until_killed(dir).await,
        }
    });
}

/// Writes a line at once, in one piece.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn command(program: &str, first: &[&str], task: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(first);
    command.args([
        "store::sled::faults::child",
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env(TASK, task)
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn this_binary() -> String {
    env::current_exe().unwrap().to_str().unwrap().to_owned()
}

/// The lines that a child says, as they come.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::sync_channel(10_000);
    let out = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        out.lines()
            .map_while(Result::ok)
            .try_for_each(|line| send.send(line))
    });
    receive
}

fn said(output: &std::process::Output, word: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix(word).map(|rest| rest.trim().to_owned()))
}

/// What commit `number` does: small and large values, replacements, removals, history and its pruning.
fn ops(number: u64) -> Vec<Op> {
    let length = usize::try_from(number * 977 % 40_000).unwrap();
    let value = vec![u8::try_from(number % 251).unwrap(); length];
    let at = |number| Key::History(Revision { epoch: 1, number });
    vec![
        Op::Put(Key::Cluster((number % 7).to_string()), value.clone().into()),
        Op::Delete(Key::Cluster((number * 5 % 7).to_string())),
        Op::Put(at(number), value.into()),
        Op::Delete(at(number.saturating_sub(5))),
    ]
}

/// What must be there after commits 1 to `last`.
fn expected(last: u64) -> BTreeMap<Key, Bytes> {
    let mut state = BTreeMap::new();
    for op in (1..=last).flat_map(ops) {
        match op {
            Op::Delete(key) => drop(state.remove(&key)),
            Op::Put(key, value) => drop(state.insert(key, value)),
        }
    }
    state
}

/// Opens, commits a little and closes, again and again: each opening writes a recovery snapshot.
async fn write_until_killed(dir: &Path) {
    loop {
        say("opening");
        let store = SledStore::open(SledOptions::new(dir)).await.unwrap();
        for _ in 0..4 {
            let number = store.head().revision.number + 1;
            let commit = Commit {
                ops: ops(number),
                ..Commit::default()
            };
            let head = store.commit(commit).await.unwrap();
            say(&format!("ack {} {}", head.revision.number, head.fleet_id));
        }
    }
}

/// The last acknowledged revision and the identity it was acknowledged under.
type Acknowledged = Option<(u64, String)>;

/// Starts a child, waits until it has said `events` things, and kills it up to 15 ms later; returns its last acknowledgement.
fn run_and_kill(dir: &Path, events: usize) -> Acknowledged {
    let mut child = command(&this_binary(), &[], "write", dir).spawn().unwrap();
    let lines = lines(&mut child);
    let mut last = None;
    let mut note = |line: &str| {
        let ack = line
            .strip_prefix("ack ")
            .and_then(|ack| ack.split_once(' '));
        if let Some((number, fleet_id)) = ack {
            last = Some((number.parse().unwrap(), fleet_id.to_owned()));
        }
        ack.is_some() || line == "opening"
    };
    let mut said = 0;
    while said < events {
        let line = lines
            .recv_timeout(Duration::from_secs(30))
            .expect("the child goes on");
        said += usize::from(note(&line));
    }
    thread::sleep(Duration::from_micros(random(15_000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.code().is_none(),
        "the child ended by itself: {status}"
    );
    for line in lines {
        note(&line);
    }
    last
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % below
}

/// Opens after a kill and compares everything with what was acknowledged.
async fn assert_nothing_lost(dir: &Path, acknowledged: &Acknowledged) {
    let store = SledStore::open(SledOptions::new(dir)).await.unwrap();
    let head = store.head();
    if let Some((number, fleet_id)) = acknowledged {
        assert_eq!(&head.fleet_id, fleet_id);
        assert!(
            head.revision.number >= *number,
            "{number} acknowledged, {head:?} found"
        );
    }
    let mut found = BTreeMap::new();
    for family in [Family::Cluster, Family::History] {
        for entry in store.list(family, usize::MAX).await.unwrap().entries {
            found.insert(entry.key, entry.value);
        }
    }
    assert!(found == expected(head.revision.number), "at {head:?}");
}

#[tokio::test]
async fn kills_at_any_time_lose_no_acknowledged_commit() {
    let rounds = if env::var_os("PRISM_TEST_LONG").is_some() {
        300
    } else {
        30
    };
    let mut acknowledged = None;
    let mut dir = tempfile::tempdir().unwrap();
    for round in 0..rounds {
        if round % 10 == 0 {
            (dir, acknowledged) = (tempfile::tempdir().unwrap(), None);
        }
        let path = dir.path().to_owned();
        let events = if round % 10 < 2 {
            1
        } else {
            1 + random(15) as usize
        };
        let killing = tokio::task::spawn_blocking(move || run_and_kill(&path, events));
        acknowledged = killing.await.unwrap().or(acknowledged);
        if round % 2 == 1 {
            assert_nothing_lost(dir.path(), &acknowledged).await;
        }
    }
}

/// Opens with a limit on the size of files, commits until it is hit, reads, lifts the limit, commits again.
async fn fill(dir: &Path) {
    let store = SledStore::open(SledOptions::new(dir)).await.unwrap();
    let put = |name: &str, length: usize| Commit {
        ops: vec![Op::Put(
            Key::Cluster(name.into()),
            vec![b'v'; length].into(),
        )],
        ..Commit::default()
    };
    store.commit(put("kept", 20)).await.unwrap();
    let size = fs::metadata(dir.join("sled/db")).unwrap().len();
    let limit = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(size + 3_000_000),
            maximum: limit.maximum,
        },
    )
    .unwrap();
    let mut number = 0;
    let refusal = loop {
        number += 1;
        match store.commit(put(&number.to_string(), 100_000)).await {
            Ok(head) => say(&format!("ack {}", head.revision.number)),
            Err(error) => break error,
        }
        assert!(number < 100, "the limit is never hit");
    };
    say(&format!("refused {refusal:?}"));
    say(&format!(
        "again {:?}",
        store.commit(put("again", 100_000)).await
    ));
    let kept = store
        .get(Key::Cluster("kept".into()))
        .await
        .unwrap()
        .unwrap();
    let listed = store
        .list(Family::Cluster, usize::MAX)
        .await
        .unwrap()
        .entries
        .len();
    say(&format!("read {} {listed}", kept.value.len()));
    say(&format!("failure {:?}", store.health().failure));
    setrlimit(Resource::Fsize, limit).unwrap();
    say(&format!(
        "lifted {:?}",
        store
            .commit(put("lifted", 100_000))
            .await
            .map(|head| head.revision.number)
    ));
    say(&format!("health {:?}", store.health().failure));
}

#[tokio::test]
async fn full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let ignoring = ["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", &this_binary()];
    let output = command("bash", &ignoring, "fill", dir.path())
        .output()
        .unwrap();
    let says = |word| said(&output, word).unwrap_or_else(|| panic!("no `{word}` in {output:?}"));
    assert!(
        says("refused").starts_with("Unavailable"),
        "{}",
        says("refused")
    );
    assert!(
        says("again").starts_with("Err(Unavailable"),
        "{}",
        says("again")
    );
    let acks = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.starts_with("ack "))
        .count();
    assert!(acks > 0, "{output:?}");
    assert_eq!(says("read"), format!("20 {}", acks + 1));
    assert!(says("failure").starts_with("Some("), "{}", says("failure"));
    assert!(says("lifted").starts_with("Ok("), "{}", says("lifted"));
    assert_eq!(says("health"), "None");

    let store = SledStore::open(SledOptions::new(dir.path())).await.unwrap();
    let present = |name: String| {
        let store = &store;
        async move { store.get(Key::Cluster(name)).await.unwrap().is_some() }
    };
    for number in 1..=acks {
        assert!(
            present(number.to_string()).await,
            "{number} was acknowledged"
        );
    }
    assert!(present("lifted".into()).await);
}

async fn opened(dir: &Path) -> String {
    match SledStore::open(SledOptions::new(dir)).await {
        Ok(store) => store.head().revision.to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// Gives the tree to nobody, with these modes.
fn hand_over(path: &Path, dir_mode: u32, file_mode: u32) {
    let is_dir = path.is_dir();
    if is_dir {
        for entry in fs::read_dir(path).unwrap() {
            hand_over(&entry.unwrap().path(), dir_mode, file_mode);
        }
    }
    let mode = if is_dir { dir_mode } else { file_mode };
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Opens in a process that is not root; returns what it said.
fn open_as_nobody(dir: &Path) -> String {
    let mut command = command(&this_binary(), &[], "open", dir);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    said(&output, "opened").unwrap_or_else(|| panic!("{output:?}"))
}

#[tokio::test]
async fn folder_that_may_not_be_written_is_told_by_name_and_left_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (empty, full) = (parent.path().join("empty"), parent.path().join("full"));
    fs::create_dir(&empty).unwrap();
    let store = SledStore::open(SledOptions::new(&full)).await.unwrap();
    store
        .commit(Commit {
            ops: ops(1),
            ..Commit::default()
        })
        .await
        .unwrap();
    drop(store);

    for dir in [&empty, &full] {
        hand_over(dir, 0o500, 0o400);
        let told = open_as_nobody(dir);
        let names_it = told.contains(dir.to_str().unwrap()) && told.contains("ermission denied");
        assert!(told.starts_with("Unavailable") && names_it, "{told}");
        hand_over(dir, 0o700, 0o600);
        assert_eq!(
            open_as_nobody(dir),
            if dir == &full { "1.1" } else { "1.0" }
        );
    }
    assert_nothing_lost(&full, &None).await;
}

/// Commits once between two lines; sled does nothing by itself meanwhile.
async fn sync(dir: &Path) {
    let options = SledOptions {
        flush_every: Duration::from_secs(3600),
        ..SledOptions::new(dir)
    };
    let store = SledStore::open(options).await.unwrap();
    say("begin");
    store
        .commit(Commit {
            ops: ops(2),
            ..Commit::default()
        })
        .await
        .unwrap();
    say("answered");
}

/// The descriptor that a traced call is about.
fn descriptor<'a>(line: &'a str, call: &str) -> Option<&'a str> {
    Some(line.split_once(call)?.1.split_once('<')?.0)
}

#[tokio::test]
async fn commit_is_synced_to_the_medium_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStore::open(SledOptions::new(dir.path())).await.unwrap());
    let trace = dir.path().join("trace");
    let calls = "trace=write,writev,pwrite64,pwritev,fsync,fdatasync,sync_file_range";
    let first = [
        "-f",
        "-y",
        "-s",
        "16",
        "-e",
        calls,
        "-o",
        trace.to_str().unwrap(),
        &this_binary(),
    ];
    let output = command("strace", &first, "sync", dir.path()).output();
    let output = output.expect("strace is installed");
    assert!(said(&output, "answered").is_some(), "{output:?}");

    let trace = fs::read_to_string(trace).unwrap();
    let during = trace
        .split("\\nbegin")
        .nth(1)
        .and_then(|rest| rest.split("\\nanswered").next())
        .unwrap();
    let calls: Vec<&str> = during.lines().collect();
    let is_flip = |line: &&str| line.contains("pwrite64(") && line.contains("head");
    let flip = calls
        .iter()
        .rposition(is_flip)
        .unwrap_or_else(|| panic!("no head written:\n{during}"));
    // sled's own thread syncs its own descriptor now and then; what counts is the sync of the writer's.
    let own = descriptor(calls[flip], "pwrite64(");
    let is_sync = |line: &&str| {
        line.contains("/sled/db>") && descriptor(line, "fsync(").is_some_and(|fd| Some(fd) != own)
    };
    let synced = calls
        .iter()
        .rposition(is_sync)
        .unwrap_or_else(|| panic!("no fsync:\n{during}"));
    assert!(
        flip < synced,
        "the head was written after the fsync:\n{during}"
    );
    let complete = calls[synced].ends_with("= 0")
        || calls[synced..]
            .iter()
            .any(|line| line.contains("fsync resumed") && line.ends_with("= 0"));
    assert!(complete, "the fsync was not waited for:\n{during}");
}

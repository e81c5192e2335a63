//! The folder of last good snapshots.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use prism_proto::pb::discovery::v1::Snapshot;
use rustix::fs::{FlockOperation, flock};
use tracing::{info, warn};

use super::{
    Marks, Pair, PoisonGuard, SnapshotError,
    file::{encode, read, replace, replace_quickly},
};
use crate::discovery::{Held, held::version_of};

/// Why a folder cannot keep snapshots.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    /// Another data plane uses it.
    #[error("{} is in use by another data plane", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The system refused.
    #[error("cannot use {}: {source}", folder.display())]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// How long the state of a file has served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The newest of all.
    Newest,
    /// The newest that served a minute.
    ServedMinute,
    /// The newest that served ten minutes.
    ServedTenMinutes,
}

impl Generation {
    /// All of them, the one to try first in front.
    pub const ALL: [Self; 3] = [Self::Newest, Self::ServedMinute, Self::ServedTenMinutes];

    fn file_name(self) -> &'static str {
        match self {
            Self::Newest => "newest.snapshot",
            Self::ServedMinute => "served-minute.snapshot",
            Self::ServedTenMinutes => "served-ten-minutes.snapshot",
        }
    }
}

/// What a data plane starts from.
#[derive(Debug, Default)]
pub struct Boot {
    /// The state to serve; `None` when there is none on disk.
    pub held: Option<Held>,
    /// What must not be applied, and what is under suspicion.
    pub guard: PoisonGuard,
}

/// A folder of snapshots, held by one process at a time.
#[derive(Debug)]
pub struct LastGood {
    folder: PathBuf,
    /// Held while a snapshot is replaced: two writers would share the temporary file.
    writing: Mutex<()>,
    /// Locked for as long as this is open.
    _lock: File,
}

impl LastGood {
    /// Opens or makes the folder and reads what to start from.
    ///
    /// # Errors
    /// When another process holds it or the system refuses.
    pub fn open(folder: &Path) -> Result<(Self, Boot), LastGoodError> {
        let refused = |source| LastGoodError::Refused {
            folder: folder.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(refused)?;
        narrow(folder).map_err(refused)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(refused)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let folder = folder.to_owned();
            return Err(LastGoodError::InUse { folder });
        }
        let store = Self {
            folder: folder.to_owned(),
            writing: Mutex::default(),
            _lock: lock,
        };
        let guard = PoisonGuard::after_last_run(store.read_marks());
        if let Err(error) = store.write_marks(&guard.marks()) {
            warn!(%error, "crash marks not written");
        }
        let held = store.choose(&guard);
        Ok((store, Boot { held, guard }))
    }

    /// Writes one generation, unless it is on disk already.
    ///
    /// # Errors
    /// When the system refuses; what was there stays.
    pub fn write(&self, generation: Generation, snapshot: &Snapshot) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(generation);
        match read(&path) {
            Ok(written) if written == *snapshot => return Ok(()),
            Err(SnapshotError::Newer { found }) => {
                // A newer build's state is refused, never deleted: going back up finds it again.
                fs::rename(&path, path.with_extension(format!("format-{found}")))?;
            }
            Ok(_) | Err(_) => {}
        }
        replace(&path, &encode(snapshot))
    }

    /// Writes who is under suspicion and who is quarantined; takes the file away when nobody is.
    ///
    /// Does not wait for the disk: these marks tell of processes that end, not of power that fails. One writer at a time.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_marks(&self, marks: &Marks) -> io::Result<()> {
        let path = self.marks_path();
        if marks.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
        }
        let bytes = serde_json::to_vec(marks).map_err(io::Error::other)?;
        replace_quickly(&path, &bytes)
    }

    fn read_marks(&self) -> Marks {
        let Ok(bytes) = fs::read(self.marks_path()) else {
            return Marks::default();
        };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            warn!(%error, "crash marks unreadable");
            Marks::default()
        })
    }

    /// Returns the newest state without a quarantined resource, else the newest with those left out.
    fn choose(&self, guard: &PoisonGuard) -> Option<Held> {
        let mut fallback = None;
        for generation in Generation::ALL {
            let snapshot = match read(&self.path(generation)) {
                Ok(snapshot) => snapshot,
                Err(SnapshotError::Refused(error)) if error.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                Err(error) => {
                    warn!(%error, ?generation, "snapshot not used");
                    continue;
                }
            };
            let (good, bad): (Vec<_>, Vec<_>) =
                snapshot.resources.iter().cloned().partition(|resource| {
                    !guard.is_quarantined(&Pair::from(&version_of(resource)))
                });
            if bad.is_empty() {
                return Some(take_over(snapshot, generation));
            }
            warn!(
                ?generation,
                quarantined = bad.len(),
                "snapshot holds quarantined resources"
            );
            fallback.get_or_insert((
                Snapshot {
                    resources: good,
                    ..snapshot
                },
                generation,
            ));
        }
        fallback.map(|(snapshot, generation)| take_over(snapshot, generation))
    }

    fn path(&self, generation: Generation) -> PathBuf {
        self.folder.join(generation.file_name())
    }

    fn marks_path(&self) -> PathBuf {
        self.folder.join("suspects.json")
    }
}

fn take_over(snapshot: Snapshot, generation: Generation) -> Held {
    let (held, unread) = Held::from_snapshot(snapshot);
    for (version, violations) in unread {
        warn!(kind = version.kind, name = version.name, error = %violations, "stored resource not used");
    }
    info!(
        ?generation,
        epoch = held.epoch,
        revision = held.revision,
        clusters = held.clusters.len(),
        "starting from the last good snapshot"
    );
    held
}

/// Takes the folder away from everybody but its owner.
fn narrow(folder: &Path) -> io::Result<()> {
    let mode = fs::metadata(folder)?.permissions().mode() & 0o777;
    if mode == 0o700 {
        return Ok(());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

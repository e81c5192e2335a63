//! The data folder: its lock, its modes, and what sled leaves behind in it.
//!
//! ```text
//! DIR/sled.lock      held while the store is open; holds the process id
//! DIR/sled.creating  there while the store is being made: nothing was acknowledged yet
//! DIR/sled/          sled's own: db, conf, snap.*, blobs
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::super::StoreError;

const RETRY_EVERY: Duration = Duration::from_millis(20);
const GENERATING: &str = ".generating";
const SNAPSHOT: &str = "snap.";
const ASIDE: &str = "aside.";

/// A data folder that this process holds.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if needed and takes its lock, waiting at most `wait` for another holder.
    pub(super) fn claim(dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        private_dir(dir).map_err(|error| refused(dir, &error))?;
        let lock = lock(&dir.join("sled.lock"), wait)?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// The folder that sled works in.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("sled")
    }

    /// The file whose contents must be on disk before a writer is answered.
    pub(super) fn log(&self) -> PathBuf {
        self.database().join("db")
    }

    /// Whether there is no store yet. What an interrupted creation left is removed first: nothing in it was acknowledged.
    pub(super) fn is_new(&self) -> Result<bool, StoreError> {
        let database = self.database();
        let attempt = || -> io::Result<bool> {
            if self.creating().exists() && database.exists() {
                fs::remove_dir_all(&database)?;
            }
            Ok(!database.exists() || fs::read_dir(&database)?.next().is_none())
        };
        attempt().map_err(|error| refused(&database, &error))
    }

    /// Marks the creation as begun.
    pub(super) fn begin_creation(&self) -> Result<(), StoreError> {
        let marker = self.creating();
        let attempt = || -> io::Result<()> {
            OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&marker)?;
            private_dir(&self.database())?;
            sync_dir(&self.dir)
        };
        attempt().map_err(|error| refused(&marker, &error))
    }

    /// Marks the creation as complete, and that durably: only then may anything be acknowledged.
    pub(super) fn end_creation(&self) -> Result<(), StoreError> {
        let attempt = || -> io::Result<()> {
            for entry in fs::read_dir(self.database())? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    File::open(entry.path())?.sync_all()?;
                }
            }
            sync_dir(&self.database())?;
            fs::remove_file(self.creating())?;
            sync_dir(&self.dir)
        };
        attempt().map_err(|error| refused(&self.dir, &error))
    }

    /// Removes recovery snapshots that sled was killed in the middle of writing: it would take them for whole ones.
    pub(super) fn remove_unfinished_snapshots(&self) -> Result<(), StoreError> {
        for path in self.snapshots()? {
            if path.to_string_lossy().ends_with(GENERATING) {
                fs::remove_file(&path).map_err(|error| refused(&path, &error))?;
                tracing::info!(path = %path.display(), "unfinished recovery snapshot removed");
            }
        }
        Ok(())
    }

    /// Renames all recovery snapshots so that sled rebuilds from its log; returns how many there were.
    pub(super) fn move_snapshots_aside(&self) -> Result<usize, StoreError> {
        let snapshots = self.snapshots()?;
        for path in &snapshots {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let aside = path.with_file_name(format!("{ASIDE}{name}"));
            fs::rename(path, &aside).map_err(|error| refused(path, &error))?;
            tracing::warn!(path = %aside.display(), "broken recovery snapshot moved aside");
        }
        Ok(snapshots.len())
    }

    /// Lets only the owner read what sled made.
    pub(super) fn make_private(&self) -> Result<(), StoreError> {
        let database = self.database();
        let attempt = || -> io::Result<()> {
            fs::set_permissions(&database, Permissions::from_mode(0o700))?;
            for entry in fs::read_dir(&database)? {
                let entry = entry?;
                let mode = if entry.file_type()?.is_dir() {
                    0o700
                } else {
                    0o600
                };
                fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
            }
            Ok(())
        };
        attempt().map_err(|error| refused(&database, &error))
    }

    fn creating(&self) -> PathBuf {
        self.dir.join("sled.creating")
    }

    fn snapshots(&self) -> Result<Vec<PathBuf>, StoreError> {
        let database = self.database();
        let entries = match fs::read_dir(&database) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| refused(&database, &error))?,
        };
        let is_snapshot = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(SNAPSHOT))
        };
        Ok(entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(is_snapshot)
            .collect())
    }
}

/// Words an I/O error on a path; a folder that cannot be used says which and why.
pub(super) fn refused(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode();
    let is_shared = mode & 0o1000 != 0;
    if mode & 0o077 != 0 && !is_shared {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn lock(path: &Path, wait: Duration) -> Result<File, StoreError> {
    let open = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let mut file = open.map_err(|error| refused(path, &error))?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(refused(path, &error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(RETRY_EVERY)
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: path.to_owned(),
                    holder: holder(&mut file),
                });
            }
        }
    }
    // The process id is for people only; a disk that does not take it is reported by the store itself.
    let note = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()));
    if let Err(error) = note {
        tracing::debug!(path = %path.display(), %error, "process id not written");
    }
    Ok(file)
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    match file.rewind().and_then(|()| file.read_to_string(&mut pid)) {
        Ok(_) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".into(),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

//! Opening sled: what is cleared away before, what is tried again, what is told when it fails.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{Head, Revision, SCHEMA, StoreError, random_uuid},
    SledOptions,
    disk::{Disk, words},
    folder::Folder,
};

/// sled's page cache; its own default is 1 GiB.
pub(super) const CACHE_BYTES: u64 = 64 << 20;
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Opens the database of a folder that is held, or makes it.
pub(super) fn open(folder: &Folder, options: &SledOptions) -> Result<Disk, StoreError> {
    if folder.is_new()? {
        return create(folder, options);
    }
    folder.remove_unfinished_snapshots()?;
    let db = match open_unlocked(folder, options) {
        Err(Failure::Corruption) if folder.move_snapshots_aside()? > 0 => {
            open_unlocked(folder, options)
        }
        result => result,
    };
    let disk = Disk::new(db.map_err(|failure| failure.into_error(folder))?, folder)?;
    let found = disk.schema()?;
    if found > SCHEMA {
        return Err(StoreError::NewerSchema {
            found,
            known: SCHEMA,
        });
    }
    folder.make_private()?;
    Ok(disk)
}

fn create(folder: &Folder, options: &SledOptions) -> Result<Disk, StoreError> {
    folder.begin_creation()?;
    let db = open_unlocked(folder, options).map_err(|failure| failure.into_error(folder))?;
    let disk = Disk::new(db, folder)?;
    disk.initialize(&Head {
        fleet_id: random_uuid()?,
        revision: Revision {
            epoch: 1,
            number: 0,
        },
    })?;
    folder.make_private()?;
    folder.end_creation()?;
    Ok(disk)
}

/// sled's configuration for a folder.
pub(super) fn config(folder: &Folder, options: &SledOptions) -> ::sled::Config {
    let every_ms = u64::try_from(options.flush_every.as_millis()).unwrap_or(u64::MAX);
    ::sled::Config::new()
        .path(folder.database())
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(every_ms))
}

enum Failure {
    Corruption,
    Locked,
    Other(::sled::Error),
}

impl Failure {
    fn into_error(self, folder: &Folder) -> StoreError {
        match self {
            Self::Corruption => StoreError::Damaged(format!(
                "sled cannot recover {}: restore an export, or move the folder away to start anew",
                folder.database().display()
            )),
            Self::Locked => StoreError::Locked {
                path: folder.log(),
                holder: "another process".into(),
            },
            Self::Other(error) => StoreError::Unavailable(format!(
                "{}: {}",
                folder.database().display(),
                words(&error)
            )),
        }
    }
}

/// Opens, waiting for a handle that was dropped a moment ago to let go of the file.
fn open_unlocked(folder: &Folder, options: &SledOptions) -> Result<::sled::Db, Failure> {
    let deadline = Instant::now() + options.lock_wait;
    loop {
        match config(folder, options).open() {
            Ok(db) => return Ok(db),
            Err(::sled::Error::Corruption { .. }) => return Err(Failure::Corruption),
            Err(error) if !is_locked(&error) => return Err(Failure::Other(error)),
            Err(_) if Instant::now() < deadline => thread::sleep(RETRY_EVERY),
            Err(_) => return Err(Failure::Locked),
        }
    }
}

fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

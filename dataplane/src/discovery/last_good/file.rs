//! One snapshot file: a fixed head, a checksum, a message.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use prism_proto::{convert, pb::discovery::v1::Snapshot};
use sha2::{Digest, Sha256};

/// First bytes of every snapshot file.
const MAGIC: &[u8; 8] = b"PRISM-DP";
/// The format this build writes.
pub const FORMAT: u32 = 1;
/// Magic, format, checksum.
const HEAD: usize = 8 + 4 + 32;

/// Why a snapshot file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is torn or was changed.
    #[error("checksum does not match")]
    Checksum,
    /// It is no snapshot file.
    #[error("not a snapshot of a data plane")]
    Foreign,
    /// The message inside cannot be read.
    #[error("unreadable: {0}")]
    Malformed(String),
    /// A newer build wrote it.
    #[error("format {found} is newer than {FORMAT}, the newest this build reads")]
    Newer {
        /// The format it says it is.
        found: u32,
    },
    /// The system refused.
    #[error("{0}")]
    Refused(#[from] io::Error),
}

/// Reads a snapshot file.
///
/// # Errors
/// When it is not there, not whole, or not of a format this build knows.
pub(super) fn read(path: &Path) -> Result<Snapshot, SnapshotError> {
    let bytes = fs::read(path)?;
    let Some((head, body)) = bytes.split_at_checked(HEAD) else {
        return Err(SnapshotError::Foreign);
    };
    let Some(rest) = head.strip_prefix(MAGIC) else {
        return Err(SnapshotError::Foreign);
    };
    let (format, checksum) = rest.split_at(4);
    let found = format
        .iter()
        .fold(0, |format, &byte| format << 8 | u32::from(byte));
    if found > FORMAT {
        return Err(SnapshotError::Newer { found });
    }
    if checksum != Sha256::digest(body).as_slice() {
        return Err(SnapshotError::Checksum);
    }
    convert::decode(body).map_err(|error| SnapshotError::Malformed(error.to_string()))
}

/// Returns the bytes of a snapshot file.
pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let body = convert::encode(snapshot);
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_be_bytes());
    bytes.extend_from_slice(&Sha256::digest(&body));
    bytes.extend_from_slice(&body);
    bytes
}

/// Puts `bytes` at `path` so that a power loss leaves either the old content or the new, readable by the owner only.
///
/// # Errors
/// When the system refuses; the old content is still there then.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    rename_over(path, |temporary| write(temporary, bytes)?.sync_all())?;
    sync_folder(path)
}

/// Puts `bytes` at `path` so that the end of this process leaves either the old content or the new.
///
/// Waits for no disk: a power loss may leave anything.
///
/// # Errors
/// When the system refuses; the old content is still there then.
pub(super) fn replace_quickly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    rename_over(path, |temporary| write(temporary, bytes).map(drop))
}

fn rename_over(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = write(&temporary).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written
}

/// Makes a rename in the folder of `path` survive a power loss.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

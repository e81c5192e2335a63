//! The folder that holds the state of a fleet under `dev`.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::super::request::request_id;
use crate::exit::{Exit, Failure};

/// A folder only its owner can look into; a temporary one is removed when dropped.
#[derive(Debug)]
pub(super) struct StateFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl StateFolder {
    /// Uses `given`, or makes a temporary folder.
    pub(super) fn open(given: Option<&Path>) -> Result<Self, Failure> {
        let (path, is_temporary) = match given {
            Some(path) => (path.to_path_buf(), false),
            None => (
                std::env::temp_dir().join(format!("prism-dev-{}", request_id()?)),
                true,
            ),
        };
        let made = DirBuilder::new()
            .recursive(!is_temporary)
            .mode(0o700)
            .create(&path);
        made.map_err(|error| Failure::new(Exit::Error, format!("{}: {error}", path.display())))?;
        Ok(Self { path, is_temporary })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is left for the system's own cleaning.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn temporary_folder_is_private_and_goes_away() {
        let folder = StateFolder::open(None).expect("a folder");
        let path = folder.path().to_path_buf();
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn given_folder_stays() {
        let outer = tempfile::tempdir().expect("a folder");
        let given = outer.path().join("a/b");
        drop(StateFolder::open(Some(&given)).expect("a folder"));
        assert!(given.exists());
    }
}

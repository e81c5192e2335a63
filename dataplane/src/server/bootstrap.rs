//! A definitions file in place of a control plane: read at the start, followed while it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use prism_proto::{manifest, model::Violations};

use super::{
    apply::{Definition, Delta},
    follow::BOOT_PATIENCE,
};
use crate::cluster::Runtime;

/// Why a definitions file is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum BootstrapError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What it says is wrong, one line each.
    #[error("{0}")]
    Wrong(String),
}

/// Who reads the file: clusters that do not select this data plane are left out.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// The file.
    pub(super) path: PathBuf,
    /// Name of this data plane.
    pub(super) id: String,
    /// What it is.
    pub(super) labels: BTreeMap<String, String>,
}

/// What the file says.
#[derive(Debug)]
pub(super) struct Definitions {
    /// By cluster name.
    pub(super) clusters: BTreeMap<String, Definition>,
    /// What is accepted but does not do what its author may think.
    pub(super) warnings: Vec<String>,
    manifest: manifest::Manifest,
}

/// Tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// Looks at the file; one that is gone has no stamp.
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

impl Reader {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or everything that is wrong with it.
    pub(super) fn read(&self) -> Result<Definitions, BootstrapError> {
        let unreadable = |source| BootstrapError::Unreadable {
            path: self.path.clone(),
            source,
        };
        let text = fs::read_to_string(&self.path).map_err(unreadable)?;
        let name = self.path.display().to_string();
        let manifest = manifest::parse(&name, &text).map_err(|diagnostics| {
            let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
            BootstrapError::Wrong(lines.join("\n"))
        })?;
        let specs = manifest.clusters.iter();
        let mine = specs.filter(|spec| spec.cluster().selector().selects(&self.id, &self.labels));
        let definition = |spec: &prism_proto::model::ClusterSpec| Definition {
            revision: 0,
            hash: 0,
            cluster: Arc::new(spec.resolve()),
        };
        Ok(Definitions {
            clusters: mine
                .map(|spec| (spec.name().to_owned(), definition(spec)))
                .collect(),
            warnings: manifest.warnings.iter().map(ToString::to_string).collect(),
            manifest,
        })
    }
}

impl Definitions {
    /// Returns what turns `current` into what the file says.
    pub(super) fn delta(&self, current: &Runtime) -> Delta {
        let names = current.clusters.keys();
        let removals: BTreeSet<_> = names
            .filter(|name| !self.clusters.contains_key(*name))
            .cloned()
            .collect();
        Delta {
            upserts: self.clusters.clone(),
            removals,
            patience: BOOT_PATIENCE,
        }
    }

    /// Returns a violation of a cluster as `file:line:col: …`.
    pub(super) fn locate(&self, cluster: &str, violations: &Violations) -> Vec<String> {
        let specs = self.manifest.clusters.iter();
        let index = specs
            .enumerate()
            .find(|(_, spec)| spec.name() == cluster)
            .map(|(index, _)| index);
        let line = |violation: &prism_proto::model::Violation| {
            let path = index.map(|index| format!("clusters[{index}].{}", violation.field));
            match path.and_then(|path| self.manifest.locate(&path)) {
                Some((file, line, col)) => format!("{file}:{line}:{col}: {violation}"),
                None => format!("{cluster}: {violation}"),
            }
        };
        violations.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = r#"
[[clusters]]
name = "a"
listen_addr = "127.0.0.1:9001"
cache_type = "redis"
servers = ["127.0.0.1:6379"]
"#;

    fn reader(text: &str) -> (tempfile::TempDir, Reader) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prism.toml");
        fs::write(&path, text).unwrap();
        let reader = Reader {
            path,
            id: "dp-1".into(),
            labels: BTreeMap::new(),
        };
        (folder, reader)
    }

    #[test]
    fn clusters_that_select_another_data_plane_are_left_out() {
        let other = POOL.replace("\"a\"", "\"b\"").replace("9001", "9002");
        let text = format!("{POOL}{other}dataplanes = [\"dp-2\"]\n");
        let (_folder, reader) = reader(&text);
        let definitions = reader.read().unwrap();
        assert_eq!(definitions.clusters.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let (_folder, reader) = reader(&POOL.replace("redis\"", "rediz\""));
        let error = reader.read().unwrap_err().to_string();
        assert!(error.contains("prism.toml:5:"), "{error}");
    }

    #[test]
    fn violations_of_an_apply_are_found_in_the_file() {
        let (_folder, reader) = reader(POOL);
        let definitions = reader.read().unwrap();
        let lines = definitions.locate("a", &Violations::one("listen_addr", "in use"));
        assert!(lines[0].contains("prism.toml:4:"), "{lines:?}");
        assert!(lines[0].ends_with("in use"), "{lines:?}");
    }

    #[test]
    fn rewritten_file_has_another_stamp() {
        let (folder, reader) = reader(POOL);
        let before = Stamp::of(&reader.path);
        assert_eq!(before, Stamp::of(&reader.path));
        let next = folder.path().join("next");
        fs::write(&next, POOL).unwrap();
        fs::rename(&next, &reader.path).unwrap();
        assert_ne!(before, Stamp::of(&reader.path));
        fs::remove_file(&reader.path).unwrap();
        assert_eq!(Stamp::of(&reader.path), None);
    }
}

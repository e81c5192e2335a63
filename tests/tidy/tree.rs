//! The files of the workspace, read at run time.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 2] = ["target", ".git"];

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The crate's folder.
    pub(crate) fn krate(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The room the file is in: the first part of its path below `src`; `None` outside `src`.
    pub(crate) fn room(&self) -> Option<&str> {
        let below = self.below_src()?;
        Some(below.split(['/', '.']).next().unwrap_or_default())
    }

    /// How many modules below the crate's root the file's module is: 0 for `lib` and `main`.
    pub(crate) fn depth(&self) -> usize {
        let Some(below) = self.below_src() else {
            return 0;
        };
        let parts = below.split('/').count();
        let is_folder_file = below.ends_with("/mod.rs");
        let is_root = matches!(below, "lib.rs" | "main.rs") || below.starts_with("bin/");
        if is_root {
            0
        } else {
            parts - usize::from(is_folder_file)
        }
    }

    fn below_src(&self) -> Option<&str> {
        self.path.split_once("/src/").map(|(_, below)| below)
    }
}

/// Where the workspace is.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names at the top.
pub(crate) fn top_entries() -> Vec<String> {
    fs::read_dir(root())
        .expect("the root is readable")
        .map(|entry| entry.expect("the root is readable").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// The text of one file.
pub(crate) fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    assert!(text.is_ok(), "{path}: {text:?}");
    text.expect("checked above")
}

/// All files that end in `.extension`.
pub(crate) fn files(extension: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    walk(&root(), "", &mut |path| {
        if path.ends_with(&format!(".{extension}")) {
            found.push(SourceFile {
                path: path.to_owned(),
                text: read(path),
            });
        }
    });
    assert!(!found.is_empty(), "there are .{extension} files");
    found
}

fn walk(folder: &Path, prefix: &str, visit: &mut impl FnMut(&str)) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("a folder of the tree is readable")
        .map(|entry| entry.expect("a folder of the tree is readable"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(&entry.path(), &format!("{path}/"), visit);
            }
        } else {
            visit(&path);
        }
    }
}

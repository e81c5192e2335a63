//! Definitions files: found, read, and every violation led back to the line it was written on.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use prism_proto::pb::config::v1::ClusterSpec;

use crate::{
    exit::{Exit, Failure, Finding},
    output::Printer,
};

/// What files are called whose definitions came from standard input.
const STDIN: &str = "-";

/// One file as read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Text {
    name: String,
    content: String,
}

/// All definitions of a command line, in the order of the files.
#[derive(Debug)]
pub(super) struct Definitions {
    texts: Vec<Text>,
}

impl Definitions {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let texts = Self::fingerprint(paths)?;
        Ok(Self { texts })
    }

    /// Reads the files without looking at what they say.
    pub(super) fn fingerprint(paths: &[PathBuf]) -> Result<Vec<Text>, Failure> {
        let mut texts = Vec::new();
        for path in paths {
            for file in files(path)? {
                texts.push(text(&file)?);
            }
        }
        Ok(texts)
    }

    /// The files as read.
    pub(super) fn texts(&self) -> Vec<Text> {
        self.texts.clone()
    }

    /// The definitions as messages.
    pub(super) fn specs(&self) -> impl Iterator<Item = ClusterSpec> {
        std::iter::empty()
    }

    /// Tells what is accepted but no longer means anything.
    pub(super) fn warn(&self, printer: &Printer) {
        let _ = printer;
    }

    /// Leads the findings of a failure back to the files.
    pub(super) fn locate(&self, mut failure: Failure) -> Failure {
        for finding in &mut failure.findings {
            *finding = self.finding(&finding.field, &finding.description);
        }
        failure
    }

    /// Makes a finding, with the place where the field was written.
    pub(super) fn finding(&self, field: &str, description: &str) -> Finding {
        Finding {
            field: field.to_owned(),
            description: description.to_owned(),
            ..Finding::default()
        }
    }
}

/// Lists the files that a path names: itself, or the `*.toml` in it.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path == Path::new(STDIN) || !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let unreadable =
        |error: io::Error| Failure::new(Exit::Error, format!("{}: {error}", path.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "toml")
            && file.is_file()
        {
            found.push(file);
        }
    }
    if found.is_empty() {
        let text = format!("{}: no *.toml files in this directory", path.display());
        return Err(Failure::new(Exit::Error, text));
    }
    found.sort();
    Ok(found)
}

fn text(path: &Path) -> Result<Text, Failure> {
    let name = path.display().to_string();
    let read = match path == Path::new(STDIN) {
        true => io::read_to_string(io::stdin().lock().take(u64::MAX)),
        false => fs::read_to_string(path),
    };
    match read {
        Ok(content) => Ok(Text { name, content }),
        Err(error) => Err(Failure::new(Exit::Error, format!("{name}: {error}"))),
    }
}

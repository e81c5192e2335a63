//! Definitions files: found, read, and every violation led back to the line it was written on.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use prism_proto::{
    convert::spec_to_pb,
    manifest::{Diagnostic, Manifest, parse_all},
    pb::{admin::v1::Warning, config::v1::ClusterSpec},
};

use crate::exit::{Exit, Failure, Finding};

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
    manifest: Manifest,
}

impl Definitions {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let texts = Self::texts_of(paths)?;
        let files = texts
            .iter()
            .map(|text| (text.name.as_str(), text.content.as_str()));
        match parse_all(files) {
            Ok(manifest) => Ok(Self { manifest, texts }),
            Err(errors) => Err(Failure::invalid(errors.iter().map(told).collect())),
        }
    }

    /// Reads the files without looking at what they say.
    pub(super) fn texts_of(paths: &[PathBuf]) -> Result<Vec<Text>, Failure> {
        let mut texts = Vec::new();
        for path in paths {
            for file in files(path)? {
                texts.push(text(&file)?);
            }
        }
        Ok(texts)
    }

    /// The files as read.
    pub(super) fn texts(&self) -> &[Text] {
        &self.texts
    }

    /// The definitions as messages.
    pub(super) fn specs(&self) -> impl Iterator<Item = ClusterSpec> {
        self.manifest.clusters.iter().map(spec_to_pb)
    }

    /// What is accepted but may not do what its author thinks, as this side sees it, then as the control plane adds to it.
    pub(super) fn warnings(&self, answered: &[Warning]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.manifest.warnings.iter().map(told).collect();
        for warning in answered {
            let finding = self.finding(&warning.field, &warning.description);
            let is_known = |known: &Finding| {
                known.line == finding.line && known.description == finding.description
            };
            if !findings.iter().any(is_known) {
                findings.push(finding);
            }
        }
        findings
    }

    /// Leads the findings of a failure back to the files.
    pub(super) fn locate(&self, mut failure: Failure) -> Failure {
        for finding in &mut failure.findings {
            *finding = self.finding(&finding.field, &finding.description);
        }
        failure
    }

    /// Makes a finding, with the place where the field was written.
    ///
    /// `field` starts with `clusters[2]` or, as data planes tell it, with `clusters[sessions]`.
    fn finding(&self, field: &str, description: &str) -> Finding {
        let found = self
            .numbered(field)
            .and_then(|field| self.manifest.locate(&field));
        let (file, line, column) = match found {
            Some((file, line, column)) => (Some(file), Some(line), Some(column)),
            None => (None, None, None),
        };
        Finding {
            file,
            line,
            column,
            field: field.to_owned(),
            description: description.to_owned(),
        }
    }

    /// Puts a cluster's place in the files where a path has its name; `None` for a cluster that is not in them.
    fn numbered(&self, field: &str) -> Option<String> {
        let Some((name, rest)) = field
            .strip_prefix("clusters[")
            .and_then(|rest| rest.split_once(']'))
        else {
            return Some(field.to_owned());
        };
        let clusters = &self.manifest.clusters;
        let at = clusters.iter().position(|spec| spec.name() == name);
        let at = at.or_else(|| name.parse().ok().filter(|at| *at < clusters.len()))?;
        Some(format!("clusters[{at}]{rest}"))
    }
}

/// A diagnostic of the definitions file as a finding.
fn told(diagnostic: &Diagnostic) -> Finding {
    let description = match &diagnostic.suggestion {
        Some(suggestion) => format!("{} (did you mean \"{suggestion}\"?)", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    Finding {
        file: Some(diagnostic.file.clone()),
        line: Some(diagnostic.line),
        column: Some(diagnostic.col),
        field: String::new(),
        description,
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

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "[[clusters]]\nname = \"a\"\nlisten_addr = \"0.0.0.0:9001\"\ncache_type = \"redis\"\nservers = [\"127.0.0.1:1:1\"]\n\n\
                       [[clusters]]\nname = \"b\"\nlisten_addr = \"0.0.0.0:9002\"\ncache_type = \"memcache\"\nservers = [\"127.0.0.1:2:1\"]\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("written");
        }
        folder
    }

    fn read(folder: &tempfile::TempDir) -> Result<Definitions, Failure> {
        Definitions::read(&[folder.path().to_path_buf()])
    }

    #[test]
    fn directory_is_read_in_the_order_of_names() {
        let third = TWO
            .replace("\"a\"", "\"c\"")
            .replace("\"b\"", "\"d\"")
            .replace("900", "910");
        let folder = folder(&[
            ("2.toml", TWO),
            ("1.toml", &third),
            ("notes.txt", "not = read"),
        ]);
        let names: Vec<String> = read(&folder)
            .expect("valid")
            .specs()
            .map(|spec| spec.name)
            .collect();
        assert_eq!(names, ["c", "d", "a", "b"]);
    }

    #[test]
    fn errors_of_all_files_are_told_at_once_with_their_places() {
        let broken = TWO.replace("cache_type", "cache_tipe");
        let folder = folder(&[("1.toml", &broken), ("2.toml", "x = 1\n")]);
        let failure = read(&folder).expect_err("invalid");
        assert_eq!(failure.exit, Exit::Invalid);
        let files: Vec<&str> = failure
            .findings
            .iter()
            .filter_map(|f| f.file.as_deref())
            .collect();
        assert!(
            files.iter().any(|file| file.ends_with("1.toml")),
            "{failure:?}"
        );
        assert!(
            files.iter().any(|file| file.ends_with("2.toml")),
            "{failure:?}"
        );
        let suggested = failure
            .findings
            .iter()
            .find(|f| f.description.contains("cache_type\"?"));
        assert_eq!(suggested.and_then(|f| f.line), Some(4), "{failure:?}");
    }

    #[test]
    fn violation_of_the_control_plane_is_led_back_to_its_line() {
        let folder = folder(&[("1.toml", TWO)]);
        let definitions = read(&folder).expect("valid");
        let finding = definitions.finding("clusters[1].listen_addr", "is taken");
        assert_eq!(finding.line, Some(9), "{finding:?}");
        assert!(finding.file.is_some_and(|file| file.ends_with("1.toml")));
    }

    #[test]
    fn violation_of_a_data_plane_is_led_back_by_the_name_of_the_cluster() {
        let folder = folder(&[("1.toml", TWO)]);
        let definitions = read(&folder).expect("valid");
        assert_eq!(
            definitions.finding("clusters[b].listen_addr", "").line,
            Some(9)
        );
        assert_eq!(
            definitions.finding("clusters[gone].listen_addr", "").line,
            None
        );
    }

    #[test]
    fn missing_file_and_empty_directory_are_named() {
        let folder = folder(&[]);
        let failure = read(&folder).expect_err("nothing there");
        assert!(failure.message.contains("no *.toml files"), "{failure:?}");
        let missing = Definitions::read(&[folder.path().join("no.toml")]).expect_err("not there");
        assert_eq!(missing.exit, Exit::Error);
        assert!(missing.message.contains("no.toml"), "{missing:?}");
    }

    fn examples() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples")
    }

    #[test]
    fn every_example_is_valid() {
        let found = files(&examples()).expect("examples are there");
        assert!(found.len() >= 4, "{found:?}");
        for file in found {
            let read = Definitions::read(std::slice::from_ref(&file));
            assert!(read.is_ok(), "{}: {read:?}", file.display());
        }
    }

    #[test]
    fn everything_is_written_with_its_default() {
        let read = Definitions::read(&[examples().join("everything.toml")]).expect("valid");
        let written = &read.manifest.clusters[0];
        let mut bare = prism_proto::model::Draft {
            name: written.name().to_owned(),
            listen_addr: written.draft().listen_addr.clone(),
            cache_type: written.draft().cache_type,
            endpoints: written.draft().endpoints.clone(),
            ..Default::default()
        };
        // Written, they are objects that are off.
        bare.client_cache = written.draft().client_cache;
        bare.backup_request = written.draft().backup_request;
        let bare = prism_proto::model::ClusterSpec::new(bare).expect("valid");
        assert_eq!(written.resolved_draft(), bare.resolved_draft());
    }
}

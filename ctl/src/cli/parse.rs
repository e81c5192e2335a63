//! Reads the command line, then the configuration file, and resolves both into one setup.

use std::{ffi::OsString, path::Path, time::Duration};

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};
use serde::Deserialize;

use super::{Cli, Format, Global, LogFormat, RevisionArg, Verb};
use crate::exit::{Exit, Failure};

const DEFAULT_SERVER: &str = "http://127.0.0.1:7100";

/// Verbs of the documentation that come with a later version.
const LATER: [&str; 18] = [
    "adopt",
    "audit",
    "completion",
    "context",
    "describe",
    "drain",
    "eject",
    "events",
    "import",
    "locate",
    "readmit",
    "recover",
    "rollback",
    "rollout",
    "snapshot",
    "token",
    "top",
    "whoami",
];

/// What holds for every verb, resolved: flag, then environment, then file, then default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setup {
    /// The control plane's address.
    pub server: String,
    /// Form of standard output.
    pub output: Format,
    /// Form of standard error.
    pub log_format: LogFormat,
}

/// A command line that ends before any verb runs: help, or a mistake.
#[derive(Debug)]
pub enum Early {
    /// What clap says; help and the like end with 0.
    Clap(clap::Error),
    /// What this module says.
    Refused(Failure),
}

impl Early {
    /// Prints it and returns the code to end with.
    pub fn report(&self) -> Exit {
        match self {
            Self::Clap(error) => {
                // Nothing is left to be done when the terminal is gone.
                let _ = error.print();
                self.exit()
            }
            Self::Refused(failure) => {
                eprintln!("error: {}", failure.message);
                failure.exit
            }
        }
    }

    /// The code to end with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Clap(error) if !error.use_stderr() => Exit::Ok,
            Self::Clap(_) => Exit::Usage,
            Self::Refused(failure) => failure.exit,
        }
    }
}

/// Defaults that a configuration file may set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigFile {
    server: Option<String>,
    output: Option<Format>,
    #[serde(alias = "log_format")]
    log_format: Option<LogFormat>,
}

/// Reads a whole command line.
///
/// # Errors
/// Help and usage mistakes as clap tells them; a verb of a later version; a bad configuration file.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<(Setup, Verb), Early> {
    let cli = Cli::command()
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(refine)?;
    let file = match &cli.global.config {
        Some(path) => read_config(path).map_err(Early::Refused)?,
        None => ConfigFile::default(),
    };
    Ok((resolve(cli.global, file), cli.verb))
}

fn refine(error: clap::Error) -> Early {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(clap::error::ContextValue::String(name)) =
            error.get(clap::error::ContextKind::InvalidSubcommand)
        && LATER.contains(&name.as_str())
    {
        let message = format!("{name}: not supported by this version");
        return Early::Refused(Failure::new(Exit::Usage, message));
    }
    Early::Clap(error)
}

fn resolve(global: Global, file: ConfigFile) -> Setup {
    let server = global.server.or(file.server);
    Setup {
        server: server.unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
        output: global.output.or(file.output).unwrap_or_default(),
        log_format: global.log_format.or(file.log_format).unwrap_or_default(),
    }
}

fn read_config(path: &Path) -> Result<ConfigFile, Failure> {
    let refuse = |text: String| {
        Failure::new(
            Exit::BadConfiguration,
            format!("{}: {text}", path.display()),
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    toml::from_str(&text).map_err(|error| refuse(error.to_string()))
}

/// Reads a time such as `60s`, `500ms` or `2m`.
///
/// # Errors
/// A sentence when the text is no time, or is negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "expected a time such as 60s, 500ms or 2m".to_owned())?;
    Duration::try_from(signed).map_err(|_| "must not be negative".to_owned())
}

/// Reads `12` or `1.12`: a revision, or an epoch and a revision.
///
/// # Errors
/// A sentence when the text is neither.
pub fn parse_revision(text: &str) -> Result<RevisionArg, String> {
    let expected = || "expected REVISION or EPOCH.REVISION, such as 12 or 1.12".to_owned();
    let (epoch, revision) = match text.split_once('.') {
        Some((epoch, revision)) => (Some(epoch.parse().map_err(|_| expected())?), revision),
        None => (None, text),
    };
    let revision = revision.parse().map_err(|_| expected())?;
    Ok(RevisionArg { epoch, revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<(Setup, Verb), Early> {
        read(line.split_whitespace().map(OsString::from))
    }

    fn exit_of(line: &str) -> Exit {
        match read_line(line) {
            Ok(_) => Exit::Ok,
            Err(early) => early.exit(),
        }
    }

    #[test]
    fn clap_finds_no_fault_with_the_definition() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                if arg.is_hide_set() || ["help", "version"].contains(&long) || command.is_hide_set()
                {
                    continue;
                }
                let wanted = format!("PRISM_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(
                    arg.get_env().and_then(|e| e.to_str()),
                    Some(wanted.as_str())
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn mistakes_on_the_command_line_are_usage_errors() {
        for line in [
            "prismctl",
            "prismctl nonsense",
            "prismctl apply",
            "prismctl apply -f a.toml --nonsense",
            "prismctl apply -f a.toml --prune",
            "prismctl apply -f a.toml --if-revision x",
            "prismctl apply -f a.toml --timeout soon",
            "prismctl get",
            "prismctl get rollouts",
            "prismctl get clusters -o xml",
            "prismctl delete clusters",
            "prismctl wait",
            "prismctl dev -f a.toml --dataplanes 0",
        ] {
            assert_eq!(exit_of(line), Exit::Usage, "{line}");
        }
    }

    #[test]
    fn verbs_of_later_versions_are_usage_errors_that_say_so() {
        for verb in LATER {
            let Err(Early::Refused(failure)) = read_line(&format!("prismctl {verb} x")) else {
                unreachable!("{verb} was accepted");
            };
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.ends_with("not supported by this version"));
        }
    }

    #[test]
    fn help_and_version_end_well() {
        for line in [
            "prismctl --help",
            "prismctl --version",
            "prismctl apply --help",
        ] {
            assert_eq!(exit_of(line), Exit::Ok, "{line}");
        }
    }

    #[test]
    fn verbs_of_the_contract_are_read() {
        for line in [
            "prismctl apply -f a.toml -f b.toml --dry-run --if-revision 1.12 --manifest m --prune --instant -m why --wait --timeout 5s --yes",
            "prismctl validate -f -",
            "prismctl diff -f dir",
            "prismctl plan -f dir",
            "prismctl get clusters",
            "prismctl get cluster sessions -w -o wide",
            "prismctl get endpoints -o json",
            "prismctl get dataplanes -o yaml",
            "prismctl get revisions -o name",
            "prismctl delete cluster a b c",
            "prismctl delete clusters a",
            "prismctl status",
            "prismctl wait --for=synced",
            "prismctl history",
            "prismctl dev -f a.toml --dataplanes 3",
            "prismctl version",
        ] {
            assert_eq!(exit_of(line), Exit::Ok, "{line}");
        }
    }

    #[test]
    fn flag_wins_over_file_and_file_over_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "server = \"http://file:1\"\noutput = \"json\"\n").expect("written");
        let line = format!("prismctl -o yaml --config {} status", path.display());
        let (setup, _) = read_line(&line).expect("a good command line");
        assert_eq!(
            (setup.server.as_str(), setup.output),
            ("http://file:1", Format::Yaml)
        );
        let (setup, _) = read_line("prismctl status").expect("a good command line");
        assert_eq!(
            (setup.server.as_str(), setup.output),
            (DEFAULT_SERVER, Format::Table)
        );
    }

    #[test]
    fn bad_configuration_file_has_its_own_code() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "sevrer = 1\n").expect("written");
        assert_eq!(
            exit_of(&format!("prismctl --config {} status", path.display())),
            Exit::BadConfiguration
        );
    }

    #[test]
    fn times_and_revisions_are_read() {
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_duration("-1s").is_err());
        assert_eq!(
            parse_revision("12"),
            Ok(RevisionArg {
                epoch: None,
                revision: 12
            })
        );
        assert_eq!(
            parse_revision("3.12"),
            Ok(RevisionArg {
                epoch: Some(3),
                revision: 12
            })
        );
        assert!(parse_revision("1.2.3").is_err());
    }
}

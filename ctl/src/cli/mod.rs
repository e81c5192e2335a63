//! The command line: verbs, flags, their environment, and prismctl's own configuration file.

mod parse;
mod verb;

pub use parse::{Early, Setup, parse_duration, parse_revision, read};
pub use verb::{
    ApplyArgs, ChangeArgs, DeleteArgs, DevArgs, DiffArgs, GetArgs, Goal, HistoryArgs, Kind,
    LaunchArgs, RevisionArg, Target, ValidateArgs, Verb, WaitArgs,
};

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use serde::Deserialize;

/// The operator's hand of Prism, a fleet of cache proxies.
#[derive(Debug, Parser)]
#[command(name = "prismctl", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags of every verb.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Control plane to talk to [http://127.0.0.1:7100]
    #[arg(long, global = true, value_name = "URL", env = "PRISM_SERVER")]
    pub(crate) server: Option<String>,
    /// Form of what is printed on standard output [table]
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "PRISM_OUTPUT"
    )]
    pub(crate) output: Option<Format>,
    /// TOML file with defaults for the flags of every verb
    #[arg(long, global = true, value_name = "FILE", env = "PRISM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Form of messages on standard error [text]
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "PRISM_LOG_FORMAT"
    )]
    pub(crate) log_format: Option<LogFormat>,
}

/// What standard output carries.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON document; its schema is stable.
    Json,
    /// Names, one a line.
    Name,
    /// Columns for people.
    #[default]
    Table,
    /// TOML; clusters as a definitions file that can be applied.
    Toml,
    /// More columns.
    Wide,
    /// The JSON document as YAML.
    Yaml,
}

/// What standard error carries.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a message.
    Json,
    /// Sentences.
    #[default]
    Text,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 error, 2 differences found (diff), 3 validation failed, 4 precondition failed,
5 nacked by a data plane, 6 timeout, 7 not allowed, 8 control plane unreachable, 64 usage.

Every flag can also be given in the environment: --if-revision as PRISM_IF_REVISION.";

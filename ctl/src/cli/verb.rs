//! The verbs and their flags, as clap reads them.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Subcommand, ValueEnum, builder::FalseyValueParser};

use super::parse::{parse_duration, parse_revision};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes definitions true: all of them or none; returns when they are durable
    Apply(ApplyArgs),
    /// Deletes clusters: all of those named or none
    Delete(DeleteArgs),
    /// Runs a control plane and data planes here, on loopback, for trying things
    Dev(DevArgs),
    /// Shows what `apply` would change; ends with the command to run
    #[command(visible_alias = "plan")]
    Diff(DiffArgs),
    /// Lists clusters, endpoints, dataplanes or revisions
    Get(GetArgs),
    /// Lists the changes that were made, newest first
    History(HistoryArgs),
    /// Becomes another program that ends when its parent ends; used by `dev`
    #[command(hide = true)]
    Launch(LaunchArgs),
    /// Says how the fleet is, what is wrong first
    Status,
    /// Checks definitions without a control plane
    Validate(ValidateArgs),
    /// Shows the build of prismctl and of the control plane
    Version,
    /// Waits until the fleet is as demanded
    Wait(WaitArgs),
}

/// Definitions to make true, and how.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// Definitions: a file, a directory of *.toml, or - for standard input; may be repeated
    #[arg(
        short,
        long = "file",
        required = true,
        value_name = "FILE|DIR|-",
        env = "PRISM_FILE"
    )]
    pub files: Vec<PathBuf>,
    /// Name of this set of definitions; needed for --prune
    #[arg(long, value_name = "NAME", env = "PRISM_MANIFEST")]
    pub manifest: Option<String>,
    /// Delete clusters last applied under the same --manifest that are not in these files
    #[arg(long, requires = "manifest", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_PRUNE")]
    pub prune: bool,
    /// Send the change to all data planes at once instead of in stages
    #[arg(long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_INSTANT")]
    pub instant: bool,
    /// Let a change drop more than half of a cluster's endpoints
    #[arg(long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_CONFIRM_SHRINK")]
    pub confirm_shrink: bool,
}

/// How a change is written.
#[derive(Args, Debug)]
pub struct WriteArgs {
    /// Check everything, write nothing
    #[arg(long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_DRY_RUN")]
    pub dry_run: bool,
    /// Refuse unless this is the fleet's revision
    #[arg(long, value_name = "[EPOCH.]REVISION", value_parser = parse_revision, env = "PRISM_IF_REVISION")]
    pub if_revision: Option<RevisionArg>,
    /// Why, for the history
    #[arg(
        short = 'm',
        long = "reason",
        value_name = "TEXT",
        env = "PRISM_REASON"
    )]
    pub reason: Option<String>,
}

/// Flags of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text as help")]
    pub change: ChangeArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text as help")]
    pub write: WriteArgs,
    /// Return once every connected data plane has the change in service
    #[arg(long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_WAIT")]
    pub wait: bool,
    /// How long --wait waits
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s", env = "PRISM_TIMEOUT")]
    pub timeout: Duration,
    /// Answer yes where prismctl would ask
    #[arg(short, long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_YES")]
    pub yes: bool,
}

/// Flags of `diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text as help")]
    pub change: ChangeArgs,
}

/// Flags of `validate`.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Definitions: a file, a directory of *.toml, or - for standard input; may be repeated
    #[arg(
        short,
        long = "file",
        required = true,
        value_name = "FILE|DIR|-",
        env = "PRISM_FILE"
    )]
    pub files: Vec<PathBuf>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Kind {
    /// Named groups of endpoints.
    #[value(alias = "cluster")]
    Clusters,
    /// The proxies of the fleet.
    #[value(alias = "dataplane")]
    Dataplanes,
    /// Addresses of caches, with their probed state.
    #[value(alias = "endpoint")]
    Endpoints,
    /// The kept history.
    #[value(alias = "revision")]
    Revisions,
}

/// Flags of `get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// What to list
    #[arg(value_enum)]
    pub kind: Kind,
    /// Only this one: a cluster, a data plane, an endpoint's address or alias, a revision
    pub name: Option<String>,
    /// Only endpoints of this cluster
    #[arg(long, value_name = "CLUSTER", env = "PRISM_CLUSTER")]
    pub cluster: Option<String>,
    /// Go on and print what changes
    #[arg(short, long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_WATCH")]
    pub watch: bool,
    /// How many revisions at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000), env = "PRISM_LIMIT")]
    pub limit: u32,
}

/// Flags of `history`.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Only this revision
    pub revision: Option<String>,
    /// How many revisions at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000), env = "PRISM_LIMIT")]
    pub limit: u32,
}

/// What can be deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Target {
    /// Named groups of endpoints.
    #[value(alias = "cluster")]
    Clusters,
}

/// Flags of `delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// What to delete
    #[arg(value_enum)]
    pub target: Target,
    /// Names of what to delete
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text as help")]
    pub write: WriteArgs,
    /// Return once every connected data plane has drained the clusters
    #[arg(long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_WAIT")]
    pub wait: bool,
    /// How long --wait waits
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s", env = "PRISM_TIMEOUT")]
    pub timeout: Duration,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Goal {
    /// Every connected data plane has what it should have.
    Synced,
}

/// Flags of `wait`.
#[derive(Args, Debug)]
pub struct WaitArgs {
    /// What to wait for
    #[arg(long = "for", value_enum, value_name = "GOAL", env = "PRISM_FOR")]
    pub goal: Goal,
    /// Demand at least so many connected data planes
    #[arg(long, value_name = "N", default_value_t = 0, env = "PRISM_DATAPLANES")]
    pub dataplanes: usize,
    /// How long to wait
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s", env = "PRISM_TIMEOUT")]
    pub timeout: Duration,
}

/// Flags of `dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// Definitions to apply, again whenever they change: a file or a directory of *.toml; may be repeated
    #[arg(
        short,
        long = "file",
        required = true,
        value_name = "FILE|DIR",
        env = "PRISM_FILE"
    )]
    pub files: Vec<PathBuf>,
    /// How many data planes: dp-1 listens on 127.0.0.1, dp-2 on 127.0.0.2 and so on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=99), env = "PRISM_DATAPLANES")]
    pub dataplanes: u8,
    /// Worker threads of each data plane
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), env = "PRISM_WORKERS")]
    pub workers: u16,
    /// First port: admin API here, discovery one above, then the admin port of each data plane
    #[arg(long, value_name = "PORT", default_value_t = 7100, value_parser = clap::value_parser!(u16).range(1..=65000), env = "PRISM_BASE_PORT")]
    pub base_port: u16,
    /// Keep state here instead of in a temporary folder
    #[arg(long, value_name = "DIR", env = "PRISM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Do not show the output of the programs
    #[arg(short, long, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, env = "PRISM_QUIET")]
    pub quiet: bool,
}

/// What `launch` becomes.
#[derive(Args, Debug)]
pub struct LaunchArgs {
    /// Process id of the parent
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<std::ffi::OsString>,
}

/// A revision given on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RevisionArg {
    /// The epoch; the fleet's current one when not given.
    pub epoch: Option<u64>,
    /// The revision.
    pub revision: u64,
}

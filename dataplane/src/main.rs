//! The data plane's command line.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::IsTerminal,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    ArgMatches, Command, CommandFactory, FromArgMatches, Parser, ValueEnum, error::ErrorKind,
    parser::ValueSource,
};
use prism_dataplane::server::{self, Options, Size, Source, StartError, Time};
use prism_proto::model::parse_host;
use tracing::error;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: u8 = 64;
const BAD_CONFIGURATION: u8 = 78;

/// Data plane of Prism: a stateless proxy for Redis, Memcached and Redis Cluster.
#[derive(Debug, Parser)]
#[command(name = "prism-dataplane", version, max_term_width = 100)]
struct Flags {
    /// Name in the fleet, 1 to 128 of `A-Z a-z 0-9 . _ -` [default: the host name]
    #[arg(long, env = "PRISM_ID", value_name = "ID", value_parser = server::parse_id)]
    id: Option<String>,

    /// Where the control plane's discovery listens; several are tried in turn
    #[arg(long, env = "PRISM_CONTROL", value_name = "URL", value_delimiter = ',')]
    #[arg(default_value = "http://127.0.0.1:7101", value_parser = server::parse_url)]
    control: Vec<String>,

    /// Threads that serve traffic [default: the processors this process may use]
    #[arg(long, env = "PRISM_WORKERS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Folder of last good snapshots [default: none, memory only]
    #[arg(long, env = "PRISM_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where /metrics, /livez, /readyz and /config answer; port 0 takes any that is free
    #[arg(
        long,
        env = "PRISM_ADMIN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7102"
    )]
    admin: String,

    /// Replaces the host part of every listen address
    #[arg(long, env = "PRISM_BIND_IP", value_name = "IP")]
    bind_ip: Option<IpAddr>,

    /// Where this data plane stands
    #[arg(long, env = "PRISM_ZONE", value_name = "ZONE", default_value = "")]
    zone: String,

    /// What this data plane is, for selectors; may be repeated
    #[arg(
        long = "label",
        env = "PRISM_LABEL",
        value_name = "K=V",
        value_delimiter = ','
    )]
    #[arg(value_parser = server::parse_label)]
    label: Vec<(String, String)>,

    /// How long clients may finish after SIGTERM
    #[arg(
        long,
        env = "PRISM_DRAIN_TIMEOUT",
        value_name = "TIME",
        default_value = "30s"
    )]
    drain_timeout: Time,

    /// Serve this definitions file with no control plane, and follow its changes
    #[arg(long, env = "PRISM_BOOTSTRAP", value_name = "FILE")]
    bootstrap: Option<PathBuf>,

    /// What cluster-aware clients are told to connect to [default: the address they came to]
    #[arg(long, env = "PRISM_ADVERTISE", value_name = "HOST", value_parser = parse_host)]
    advertise: Option<String>,

    /// Resident memory beyond which an alarm is raised [default: 80 % of the cgroup's limit]
    #[arg(long, env = "PRISM_MEMORY_LIMIT", value_name = "SIZE")]
    memory_limit: Option<Size>,

    /// Let --admin listen beyond loopback, where anybody can read it
    #[arg(long, env = "PRISM_INSECURE")]
    insecure: bool,

    /// TOML file with these settings; flags and environment win over it
    #[arg(long, env = "PRISM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// How log lines are written to stderr
    #[arg(
        long,
        env = "PRISM_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

fn main() -> ExitCode {
    let flags = match read_flags(&arguments()) {
        Ok(flags) => flags,
        Err(code) => return code,
    };
    start_log(flags.log_format);
    match server::run(flags.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "data plane ends");
            match error {
                StartError::Configuration(_) => ExitCode::from(BAD_CONFIGURATION),
                StartError::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// Reads flag, environment, file and default: the first that is there.
fn read_flags(arguments: &[OsString]) -> Result<Flags, ExitCode> {
    let mut command = Flags::command();
    let first = matches(&command, arguments)?;
    let mut names_control = false;
    if let Some(path) = first.get_one::<PathBuf>("config") {
        let settings = read_config(path, &command).map_err(|text| refuse(&text))?;
        names_control = settings.contains_key("control");
        for (id, value) in settings {
            // The parser keeps defaults for as long as the process lives.
            let value: &'static str = value.leak();
            command = command.mut_arg(id, |arg| arg.default_value(value));
        }
    }
    let found = matches(&command, arguments)?;
    names_control |= found.value_source("control") != Some(ValueSource::DefaultValue);
    if found.contains_id("bootstrap") && names_control {
        let text = "--bootstrap serves a file with no control plane: leave --control out\n";
        return Err(usage(&command.error(ErrorKind::ArgumentConflict, text)));
    }
    Flags::from_arg_matches(&found).map_err(|error| usage(&error))
}

fn matches(command: &Command, arguments: &[OsString]) -> Result<ArgMatches, ExitCode> {
    let parsed = command.clone().try_get_matches_from(arguments);
    parsed.map_err(|error| usage(&error))
}

/// Shows help, version, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the terminal is gone.
    error.print().ok();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(USAGE),
    }
}

fn refuse(text: &str) -> ExitCode {
    start_log(LogFormat::Text);
    error!(error = text, "bad configuration");
    ExitCode::from(BAD_CONFIGURATION)
}

/// Reads the configuration file as texts by flag, each checked as the flag would be.
fn read_config(path: &Path, command: &Command) -> Result<BTreeMap<String, String>, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let table: toml::Table = text.parse().map_err(|error| format!("{shown}: {error}"))?;
    let mut settings = BTreeMap::new();
    for (key, value) in table {
        let id = key.replace('-', "_");
        let flag = command
            .get_arguments()
            .find(|arg| arg.get_id() == id.as_str());
        let Some(flag) = flag.filter(|_| id != "config") else {
            return Err(format!("{shown}: unknown key `{key}`"));
        };
        let value = text_of(&value).ok_or_else(|| format!("{shown}: `{key}` has a wrong type"))?;
        let long = flag.get_long().unwrap_or_default();
        let argument = match value.as_str() {
            "true" if id == "insecure" => format!("--{long}"),
            "false" if id == "insecure" => continue,
            _ => format!("--{long}={value}"),
        };
        let checked = command.clone().try_get_matches_from(["", &argument]);
        checked.map_err(|error| format!("{shown}: `{key}`: {}", first_line(&error)))?;
        settings.insert(id, value);
    }
    Ok(settings)
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(text_of).collect();
            Some(texts?.join(","))
        }
        toml::Value::Boolean(value) => Some(value.to_string()),
        toml::Value::Integer(value) => Some(value.to_string()),
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| Some(format!("{key}={}", text_of(value)?)));
            let pairs: Option<Vec<_>> = pairs.collect();
            Some(pairs?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Float(_) => None,
    }
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.try_init(),
    };
    // A log that was started already goes on.
    started.ok();
}

impl From<Flags> for Options {
    fn from(flags: Flags) -> Self {
        let source = match flags.bootstrap {
            Some(path) => Source::Bootstrap(path),
            None => Source::Control(flags.control),
        };
        Self {
            id: flags.id.unwrap_or_else(server::host_name),
            source,
            workers: flags.workers.map(usize::from),
            state_dir: flags.state_dir,
            admin: flags.admin,
            bind_ip: flags.bind_ip,
            zone: flags.zone,
            labels: flags.label.into_iter().collect(),
            drain_timeout: flags.drain_timeout.0,
            advertise: flags.advertise,
            memory_limit: flags.memory_limit.map(|size| size.0),
            insecure: flags.insecure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str, more: &[&str]) -> Option<Flags> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dataplane.toml");
        fs::write(&path, config).unwrap();
        let mut arguments: Vec<OsString> = vec!["".into(), "--config".into(), path.into()];
        arguments.extend(more.iter().map(OsString::from));
        read_flags(&arguments).ok()
    }

    #[test]
    fn file_gives_what_flags_leave_open() {
        let config = r#"
            id = "dp-7"
            control = ["http://a:1", "http://b:2"]
            drain-timeout = "5s"
            workers = 3
            insecure = true
            label = { az = "a", tier = "edge" }
        "#;
        let flags = read(config, &["--workers", "5"]).expect("all of it is right");
        assert_eq!(
            (flags.id.as_deref(), flags.workers),
            (Some("dp-7"), Some(5))
        );
        assert_eq!(flags.control, ["http://a:1", "http://b:2"]);
        assert_eq!(flags.drain_timeout, Time(std::time::Duration::from_secs(5)));
        assert_eq!((flags.label.len(), flags.insecure), (2, true));
    }

    #[test]
    fn file_is_checked_as_flags_are() {
        for config in [
            "workers = 0",
            "wrokers = 1",
            "id = \"a b\"",
            "config = \"x\"",
            "id =",
        ] {
            assert!(read(config, &[]).is_none(), "{config}");
        }
    }

    #[test]
    fn bootstrap_goes_with_no_control_plane_from_anywhere() {
        assert!(read("", &["--bootstrap", "f"]).is_some());
        assert!(read("control = \"http://a:1\"", &["--bootstrap", "f"]).is_none());
        assert!(read("bootstrap = \"f\"", &["--control", "http://a:1"]).is_none());
    }
}

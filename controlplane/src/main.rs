//! The program: flags, environment and configuration file; logs; signals.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, ValueEnum, builder::BoolishValueParser};
use prism_controlplane::{
    probe::Network,
    server::{Options, Server, StartError, StoreKind},
};
use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

const USAGE: u8 = 64;
const BAD_CONFIGURATION: u8 = 78;
const OTHER: u8 = 1;

/// Keeps the definitions of a fleet of cache proxies and brings them to its data planes.
#[derive(Debug, Parser)]
#[command(name = "prism-controlplane", version)]
struct Cli {
    /// TOML file with the same names as the flags; flags and environment come first
    #[arg(long, env = "PRISM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What flags, environment and file may say.
#[derive(Clone, Debug, Default, Deserialize, Parser, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Folder of the embedded store; made if absent
    #[arg(long, env = "PRISM_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where operators connect: gRPC, gRPC-web, /metrics, /livez, /readyz [default: 127.0.0.1:7100]
    #[arg(long, env = "PRISM_LISTEN", value_name = "ADDR")]
    listen: Option<String>,
    /// Where data planes connect [default: 127.0.0.1:7101]
    #[arg(long, env = "PRISM_DISCOVERY_LISTEN", value_name = "ADDR")]
    discovery_listen: Option<String>,
    /// Where definitions are kept [default: sled]
    #[arg(long, env = "PRISM_STORE", value_name = "KIND")]
    store: Option<StoreName>,
    /// Addresses of etcd, with --store etcd
    #[arg(long, env = "PRISM_ETCD", value_name = "URL", value_delimiter = ',', num_args = 1..)]
    etcd: Option<Vec<String>>,
    /// Listen beyond loopback though nobody has to authenticate
    #[arg(long, env = "PRISM_INSECURE", value_parser = BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    insecure: Option<bool>,
    /// Form of the logs on standard error [default: text]
    #[arg(long, env = "PRISM_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum StoreName {
    Etcd,
    Memory,
    Sled,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum LogFormat {
    Json,
    Text,
}

impl Settings {
    /// Fills in from the file what neither flags nor environment say.
    fn over(self, file: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(file.data_dir),
            listen: self.listen.or(file.listen),
            discovery_listen: self.discovery_listen.or(file.discovery_listen),
            store: self.store.or(file.store),
            etcd: self.etcd.or(file.etcd),
            insecure: self.insecure.or(file.insecure),
            log_format: self.log_format.or(file.log_format),
        }
    }

    fn into_options(self) -> Options {
        let default = Options::default();
        let store = match self.store {
            None | Some(StoreName::Sled) => StoreKind::Sled,
            Some(StoreName::Etcd) => StoreKind::Etcd,
            Some(StoreName::Memory) => StoreKind::Memory,
        };
        Options {
            data_dir: self.data_dir,
            listen: self.listen.unwrap_or(default.listen),
            discovery_listen: self.discovery_listen.unwrap_or(default.discovery_listen),
            store,
            insecure: self.insecure.unwrap_or_default(),
            ..default
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // A closed output changes nothing.
            let _ = error.print();
            return code.into();
        }
    };
    let file = cli.config.as_deref().map(read).transpose();
    let format = |file: &Settings| cli.settings.log_format.or(file.log_format);
    let format = file
        .as_ref()
        .ok()
        .and_then(|file| format(file.as_ref().unwrap_or(&Settings::default())));
    start_logs(
        format
            .or(cli.settings.log_format)
            .unwrap_or(LogFormat::Text),
    );
    let file = match file {
        Ok(file) => file.unwrap_or_default(),
        Err(error) => {
            error!(error = format!("{error:#}"), "bad configuration");
            return BAD_CONFIGURATION.into();
        }
    };
    let settings = cli.settings.clone().over(file);
    match run(&cli, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "cannot go on");
            let known = error.downcast_ref::<StartError>();
            known.map_or(OTHER, StartError::exit_code).into()
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Settings> {
    let path_text = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path_text}"))?;
    toml::from_str(&text).with_context(|| format!("{path_text} is wrong"))
}

fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Json => logs.json().init(),
        LogFormat::Text => logs.init(),
    }
}

#[tokio::main]
async fn run(cli: &Cli, settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut server = Server::start(settings.clone().into_options()).await?;
    server.watch_endpoints(Arc::new(Network));
    loop {
        tokio::select! {
            error = server.failed() => return Err(error.into()),
            end = signals.next() => match end {
                Wish::End => break,
                Wish::Reread => reread(cli, &settings),
            },
        }
    }
    info!("ending: streams are told to come back");
    server.drain().await;
    Ok(())
}

/// Reads the configuration again and says what a restart would change; what runs goes on as it is.
fn reread(cli: &Cli, running: &Settings) {
    let Some(path) = &cli.config else {
        info!("nothing to read again: there is no --config");
        return;
    };
    match read(path) {
        Err(error) => error!(error = format!("{error:#}"), "configuration not taken over"),
        Ok(file) if cli.settings.clone().over(file.clone()) == *running => {
            info!("configuration unchanged")
        }
        Ok(_) => warn!("configuration changed: its settings take effect at the next start"),
    }
}

enum Wish {
    End,
    Reread,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Cli {
        Cli::try_parse_from([&["prism-controlplane"], words].concat()).expect("good flags")
    }

    #[test]
    fn flags_come_before_the_file_and_defaults_last() {
        let file: Settings =
            toml::from_str("listen = \"127.0.0.1:1\"\ndata-dir = \"/x\"\ninsecure = true")
                .expect("good");
        let options = parse(&["--listen", "127.0.0.1:2"])
            .settings
            .over(file)
            .into_options();
        assert_eq!(options.listen, "127.0.0.1:2");
        assert_eq!(options.discovery_listen, "127.0.0.1:7101");
        assert_eq!(
            (options.data_dir, options.insecure),
            (Some("/x".into()), true)
        );
    }

    #[test]
    fn file_refuses_unknown_names() {
        let error = toml::from_str::<Settings>("listn = \"x\"").expect_err("a typing error");
        assert!(error.to_string().contains("listn"), "{error}");
    }

    #[test]
    fn insecure_is_a_plain_flag() {
        assert_eq!(
            parse(&["--insecure", "--listen", "0.0.0.0:0"])
                .settings
                .insecure,
            Some(true)
        );
        assert_eq!(parse(&["--insecure=0"]).settings.insecure, Some(false));
        assert_eq!(parse(&[]).settings.insecure, None);
    }
}

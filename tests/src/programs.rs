//! Our own programs: control plane, data planes and `prismctl`, found beside the running test.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{ports, process::Process, wait};

/// Where a program of the workspace was built.
///
/// # Panics
/// When it was not: `tests/run` builds the programs first.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    assert!(found.is_some(), "{name} is not built: cargo build --bins");
    found.expect("checked above")
}

/// A command that runs a program of the workspace, with an environment that changes nothing.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.env("NO_COLOR", "1");
    for (key, _) in std::env::vars_os() {
        let is_ours = key.to_string_lossy().starts_with("PRISM_");
        if is_ours {
            command.env_remove(key);
        }
    }
    command
}

/// What a program that ran to its end left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs a program of the workspace to its end with `input` on its stdin.
///
/// # Panics
/// When it cannot be started.
pub fn run(name: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = command(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // A program that does not read its stdin may end before all is written.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks for `path` over HTTP/1.1 and returns status and body; `None` when nobody answers.
pub fn http_get(addr: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

/// A running `prism-controlplane`, killed when this is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    process: Process,
    admin: String,
    discovery: String,
    folder: TempDir,
}

impl ControlPlane {
    /// Starts one with an empty data folder and waits until it is ready.
    ///
    /// # Panics
    /// When it is not.
    pub fn start() -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let (admin, discovery) = (ports::free_addr(), ports::free_addr());
        let started = Self {
            process: spawn_control(&admin, &discovery, folder.path()),
            admin,
            discovery,
            folder,
        };
        started.wait_ready();
        started
    }

    /// Where operators and browsers reach it.
    pub fn url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Its admin address.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Where data planes reach it.
    pub fn discovery_url(&self) -> String {
        format!("http://{}", self.discovery)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again at the same addresses with the same data folder, killing it first.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn_control(&self.admin, &self.discovery, self.folder.path());
        self.wait_ready();
    }

    /// Empties the data folder of a control plane that was killed.
    ///
    /// # Panics
    /// When the folder cannot be removed.
    pub fn wipe(&mut self) {
        self.process.kill();
        fs::remove_dir_all(self.data_dir()).expect("the data folder is ours");
    }

    /// Runs `prismctl` against it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        self.ctl_with(arguments, "")
    }

    /// Runs `prismctl` against it with `input` on its stdin.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn ctl_with(&self, arguments: &[&str], input: &str) -> Output {
        let url = self.url();
        let mut all = vec!["--server", &url];
        all.extend(arguments);
        run("prismctl", &all, input)
    }

    /// Applies `definitions` and waits until every connected data plane has acked.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn apply(&self, definitions: &str) -> Output {
        let output = self.ctl_with(&["apply", "-f", "-", "--wait", "--yes"], definitions);
        assert_eq!(output.code, 0, "apply: {output:#?}");
        output
    }

    fn wait_ready(&self) {
        wait::until("the control plane is ready", wait::LIMIT, || {
            http_get(&self.admin, "/readyz").is_some_and(|(status, _)| status == 200)
        });
    }
}

fn spawn_control(admin: &str, discovery: &str, folder: &Path) -> Process {
    let mut command = command("prism-controlplane");
    command.arg("--data-dir").arg(folder.join("data")).args([
        "--listen",
        admin,
        "--discovery-listen",
        discovery,
    ]);
    Process::start("prism-controlplane", &mut command, &folder.join("log"))
}

/// A running `prism-dataplane`, killed when this is dropped.
#[derive(Debug)]
pub struct DataPlane {
    process: Process,
    admin: String,
    arguments: Vec<String>,
    folder: TempDir,
}

impl DataPlane {
    /// Starts one with these arguments beside `--admin`, and waits until it is ready.
    ///
    /// # Panics
    /// When it is not.
    pub fn start(arguments: &[&str]) -> Self {
        let started = Self::spawn(arguments);
        started.wait_ready();
        started
    }

    /// Starts one that serves `definitions` alone, with two workers.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn bootstrap(definitions: &str) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let file = folder.path().join("bootstrap.toml");
        fs::write(&file, definitions).expect("the temporary folder is writable");
        let file = file.to_string_lossy().into_owned();
        let started = Self::spawn_in(folder, &["--bootstrap", &file, "--workers", "2"]);
        started.wait_ready();
        started
    }

    /// Starts one that follows `control`, with two workers and a state folder.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn follow(control: &ControlPlane, id: &str) -> Self {
        Self::follow_with(control, id, &[])
    }

    /// Starts one that follows `control` with more arguments.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn follow_with(control: &ControlPlane, id: &str, more: &[&str]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let state = folder.path().join("state").to_string_lossy().into_owned();
        let url = control.discovery_url();
        let mut arguments = vec!["--id", id, "--control", &url, "--state-dir", &state];
        arguments.extend(["--workers", "2"]);
        arguments.extend(more);
        let started = Self::spawn_in(folder, &arguments);
        started.wait_ready();
        started
    }

    /// Starts one without waiting.
    ///
    /// # Panics
    /// When the program is not there.
    pub fn spawn(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        Self::spawn_in(folder, arguments)
    }

    fn spawn_in(folder: TempDir, arguments: &[&str]) -> Self {
        let admin = ports::free_addr();
        let arguments: Vec<_> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        Self {
            process: spawn_data(&admin, &arguments, folder.path()),
            admin,
            arguments,
            folder,
        }
    }

    /// Its admin address.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its own temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Rewrites the file of [`DataPlane::bootstrap`].
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn rewrite(&self, definitions: &str) {
        let (next, file) = (
            self.folder.path().join("next"),
            self.folder.path().join("bootstrap.toml"),
        );
        fs::write(&next, definitions).expect("the temporary folder is writable");
        fs::rename(&next, &file).expect("the temporary folder is writable");
    }

    /// The value of a metric, summed over its label sets; 0 when it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = http_get(&self.admin, "/metrics").unwrap_or_default();
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Starts it again with the same arguments and state, killing it if it still runs, without waiting.
    pub fn respawn(&mut self) {
        self.process.kill();
        self.process = spawn_data(&self.admin, &self.arguments, self.folder.path());
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        http_get(&self.admin, "/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// Whether it answers at all.
    pub fn is_live(&self) -> bool {
        http_get(&self.admin, "/livez").is_some_and(|(status, _)| status == 200)
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it is not after [`wait::LIMIT`].
    #[track_caller]
    pub fn wait_ready(&self) {
        wait::until("the data plane is ready", wait::LIMIT, || self.is_ready());
    }
}

fn spawn_data(admin: &str, arguments: &[String], folder: &Path) -> Process {
    let mut command = command("prism-dataplane");
    command.args(["--admin", admin]).args(arguments);
    Process::start("prism-dataplane", &mut command, &folder.join("log"))
}

//! One program under `dev`: started, its output labelled, ended.

use std::{ffi::OsString, path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{exit::Failure, output::Printer};

/// How long a program may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(8);
/// Longer lines of output are cut here.
const LINE_BYTES: usize = 16 * 1024;

/// What to run.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// What its output is labelled with.
    pub(super) label: String,
    /// The file to run.
    pub(super) binary: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
}

/// A program that runs.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pumps: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts it so that it ends when prismctl ends, however that happens.
    ///
    /// It has a process group of its own: a Ctrl-C reaches prismctl alone, which then ends its children in order. Its
    /// environment is free of the flags meant for prismctl.
    pub(super) fn start(&self, printer: Printer, quiet: &Quiet) -> Result<Running, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("launch")
            .arg("--parent")
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(&self.binary)
            .args(&self.args)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PRISM_") {
                command.env_remove(name);
            }
        }
        if matches!(quiet, Quiet::Yes) {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command.spawn()?;
        let mut pumps = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            pumps.push(tokio::spawn(pump(stdout, self.label.clone(), printer)));
        }
        if let Some(stderr) = child.stderr.take() {
            pumps.push(tokio::spawn(pump(stderr, self.label.clone(), printer)));
        }
        Ok(Running { child, pumps })
    }
}

/// Whether the output of programs is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quiet {
    /// It is shown.
    No,
    /// It is not.
    Yes,
}

impl From<bool> for Quiet {
    fn from(quiet: bool) -> Self {
        if quiet { Self::Yes } else { Self::No }
    }
}

impl Running {
    /// Waits until it ends by itself, and tells how. Cancel safe.
    pub(super) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Asks it to end, waits, and kills it when that takes too long.
    pub(super) async fn end(mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(END_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        self.drain().await;
    }

    /// Shows what is left of its output.
    pub(super) async fn drain(&mut self) {
        for pump in self.pumps.drain(..) {
            // A grandchild may hold the pipe open; its output is not waited for.
            let _ = timeout(Duration::from_secs(1), pump).await;
        }
    }
}

/// Labels every line until the program closes the stream.
async fn pump(stream: impl AsyncRead + Unpin, label: String, printer: Printer) {
    let mut reader = BufReader::with_capacity(LINE_BYTES, stream);
    let mut line = Vec::new();
    loop {
        let (taken, ends) = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(read) => match read.iter().position(|&byte| byte == b'\n') {
                Some(at) => {
                    line.extend_from_slice(&read[..at]);
                    (at + 1, true)
                }
                None => {
                    line.extend_from_slice(read);
                    (read.len(), line.len() >= LINE_BYTES)
                }
            },
        };
        reader.consume(taken);
        if ends {
            show(&label, &line, &printer);
            line.clear();
        }
    }
    if !line.is_empty() {
        show(&label, &line, &printer);
    }
}

fn show(label: &str, line: &[u8], printer: &Printer) {
    let text = String::from_utf8_lossy(line);
    printer.note("info", &format!("{label:<8}| {}", text.trim_end()));
}

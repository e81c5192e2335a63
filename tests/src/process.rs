//! A child process with its output in a file: ended on drop, its log printed when the test fails.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::wait;

/// How much of a log is printed when a test fails.
const TAIL_BYTES: usize = 6 * 1024;

/// A running program, killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `log`, appended to what is there.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log can be written");
        let errors = file.try_clone().expect("the log has a second handle");
        let started = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn();
        assert!(started.is_ok(), "{name}: {started:?}: run tests/run once");
        Self {
            name: name.to_owned(),
            child: started.expect("checked above"),
            log: log.to_owned(),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything the program has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("the process is there");
    }

    /// Stops the program's execution until [`Process::resume`]: it holds its connections and answers nothing.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
        // Some of its threads may go on for a moment.
        let stopped = waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("it is a child");
        assert!(
            stopped.is_some_and(|(_, status)| status.stopped()),
            "it stops"
        );
    }

    /// Lets a suspended program go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends the program at once (`kill -9`) and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Waits until the program ends by itself.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait::eventually(&format!("{name} ends"), limit, || {
            self.child.try_wait().expect("the child is ours")
        })
    }

    /// Waits until the log holds `text`.
    ///
    /// # Panics
    /// When it does not after [`wait::LIMIT`].
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        wait::until(&format!("{} logs {text:?}", self.name), wait::LIMIT, || {
            self.log().contains(text)
        });
    }

    /// Prints the end of the log to stderr.
    pub fn print_log(&self) {
        let log = self.log();
        if log.is_empty() {
            return;
        }
        let bytes = log.as_bytes();
        let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let mut out = io::stderr().lock();
        writeln!(out, "--- log of {} (pid {})", self.name, self.pid()).ok();
        out.write_all(tail).ok();
        writeln!(out, "--- end of log of {}", self.name).ok();
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_log();
        }
        self.kill();
    }
}

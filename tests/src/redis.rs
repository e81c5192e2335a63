//! A real `redis-server` of its own.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{ports, process::Process, raw::Raw, wait};

/// A running `redis-server`, without persistence, killed when this is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    options: Vec<String>,
    folder: TempDir,
}

impl Redis {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more options, as on its command line.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_at(ports::free_port(), options)
    }

    /// Starts one on a chosen port.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start_at(port: u16, options: &[&str]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let started = Self {
            process: spawn(port, &options, folder.path()),
            port,
            options,
            folder,
        };
        started.wait_answer();
        started
    }

    /// Starts `count` of them.
    ///
    /// # Panics
    /// When one does not answer.
    pub fn start_many(count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::start()).collect()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection to it.
    ///
    /// # Panics
    /// When it does not listen.
    #[track_caller]
    pub fn client(&self) -> Raw {
        Raw::connect(&self.addr())
    }

    /// Asks it one command given as words.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn ask(&self, words: &str) -> String {
        self.client().ask(words)
    }

    /// Its process, for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again on the same port, after it was killed; its data are gone.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.port, &self.options, self.folder.path());
        self.wait_answer();
    }

    fn wait_answer(&self) {
        let addr = self.addr();
        wait::until("redis-server answers", wait::LIMIT, || {
            Raw::open(&addr).is_ok_and(|mut client| {
                client.try_send(b"PING\r\n").is_ok() && client.try_reply().is_ok()
            })
        });
    }
}

fn spawn(port: u16, options: &[String], folder: &Path) -> Process {
    let mut command = Command::new("redis-server");
    command
        .current_dir(folder)
        .args(["--port", &port.to_string()])
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--repl-diskless-sync-delay", "0"])
        .args(options);
    Process::start("redis-server", &mut command, &folder.join("log"))
}

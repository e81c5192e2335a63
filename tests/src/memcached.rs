//! A real `memcached` of its own.

use std::process::Command;

use tempfile::TempDir;

use crate::{ports, process::Process, raw::Raw, wait};

/// A running `memcached`, killed when this is dropped.
#[derive(Debug)]
pub struct Memcached {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Memcached {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start() -> Self {
        Self::start_at(ports::free_port())
    }

    /// Starts one on a chosen port.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_at(port: u16) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let process = spawn(port, &folder);
        let started = Self {
            process,
            port,
            folder,
        };
        started.wait_answer();
        started
    }

    /// Starts `count` of them.
    ///
    /// # Panics
    /// When one does not listen.
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

    /// Its process, for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again on the same port; its data are gone.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.port, &self.folder);
        self.wait_answer();
    }

    fn wait_answer(&self) {
        let addr = self.addr();
        wait::until("memcached listens", wait::LIMIT, || {
            Raw::open(&addr).is_ok()
        });
    }
}

fn spawn(port: u16, folder: &TempDir) -> Process {
    let mut command = Command::new("memcached");
    command
        .current_dir(folder.path())
        .args(["-l", "127.0.0.1", "-U", "0", "-t", "2", "-u", "root"])
        .args(["-p", &port.to_string()]);
    Process::start("memcached", &mut command, &folder.path().join("log"))
}

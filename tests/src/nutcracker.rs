//! A real `nutcracker` (twemproxy) with one pool, to compare placement with.

use std::{fmt::Write as _, fs, process::Command};

use tempfile::TempDir;

use crate::{ports, process::Process, raw::Raw, wait};

/// A running `nutcracker`, killed when this is dropped.
#[derive(Debug)]
pub struct Nutcracker {
    port: u16,
    process: Process,
    /// Holds the configuration and the log.
    folder: TempDir,
}

impl Nutcracker {
    /// Starts one with a pool of these `lines` (`hash: fnv1a_64`, `distribution: ketama`, `redis: true` …) and servers
    /// (`127.0.0.1:6379:1 alias`).
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start(lines: &[&str], servers: &[String]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let port = ports::free_port();
        let mut text = format!("pool:\n  listen: 127.0.0.1:{port}\n");
        for line in lines {
            writeln!(text, "  {line}").expect("text grows");
        }
        text.push_str("  servers:\n");
        for server in servers {
            writeln!(text, "   - {server}").expect("text grows");
        }
        let file = folder.path().join("nutcracker.yml");
        fs::write(&file, text).expect("the temporary folder is writable");
        let mut command = Command::new("nutcracker");
        command
            .arg("-c")
            .arg(&file)
            .args(["-a", "127.0.0.1", "-s", &ports::free_port().to_string()])
            // Debian installs it where ordinary users do not look.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        let process = Process::start("nutcracker", &mut command, &folder.path().join("log"));
        let started = Self {
            port,
            process,
            folder,
        };
        let addr = started.addr();
        wait::until("nutcracker listens", wait::LIMIT, || {
            Raw::open(&addr).is_ok()
        });
        started
    }

    /// Its address.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where its configuration lies.
    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("nutcracker.yml")
    }

    /// A connection to it.
    ///
    /// # Panics
    /// When it does not listen.
    #[track_caller]
    pub fn client(&self) -> Raw {
        Raw::connect(&self.addr())
    }
}

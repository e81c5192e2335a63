//! A real `memcached` of its own.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{ports, process::Process, raw::Raw, wait};

/// A running `memcached`, killed when this is dropped.
#[derive(Debug)]
pub struct Memcached {
    process: Process,
    port: u16,
    folder: TempDir,
    guard: Guard,
    options: Vec<String>,
}

/// How a `memcached` asks who its clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Nothing,
    /// By the binary protocol only, with SASL.
    Sasl,
    /// By the text protocol only, with a `set` before all else.
    Text,
}

impl Memcached {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start() -> Self {
        Self::start_at(ports::free_port())
    }

    /// Starts one with further arguments.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_with(options: &[&str]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self::start_in(folder, ports::free_port(), Guard::Nothing, options)
    }

    /// Starts one on a chosen port.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_at(port: u16) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        Self::start_in(folder, port, Guard::Nothing, Vec::new())
    }

    /// Starts one that speaks text with those only who present one of these names and passwords (`-Y`).
    ///
    /// # Panics
    /// When it does not listen.
    pub fn with_text_users(users: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let lines: Vec<_> = users
            .iter()
            .map(|(user, password)| format!("{user}:{password}\n"))
            .collect();
        fs::write(folder.path().join("users"), lines.concat()).expect("writable");
        Self::start_in(folder, ports::free_port(), Guard::Text, Vec::new())
    }

    /// Starts one that speaks the binary protocol with those only who present one of these names and passwords (`-S`).
    ///
    /// # Panics
    /// When it does not listen, or `saslpasswd2` is not there.
    pub fn with_sasl_users(users: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let database = folder.path().join("sasldb");
        let configuration = format!("mech_list: plain\nsasldb_path: {}\n", database.display());
        fs::write(folder.path().join("memcached.conf"), configuration).expect("writable");
        for (user, password) in users {
            add_sasl_user(&database, user, password);
        }
        Self::start_in(folder, ports::free_port(), Guard::Sasl, Vec::new())
    }

    fn start_in(folder: TempDir, port: u16, guard: Guard, options: Vec<String>) -> Self {
        let process = spawn(port, &folder, guard, &options);
        let started = Self {
            process,
            port,
            folder,
            guard,
            options,
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
        self.process = spawn(self.port, &self.folder, self.guard, &self.options);
        self.wait_answer();
    }

    fn wait_answer(&self) {
        let addr = self.addr();
        wait::until("memcached listens", wait::LIMIT, || {
            Raw::open(&addr).is_ok()
        });
    }
}

fn add_sasl_user(database: &Path, user: &str, password: &str) {
    let mut child = Command::new("saslpasswd2")
        .args(["-p", "-c", "-a", "memcached", "-f"])
        .arg(database)
        .arg(user)
        .stdin(Stdio::piped())
        .spawn()
        .expect("saslpasswd2 is installed: package sasl2-bin");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin.write_all(password.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "saslpasswd2");
}

fn spawn(port: u16, folder: &TempDir, guard: Guard, options: &[String]) -> Process {
    let mut command = Command::new("memcached");
    command
        .current_dir(folder.path())
        .args(["-l", "127.0.0.1", "-U", "0", "-t", "2", "-u", "root"])
        .args(["-p", &port.to_string()])
        .args(options);
    match guard {
        Guard::Nothing => {}
        Guard::Sasl => {
            command.arg("-S").env("SASL_CONF_PATH", folder.path());
        }
        Guard::Text => {
            command.arg("-Y").arg(folder.path().join("users"));
        }
    }
    Process::start("memcached", &mut command, &folder.path().join("log"))
}

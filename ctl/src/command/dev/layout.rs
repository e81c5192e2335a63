//! Which programs run under `dev`, with which arguments, on which addresses.

use std::{
    ffi::OsString,
    io::ErrorKind,
    net::TcpListener,
    path::{Path, PathBuf},
};

use super::{super::definitions::Definitions, child::Program};
use crate::{
    cli::{DevArgs, LogFormat},
    exit::{Exit, Failure},
    output::Printer,
};

const CONTROL_PLANE: &str = "prism-controlplane";
const DATA_PLANE: &str = "prism-dataplane";
/// Data planes of a fleet for trying things do not keep anyone waiting.
const DRAIN_TIMEOUT: &str = "3s";

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    control_binary: PathBuf,
    data_binary: PathBuf,
    state: PathBuf,
    base_port: u16,
    dataplanes: u8,
    workers: u16,
    server: String,
    log_format: &'static str,
}

impl Layout {
    /// Finds the programs and lays out their addresses.
    pub(super) fn new(args: &DevArgs, state: &Path, printer: &Printer) -> Result<Self, Failure> {
        Ok(Self {
            control_binary: find(CONTROL_PLANE)?,
            data_binary: find(DATA_PLANE)?,
            state: state.to_path_buf(),
            base_port: args.base_port,
            dataplanes: args.dataplanes,
            workers: args.workers,
            server: format!("http://127.0.0.1:{}", args.base_port),
            log_format: match printer.log_format() {
                LogFormat::Json => "json",
                LogFormat::Text => "text",
            },
        })
    }

    /// The control plane's address.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    fn discovery_port(&self) -> u16 {
        self.base_port + 1
    }

    fn admin_port(&self, number: u8) -> u16 {
        self.discovery_port() + u16::from(number)
    }

    /// Refuses to start on ports that are in use: the programs would say so one by one.
    pub(super) fn check_ports(&self) -> Result<(), Failure> {
        let last = self.admin_port(self.dataplanes);
        for port in self.base_port..=last {
            let Err(error) = TcpListener::bind(("127.0.0.1", port)) else {
                continue;
            };
            let why = match error.kind() {
                ErrorKind::AddrInUse => "in use by another program".to_owned(),
                _ => error.to_string(),
            };
            let text = format!(
                "127.0.0.1:{port} is {why}; ports {} to {last} are needed",
                self.base_port
            );
            return Err(Failure::new(Exit::Error, text).hint("choose others with --base-port"));
        }
        Ok(())
    }

    /// The control plane, with its store in the state folder.
    pub(super) fn control_plane(&self) -> Program {
        let args = [
            "--data-dir".into(),
            self.state.join("control").into_os_string(),
            "--listen".into(),
            format!("127.0.0.1:{}", self.base_port).into(),
            "--discovery-listen".into(),
            format!("127.0.0.1:{}", self.discovery_port()).into(),
            "--log-format".into(),
            self.log_format.into(),
        ];
        Program {
            label: "control".to_owned(),
            binary: self.control_binary.clone(),
            args: args.to_vec(),
        }
    }

    /// The data planes, each with its own loopback address, admin port and snapshots.
    pub(super) fn dataplanes(&self) -> Vec<Program> {
        (1..=self.dataplanes)
            .map(|number| self.dataplane(number))
            .collect()
    }

    fn dataplane(&self, number: u8) -> Program {
        let id = format!("dp-{number}");
        let args: [OsString; 18] = [
            "--id".into(),
            id.clone().into(),
            "--control".into(),
            format!("http://127.0.0.1:{}", self.discovery_port()).into(),
            "--admin".into(),
            format!("127.0.0.1:{}", self.admin_port(number)).into(),
            "--bind-ip".into(),
            format!("127.0.0.{number}").into(),
            "--state-dir".into(),
            self.state.join(&id).into_os_string(),
            "--workers".into(),
            self.workers.to_string().into(),
            "--drain-timeout".into(),
            DRAIN_TIMEOUT.into(),
            "--zone".into(),
            "local".into(),
            "--log-format".into(),
            self.log_format.into(),
        ];
        Program {
            label: id,
            binary: self.data_binary.clone(),
            args: args.to_vec(),
        }
    }

    /// Tells where everything listens.
    pub(super) fn summary(&self, definitions: &Definitions) -> String {
        let mut out = format!("control plane   {}\n", self.server);
        for number in 1..=self.dataplanes {
            let admin = self.admin_port(number);
            out.push_str(&format!(
                "dp-{number}            http://127.0.0.1:{admin}/metrics\n"
            ));
        }
        for spec in definitions.specs() {
            let listeners = (1..=self.dataplanes).map(|number| listener(&spec.listen_addr, number));
            let listeners: Vec<String> = listeners.collect();
            out.push_str(&format!("{:<15} {}\n", spec.name, listeners.join("  ")));
        }
        out.push_str("everything is up; Ctrl-C ends it\n");
        out
    }
}

/// Where data plane `number` serves a listener: its own address in place of the written one.
fn listener(written: &str, number: u8) -> String {
    match written.rsplit_once(':') {
        Some((_, port)) if !written.starts_with("unix:") => format!("127.0.0.{number}:{port}"),
        _ => written.to_owned(),
    }
}

/// Finds a program beside prismctl, then on PATH.
fn find(name: &str) -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(Path::to_path_buf));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = beside.into_iter().chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    found.ok_or_else(|| {
        Failure::new(
            Exit::Error,
            format!("{name} is neither beside prismctl nor on PATH"),
        )
        .hint("cargo build --release -p prism-controlplane -p prism-dataplane")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            control_binary: "/bin/c".into(),
            data_binary: "/bin/d".into(),
            state: "/s".into(),
            base_port: 7100,
            dataplanes: 2,
            workers: 1,
            server: "http://127.0.0.1:7100".into(),
            log_format: "text",
        }
    }

    fn line(program: &Program) -> String {
        let words: Vec<_> = program
            .args
            .iter()
            .map(|arg| arg.to_string_lossy())
            .collect();
        format!("{} {}", program.label, words.join(" "))
    }

    #[test]
    fn each_data_plane_has_its_own_address_port_and_folder() {
        let programs = layout().dataplanes();
        assert_eq!(
            line(&programs[1]),
            "dp-2 --id dp-2 --control http://127.0.0.1:7101 --admin 127.0.0.1:7103 --bind-ip 127.0.0.2 \
             --state-dir /s/dp-2 --workers 1 --drain-timeout 3s --zone local --log-format text"
        );
        assert_eq!(
            line(&layout().control_plane()),
            "control --data-dir /s/control --listen 127.0.0.1:7100 --discovery-listen 127.0.0.1:7101 --log-format text"
        );
    }

    #[test]
    fn listeners_are_told_with_the_address_of_the_data_plane() {
        assert_eq!(listener("0.0.0.0:9001", 2), "127.0.0.2:9001");
        assert_eq!(listener("[::]:9001", 1), "127.0.0.1:9001");
        assert_eq!(listener("unix:/run/x.sock", 1), "unix:/run/x.sock");
    }

    #[test]
    fn busy_port_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut layout = layout();
        layout.base_port = held.local_addr().expect("an address").port();
        let failure = layout.check_ports().expect_err("the port is held");
        assert!(
            failure
                .message
                .contains(&format!("127.0.0.1:{} is in use", layout.base_port))
        );
    }
}

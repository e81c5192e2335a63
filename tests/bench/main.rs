//! `prism-bench` compares Prism with other cache proxies on loopback; see `README.md` beside this file.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is this program's product"
)]

mod case;
mod children;
mod cli;
mod connection;
mod endpoints;
mod load;
mod measure;
mod memory;
mod peer;
mod poll;
mod report;
mod run;
mod setting;
mod wire;

use std::{
    fs::{File, OpenOptions},
    io::Write,
};

use anyhow::{Context, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    cli::Arguments,
    peer::{Peer, Program},
    run::{Plan, Row, Sink},
};

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        for case in arguments.cases() {
            println!("{}", case.title());
        }
        return Ok(());
    }
    let plan = plan(&arguments)?;
    raise_descriptors();
    children::watch()?;
    let mut printer = Printer {
        rows: Vec::new(),
        json: arguments.json.as_ref().map(open).transpose()?,
    };
    run::run(&plan, &mut printer)?;
    println!("{}", report::tables(&printer.rows));
    Ok(())
}

fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let cases = arguments.cases();
    ensure!(!cases.is_empty(), "no such case: see --list");
    let mut peers = Vec::new();
    for name in &arguments.peers {
        match Peer::find(name, arguments.envoy.as_deref()) {
            Ok(peer) => peers.push(peer),
            Err(error) => eprintln!("without {name}: {error:#}"),
        }
    }
    for (name, path) in &arguments.build {
        peers.push(Peer {
            name: name.clone(),
            program: Program::Prism(path.clone()),
        });
    }
    ensure!(!peers.is_empty(), "nobody to measure");
    let (repetitions, length) = arguments.effort();
    Ok(Plan {
        cases,
        peers,
        repetitions,
        length,
        connections: arguments.connections.max(1),
        layout: arguments.layout(),
    })
}

/// Lets this program and what it starts have as many descriptors as the system allows.
fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).ok();
}

fn open(path: &std::path::PathBuf) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.create(true).append(true).open(path);
    opened.with_context(|| path.display().to_string())
}

/// Keeps rows for the report, writes them as JSON, and prints remarks.
struct Printer {
    rows: Vec<Row>,
    json: Option<File>,
}

impl Sink for Printer {
    fn row(&mut self, row: Row) {
        if let Some(file) = &mut self.json
            && let Err(error) = writeln!(file, "{}", row.to_json())
        {
            eprintln!("a row is not written: {error}");
        }
        self.rows.push(row);
    }

    fn note(&mut self, text: &str) {
        eprintln!("-- {text}");
    }
}

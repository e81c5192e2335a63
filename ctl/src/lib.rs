//! The operator's hand of Prism.
//!
//! Reading order: `exit` (codes and failures), `cli` (arguments), `client` (the control plane's API), `output` (documents and
//! formats), `command` (one file a verb). A module uses only those before it.

use std::{ffi::OsString, process::ExitCode};

pub mod cli;
pub mod client;
pub mod command;
pub mod exit;
pub mod output;

/// Runs one command line and returns how it ended.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (setup, verb) = match cli::read(args) {
        Ok(read) => read,
        Err(early) => return early.report().into(),
    };
    let printer = output::Printer::new(setup.output, setup.log_format);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = exit::Failure::new(exit::Exit::Error, format!("no runtime: {error}"));
            return printer.failure(&failure).into();
        }
    };
    let ended = runtime.block_on(command::run(&setup, &printer, verb));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => printer.failure(&failure).into(),
    }
}

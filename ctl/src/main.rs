//! Starts prismctl: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    prismctl::run(std::env::args_os())
}

//! `launch`: becomes another program that is ended by the system when its parent ends, however that happens.

use std::{os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::{
    cli::LaunchArgs,
    exit::{Exit, Failure},
};

/// Asks for SIGTERM at the parent's death, then becomes the program; returns only when that fails.
pub(super) fn run(args: &LaunchArgs) -> Result<Exit, Failure> {
    let failed = |text: String| Failure::new(Exit::Error, text);
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| failed(error.to_string()))?;
    // The parent may have died before the request was made.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(args.parent) {
        return Err(failed("the parent has ended".to_owned()));
    }
    let Some((program, rest)) = args.command.split_first() else {
        return Err(Failure::new(Exit::Usage, "no program to launch"));
    };
    let error = Command::new(program).args(rest).exec();
    Err(failed(format!("{}: {error}", program.to_string_lossy())))
}

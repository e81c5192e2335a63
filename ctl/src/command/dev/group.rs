//! Programs under `dev` that live and end together; one that dies is started again.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::child::{Program, Quiet, Running};
use crate::{
    exit::{Exit, Failure},
    output::Printer,
};

/// A program that ends sooner than this after its start cannot run here.
const STILLBORN: Duration = Duration::from_secs(2);
/// Before a program is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Programs that live and end together.
#[derive(Debug)]
pub(super) struct Group {
    stop: watch::Sender<bool>,
    keepers: JoinSet<Result<(), Failure>>,
}

impl Group {
    /// Starts all of them.
    pub(super) fn start(
        printer: &Printer,
        quiet: Quiet,
        programs: Vec<Program>,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = watch::channel(false);
        let mut keepers = JoinSet::new();
        for program in programs {
            let running = program.start(*printer, &quiet)?;
            keepers.spawn(keep(program, running, *printer, quiet, stopped.clone()));
        }
        Ok(Self { stop, keepers })
    }

    /// Returns when one of them cannot run. Cancel safe.
    pub(super) async fn failed(&mut self) -> Failure {
        loop {
            match self.keepers.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => return failure,
                Some(Err(error)) => return Failure::new(Exit::Error, error.to_string()),
                None => return Failure::new(Exit::Error, "every program has ended"),
            }
        }
    }

    /// Ends all of them at once and waits until they are gone.
    pub(super) async fn end(&mut self) {
        self.stop.send_replace(true);
        while self.keepers.join_next().await.is_some() {}
    }
}

/// Keeps one program running until told to stop.
async fn keep(
    program: Program,
    mut running: Running,
    printer: Printer,
    quiet: Quiet,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let mut started = Instant::now();
    loop {
        let how = tokio::select! {
            how = running.ended() => Some(how),
            () = told(&mut stopped) => None,
        };
        let Some(how) = how else {
            running.end().await;
            return Ok(());
        };
        running.drain().await;
        if started.elapsed() < STILLBORN {
            let text = format!("{} cannot run: {how}", program.label);
            return Err(Failure::new(Exit::Error, text));
        }
        printer.note(
            "warning",
            &format!("{} ended ({how}); starting it again", program.label),
        );
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = told(&mut stopped) => return Ok(()),
        }
        running = program.start(printer, &quiet)?;
        started = Instant::now();
    }
}

/// Returns when told to stop, or when nobody is left to tell. Cancel safe.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

//! `dev`: a whole fleet on this machine, for as long as prismctl runs.

mod child;
mod folder;
mod group;
mod layout;

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep},
};

use super::{
    acks::{self, Goal},
    apply::document,
    definitions::Definitions,
    request::apply_request,
};
use crate::{
    cli::{ChangeArgs, DevArgs},
    client::Client,
    exit::{Exit, Failure},
    output::{Printer, RevisionPlace},
};
use child::Quiet;
use folder::StateFolder;
use group::Group;
use layout::Layout;

/// How long the programs may take to come up.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between looks at a control plane that is starting.
const START_POLL: Duration = Duration::from_millis(50);
/// Between looks at the definitions.
const FILE_POLL: Duration = Duration::from_millis(500);

/// Starts everything, applies the definitions, follows their changes, and ends everything on a signal.
pub(super) async fn run(printer: &Printer, args: DevArgs) -> Result<Exit, Failure> {
    let definitions = Definitions::read(&args.files)?;
    let mut signals = Signals::new()?;
    let folder = StateFolder::open(args.data_dir.as_deref())?;
    let layout = Layout::new(&args, folder.path(), printer)?;
    layout.check_ports()?;
    let quiet = Quiet::from(args.quiet);
    let mut control = Group::start(printer, quiet, vec![layout.control_plane()])?;
    let mut fleet = Group::start(printer, quiet, layout.dataplanes())?;
    let ended = tokio::select! {
        failure = control.failed() => Err(failure),
        failure = fleet.failed() => Err(failure),
        ended = serve(printer, &args, &layout, definitions) => ended,
        () = signals.next() => Ok(Exit::Ok),
    };
    // Data planes first: they drain while their control plane still listens. A second signal ends the patience.
    let orderly = async {
        fleet.end().await;
        control.end().await;
    };
    tokio::select! {
        () = orderly => {}
        () = signals.next() => printer.note("info", "ending at once"),
    }
    ended
}

/// Applies the definitions once everything is up, then whenever they change; returns only with a failure.
async fn serve(
    printer: &Printer,
    args: &DevArgs,
    layout: &Layout,
    first: Definitions,
) -> Result<Exit, Failure> {
    let client = Client::new(layout.server())?;
    let deadline = Instant::now() + START_LIMIT;
    while let Err(failure) = client.fleet().await {
        if Instant::now() > deadline {
            return Err(failure);
        }
        sleep(START_POLL).await;
    }
    apply(printer, &client, args, &first).await?;
    printer.write(&layout.summary(&first))?;
    let mut known = first.texts().to_vec();
    loop {
        sleep(FILE_POLL).await;
        let Ok(texts) = Definitions::texts_of(&args.files) else {
            continue;
        };
        if texts == known {
            continue;
        }
        known = texts;
        let applied = match Definitions::read(&args.files) {
            Ok(changed) => apply(printer, &client, args, &changed).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = applied {
            printer.failure(&failure);
            printer.note("info", "the definitions before stay in service");
        }
    }
}

async fn apply(
    printer: &Printer,
    client: &Client,
    args: &DevArgs,
    definitions: &Definitions,
) -> Result<(), Failure> {
    let change = ChangeArgs {
        files: args.files.clone(),
        manifest: Some("dev".to_owned()),
        prune: true,
        instant: true,
        confirm_shrink: true,
    };
    let request = apply_request(client, definitions, &change).await?;
    let response = client.apply(request).await;
    let response = response.map_err(|failure| definitions.locate(failure))?;
    let applied = document(&response, definitions, false);
    for warning in &applied.warnings {
        printer.note("warning", &warning.to_string());
    }
    for change in applied
        .changes
        .iter()
        .filter(|change| change.change != "unchanged")
    {
        printer.note("info", &format!("{} {}", change.name, change.change));
    }
    let goal = Goal {
        revision: RevisionPlace::of(response.revision.as_ref()),
        clusters: Some(
            applied
                .changes
                .iter()
                .map(|change| change.name.clone())
                .collect(),
        ),
        dataplanes: usize::from(args.dataplanes),
    };
    let waited = acks::wait(client, printer, &goal, START_LIMIT).await;
    waited.map_err(|failure| definitions.locate(failure))?;
    Ok(())
}

/// The signals that end us.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

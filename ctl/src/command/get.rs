//! `get` and `history`: lists, once or as they change.

use std::time::Duration;

use tokio::time::sleep;

use super::listing::{Listing, fetch};
use crate::{
    cli::{Format, GetArgs, HistoryArgs, Kind},
    client::Client,
    exit::{Exit, Failure},
    output::{Printer, Show},
};

/// Between looks at what has no stream of its own, and between attempts to reach a control plane that went away.
const PERIOD: Duration = Duration::from_secs(1);

/// Lists one kind.
pub(super) async fn run(
    client: &Client,
    printer: &Printer,
    args: &GetArgs,
) -> Result<Exit, Failure> {
    let listing = fetch(client, args, printer.format()).await?;
    if !args.watch {
        printer.show(&listing)?;
        return Ok(Exit::Ok);
    }
    printer.show_next(&listing)?;
    watch(client, printer, args, listing).await
}

/// Lists the history.
pub(super) async fn history(
    client: &Client,
    printer: &Printer,
    args: HistoryArgs,
) -> Result<Exit, Failure> {
    let args = GetArgs {
        kind: Kind::Revisions,
        name: args.revision,
        cluster: None,
        watch: false,
        limit: args.limit,
    };
    run(client, printer, &args).await
}

/// Prints what changes, for ever; a control plane that goes away is waited for.
async fn watch(
    client: &Client,
    printer: &Printer,
    args: &GetArgs,
    first: Listing,
) -> Result<Exit, Failure> {
    let mut known = first.steady();
    let mut away = false;
    loop {
        let step = follow(client, printer, args, &mut known, &mut away).await;
        match step {
            Err(failure) if failure.exit != Exit::Unreachable => return Err(failure),
            Err(failure) if !away => {
                away = true;
                printer.note("warning", &format!("{}; trying again", failure.message));
            }
            _ => {}
        }
        sleep(PERIOD).await;
    }
}

/// Follows the streams that tell when to look again, until one ends.
async fn follow(
    client: &Client,
    printer: &Printer,
    args: &GetArgs,
    known: &mut Listing,
    away: &mut bool,
) -> Result<(), Failure> {
    let mut clusters = client.watch_clusters().await?;
    let mut dataplanes = client.watch_dataplanes().await?;
    loop {
        let live = tokio::select! {
            answer = clusters.next() => answer?.is_some(),
            answer = dataplanes.next() => answer?.is_some(),
            () = sleep(PERIOD) => true,
        };
        if !live {
            return Ok(());
        }
        // Rows that follow leave out what changes all the time: nobody is asked for it.
        let shown = match printer.format() {
            Format::Wide => Format::Table,
            format => format,
        };
        let now = fetch(client, args, shown).await?;
        *away = false;
        let steady = now.clone().steady();
        if steady != *known {
            print_change(printer, &now, &steady, known)?;
            *known = steady;
        }
    }
}

fn print_change(
    printer: &Printer,
    now: &Listing,
    steady: &Listing,
    known: &Listing,
) -> Result<(), Failure> {
    if !matches!(printer.format(), Format::Table | Format::Wide) {
        return printer.show_next(now);
    }
    let gone = match steady {
        // Old ones fall off the end of the list: nothing happened to them.
        Listing::Revisions(_) => Vec::new(),
        _ => gone(known, steady),
    };
    // Rows follow the heading in the order of the items; written together, they keep the columns of the whole.
    let changed = steady.changed_since(known);
    let text = steady.text(printer.view());
    let rows = text.lines().skip(1).zip(changed);
    let rows: String = rows
        .filter(|(_, changed)| *changed)
        .map(|(row, _)| format!("{row}\n"))
        .collect();
    let gone: String = gone
        .iter()
        .map(|name| format!("{name}   deleted\n"))
        .collect();
    printer.write(&format!("{rows}{gone}"))
}

fn gone(known: &Listing, steady: &Listing) -> Vec<String> {
    let names = steady.names();
    let mut gone = known.names();
    gone.retain(|name| !names.contains(name));
    gone
}

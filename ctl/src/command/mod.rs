//! The verbs, one file each.

mod acks;
mod apply;
mod definitions;
mod delete;
mod dev;
mod diff;
mod get;
mod launch;
mod listing;
mod request;
mod status;
mod validate;
mod version;
mod wait;

use crate::{
    cli::{Setup, Verb},
    client::Client,
    exit::{Exit, Failure},
    output::Printer,
};

/// Does what the command line asks.
///
/// # Errors
/// What went wrong, with the code to end with.
pub async fn run(setup: &Setup, printer: &Printer, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Dev(args) => return dev::run(printer, args).await,
        Verb::Launch(args) => return launch::run(&args),
        Verb::Validate(args) => return validate::run(printer, &args),
        _ => {}
    }
    let client = Client::new(&setup.server)?;
    match verb {
        Verb::Apply(args) => apply::run(&client, printer, &args).await,
        Verb::Delete(args) => delete::run(&client, printer, &args).await,
        Verb::Diff(args) => diff::run(&client, printer, &args).await,
        Verb::Get(args) => get::run(&client, printer, &args).await,
        Verb::History(args) => get::history(&client, printer, args).await,
        Verb::Status => status::run(&client, printer).await,
        Verb::Version => version::run(&client, printer).await,
        Verb::Wait(args) => wait::run(&client, printer, &args).await,
        Verb::Dev(_) | Verb::Launch(_) | Verb::Validate(_) => Ok(Exit::Ok),
    }
}

//! `version`: the builds of prismctl and of the control plane.

use serde::Serialize;

use crate::{
    client::Client,
    exit::{Exit, Failure},
    output::{Printer, Show, View},
};

#[derive(Debug, Serialize)]
struct VersionDocument {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_plane: Option<String>,
}

impl Show for VersionDocument {
    fn text(&self, _view: View) -> String {
        let answer = self.control_plane.as_deref().unwrap_or("does not answer");
        format!(
            "prismctl        {}\ncontrol plane   {answer}\n",
            self.client
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.client.clone()]
    }
}

/// Prints both builds; ends as unreachable, with prismctl's own printed, when there is no control plane.
pub(super) async fn run(client: &Client, printer: &Printer) -> Result<Exit, Failure> {
    let fleet = client.fleet().await;
    let document = VersionDocument {
        client: env!("CARGO_PKG_VERSION").to_owned(),
        control_plane: fleet.as_ref().ok().map(|fleet| fleet.build.clone()),
    };
    printer.show(&document)?;
    fleet.map(|_| Exit::Ok)
}

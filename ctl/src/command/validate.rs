//! `validate`: checks definitions without a control plane.

use serde::Serialize;

use super::definitions::Definitions;
use crate::{
    cli::ValidateArgs,
    exit::{Exit, Failure, Finding},
    output::{Printer, Show, View},
};

#[derive(Debug, Serialize)]
struct ValidDocument {
    valid: bool,
    clusters: Vec<String>,
    warnings: Vec<Finding>,
}

impl Show for ValidDocument {
    fn text(&self, _view: View) -> String {
        match self.clusters.len() {
            1 => "valid: 1 cluster\n".to_owned(),
            count => format!("valid: {count} clusters\n"),
        }
    }

    fn names(&self) -> Vec<String> {
        self.clusters.clone()
    }
}

/// Reads everything and says that it is valid, or all that is not.
pub(super) fn run(printer: &Printer, args: &ValidateArgs) -> Result<Exit, Failure> {
    let definitions = Definitions::read(&args.files)?;
    let warnings = definitions.warnings(&[]);
    for warning in &warnings {
        printer.note("warning", &warning.to_string());
    }
    let document = ValidDocument {
        valid: true,
        clusters: definitions.specs().map(|spec| spec.name).collect(),
        warnings,
    };
    printer.show(&document)?;
    Ok(Exit::Ok)
}

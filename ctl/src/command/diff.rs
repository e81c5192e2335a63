//! `diff`: what an apply would change, and the exact command that does it.

use super::{apply, definitions::Definitions, request::apply_request};
use crate::{
    cli::{ChangeArgs, DiffArgs},
    client::Client,
    exit::{Exit, Failure},
    output::{DiffDocument, Printer, cluster_diff},
};

/// Rehearses the apply and prints the differences; ends with 2 when there are some.
pub(super) async fn run(
    client: &Client,
    printer: &Printer,
    args: &DiffArgs,
) -> Result<Exit, Failure> {
    let definitions = Definitions::read(&args.change.files)?;
    let mut request = apply_request(client, &definitions, &args.change).await?;
    request.validate_only = true;
    request.request_id.clear();
    let response = client.apply(request).await;
    let response = response.map_err(|failure| definitions.locate(failure))?;
    let mut changed = apply::document(&response, &definitions, true);
    for warning in &changed.warnings {
        printer.note("warning", &warning.to_string());
    }
    changed
        .changes
        .retain(|change| change.change != "unchanged");
    let diffs: Vec<String> = response.changes.iter().map(cluster_diff).collect();
    let document = DiffDocument {
        revision: changed.revision,
        diff: diffs.concat(),
        apply: command(&args.change, &changed.revision.to_string()),
        changes: changed.changes,
        warnings: changed.warnings,
    };
    printer.show(&document)?;
    Ok(if document.changes.is_empty() {
        Exit::Ok
    } else {
        Exit::Differences
    })
}

/// Writes the command line that applies what was compared, and nothing else.
fn command(change: &ChangeArgs, revision: &str) -> String {
    let mut words = vec!["prismctl".to_owned(), "apply".to_owned()];
    for file in &change.files {
        words.push("-f".to_owned());
        words.push(quoted(&file.to_string_lossy()));
    }
    if let Some(manifest) = &change.manifest {
        words.push("--manifest".to_owned());
        words.push(quoted(manifest));
    }
    let flags = [
        (change.prune, "--prune"),
        (change.instant, "--instant"),
        (change.confirm_shrink, "--confirm-shrink"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(given, _)| *given)
            .map(|(_, flag)| (*flag).to_owned()),
    );
    words.push("--if-revision".to_owned());
    words.push(revision.to_owned());
    words.join(" ")
}

/// Quotes a word for a shell where it needs it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_repeats_what_was_compared() {
        let change = ChangeArgs {
            files: vec!["a.toml".into(), "my dir".into()],
            manifest: Some("web".into()),
            prune: true,
            instant: false,
            confirm_shrink: false,
        };
        assert_eq!(
            command(&change, "1.12"),
            "prismctl apply -f a.toml -f 'my dir' --manifest web --prune --if-revision 1.12"
        );
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}

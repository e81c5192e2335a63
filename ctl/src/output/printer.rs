//! The two streams: documents go to standard output, messages and hints to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::{View, yaml};
use crate::{
    cli::{Format, LogFormat},
    exit::{Exit, Failure, Finding},
};

/// A document that can be printed in every form.
pub trait Show: Serialize {
    /// Writes it for people.
    fn text(&self, view: View) -> String;

    /// Returns the names in it, as later commands take them.
    fn names(&self) -> Vec<String>;

    /// Writes it as TOML.
    ///
    /// # Errors
    /// When it cannot be told in TOML.
    fn toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| Failure::new(Exit::Error, error.to_string()))
    }
}

/// Prints in the forms that the command line asked for.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
    log_format: LogFormat,
    colours: bool,
}

impl Printer {
    /// Decides once where colours are shown: on a terminal, unless `NO_COLOR` is set.
    pub fn new(format: Format, log_format: LogFormat) -> Self {
        let refused = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format,
            log_format,
            colours: io::stdout().is_terminal() && !refused("NO_COLOR") && !dumb,
        }
    }

    /// The form of standard output.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The form of standard error.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// How people want to see documents.
    pub fn view(&self) -> View {
        View {
            wide: self.format == Format::Wide,
            colours: self.colours,
        }
    }

    /// Says whether someone can be asked: both ends of the terminal are there, and no program reads the answer.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Prints one document.
    ///
    /// # Errors
    /// When standard output is closed or the document cannot be told in the form asked for.
    pub fn show(&self, document: &impl Show) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json => pretty(&value_of(document)?),
            Format::Name => document
                .names()
                .iter()
                .map(|name| format!("{name}\n"))
                .collect(),
            Format::Table | Format::Wide => document.text(self.view()),
            Format::Toml => document.toml()?,
            Format::Yaml => yaml::write(&value_of(document)?),
        };
        self.write(&text)
    }

    /// Prints one document of a series that goes on: JSON on one line, YAML after `---`.
    ///
    /// # Errors
    /// As `show`.
    pub fn show_next(&self, document: &impl Show) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.write(&format!("{}\n", value_of(document)?)),
            Format::Yaml => self.write(&format!("---\n{}", yaml::write(&value_of(document)?))),
            _ => self.show(document),
        }
    }

    /// Writes text to standard output as it is.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Tells people something that is no result: progress, a hint, a warning.
    pub fn note(&self, level: &str, message: &str) {
        let text = match (self.log_format, level) {
            (LogFormat::Json, _) => json!({"level": level, "message": message}).to_string(),
            (LogFormat::Text, "info") => message.to_owned(),
            (LogFormat::Text, _) => format!("{level}: {message}"),
        };
        // Nobody is left to be told when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells one finding; the line opens with file, line and column, where editors look for them.
    fn finding(&self, finding: &Finding) {
        match self.log_format {
            LogFormat::Json => self.note("error", &finding.to_string()),
            LogFormat::Text => self.note("info", &finding.to_string()),
        }
    }

    /// Tells a failure: every finding, the sentence, the hint. Definitions that are not valid leave no other document, so a
    /// program is given one of the findings.
    pub fn failure(&self, failure: &Failure) -> Exit {
        let is_alone = failure.exit == Exit::Invalid && !failure.findings.is_empty();
        if is_alone && matches!(self.format, Format::Json | Format::Yaml) {
            let document = json!({"violations": failure.findings});
            let text = match self.format {
                Format::Json => pretty(&document),
                _ => yaml::write(&document),
            };
            // The failure is told on standard error all the same.
            let _ = self.write(&text);
        }
        for finding in &failure.findings {
            self.finding(finding);
        }
        if !failure.message.is_empty() {
            self.note("error", &failure.message);
        }
        if !failure.hint.is_empty() {
            self.note("hint", &failure.hint);
        }
        failure.exit
    }
}

fn value_of(document: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::new(Exit::Error, error.to_string()))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

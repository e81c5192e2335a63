//! How a command ends: the table of exit codes, and what went wrong in words.

use std::{fmt, io, process::ExitCode};

use serde::Serialize;

/// Why prismctl ended; the codes are part of its contract and the same for every output format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// It failed for a reason without a code of its own.
    Error = 1,
    /// `diff` found differences.
    Differences = 2,
    /// Definitions are not valid.
    Invalid = 3,
    /// A demanded state did not hold, or a guard wants `--yes`.
    Precondition = 4,
    /// A data plane rejected the change.
    Nacked = 5,
    /// The time given was not enough.
    Timeout = 6,
    /// The caller may not do this.
    NotAllowed = 7,
    /// The control plane does not answer.
    Unreachable = 8,
    /// The command line makes no sense.
    Usage = 64,
    /// prismctl's own configuration file is bad.
    BadConfiguration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// One thing wrong with one field of a definition, and where the field was written.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// The file it was read from, `-` for standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in that line, from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Path of the field, such as `clusters[2].endpoints[0].weight`; may be empty.
    pub field: String,
    /// What is wrong.
    pub description: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:{}:", self.column.unwrap_or(1))?;
            }
            write!(f, " ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}", self.description)
    }
}

/// A command that did not do what was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// One sentence for people.
    pub message: String,
    /// Every violation, when definitions are at fault.
    pub findings: Vec<Finding>,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Failure {
    /// A failure told in one sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            findings: Vec::new(),
            hint: String::new(),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Definitions that are not valid, with everything that is wrong with them.
    pub fn invalid(findings: Vec<Finding>) -> Self {
        let count = match findings.len() {
            1 => "1 error".to_owned(),
            several => format!("{several} errors"),
        };
        let mut failure = Self::new(Exit::Invalid, format!("{count} in the definitions"));
        failure.findings = findings;
        failure
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "");
        }
        Self::new(Exit::Error, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let table = [
            (Exit::Ok, 0),
            (Exit::Error, 1),
            (Exit::Differences, 2),
            (Exit::Invalid, 3),
            (Exit::Precondition, 4),
            (Exit::Nacked, 5),
            (Exit::Timeout, 6),
            (Exit::NotAllowed, 7),
            (Exit::Unreachable, 8),
            (Exit::Usage, 64),
            (Exit::BadConfiguration, 78),
        ];
        for (exit, code) in table {
            assert_eq!(exit as u8, code, "{exit:?}");
        }
    }

    #[test]
    fn finding_opens_with_the_place_in_the_file() {
        let finding = Finding {
            file: Some("a.toml".into()),
            line: Some(3),
            column: Some(7),
            field: "clusters[0].name".into(),
            description: "must not be empty".into(),
        };
        assert_eq!(
            finding.to_string(),
            "a.toml:3:7: clusters[0].name: must not be empty"
        );
    }

    #[test]
    fn closed_pipe_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(closed).exit, Exit::Ok);
    }
}

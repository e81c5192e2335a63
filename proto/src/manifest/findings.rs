//! What reading files found, beside the values.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    manifest::{
        diagnostic::Diagnostic,
        source::{Places, Source},
    },
    model::Violations,
};

/// What reading found, beside the values.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) sources: Vec<Source>,
    pub(super) errors: Vec<(usize, Range<usize>, Diagnostic)>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) places: Places,
    /// Fields that could not be read, so that nobody calls them missing.
    pub(super) unread: BTreeSet<String>,
}

impl Findings {
    /// The one that is being read.
    pub(super) fn source(&self) -> usize {
        self.sources.len().saturating_sub(1)
    }

    pub(super) fn diagnose(&self, at: (usize, Range<usize>), message: String) -> Diagnostic {
        let (source, span) = at;
        let source = self.sources.get(source);
        let (line, col) = source.map_or((1, 1), |source| source.position(span.start));
        Diagnostic {
            file: source.map(Source::name).unwrap_or_default().to_owned(),
            line,
            col,
            message,
            suggestion: None,
        }
    }

    pub(super) fn fail(&mut self, span: &Range<usize>, message: String) {
        let at = (self.source(), span.clone());
        let diagnostic = self.diagnose(at, message);
        self.errors.push((self.source(), span.clone(), diagnostic));
    }

    pub(super) fn suggest(&mut self, suggestion: Option<&str>) {
        if let Some((_, _, diagnostic)) = self.errors.last_mut() {
            diagnostic.suggestion = suggestion.map(str::to_owned);
        }
    }

    /// Adds violations as errors at the places of their fields.
    pub(super) fn fail_all(&mut self, violations: Violations) {
        for violation in violations {
            if self.is_unread(&violation.field) {
                continue;
            }
            let at = self.places.find(&violation.field).unwrap_or((0, 0..0));
            let message = named(&violation.field, &violation.description);
            let diagnostic = self.diagnose(at.clone(), message);
            self.errors.push((at.0, at.1, diagnostic));
        }
    }

    pub(super) fn warn_all(&mut self, warnings: Violations) {
        for warning in warnings {
            let at = self.places.find(&warning.field).unwrap_or((0, 0..0));
            let message = named(&warning.field, &warning.description);
            let diagnostic = self.diagnose(at, message);
            self.warnings.push(diagnostic);
        }
    }

    fn is_unread(&self, field: &str) -> bool {
        let below = |unread: &String| {
            let rest = field.strip_prefix(unread.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.unread.iter().any(below)
    }
}

/// Leaves out the cluster of a path, which the place says already, and says servers as files do.
fn named(field: &str, description: &str) -> String {
    let own = match field.strip_prefix("clusters[") {
        Some(rest) => rest.split_once("].").map_or("", |(_, own)| own),
        None => field,
    };
    if own.is_empty() {
        return description.to_owned();
    }
    let own = own.replace("endpoints", "servers");
    format!("{own}: {}", description.replace("endpoints[", "servers["))
}

//! The definitions file: TOML with every error at its place, and back.

mod access;
mod cluster;
mod diagnostic;
mod endpoint;
mod findings;
mod legacy;
#[cfg(test)]
mod properties;
mod render;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod unit;

use toml::de::DeTable;

use crate::{
    manifest::{
        findings::Findings,
        source::{Places, Source},
        table::Table,
    },
    model::{ClusterSpec, MAX_MANIFEST_BYTES, Violations, check_fleet_at},
};

pub use diagnostic::{Diagnostic, Diagnostics};
pub use render::{render, render_drafts};

/// The clusters of one or more files, checked, and where each field was read.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// In the order of the files; `clusters[i]` of a path is the i-th of them.
    pub clusters: Vec<ClusterSpec>,
    /// What is accepted but does not do what its author may think.
    pub warnings: Vec<Diagnostic>,
    sources: Vec<Source>,
    places: Places,
}

impl Manifest {
    /// Returns file, line and column of a field such as `clusters[2].endpoints[0].weight`, or of the nearest field around it.
    pub fn locate(&self, field: &str) -> Option<(String, usize, usize)> {
        let (source, span) = self.places.find(field)?;
        let source = self.sources.get(source)?;
        let (line, col) = source.position(span.start);
        Some((source.name().to_owned(), line, col))
    }
}

/// Reads one definitions file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Manifest, Diagnostics> {
    parse_all([(name, text)])
}

/// Reads definitions files as if they were one.
///
/// # Errors
/// Everything that is wrong with them, and between them.
pub fn parse_all<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Manifest, Diagnostics> {
    let mut findings = Findings::default();
    let mut specs = Vec::new();
    let mut next = 0;
    for (name, text) in files {
        findings.sources.push(Source::new(name, text));
        read_file(&mut findings, text, &mut next, &mut specs);
    }
    let bytes: usize = findings
        .sources
        .iter()
        .map(|source| source.text().len())
        .sum();
    if bytes > MAX_MANIFEST_BYTES {
        let message = format!("{bytes} bytes are more than {MAX_MANIFEST_BYTES}");
        findings.fail(&(0..0), message);
    }
    let at = specs.iter().map(|(index, spec)| (*index, spec));
    findings.fail_all(check_fleet_at(at));
    finish(findings, specs)
}

fn finish(
    mut findings: Findings,
    specs: Vec<(usize, ClusterSpec)>,
) -> Result<Manifest, Diagnostics> {
    if !findings.errors.is_empty() {
        let mut errors = findings.errors;
        errors.sort_by_key(|(source, span, _)| (*source, span.start));
        let mut errors: Vec<_> = errors.into_iter().map(|(_, _, error)| error).collect();
        errors.dedup();
        return Err(Diagnostics(errors));
    }
    for (index, spec) in &specs {
        let mut warnings = Violations::new();
        warnings.extend_under(&format!("clusters[{index}]"), spec.warnings());
        findings.warn_all(warnings);
    }
    Ok(Manifest {
        clusters: specs.into_iter().map(|(_, spec)| spec).collect(),
        warnings: findings.warnings,
        sources: findings.sources,
        places: findings.places,
    })
}

fn read_file(
    findings: &mut Findings,
    text: &str,
    next: &mut usize,
    specs: &mut Vec<(usize, ClusterSpec)>,
) {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        findings.fail(&span, error.message().to_owned());
    }
    if !errors.is_empty() {
        return;
    }
    let root = toml::Spanned::new(root.span(), toml::de::DeValue::Table(root.into_inner()));
    let Some(mut table) = Table::open(findings, &root, String::new()) else {
        return;
    };
    let values = table.array("clusters", &[]).unwrap_or_default();
    for value in values {
        let path = format!("clusters[{next}]");
        if let Some(draft) = cluster::read(table.findings, value, path.clone()) {
            let mut violations = Violations::new();
            match ClusterSpec::new(draft) {
                Ok(spec) => specs.push((*next, spec)),
                Err(others) => violations.extend_under(&path, others),
            }
            table.findings.fail_all(violations);
        }
        *next += 1;
    }
    table.close();
}

//! Violations in messages.

use crate::{
    model::{Violation, Violations},
    pb::{admin::v1 as admin, discovery::v1 as discovery},
};

/// Writes violations for a nack.
pub fn violations_to_nack(violations: &Violations) -> Vec<discovery::Violation> {
    let write = |violation: &Violation| discovery::Violation {
        field: violation.field.clone(),
        description: violation.description.clone(),
    };
    violations.iter().map(write).collect()
}

/// Reads the violations of a nack.
pub fn violations_from_nack(violations: &[discovery::Violation]) -> Violations {
    let read = |violation: &discovery::Violation| Violation {
        field: violation.field.clone(),
        description: violation.description.clone(),
    };
    violations.iter().map(read).collect()
}

/// Writes violations for operators to read.
pub fn violations_to_admin(violations: &Violations) -> Vec<admin::FieldViolation> {
    let write = |violation: &Violation| admin::FieldViolation {
        field: violation.field.clone(),
        description: violation.description.clone(),
    };
    violations.iter().map(write).collect()
}

/// Writes advice for operators to read.
pub fn warnings_to_admin(warnings: &Violations) -> Vec<admin::Warning> {
    let write = |warning: &Violation| admin::Warning {
        field: warning.field.clone(),
        description: warning.description.clone(),
    };
    warnings.iter().map(write).collect()
}

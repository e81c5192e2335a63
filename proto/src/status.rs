//! Errors as gRPC says them: one reason for programs, the fields for people.

use std::{collections::BTreeMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::model::{Violation, Violations};

/// The domain of every reason.
pub const DOMAIN: &str = "prism";
/// The reason of [`invalid_argument`].
pub const INVALID_DEFINITION: &str = "INVALID_DEFINITION";

/// Details travel in a header, of which peers accept 16 KiB in all; base64 makes a third more of this.
const MAX_VIOLATION_BYTES: usize = 8 * 1024;
/// Bytes that framing adds to one violation.
const VIOLATION_FRAME_BYTES: usize = 8;
/// The message is for logs; the details are for people.
const MAX_MESSAGE_BYTES: usize = 256;
/// When a caller may try again what is not available now.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Facts of an error that programs read, such as the current etag.
pub type Facts<'a> = &'a [(&'a str, &'a str)];

/// Says what is wrong with the fields of a request.
///
/// Violations beyond what a header holds are counted in the last one.
pub fn invalid_argument(violations: &Violations) -> Status {
    let mut details = details(INVALID_DEFINITION, &[]);
    let mut bytes = 0;
    for (index, Violation { field, description }) in violations.iter().enumerate() {
        bytes += field.len() + description.len() + VIOLATION_FRAME_BYTES;
        if bytes > MAX_VIOLATION_BYTES {
            let more = violations.len() - index;
            details.add_bad_request_violation("", format!("and {more} more"));
            break;
        }
        details.add_bad_request_violation(field, description);
    }
    let first = violations.iter().next().map(Violation::to_string);
    let message = match (violations.len(), first) {
        (1, Some(first)) => first,
        (count, Some(first)) => format!("{count} violations, the first: {first}"),
        (_, None) => "invalid".to_owned(),
    };
    Status::with_error_details(Code::InvalidArgument, shortened(message), details)
}

/// Says that somebody else was first: read again, decide again.
pub fn aborted(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    error(Code::Aborted, message, details(reason, facts))
}

/// Says that a name is taken.
pub fn already_exists(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    error(Code::AlreadyExists, message, details(reason, facts))
}

/// Says that something must be done first.
pub fn failed_precondition(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    let message = message.into();
    let mut details = details(reason, facts);
    details.add_precondition_failure_violation(reason, DOMAIN, shortened(message.clone()));
    error(Code::FailedPrecondition, message, details)
}

/// Says that something broke here.
pub fn internal(reason: &str, message: impl Into<String>) -> Status {
    error(Code::Internal, message, details(reason, &[]))
}

/// Says that there is no such thing.
pub fn not_found(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    error(Code::NotFound, message, details(reason, facts))
}

/// Says that a cursor is too old.
pub fn out_of_range(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    error(Code::OutOfRange, message, details(reason, facts))
}

/// Says that a cap is reached.
pub fn resource_exhausted(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    let message = message.into();
    let mut details = details(reason, facts);
    details.add_quota_failure_violation(reason, shortened(message.clone()));
    error(Code::ResourceExhausted, message, details)
}

/// Says that it does not work now and may in a second.
pub fn unavailable(reason: &str, message: impl Into<String>, facts: Facts<'_>) -> Status {
    let mut details = details(reason, facts);
    details.set_retry_info(Some(RETRY_AFTER));
    error(Code::Unavailable, message, details)
}

/// Reads the violations of a status; none when it carries none.
pub fn violations(status: &Status) -> Violations {
    let Some(bad_request) = status.get_details_bad_request() else {
        return Violations::new();
    };
    let read = |violation: tonic_types::FieldViolation| Violation {
        field: violation.field,
        description: violation.description,
    };
    bad_request.field_violations.into_iter().map(read).collect()
}

/// Reads the reason of a status, if it is one of ours.
pub fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then_some(info.reason)
}

/// Reads the facts of a status.
pub fn facts(status: &Status) -> BTreeMap<String, String> {
    let info = status.get_details_error_info();
    info.map(|info| info.metadata.into_iter().collect())
        .unwrap_or_default()
}

fn details(reason: &str, facts: Facts<'_>) -> ErrorDetails {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let facts: std::collections::HashMap<_, _> = facts.iter().map(owned).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, facts)
}

fn error(code: Code, message: impl Into<String>, details: ErrorDetails) -> Status {
    Status::with_error_details(code, shortened(message.into()), details)
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_travel_with_one_reason() {
        let mut sent = Violations::one("clusters[2].endpoints[0].weight", "0 is out of range");
        sent.push("clusters[2].name", "is missing");
        let status = invalid_argument(&sent);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(violations(&status), sent);
        assert_eq!(reason(&status).as_deref(), Some("INVALID_DEFINITION"));
        let infos = status.get_error_details_vec();
        let is_info = |detail: &&tonic_types::ErrorDetail| {
            matches!(detail, tonic_types::ErrorDetail::ErrorInfo(_))
        };
        assert_eq!(infos.iter().filter(is_info).count(), 1);
    }

    #[test]
    fn more_violations_than_a_header_holds_are_counted() {
        let mut sent = Violations::new();
        for index in 0..10_000 {
            sent.push(format!("clusters[{index}].name"), "is missing");
        }
        let status = invalid_argument(&sent);
        let read = violations(&status);
        assert!(status.details().len() < 11 * 1024);
        let last = read.iter().last().unwrap();
        assert_eq!(
            last.description,
            format!("and {} more", 10_001 - read.len())
        );
    }

    #[test]
    fn every_error_names_a_reason_and_facts() {
        let facts_sent = [("etag", "abc")];
        for (status, code) in [
            (aborted("ETAG", "x", &facts_sent), Code::Aborted),
            (
                already_exists("ETAG", "x", &facts_sent),
                Code::AlreadyExists,
            ),
            (
                failed_precondition("ETAG", "x", &facts_sent),
                Code::FailedPrecondition,
            ),
            (not_found("ETAG", "x", &facts_sent), Code::NotFound),
            (out_of_range("ETAG", "x", &facts_sent), Code::OutOfRange),
            (
                resource_exhausted("ETAG", "x", &facts_sent),
                Code::ResourceExhausted,
            ),
            (unavailable("ETAG", "x", &facts_sent), Code::Unavailable),
        ] {
            assert_eq!(status.code(), code);
            assert_eq!(reason(&status).as_deref(), Some("ETAG"));
            assert_eq!(facts(&status)["etag"], "abc");
        }
        assert!(reason(&Status::internal("foreign")).is_none());
    }
}

//! gRPC errors told as failures of prismctl: code, sentence, violations.

use std::error::Error;

use prism_proto::status::violations;
use tonic::{Code, Status};

use crate::exit::{Exit, Failure, Finding};

/// Tells what a call's error means to the user.
pub(super) fn failure_of(status: &Status, server: &str) -> Failure {
    if is_transport(status) {
        return unreachable(status, server);
    }
    let message = status.message();
    match status.code() {
        Code::Aborted | Code::FailedPrecondition => Failure::new(Exit::Precondition, message)
            .hint("read what is there now with `prismctl diff`, then apply again"),
        Code::DeadlineExceeded => Failure::new(
            Exit::Timeout,
            format!("the control plane at {server} took too long"),
        ),
        Code::InvalidArgument => invalid(status),
        Code::PermissionDenied | Code::Unauthenticated => Failure::new(Exit::NotAllowed, message),
        Code::Unimplemented => Failure::new(
            Exit::Error,
            format!("{server} does not speak this API: {message}"),
        )
        .hint("is this the control plane's --listen address? `prismctl version` shows both builds"),
        Code::Unavailable => Failure::new(
            Exit::Error,
            format!("the control plane cannot do this now: {message}"),
        ),
        _ => Failure::new(Exit::Error, message),
    }
}

/// Says whether the same write may succeed when sent again.
pub(super) fn is_worth_a_retry(status: &Status) -> bool {
    status.code() == Code::Unavailable || is_transport(status)
}

/// A status that the control plane sent has no source; one that was made of a broken connection has.
fn is_transport(status: &Status) -> bool {
    status.source().is_some()
        && matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
        )
}

fn unreachable(status: &Status, server: &str) -> Failure {
    let mut cause: &dyn Error = status;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Failure::new(
        Exit::Unreachable,
        format!("the control plane at {server} does not answer: {cause}"),
    )
    .hint("start it with `prism-controlplane`, or name another with --server or PRISM_SERVER")
}

fn invalid(status: &Status) -> Failure {
    let findings: Vec<Finding> = violations(status)
        .into_iter()
        .map(|violation| Finding {
            field: violation.field,
            description: violation.description,
            ..Finding::default()
        })
        .collect();
    if findings.is_empty() {
        return Failure::new(Exit::Invalid, status.message());
    }
    Failure::invalid(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_api_become_exit_codes() {
        let table = [
            (Code::Aborted, Exit::Precondition),
            (Code::DeadlineExceeded, Exit::Timeout),
            (Code::FailedPrecondition, Exit::Precondition),
            (Code::Internal, Exit::Error),
            (Code::InvalidArgument, Exit::Invalid),
            (Code::NotFound, Exit::Error),
            (Code::PermissionDenied, Exit::NotAllowed),
            (Code::ResourceExhausted, Exit::Error),
            (Code::Unauthenticated, Exit::NotAllowed),
            (Code::Unavailable, Exit::Error),
        ];
        for (code, exit) in table {
            let failure = failure_of(&Status::new(code, "why"), "http://x");
            assert_eq!(failure.exit, exit, "{code:?}");
        }
    }

    #[test]
    fn violations_of_the_api_become_findings() {
        let sent = prism_proto::model::Violations::one("clusters[2].name", "is missing");
        let status = prism_proto::status::invalid_argument(&sent);
        let failure = failure_of(&status, "http://x");
        assert_eq!(failure.message, "1 error in the definitions");
        assert_eq!(
            failure.findings[0].to_string(),
            "clusters[2].name: is missing"
        );
    }

    #[test]
    fn refused_connection_is_told_with_the_address() {
        let mut status = Status::unavailable("tcp connect error");
        status.set_source(std::sync::Arc::new(std::io::Error::from(
            std::io::ErrorKind::ConnectionRefused,
        )));
        let failure = failure_of(&status, "http://127.0.0.1:7100");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(
            failure.message,
            "the control plane at http://127.0.0.1:7100 does not answer: connection refused"
        );
    }
}

//! Checks the first message of a data plane.

use prism_proto::{
    model::{MAX_NAME_BYTES, Violations},
    pb::discovery::v1::{Hello, SyncRequest, sync_request::Kind},
    status,
};
use tonic::Status;

use crate::fleet::{ConnectError, Identity};

/// Most labels or features of one data plane.
const MAX_ENTRIES: usize = 64;
/// Longest text of a data plane about itself.
const MAX_TEXT_BYTES: usize = 256;

/// Returns the Hello that must come first.
pub(super) fn expect_hello(message: Option<SyncRequest>) -> Result<Hello, Status> {
    match message.and_then(|message| message.kind) {
        Some(Kind::Hello(hello)) => Ok(hello),
        _ => Err(status::invalid_argument(&Violations::one(
            "hello",
            "must come first",
        ))),
    }
}

/// Returns who the data plane is and the fleet it holds state of.
pub(super) fn identify(hello: Hello, peer: String) -> Result<(Identity, String), Status> {
    let mut violations = Violations::new();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if hello.id.is_empty() || hello.id.len() > MAX_NAME_BYTES || !hello.id.bytes().all(is_name) {
        let description = format!("must be 1 to {MAX_NAME_BYTES} of [A-Za-z0-9._-]");
        violations.push("hello.id", description);
    }
    if hello.instance.is_empty() {
        violations.push("hello.instance", "is missing");
    }
    let labels = hello
        .labels
        .iter()
        .flat_map(|(key, value)| [("labels", key), ("labels", value)]);
    let features = hello.features.iter().map(|feature| ("features", feature));
    let own = [
        ("instance", &hello.instance),
        ("fleet_id", &hello.fleet_id),
        ("zone", &hello.zone),
        ("advertise", &hello.advertise),
        ("build", &hello.build),
        ("bind_ip", &hello.bind_ip),
    ];
    for (field, text) in own.into_iter().chain(labels).chain(features) {
        if text.len() > MAX_TEXT_BYTES {
            let description = format!("has {} bytes, at most {MAX_TEXT_BYTES}", text.len());
            violations.push(format!("hello.{field}"), description);
        }
    }
    for (field, count) in [
        ("labels", hello.labels.len()),
        ("features", hello.features.len()),
    ] {
        if count > MAX_ENTRIES {
            violations.push(
                format!("hello.{field}"),
                format!("{count} are more than {MAX_ENTRIES}"),
            );
        }
    }
    let identity = Identity {
        id: hello.id,
        instance: hello.instance,
        zone: hello.zone,
        labels: hello.labels,
        advertise: hello.advertise,
        build: hello.build,
        features: hello.features,
        bind_ip: hello.bind_ip,
        peer,
    };
    let checked = violations.into_result((identity, hello.fleet_id));
    checked.map_err(|violations| status::invalid_argument(&violations))
}

/// Says why a stream is refused.
pub(super) fn refused(error: &ConnectError) -> Status {
    let text = error.to_string();
    match error {
        ConnectError::Held { id, instance, peer } => {
            let facts = [("id", id.as_str()), ("instance", instance), ("peer", peer)];
            status::already_exists("DATAPLANE_CONNECTED", text, &facts)
        }
        ConnectError::TooMany => status::resource_exhausted("TOO_MANY_DATAPLANES", text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn everything_wrong_with_a_hello_is_said_at_once() {
        let hello = Hello {
            id: "no spaces".into(),
            zone: "z".repeat(300),
            labels: (0..100).map(|n| (n.to_string(), String::new())).collect(),
            ..Hello::default()
        };
        let refused = identify(hello, String::new()).expect_err("wrong");
        let fields: Vec<_> = status::violations(&refused)
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(
            fields,
            ["hello.id", "hello.instance", "hello.zone", "hello.labels"]
        );
    }

    #[test]
    fn good_hello_is_taken_over() {
        let hello = Hello {
            id: "dp-1.eu_west".into(),
            instance: "x".into(),
            fleet_id: "f".into(),
            labels: BTreeMap::from([("tier".into(), "edge".into())]),
            ..Hello::default()
        };
        let (identity, fleet_id) = identify(hello, "10.0.0.1:1".into()).expect("good");
        assert_eq!(
            (identity.id.as_str(), fleet_id.as_str()),
            ("dp-1.eu_west", "f")
        );
        assert_eq!(identity.labels["tier"], "edge");
    }

    #[test]
    fn anything_else_first_is_refused() {
        assert!(expect_hello(None).is_err());
        assert!(expect_hello(Some(SyncRequest { kind: None })).is_err());
    }
}

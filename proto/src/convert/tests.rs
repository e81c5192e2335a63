//! Claims about messages and definitions.

use prost_types::Duration as PbDuration;

use super::*;
use crate::{
    model::{ClusterSpec, Draft, Secret, tests as drafts},
    pb::config::v1 as pb,
    placement::{ShardNodes, SlotMap, SlotRange},
};

fn specs() -> [ClusterSpec; 2] {
    [drafts::least(), drafts::full()].map(|draft| ClusterSpec::new(draft).unwrap())
}

fn fields(violations: &crate::model::Violations) -> Vec<&str> {
    violations.iter().map(|v| v.field.as_str()).collect()
}

#[test]
fn a_definition_is_read_as_it_was_written() {
    for spec in specs() {
        assert_eq!(spec_from_pb(&spec_to_pb(&spec)).unwrap(), spec);
        assert_eq!(decode_spec(&encode_spec(&spec)).unwrap(), spec);
        let redacted = spec.draft().redacted(b"key");
        assert_eq!(draft_from_pb(&draft_to_pb(&redacted)).unwrap(), redacted);
    }
}

#[test]
fn a_resolved_definition_says_everything() {
    for spec in specs() {
        let resolved = resolved_from_pb(&resolved_to_pb(&spec)).unwrap();
        assert_eq!(resolved.cluster(), spec.cluster());
        assert_eq!(decode_resolved(&encode_resolved(&spec)).unwrap(), resolved);
    }
}

#[test]
fn a_field_left_to_a_default_is_a_violation_for_a_data_plane() {
    let [least, _] = specs();
    let violations = resolved_from_pb(&spec_to_pb(&least)).unwrap_err();
    let found = fields(&violations);
    assert_eq!(found.len(), 45 + 2, "{found:?}");
    let full = resolved_to_pb(&least);
    let missing_one = pb::ClusterSpec {
        max_pending: None,
        ..full.clone()
    };
    assert_eq!(
        fields(&resolved_from_pb(&missing_one).unwrap_err()),
        ["max_pending"]
    );
    let mut weightless = full;
    weightless.endpoints[1].weight = None;
    let violations = resolved_from_pb(&weightless).unwrap_err();
    assert_eq!(fields(&violations), ["endpoints[1].weight"]);
}

#[test]
fn a_digest_is_no_secret_for_a_data_plane() {
    let [_, full] = specs();
    let shown = ClusterSpec::new(full.draft().redacted(b"key")).unwrap();
    let violations = resolved_from_pb(&resolved_to_pb(&shown)).unwrap_err();
    assert_eq!(fields(&violations), ["auth.password"]);
}

#[test]
fn unknown_choices_are_violations_and_never_defaults() {
    let [least, _] = specs();
    let message = pb::ClusterSpec {
        cache_type: 99,
        hash: 99,
        distribution: -1,
        hash_bytes: 99,
        ketama_float: 99,
        read_policy: 99,
        multi_key_policy: 99,
        on_ejection: 99,
        on_readmit: 99,
        rollout: 99,
        ..spec_to_pb(&least)
    };
    let violations = spec_from_pb(&message).unwrap_err();
    let expected = [
        "cache_type",
        "rollout",
        "hash",
        "distribution",
        "hash_bytes",
        "ketama_float",
        "read_policy",
        "multi_key_policy",
        "on_ejection",
        "on_readmit",
    ];
    assert_eq!(fields(&violations), expected);
}

#[test]
fn durations_and_secrets_that_cannot_be_read_are_violations() {
    let [least, _] = specs();
    let negative = Some(PbDuration {
        seconds: -1,
        nanos: 0,
    });
    let message = pb::ClusterSpec {
        name: String::new(),
        read_timeout: negative,
        ping_interval: Some(PbDuration {
            seconds: 1,
            nanos: -1,
        }),
        slowlog_slower_than: negative,
        auth: Some(pb::Auth {
            password: Some(pb::Secret { source: None }),
            users: Vec::new(),
        }),
        ..spec_to_pb(&least)
    };
    let violations = spec_from_pb(&message).unwrap_err();
    let expected = ["read_timeout", "ping_interval", "auth.password", "name"];
    assert_eq!(fields(&violations), expected);
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    assert!(matches!(
        decode_spec(b"\xff\xff\xff"),
        Err(DecodeError::Malformed(_))
    ));
    let violations = decode_spec(b"").unwrap_err().into_violations();
    assert_eq!(fields(&violations)[0], "name");
    assert!(decode_slot_map(b"\xff").is_err());
}

#[test]
fn every_message_redacts_secrets_in_debug() {
    let draft = Draft::clone(&drafts::full());
    let message = draft_to_pb(&draft);
    assert!(!format!("{message:?}").contains("hunter2"));
    assert_eq!(
        format!("{:?}", Secret::Plain("hunter2".into())),
        "Secret(redacted)"
    );
}

fn nodes(port: u16) -> ShardNodes {
    ShardNodes {
        primary: format!("10.0.0.1:{port}"),
        replicas: vec![format!("10.0.0.2:{port}")],
        primary_id: format!("id{port}"),
    }
}

fn range(start: u32, length: u32, shard: u32) -> SlotRange {
    SlotRange {
        start,
        length,
        shard: Some(shard),
    }
}

#[test]
fn slot_maps_travel_whole_and_as_changes() {
    let ranges = [range(0, 8192, 0), range(8192, 8000, 1)];
    let base = SlotMap::new(4, vec![nodes(1), nodes(2)], ranges).unwrap();
    let body = encode_slot_map("c", &base);
    assert_eq!(
        decode_slot_map(&body).unwrap(),
        ("c".to_owned(), base.clone())
    );

    let moved = base
        .with_changes(5, [nodes(3)], [range(100, 50, 2)])
        .unwrap();
    let delta = slot_delta_to_pb("c", &base, &moved).unwrap();
    assert_eq!(delta.ranges.len(), 1);
    assert_eq!(slot_delta_from_pb(&base, &delta).unwrap(), moved);
    assert!(slot_delta_from_pb(&moved, &delta).is_err());
    assert!(slot_delta_to_pb("c", &moved, &base).is_none());
    let others = SlotMap::new(6, vec![nodes(2), nodes(1)], [range(0, 9, 0)]).unwrap();
    assert!(slot_delta_to_pb("c", &base, &others).is_none());
}

#[test]
fn wrong_slot_maps_are_violations() {
    let shard = pb::ShardNodes {
        primary: "10.0.0.1".to_owned(),
        ..Default::default()
    };
    let message = pb::SlotMap {
        shards: vec![shard],
        ranges: vec![pb::SlotRange {
            start: 16_000,
            length: 1000,
            shard: Some(0),
        }],
        ..Default::default()
    };
    let violations = slot_map_from_pb(&message).unwrap_err();
    assert_eq!(fields(&violations), ["cluster", "shards[0]", "ranges"]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_break_the_decoders(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = (decode_spec(&bytes), decode_slot_map(&bytes));
    }

    #[test]
    fn a_changed_byte_is_read_or_told(at in 0_usize..1000, byte in proptest::prelude::any::<u8>()) {
        let [_, full] = specs();
        let mut bytes = encode_resolved(&full).to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(spec) = decode_resolved(&bytes) {
            assert_eq!(decode_resolved(&encode_resolved(&spec)).unwrap().cluster(), spec.cluster());
        }
    }
}

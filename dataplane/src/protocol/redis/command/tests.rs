//! The table against the specification, and against the server's own words.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

const SPECIFICATION: &str = include_str!("../../../../../tests/vectors/redis-commands.json");

fn specification() -> Vec<Value> {
    let all: Value = serde_json::from_str(SPECIFICATION).unwrap();
    all.get("commands").unwrap().as_array().unwrap().clone()
}

fn find_by_words(name: &str) -> Option<&'static Command> {
    match name.split_once(' ') {
        None => lookup(name.as_bytes()),
        Some((container, sub)) => lookup_sub(lookup(container.as_bytes())?, sub.as_bytes()),
    }
}

#[test]
fn table_is_what_the_specification_says() {
    let specification = specification();
    assert_eq!(specification.len(), 351);
    for row in &specification {
        let name = row["name"].as_str().unwrap();
        let command = find_by_words(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let words = |field: &str| {
            let words = row[field].as_array().unwrap().iter();
            words
                .map(|word| word.as_str().unwrap().trim_start_matches('@').to_owned())
                .collect::<BTreeSet<_>>()
        };
        let of = |text: &str| {
            let words = text.split(' ').filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(
            command.class.name(),
            row["class"].as_str().unwrap(),
            "{name}"
        );
        assert_eq!(
            command.arity,
            row["arity"].as_i64().unwrap() as i16,
            "{name}"
        );
        let keys = [
            i64::from(command.first_key),
            i64::from(command.last_key),
            i64::from(command.step),
        ];
        assert_eq!(serde_json::json!(keys), row["keys"], "{name}");
        assert_eq!(of(command.flags), words("flags"), "{name}");
        assert_eq!(of(command.categories), words("acl"), "{name}");
        assert_eq!(of(command.tips()), words("tips"), "{name}");
        assert_eq!(command.write, command.has_flag("write"), "{name}");
    }
}

#[test]
fn table_has_nothing_but_the_specification_and_containers() {
    let specified: BTreeSet<_> = specification()
        .iter()
        .map(|row| row["name"].as_str().unwrap().replace(' ', "|"))
        .collect();
    for row in all() {
        let subs = all()
            .iter()
            .filter(|sub| sub.name.starts_with(&format!("{}|", row.name)));
        assert_eq!(row.container, subs.count() > 0, "{}", row.name);
        assert_ne!(row.container, specified.contains(row.name), "{}", row.name);
        let can_be_called = row.class != Class::Container;
        assert!(can_be_called || row.container, "{}", row.name);
    }
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn tips_are_of_commands_and_in_order() {
    assert!(tips::TIPS.is_sorted_by(|(a, _), (b, _)| a < b));
    let has_row = |name: &str| all().iter().any(|row| row.name == name);
    assert!(tips::TIPS.iter().all(|(name, _)| has_row(name)));
}

#[test]
fn routed_classes_have_their_keys_where_they_should() {
    for row in all() {
        let keys = (row.first_key, row.last_key, row.step);
        match row.class {
            Class::SingleRead | Class::SingleWrite => assert_eq!(keys, (1, 1, 1), "{}", row.name),
            Class::Subkey => assert_eq!(keys, (2, 2, 1), "{}", row.name),
            Class::Split(kind) => assert_eq!(keys, (1, -1, kind.width() as u8), "{}", row.name),
            _ => {}
        }
        assert!(row.class != Class::SingleRead || !row.write, "{}", row.name);
        assert!(row.class != Class::SingleWrite || row.write, "{}", row.name);
    }
}

#[test]
fn names_are_found_in_any_case() {
    for (name, found) in [
        ("get", true),
        ("GET", true),
        ("gEt", true),
        ("ge", false),
        ("gett", false),
        ("", false),
        ("client|setname", false),
    ] {
        assert_eq!(lookup(name.as_bytes()).is_some(), found, "{name}");
    }
    let client = lookup(b"Client").unwrap();
    assert_eq!(
        lookup_sub(client, b"SetName").unwrap().name,
        "client|setname"
    );
    assert_eq!(lookup_sub(client, b"setnam"), None);
    assert_eq!(lookup_sub(client, b""), None);
    assert_eq!(lookup(&[0xff; 600]), None);
}

#[test]
fn keys_of_fixed_places_are_counted_from_either_end() {
    let positions = |name: &str, argc| {
        lookup(name.as_bytes())
            .unwrap()
            .key_positions(argc)
            .collect::<Vec<_>>()
    };
    assert_eq!(positions("get", 2), [1]);
    assert_eq!(positions("get", 1), [0; 0]);
    assert_eq!(positions("mset", 5), [1, 3]);
    assert_eq!(positions("del", 4), [1, 2, 3]);
    assert_eq!(positions("blpop", 4), [1, 2]);
    assert_eq!(positions("ping", 2), [0; 0]);
    assert_eq!(positions("bitop", 5), [2, 3, 4]);
}

/// Requests and the server's answers to them, redis-server 7.0.15.
#[test]
fn unfit_requests_are_refused_in_the_words_of_redis() {
    let cases: [(&[&str], &str); 11] = [
        (&["get"], "ERR wrong number of arguments for 'get' command"),
        (
            &["exec", "x"],
            "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        ),
        (
            &["GET", "a", "b"],
            "ERR wrong number of arguments for 'get' command",
        ),
        (
            &["client"],
            "ERR wrong number of arguments for 'client' command",
        ),
        (
            &["client", "setname"],
            "ERR wrong number of arguments for 'client|setname' command",
        ),
        (
            &["client", "foo"],
            "ERR unknown subcommand 'foo'. Try CLIENT HELP.",
        ),
        (
            &["command", "fo\no"],
            "ERR unknown subcommand 'fo o'. Try COMMAND HELP.",
        ),
        (
            &["foo", "bar", "baz"],
            "ERR unknown command 'foo', with args beginning with: 'bar' 'baz' ",
        ),
        (
            &["foo"],
            "ERR unknown command 'foo', with args beginning with: ",
        ),
        (
            &["client|setname", "a"],
            "ERR unknown command 'client|setname', with args beginning with: 'a' ",
        ),
        (
            &["f\0oo", "a\r\nb"],
            "ERR unknown command 'f', with args beginning with: 'a  b' ",
        ),
    ];
    for (words, text) in cases {
        let mut raw = Vec::new();
        let spans = words.iter().map(|word| {
            raw.extend_from_slice(word.as_bytes());
            (raw.len() - word.len()) as u32..raw.len() as u32
        });
        let spans: Vec<_> = spans.collect();
        let unfit = find(&raw, &spans).unwrap_err();
        assert_eq!(String::from_utf8(unfit.text(&raw, &spans)).unwrap(), text);
    }
}

#[test]
fn unknown_command_shows_128_bytes_of_its_arguments() {
    let raw = "x".repeat(300);
    let text = Unfit::Unknown.text(raw.as_bytes(), &[0..1, 0..100, 100..300, 0..1]);
    let shown = format!("'{}' '{}' ", "x".repeat(100), "x".repeat(25));
    assert!(String::from_utf8(text).unwrap().ends_with(&shown));
    let long = "x".repeat(200);
    let raw = long.repeat(3);
    let spans = [0..200, 200..400, 400..600];
    let text = find(raw.as_bytes(), &spans)
        .unwrap_err()
        .text(raw.as_bytes(), &spans);
    let shown = "x".repeat(128);
    let expected = format!("ERR unknown command '{shown}', with args beginning with: '{shown}' ");
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn newer_commands_are_found_beside_the_others() {
    let newer = newer::NEWER;
    assert!(newer.is_sorted_by(|a, b| a.name < b.name));
    for row in newer {
        let words = row.name.replace('|', " ").to_uppercase();
        assert_eq!(find_by_words(&words), Some(row));
        assert_eq!(row.write, row.class == Class::SingleWrite, "{}", row.name);
        assert!(all().iter().all(|other| other.name != row.name));
    }
}

#[test]
fn words_are_shown_up_to_a_nul() {
    assert_eq!(as_text(b"ab\0c"), "ab");
    assert_eq!(as_text(b"\0"), "");
    assert_eq!(as_text(b"a\xff"), "a\u{fffd}");
}

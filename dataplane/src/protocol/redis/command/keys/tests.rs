//! Key extraction against the server's own answers.

use serde_json::{Value, json};

use super::super::{Unfit, all, find, lookup};
use super::*;

const SPECIFICATION: &str = include_str!("../../../../../../tests/vectors/redis-commands.json");
const VECTORS: &str = include_str!("../../../../../../tests/vectors/getkeys.json");

fn request(words: &[&str]) -> (Vec<u8>, Vec<Span>) {
    let mut raw = Vec::new();
    let spans = words.iter().map(|word| {
        raw.extend_from_slice(word.as_bytes());
        (raw.len() - word.len()) as u32..raw.len() as u32
    });
    let spans = spans.collect();
    (raw, spans)
}

fn vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    all.get("vectors").unwrap().as_array().unwrap().clone()
}

/// The command a request names, whatever the number of its arguments.
fn named(raw: &[u8], args: &[Span]) -> &'static Command {
    match find(raw, args) {
        Ok(command) | Err(Unfit::Arity(command)) => command,
        Err(unfit) => panic!("{unfit:?}"),
    }
}

/// Keys a request touches, and whether it is malformed.
fn keys(line: &str) -> (Vec<String>, bool) {
    let words: Vec<_> = line.split(' ').collect();
    let (raw, args) = request(&words);
    let keys = lookup(words.first().unwrap().as_bytes())
        .unwrap()
        .keys(&raw, &args);
    let names = keys
        .list
        .iter()
        .map(|key| (*words.get(key.position).unwrap()).to_owned());
    (names.collect(), keys.is_malformed)
}

#[test]
fn keys_told_are_those_the_server_tells() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 216);
    for vector in &vectors {
        let words = vector["argv"].as_array().unwrap();
        let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let (raw, args) = request(&words);
        let command = named(&raw, &args);
        let (told, flags) = match command.told_keys(&raw, &args) {
            Ok(keys) => {
                let names = keys.iter().map(|key| words.get(key.position));
                let flags = keys.iter().map(|key| {
                    json!([
                        words.get(key.position),
                        key.flags.words().collect::<Vec<_>>()
                    ])
                });
                (
                    json!(names.collect::<Vec<_>>()),
                    json!(flags.collect::<Vec<_>>()),
                )
            }
            Err(error) => (json!(format!("ERR:{error}")), json!(format!("ERR:{error}"))),
        };
        assert_eq!(told, vector["keys"], "{words:?}");
        assert_eq!(flags, vector["flags"], "{words:?}");
    }
}

#[test]
fn requests_go_by_the_keys_the_server_tells() {
    let is_other = |words: &[&str]| match words {
        // Forbidden, channels, both destinations, and malformed ones.
        ["migrate" | "spublish" | "ssubscribe" | "sunsubscribe", ..] => true,
        ["xread", "streams", "a", "b", "0"] => true,
        _ => false,
    };
    for vector in &vectors() {
        let words = vector["argv"].as_array().unwrap();
        let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let told = vector["keys"].as_array().cloned().unwrap_or_default();
        let (raw, args) = request(&words);
        let keys = named(&raw, &args).keys(&raw, &args);
        let mut found: Vec<_> = keys
            .list
            .iter()
            .map(|key| json!(words.get(key.position)))
            .collect();
        if words.starts_with(&["sort"]) && found.len() > 2 {
            found.drain(1..found.len() - 1);
        }
        if !is_other(&words) && !keys.is_malformed {
            assert_eq!(found, told, "{words:?}");
        }
    }
}

#[test]
fn options_and_their_values_are_told_apart() {
    for (line, expected, is_malformed) in [
        ("sort k by store", &["k"][..], false),
        ("sort k store a store b", &["k", "a", "b"], false),
        ("sort k limit store 1 store d", &["k", "d"], false),
        ("sort k store", &["k"], true),
        (
            "georadius k 1 1 1 m store a store b",
            &["k", "a", "b"],
            false,
        ),
        (
            "georadius k 1 1 1 m store storedist storedist d",
            &["k", "storedist", "d"],
            false,
        ),
        (
            "georadius k 1 1 1 m count store any store d",
            &["k", "d"],
            false,
        ),
        (
            "georadiusbymember store store 1 m store d",
            &["store", "d"],
            false,
        ),
        (
            "xread count 1 streams streams b 0 0",
            &["streams", "b"],
            false,
        ),
        (
            "xreadgroup count 1 group streams c streams a >",
            &["a"],
            false,
        ),
        ("xreadgroup group g streams streams a >", &["a"], false),
        ("xread streams a b 0", &[], true),
        ("xread noack streams a 0", &[], true),
        ("xread count 1 block 0", &[], true),
        ("eval s 99 a", &[], true),
        ("eval s -1 a", &[], true),
        ("eval s 01 a", &[], true),
        ("eval s 0 a", &[], false),
        ("zunionstore d 0 a", &["d"], true),
        ("zunion 0 a", &[], true),
        ("zunionstore d 2 a b weights 1 2", &["d", "a", "b"], false),
        ("bitop and d", &["d"], true),
        ("pfmerge d", &["d"], true),
        ("msetnx a 1 b 2", &["a", "b"], false),
        ("lmpop 2 a b left", &["a", "b"], false),
        ("hgetex a fields 1 b", &["a"], false),
        ("ssubscribe a b", &["a", "b"], false),
        ("ping a", &[], false),
    ] {
        let expected = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(keys(line), (expected, is_malformed), "{line}");
    }
}

#[test]
fn time_to_wait_is_found_among_the_options_only() {
    for (line, expected) in [
        ("xread block 5 streams a 0", Some(Some(2))),
        ("xread count 1 streams block 0", Some(None)),
        ("xreadgroup group block c streams a >", Some(None)),
        (
            "xreadgroup group g c noack block 0 streams a >",
            Some(Some(6)),
        ),
        ("xread block 5", None),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let (raw, args) = request(&words);
        let found = streams(&raw, &args).map(|streams| streams.block);
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn patterns_of_sort_are_those_with_a_star() {
    let line = "sort k by w_* get # get o_*->f limit by get store get_* get plain";
    let words: Vec<_> = line.split(' ').collect();
    let (raw, args) = request(&words);
    assert_eq!(sort_patterns(&raw, &args).collect::<Vec<_>>(), [3, 7]);
}

#[test]
fn specifications_are_those_of_the_server() {
    let specification: Value = serde_json::from_str(SPECIFICATION).unwrap();
    let rows = specification.get("commands").unwrap().as_array().unwrap();
    let mut with_keys = 0;
    for row in rows {
        let name = row["name"].as_str().unwrap().replace(' ', "|");
        let specs = table::specs(&name);
        with_keys += usize::from(!specs.is_empty());
        let mut expected = row["key_specs"].clone();
        for spec in expected.as_array_mut().unwrap() {
            spec.as_object_mut().unwrap().remove("notes");
        }
        let told: Vec<_> = specs.iter().map(told_spec).collect();
        assert_eq!(json!(told), expected, "{name}");
    }
    assert_eq!(with_keys, table::SPECS.len());
    assert!(table::SPECS.is_sorted_by(|(a, _), (b, _)| a < b));
}

fn told_spec(spec: &KeySpec) -> Value {
    let begin = match &spec.begin {
        Begin::Index(index) => json!({"type": "index", "spec": {"index": index}}),
        Begin::Keyword(word, from) => {
            json!({"type": "keyword", "spec": {"keyword": word, "startfrom": from}})
        }
        Begin::Unknown => json!({"type": "unknown", "spec": {}}),
    };
    let find = match spec.find {
        Find::Counted { count, first, step } => json!({
            "type": "keynum", "spec": {"keynumidx": count, "firstkey": first, "keystep": step}
        }),
        Find::Range { last, step, limit } => json!({
            "type": "range", "spec": {"lastkey": last, "keystep": step, "limit": limit}
        }),
        Find::Unknown => json!({"type": "unknown", "spec": {}}),
    };
    let flags: Vec<_> = spec.flags.words().collect();
    json!({"flags": flags, "begin_search": begin, "find_keys": find})
}

#[test]
fn first_keys_of_forwarded_commands_are_those_of_their_specifications() {
    for command in all() {
        let (Class::SingleRead | Class::SingleWrite | Class::Subkey) = command.class else {
            continue;
        };
        let [spec] = command.key_specs() else {
            panic!("{} has not one specification", command.name)
        };
        assert_eq!(
            spec.begin,
            Begin::Index(command.first_key.into()),
            "{}",
            command.name
        );
    }
}

#[test]
fn flags_are_read_as_they_are_written() {
    let words = ["RW", "access", "shiny", "delete"].map(str::as_bytes);
    let flags = KeyFlags::of_words(words.into_iter());
    assert_eq!(
        flags.words().collect::<Vec<_>>(),
        ["RW", "access", "delete"]
    );
    assert!(flags.is_write() && flags.is_read() && !flags.is_channel());
    assert!(!KeyFlags::of_words([b"RO".as_slice()].into_iter()).is_write());
}

/// Requests and what redis-server 7.0.15 tells of them, where its search by specifications gives up.
#[test]
fn keys_of_odd_requests_are_told_as_the_server_tells_them() {
    for (line, expected) in [
        ("migrate h 1 k 0 9 keys a", None),
        ("zunionstore d 2x a b", Some(&[3, 4, 1][..])),
        ("eval s +1 a", Some(&[3])),
        (
            "xreadgroup streams a b c d e f streams g",
            Some(&[2, 3, 4, 5]),
        ),
        ("xread group streams x streams a", Some(&[3])),
        ("sort a store store b", Some(&[1, 4])),
        ("zunion 9 a", None),
        ("eval s 9 a", Some(&[])),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let (raw, args) = request(&words);
        let told = named(&raw, &args).told_keys(&raw, &args);
        let told = told.map(|keys| keys.iter().map(|key| key.position).collect::<Vec<_>>());
        assert_eq!(told.ok().as_deref(), expected, "{line}");
    }
}

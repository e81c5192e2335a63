//! What `COMMAND INFO` tells of a command.
//!
//! The notes that Redis adds to some key specifications are left out.

use super::{super::Asked, parts};
use crate::protocol::redis::{
    command::{Begin, Command, Find, KeySpec},
    reply::{
        Dialect, write_array_header, write_bulk, write_integer, write_map_header, write_set_header,
        write_simple,
    },
};

/// Flags in the order in which Redis tells them.
const FLAGS: &[&str] = &[
    "write",
    "readonly",
    "denyoom",
    "admin",
    "pubsub",
    "noscript",
    "blocking",
    "loading",
    "stale",
    "skip_monitor",
    "skip_slowlog",
    "asking",
    "fast",
    "no_auth",
    "no_mandatory_keys",
    "no_async_loading",
    "no_multi",
    "movablekeys",
    "allow_busy",
];

/// Categories in the order in which Redis tells them.
pub(in super::super) const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

pub(super) fn write_all(out: &mut Vec<u8>, commands: &[&'static Command], asked: &Asked<'_>) {
    write_array_header(out, commands.len());
    for command in commands {
        write(out, command, asked);
    }
}

/// Writes the ten fields of a command.
pub(super) fn write(out: &mut Vec<u8>, command: &'static Command, asked: &Asked<'_>) {
    let dialect = asked.kind.dialect;
    write_array_header(out, 10);
    write_bulk(out, command.name);
    write_integer(out, command.arity.into());
    write_words(out, FLAGS, ("", command.flags), dialect);
    write_integer(out, command.first_key.into());
    write_integer(out, command.last_key.into());
    write_integer(out, command.step.into());
    write_words(out, CATEGORIES, ("@", command.categories), dialect);
    let tips = command.tips().split_whitespace();
    write_set_header(out, tips.clone().count(), dialect);
    for tip in tips {
        write_bulk(out, tip);
    }
    let specs = command.key_specs();
    write_set_header(out, specs.len(), dialect);
    for spec in specs {
        write_spec(out, spec, dialect);
    }
    match parts(command, asked.cluster) {
        none if none.is_empty() => write_set_header(out, 0, dialect),
        parts => write_all(out, &parts, asked),
    }
}

/// Writes those of `order` that a text of words has, each behind a sign.
fn write_words(out: &mut Vec<u8>, order: &[&str], (sign, words): (&str, &str), dialect: Dialect) {
    let words: Vec<_> = words.split_whitespace().collect();
    write_set_header(out, words.len(), dialect);
    for word in order.iter().filter(|word| words.contains(word)) {
        write_simple(out, format!("{sign}{word}"));
    }
}

fn write_spec(out: &mut Vec<u8>, spec: &KeySpec, dialect: Dialect) {
    write_map_header(out, 3, dialect);
    write_bulk(out, "flags");
    let flags = spec.flags.words();
    write_set_header(out, flags.clone().count(), dialect);
    for word in flags {
        write_simple(out, word);
    }
    write_bulk(out, "begin_search");
    match &spec.begin {
        Begin::Index(index) => {
            write_step(out, "index", dialect);
            write_numbers(out, &[("index", (*index).into())], dialect);
        }
        Begin::Keyword(word, from) => {
            write_step(out, "keyword", dialect);
            write_map_header(out, 2, dialect);
            write_bulk(out, "keyword");
            write_bulk(out, word.as_bytes());
            write_bulk(out, "startfrom");
            write_integer(out, (*from).into());
        }
        Begin::Unknown => {
            write_step(out, "unknown", dialect);
            write_numbers(out, &[], dialect);
        }
    }
    write_bulk(out, "find_keys");
    match spec.find {
        Find::Counted { count, first, step } => {
            write_step(out, "keynum", dialect);
            let numbers = [("keynumidx", count), ("firstkey", first), ("keystep", step)];
            write_numbers(
                out,
                &numbers.map(|(name, value)| (name, value.into())),
                dialect,
            );
        }
        Find::Range { last, step, limit } => {
            write_step(out, "range", dialect);
            let numbers = [
                ("lastkey", last.into()),
                ("keystep", step.into()),
                ("limit", limit.into()),
            ];
            write_numbers(out, &numbers, dialect);
        }
        Find::Unknown => {
            write_step(out, "unknown", dialect);
            write_numbers(out, &[], dialect);
        }
    }
}

/// Writes all of one step of the search but what it is specified by.
fn write_step(out: &mut Vec<u8>, kind: &str, dialect: Dialect) {
    write_map_header(out, 2, dialect);
    write_bulk(out, "type");
    write_bulk(out, kind);
    write_bulk(out, "spec");
}

fn write_numbers(out: &mut Vec<u8>, numbers: &[(&str, i64)], dialect: Dialect) {
    write_map_header(out, numbers.len(), dialect);
    for (name, value) in numbers {
        write_bulk(out, name);
        write_integer(out, *value);
    }
}

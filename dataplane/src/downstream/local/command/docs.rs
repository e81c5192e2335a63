//! What `COMMAND DOCS` tells: since when a command is there, its arguments, and a link in the place of sentences.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{
    super::{Asked, Client, Words},
    named, parts, served,
};
use crate::protocol::redis::{
    command::Command,
    reply::{
        Dialect, write_array_header, write_bulk, write_integer, write_map_header, write_set_header,
        write_simple,
    },
};

/// By name: facts as redis-server 7.0.15 tells them.
static FACTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("docs.json")).expect("the file is read in tests")
});

/// Fields in the order in which Redis tells them.
const ORDER: [&str; 10] = [
    "name",
    "type",
    "key_spec_index",
    "token",
    "since",
    "group",
    "doc_flags",
    "deprecated_since",
    "flags",
    "arguments",
];

pub(super) fn docs(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let commands = match asked.args.len() {
        2 => served(asked.cluster),
        _ => {
            let named = asked.words(2).map(|name| named(name, asked.cluster));
            named.flatten().collect()
        }
    };
    write_all(out, &commands, asked);
    Ok(())
}

fn write_all(out: &mut Vec<u8>, commands: &[&'static Command], asked: &Asked<'_>) {
    write_map_header(out, commands.len(), asked.kind.dialect);
    for command in commands {
        write_bulk(out, command.name);
        write(out, command, asked);
    }
}

fn write(out: &mut Vec<u8>, command: &'static Command, asked: &Asked<'_>) {
    let dialect = asked.kind.dialect;
    let none = Map::new();
    let facts = FACTS.get(command.name).and_then(Value::as_object);
    let facts = facts.unwrap_or(&none);
    let parts = parts(command, asked.cluster);
    let fields = 1 + facts.len() + usize::from(!parts.is_empty());
    write_map_header(out, fields, dialect);
    write_bulk(out, "summary");
    let page = command.name.replace('|', "-");
    write_bulk(out, format!("See https://redis.io/commands/{page}/"));
    write_fields(out, facts, dialect);
    if !parts.is_empty() {
        write_bulk(out, "subcommands");
        write_all(out, &parts, asked);
    }
}

fn write_fields(out: &mut Vec<u8>, fields: &Map<String, Value>, dialect: Dialect) {
    for name in ORDER {
        if let Some(value) = fields.get(name) {
            write_bulk(out, name);
            write_value(out, name, value, dialect);
        }
    }
}

fn write_value(out: &mut Vec<u8>, name: &str, value: &Value, dialect: Dialect) {
    match value {
        Value::Array(words) if name.ends_with("flags") => {
            write_set_header(out, words.len(), dialect);
            for word in words {
                write_simple(out, word.as_str().unwrap_or_default());
            }
        }
        Value::Array(arguments) => {
            write_array_header(out, arguments.len());
            for argument in arguments.iter().filter_map(Value::as_object) {
                write_map_header(out, argument.len(), dialect);
                write_fields(out, argument, dialect);
            }
        }
        Value::Number(number) => write_integer(out, number.as_i64().unwrap_or_default()),
        other => write_bulk(out, other.as_str().unwrap_or_default()),
    }
}

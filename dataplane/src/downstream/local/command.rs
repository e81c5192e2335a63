//! COMMAND: which commands are served, and where their keys are.

use super::{Asked, Client, Handler, SYNTAX, Words, is_served, unsupported};
use crate::protocol::{
    message::{Span, bytes_of},
    redis::{
        command::{Command, Key, KeyList, Unfit, all, find, lookup, lookup_sub},
        reply::{
            Dialect, write_array_header, write_bulk, write_integer, write_map_header, write_null,
            write_simple,
        },
    },
};

/// Groups of the documentation by category; the first that fits.
const GROUPS: [(&str, &str); 14] = [
    ("hyperloglog", "hyperloglog"),
    ("bitmap", "bitmap"),
    ("geo", "geo"),
    ("stream", "stream"),
    ("sortedset", "sorted-set"),
    ("string", "string"),
    ("hash", "hash"),
    ("list", "list"),
    ("set", "set"),
    ("connection", "connection"),
    ("transaction", "transactions"),
    ("pubsub", "pubsub"),
    ("scripting", "scripting"),
    ("keyspace", "generic"),
];

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "command" => |_, _, out| {
            write_all(out, &served(), write_info);
            Ok(())
        },
        "command|count" => |_, _, out| {
            write_integer(out, served().len() as i64);
            Ok(())
        },
        "command|docs" => docs,
        "command|getkeys" => getkeys,
        "command|getkeysandflags" => getkeysandflags,
        "command|info" => info,
        "command|list" => list,
        "client|help" | "command|help" | "memory|help" | "object|help" | "xgroup|help"
        | "xinfo|help" => help,
        _ => return None,
    })
}

/// Returns the served subcommands of a container, in the order of names.
pub(super) fn subcommands(container: &Command) -> impl Iterator<Item = &'static Command> {
    all().iter().filter(move |command| {
        let rest = command.name.strip_prefix(container.name);
        rest.is_some_and(|rest| rest.starts_with('|')) && is_served(command)
    })
}

fn served() -> Vec<&'static Command> {
    let is_listed = |command: &&Command| !command.name.contains('|') && is_served(command);
    all().iter().filter(is_listed).collect()
}

/// Finds a served command by its name, a subcommand by `container|name`.
fn named(name: &[u8]) -> Option<&'static Command> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let mut command = lookup(words.next()?)?;
    if let Some(sub) = words.next() {
        command = lookup_sub(command, sub)?;
    }
    is_served(command).then_some(command)
}

fn info(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    if asked.args.len() == 2 {
        write_all(out, &served(), write_info);
        return Ok(());
    }
    let names = asked.words(2);
    write_array_header(out, names.len());
    for name in names {
        match named(name) {
            Some(command) => write_info(out, command),
            None => write_null(out, asked.kind.dialect),
        }
    }
    Ok(())
}

fn docs(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let commands = match asked.args.len() {
        2 => served(),
        _ => asked.words(2).filter_map(named).collect(),
    };
    write_documented(out, &commands, asked.kind.dialect);
    Ok(())
}

fn list(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let listed: Vec<_> = match asked.args.len() {
        2 => served(),
        5 if asked.is(2, "filterby") && asked.is(3, "aclcat") => {
            let category = String::from_utf8_lossy(asked.word(4)).to_ascii_lowercase();
            let is_in = |command: &&Command| command.is_in(&category) && is_served(command);
            all().iter().filter(is_in).collect()
        }
        5 if asked.is(2, "filterby") && asked.is(3, "module") => Vec::new(),
        5 if asked.is(2, "filterby") && asked.is(3, "pattern") => {
            return Err(unsupported("command|list filterby pattern"));
        }
        _ => return Err(SYNTAX),
    };
    write_all(out, &listed, |out, command| write_bulk(out, command.name));
    Ok(())
}

/// Writes where the keys of a request are.
fn getkeys(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let args = asked.args.get(2..).unwrap_or_default();
    let keys = told(asked, args)?;
    write_array_header(out, keys.len());
    for key in keys {
        write_key(out, key, asked, args);
    }
    Ok(())
}

/// Writes where the keys of a request are, and what is done with them.
fn getkeysandflags(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let args = asked.args.get(2..).unwrap_or_default();
    let keys = told(asked, args)?;
    write_array_header(out, keys.len());
    for key in keys {
        write_array_header(out, 2);
        write_key(out, key, asked, args);
        let words = key.flags.words();
        write_array_header(out, words.clone().count());
        for word in words {
            write_simple(out, word);
        }
    }
    Ok(())
}

fn told(asked: &Asked<'_>, args: &[Span]) -> Result<KeyList, Words> {
    let command = match find(asked.raw, args) {
        Ok(command) | Err(Unfit::Arity(command)) => command,
        Err(_) => return Err("ERR Invalid command specified".into()),
    };
    let keys = command.told_keys(asked.raw, args);
    keys.map_err(|error| error.to_string().into())
}

fn write_key(out: &mut Vec<u8>, key: Key, asked: &Asked<'_>, args: &[Span]) {
    let span = args.get(key.position);
    write_bulk(out, span.map_or(&[][..], |span| bytes_of(asked.raw, span)));
}

/// Lists the subcommands that are served, in the form of Redis.
fn help(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let Some(container) = lookup(asked.word(0)) else {
        return Err(unsupported(asked.command.name));
    };
    let title = container.name.to_ascii_uppercase();
    let served: Vec<_> = subcommands(container).collect();
    write_array_header(out, 1 + served.len());
    let usage = "<subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
    write_simple(out, format!("{title} {usage}"));
    for command in served {
        let sub = command.name.get(title.len() + 1..).unwrap_or_default();
        write_simple(out, sub.to_ascii_uppercase());
    }
    Ok(())
}

fn write_all(
    out: &mut Vec<u8>,
    commands: &[&'static Command],
    write: fn(&mut Vec<u8>, &'static Command),
) {
    write_array_header(out, commands.len());
    for command in commands {
        write(out, command);
    }
}

/// Writes the ten fields of `COMMAND INFO`; tips and key specifications are left empty.
fn write_info(out: &mut Vec<u8>, command: &'static Command) {
    write_array_header(out, 10);
    write_bulk(out, command.name);
    write_integer(out, command.arity.into());
    write_words(out, "", command.flags);
    write_integer(out, command.first_key.into());
    write_integer(out, command.last_key.into());
    write_integer(out, command.step.into());
    write_words(out, "@", command.categories);
    write_array_header(out, 0);
    write_array_header(out, 0);
    write_all(out, &parts(command), write_info);
}

fn write_words(out: &mut Vec<u8>, sign: &str, words: &str) {
    write_array_header(out, words.split_whitespace().count());
    for word in words.split_whitespace() {
        write_simple(out, format!("{sign}{word}"));
    }
}

fn write_documented(out: &mut Vec<u8>, commands: &[&'static Command], dialect: Dialect) {
    write_map_header(out, commands.len(), dialect);
    for command in commands {
        write_bulk(out, command.name);
        write_docs(out, command, dialect);
    }
}

/// Writes what interactive clients complete words with.
fn write_docs(out: &mut Vec<u8>, command: &'static Command, dialect: Dialect) {
    let parts = parts(command);
    write_map_header(out, if parts.is_empty() { 2 } else { 3 }, dialect);
    write_bulk(out, "summary");
    let page = command.name.replace('|', "-");
    write_bulk(out, format!("See https://redis.io/commands/{page}/"));
    write_bulk(out, "group");
    write_bulk(out, group(command));
    if !parts.is_empty() {
        write_bulk(out, "subcommands");
        write_documented(out, &parts, dialect);
    }
}

fn parts(command: &'static Command) -> Vec<&'static Command> {
    match command.container {
        true => subcommands(command).collect(),
        false => Vec::new(),
    }
}

fn group(command: &Command) -> &'static str {
    let found = GROUPS.iter().find(|(category, _)| command.is_in(category));
    found.map_or("server", |(_, group)| group)
}

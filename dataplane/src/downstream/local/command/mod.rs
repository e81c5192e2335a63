//! COMMAND: which commands are served, and where their keys are.

mod describe;
mod docs;
mod keys;

pub(super) use describe::CATEGORIES;

use super::{Asked, Client, Handler, SYNTAX, Words, is_served, unsupported};
use crate::{
    access,
    cluster::ClusterWorker,
    protocol::redis::{
        command::{Command, all, lookup, lookup_sub},
        reply::{write_array_header, write_bulk, write_integer, write_null, write_simple},
    },
};

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "command" => |_, asked, out| {
            describe::write_all(out, &served(asked.cluster), asked);
            Ok(())
        },
        "command|count" => |_, asked, out| {
            write_integer(out, served(asked.cluster).len() as i64);
            Ok(())
        },
        "command|docs" => docs::docs,
        "command|getkeys" => keys::getkeys,
        "command|getkeysandflags" => keys::getkeysandflags,
        "command|info" => info,
        "command|list" => list,
        name if name.ends_with("|help") => help,
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

/// Returns whether the proxy serves the command and the cluster does not deny it.
fn is_offered(command: &Command, cluster: &ClusterWorker) -> bool {
    match command.container {
        true => subcommands(command).any(|sub| !cluster.denies(sub)),
        false => is_served(command) && !cluster.denies(command),
    }
}

fn served(cluster: &ClusterWorker) -> Vec<&'static Command> {
    let is_listed =
        |command: &&Command| !command.name.contains('|') && is_offered(command, cluster);
    all().iter().filter(is_listed).collect()
}

/// Finds a served command by its name, a subcommand by `container|name`.
fn named(name: &[u8], cluster: &ClusterWorker) -> Option<&'static Command> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let mut command = lookup(words.next()?)?;
    if let Some(sub) = words.next() {
        command = lookup_sub(command, sub)?;
    }
    is_offered(command, cluster).then_some(command)
}

fn info(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    if asked.args.len() == 2 {
        describe::write_all(out, &served(asked.cluster), asked);
        return Ok(());
    }
    let names = asked.words(2);
    write_array_header(out, names.len());
    for name in names {
        match named(name, asked.cluster) {
            Some(command) => describe::write(out, command, asked),
            None => write_null(out, asked.kind.dialect),
        }
    }
    Ok(())
}

fn list(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let wanted = asked.word(4);
    let is_wanted: &dyn Fn(&Command) -> bool = match asked.args.len() {
        2 => &|_| true,
        5 if asked.is(2, "filterby") && asked.is(3, "aclcat") => &|command| is_in(command, wanted),
        // No module is known here.
        5 if asked.is(2, "filterby") && asked.is(3, "module") => &|_| false,
        5 if asked.is(2, "filterby") && asked.is(3, "pattern") => {
            &|command| access::matches(&wanted.to_ascii_lowercase(), command.name.as_bytes())
        }
        _ => return Err(SYNTAX),
    };
    let is_listed = |command: &&Command| is_offered(command, asked.cluster) && is_wanted(command);
    let listed: Vec<_> = all().iter().filter(is_listed).collect();
    write_array_header(out, listed.len());
    for command in listed {
        write_bulk(out, command.name);
    }
    Ok(())
}

/// Returns whether a command belongs to the category `name`, in any case.
fn is_in(command: &Command, name: &[u8]) -> bool {
    let mut categories = command.categories.split(' ');
    categories.any(|category| category.as_bytes().eq_ignore_ascii_case(name))
}

/// Lists the subcommands that are served, in the form of Redis.
fn help(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let Some(container) = lookup(asked.word(0)) else {
        return Err(unsupported(asked.command.name));
    };
    let title = container.name.to_ascii_uppercase();
    let served = parts(container, asked.cluster);
    write_array_header(out, 1 + served.len());
    let usage = "<subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
    write_simple(out, format!("{title} {usage}"));
    for command in served {
        let sub = command.name.get(title.len() + 1..).unwrap_or_default();
        write_simple(out, sub.to_ascii_uppercase());
    }
    Ok(())
}

fn parts(command: &'static Command, cluster: &ClusterWorker) -> Vec<&'static Command> {
    if !command.container {
        return Vec::new();
    }
    let is_allowed = |sub: &&Command| !cluster.denies(sub);
    subcommands(command).filter(is_allowed).collect()
}

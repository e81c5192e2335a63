//! May this user send this request: its command, its keys, its channels, in the order of Redis.

use super::{
    Denied, User,
    rules::{Need, Rules},
};
use crate::protocol::{
    message::{Span, bytes_of},
    redis::command::{Class, Command, Foreign, KeyFlags},
};

/// What is not allowed is named by its place among the arguments.
pub(super) fn check(
    user: &User,
    command: &Command,
    raw: &[u8],
    args: &[Span],
) -> Result<(), Denied> {
    let rules = &user.rules;
    let first = args.get(1).map(|span| bytes_of(raw, span));
    if !rules.may_run(command, first) && !command.has_flag("no_auth") {
        return Err(Denied::Command);
    }
    check_scripts(rules, command)?;
    check_keys(rules, command, raw, args)?;
    check_channels(rules, command, raw, args)
}

/// Scripts run with the rights of the proxy, so that only those may send them who may do everything.
fn check_scripts(rules: &Rules, command: &Command) -> Result<(), Denied> {
    match command.class {
        Class::Script | Class::ScriptRead if !rules.is_everything() => Err(Denied::Script),
        _ => Ok(()),
    }
}

/// The keys are those that Redis takes for the command's; a request without its form has none and is refused later.
fn check_keys(rules: &Rules, command: &Command, raw: &[u8], args: &[Span]) -> Result<(), Denied> {
    if rules.has_all_keys() {
        return Ok(());
    }
    let keys = match command.key_specs() {
        // Nothing is known of these but where their keys are.
        [] => command.keys(raw, args).list,
        _ => command.told_keys(raw, args).unwrap_or_default(),
    };
    for key in keys {
        let Some(span) = args.get(key.position) else {
            continue;
        };
        if !rules.may_touch(bytes_of(raw, span), need(command, key.flags)) {
            return Err(Denied::Key(key.position));
        }
    }
    Ok(())
}

/// Checks the command and its keys; scripts are not among these commands, nor are channels.
pub(super) fn check_foreign(
    rules: &Rules,
    command: &Foreign,
    raw: &[u8],
    args: &[Span],
) -> Result<(), Denied> {
    if !rules.may_run_foreign(command) {
        return Err(Denied::Command);
    }
    for key in command.keys(raw, args).list {
        let mut words = key.flags.words();
        // Where nothing is said of what is done with the key, everything may be.
        let is_told =
            key.flags != KeyFlags::default() && words.all(|word| word != "variable_flags");
        let need = match is_told {
            true => Need {
                read: key.flags.is_read(),
                write: key.flags.is_change(),
            },
            false => Need {
                read: true,
                write: command.is_write,
            },
        };
        let span = args.get(key.position);
        if span.is_some_and(|span| !rules.may_touch(bytes_of(raw, span), need)) {
            return Err(Denied::Key(key.position));
        }
    }
    Ok(())
}

fn need(command: &Command, flags: KeyFlags) -> Need {
    match command.key_specs() {
        [] => Need {
            read: true,
            write: command.write,
        },
        _ => Need {
            read: flags.is_read(),
            write: flags.is_change(),
        },
    }
}

fn check_channels(
    rules: &Rules,
    command: &Command,
    raw: &[u8],
    args: &[Span],
) -> Result<(), Denied> {
    if rules.has_all_channels() {
        return Ok(());
    }
    let (end, is_pattern) = match command.name {
        "publish" | "spublish" => (2, false),
        "subscribe" | "ssubscribe" => (args.len(), false),
        "psubscribe" => (args.len(), true),
        _ => return Ok(()),
    };
    for (at, span) in args.iter().enumerate().take(end).skip(1) {
        let channel = bytes_of(raw, span);
        let may = match is_pattern {
            true => rules.may_hear_pattern(channel),
            false => rules.may_hear(channel),
        };
        if !may {
            return Err(Denied::Channel(at));
        }
    }
    Ok(())
}

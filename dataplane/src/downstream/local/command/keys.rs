//! COMMAND GETKEYS and GETKEYSANDFLAGS: where the keys of a request are.

use super::super::{Asked, Client, Words};
use crate::protocol::{
    message::{Span, bytes_of},
    redis::{
        command::{Key, KeyList, Unfit, find},
        reply::{write_array_header, write_bulk, write_set_header, write_simple},
    },
};

/// Writes where the keys of a request are.
pub(super) fn getkeys(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let args = asked.args.get(2..).unwrap_or_default();
    let keys = told(asked, args)?;
    write_array_header(out, keys.len());
    for key in keys {
        write_key(out, key, asked, args);
    }
    Ok(())
}

/// Writes where the keys of a request are, and what is done with them.
pub(super) fn getkeysandflags(
    _: &mut Client,
    asked: &Asked<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Words> {
    let args = asked.args.get(2..).unwrap_or_default();
    let keys = told(asked, args)?;
    write_array_header(out, keys.len());
    for key in keys {
        write_array_header(out, 2);
        write_key(out, key, asked, args);
        let words = key.flags.words();
        write_set_header(out, words.clone().count(), asked.kind.dialect);
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

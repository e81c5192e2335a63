//! CLIENT: what a client may say and ask about its own connection.

use super::{Asked, Client, Handler, SYNTAX, Words, session::is_plain, unsupported};
use crate::protocol::redis::reply::{
    write_array_header, write_bulk, write_integer, write_map_header, write_null, write_set_header,
    write_simple,
};

const CACHING: Words = Words::Borrowed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        // Only who tracks keys can say more of it.
        "client|caching" => |_, _, _| Err(CACHING),
        "client|getname" => getname,
        "client|getredir" => |_, _, out| {
            write_integer(out, -1);
            Ok(())
        },
        "client|id" => |client, _, out| {
            write_integer(out, client.record.id.cast_signed());
            Ok(())
        },
        "client|no-evict" => no_evict,
        "client|no-touch" => |_, asked, out| as_it_is(asked, out, "off", "on"),
        "client|setinfo" => setinfo,
        "client|setname" => setname,
        "client|tracking" => |_, asked, out| as_it_is(asked, out, "off", "on"),
        "client|trackinginfo" => tracking_info,
        _ => return None,
    })
}

fn getname(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let name = client.record.name.borrow();
    match name.is_empty() {
        true => write_null(out, asked.kind.dialect),
        false => write_bulk(out, &*name),
    }
    Ok(())
}

fn setname(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    client.rename(asked.word(2))?;
    write_simple(out, "OK");
    Ok(())
}

fn setinfo(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let (option, value) = (asked.word(2), asked.word(3));
    let (place, name) = if asked.is(2, "lib-name") {
        (&client.record.library, "lib-name")
    } else if asked.is(2, "lib-ver") {
        (&client.record.library_version, "lib-ver")
    } else {
        let option = crate::protocol::redis::command::as_text(option);
        return Err(format!("ERR Unrecognized option '{option}'").into());
    };
    if !is_plain(value) {
        let words = format!("ERR {name} cannot contain spaces, newlines or special characters.");
        return Err(words.into());
    }
    place.replace(value.into());
    write_simple(out, "OK");
    Ok(())
}

/// A client is never closed to make room, so that either wish is granted.
fn no_evict(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let is_on = asked.is(2, "on");
    if !is_on && !asked.is(2, "off") {
        return Err(SYNTAX);
    }
    client.record.is_kept.set(is_on);
    write_simple(out, "OK");
    Ok(())
}

/// Agrees to a switch that is set the way it is, and refuses the other way.
fn as_it_is(asked: &Asked<'_>, out: &mut Vec<u8>, now: &str, other: &str) -> Result<(), Words> {
    if asked.is(2, now) {
        write_simple(out, "OK");
        return Ok(());
    }
    if asked.is(2, other) {
        return Err(unsupported(&format!("{} {other}", asked.command.name)));
    }
    Err(SYNTAX)
}

fn tracking_info(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    write_map_header(out, 3, asked.kind.dialect);
    write_bulk(out, "flags");
    write_set_header(out, 1, asked.kind.dialect);
    write_bulk(out, "off");
    write_bulk(out, "redirect");
    write_integer(out, -1);
    write_bulk(out, "prefixes");
    write_array_header(out, 0);
    Ok(())
}

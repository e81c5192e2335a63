//! CLIENT: what a client may say and ask about its own connection.

use std::net::SocketAddr;

use prism_proto::model::ListenAddr;

use super::{Asked, Client, Handler, SYNTAX, Words, session::is_plain, unsupported};
use crate::protocol::redis::reply::{
    Dialect, write_array_header, write_bulk, write_integer, write_map_header, write_null,
    write_simple,
};

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "client|getname" => getname,
        "client|getredir" => |_, _, out| {
            write_integer(out, -1);
            Ok(())
        },
        "client|id" => |client, _, out| {
            write_integer(out, client.id.cast_signed());
            Ok(())
        },
        "client|info" => info,
        "client|no-evict" => no_evict,
        "client|no-touch" => |_, asked, out| as_it_is(asked, out, "off", "on"),
        "client|reply" => reply,
        "client|setinfo" => setinfo,
        "client|setname" => setname,
        "client|tracking" => |_, asked, out| as_it_is(asked, out, "off", "on"),
        "client|trackinginfo" => tracking_info,
        _ => return None,
    })
}

fn getname(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    match client.name.is_empty() {
        true => write_null(out, asked.kind.dialect),
        false => write_bulk(out, &client.name),
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
        (&mut client.library, "lib-name")
    } else if asked.is(2, "lib-ver") {
        (&mut client.library_version, "lib-ver")
    } else {
        let option = String::from_utf8_lossy(option);
        return Err(format!("ERR Unrecognized option '{option}'").into());
    };
    if !is_plain(value) {
        let words = format!("ERR {name} cannot contain spaces, newlines or special characters.");
        return Err(words.into());
    }
    *place = value.into();
    write_simple(out, "OK");
    Ok(())
}

/// A client is never closed to make room, so that either wish is granted.
fn no_evict(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    if !asked.is(2, "on") && !asked.is(2, "off") {
        return Err(SYNTAX);
    }
    write_simple(out, "OK");
    Ok(())
}

fn reply(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let other = if asked.is(2, "skip") { "skip" } else { "off" };
    as_it_is(asked, out, "on", other)
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
    write_array_header(out, 1);
    write_bulk(out, "off");
    write_bulk(out, "redirect");
    write_integer(out, -1);
    write_bulk(out, "prefixes");
    write_array_header(out, 0);
    Ok(())
}

/// Tells what the proxy knows of the connection, in the form and order of Redis.
fn info(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let age = asked
        .cluster
        .context
        .clock
        .now()
        .saturating_sub(client.connected)
        / 1_000_000_000;
    let shown = |addr: Option<SocketAddr>| match (addr, &asked.cluster.runtime().listen) {
        (Some(addr), _) => addr.to_string(),
        (None, ListenAddr::Unix { path, .. }) => format!("{}:0", path.display()),
        (None, ListenAddr::Tcp { .. }) => String::new(),
    };
    let line = format!(
        "id={} addr={} laddr={} name={} age={age} idle=0 flags=N db={} sub=0 psub=0 ssub=0 \
         multi=-1 cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}\n",
        client.id,
        shown(client.addr),
        shown(client.local_addr),
        String::from_utf8_lossy(&client.name),
        asked.kind.database,
        asked.command.name,
        client.user(),
        match asked.kind.dialect {
            Dialect::Resp2 => 2,
            Dialect::Resp3 => 3,
        },
        String::from_utf8_lossy(&client.library),
        String::from_utf8_lossy(&client.library_version),
    );
    write_bulk(out, line);
    Ok(())
}

//! CLIENT LIST, INFO, KILL, PAUSE, UNPAUSE, UNBLOCK: what a client may know of others, and do to them.

use std::time::Duration;

use super::{
    Asked, Client, SYNTAX, Words,
    gather::{Plan, too_many, total},
    refuse_with,
    session::integer,
};
use crate::{
    cluster::Batch,
    downstream::session::Next,
    observe::{Answer, ClientKind, Filter, Listed, PauseKind, Question},
    protocol::redis::reply::{write_error, write_integer, write_simple, write_verbatim},
};

const NOT_A_NUMBER: Words = Words::Borrowed("ERR value is not an integer or out of range");

/// Serves what concerns the client alone and touches its replies; returns whether it was that.
pub(super) fn serve(client: &mut Client, asked: &Asked<'_>, batch: &mut Batch<'_>) -> bool {
    match asked.command.name {
        "client|info" => info(client, asked, batch),
        "client|reply" => reply(client, asked, batch),
        _ => return false,
    }
    true
}

/// Returns whether `name` is one of these commands.
pub(super) fn serves(name: &str) -> bool {
    matches!(name, "client|info" | "client|reply")
}

/// Lets replies come, or not.
fn reply(client: &mut Client, asked: &Asked<'_>, batch: &mut Batch<'_>) {
    if asked.is(2, "on") {
        client.mute.end(batch);
        batch.answer(|out| write_simple(out, "OK"));
    } else if asked.is(2, "off") {
        client.mute.begin(batch);
    } else if asked.is(2, "skip") {
        client.mute.skip_next();
    } else {
        refuse_with(batch, &SYNTAX);
    }
}

/// Tells the client what the others see of it.
fn info(client: &Client, asked: &Asked<'_>, batch: &mut Batch<'_>) {
    let travel = asked.cluster.travel(batch.replies().kind);
    let now = asked.cluster.context.clock.now();
    let mut line = String::new();
    // A string takes whatever is written.
    let _ = client.record.write(batch.replies(), now, travel, &mut line);
    batch.answer(|out| write_verbatim(out, line, asked.kind.dialect));
}

pub(super) fn list(_: &Client, asked: &Asked<'_>) -> Result<Plan, Words> {
    let mut filter = Filter::default();
    if asked.args.len() == 4 && asked.is(2, "type") {
        filter.kind = Some(kind(asked.word(3))?);
    } else if asked.args.len() > 3 && asked.is(2, "id") {
        let id = |word| integer(word).ok_or("ERR Invalid client ID");
        let ids: Result<Vec<_>, _> = asked.words(3).map(id).collect();
        let known = ids?.into_iter().map(|id| u64::try_from(id).unwrap_or(0));
        filter.ids = Some(known.collect());
    } else if asked.args.len() != 2 {
        return Err(SYNTAX);
    }
    let ids = filter.ids.clone();
    Ok(Plan {
        question: Question::List(filter),
        reply: Box::new(move |answers, dialect, out| {
            write_verbatim(out, lines(answers, ids.as_deref()), dialect);
        }),
        next: Next::Continue,
    })
}

/// Puts the lines of all workers in the order of the numbers asked for, else of the numbers.
fn lines(answers: Vec<Answer>, ids: Option<&[u64]>) -> String {
    let clients = answers.into_iter().flat_map(|answer| match answer {
        Answer::Clients(clients) => clients,
        Answer::Count(_) | Answer::Slow(_) => Vec::new(),
    });
    let mut clients: Vec<Listed> = clients.collect();
    clients.sort_by_key(|client| client.id);
    let Some(ids) = ids else {
        return clients.into_iter().map(|client| client.line).collect();
    };
    let line = |id: &u64| {
        let at = clients.binary_search_by_key(id, |client| client.id).ok()?;
        clients.get(at).map(|client| client.line.as_str())
    };
    ids.iter().filter_map(line).collect()
}

pub(super) fn kill(client: &Client, asked: &Asked<'_>) -> Result<Plan, Words> {
    let is_old_form = asked.args.len() == 3;
    let (mut filter, skips_me) = match is_old_form {
        true => {
            let addr = Some(asked.word(2).to_vec());
            let filter = Filter {
                addr,
                ..Filter::default()
            };
            (filter, false)
        }
        false => filters(asked)?,
    };
    let is_me = !skips_me && filter.fits(&client.record);
    // The client itself closes once it has the reply.
    filter.except = Some(client.record.id);
    Ok(Plan {
        question: Question::Kill(filter),
        reply: Box::new(move |answers, _, out| {
            let killed = total(&answers) + u64::from(is_me);
            match (is_old_form, killed) {
                (true, 0) => write_error(out, "ERR No such client"),
                (true, _) => write_simple(out, "OK"),
                (false, _) => write_integer(out, killed.cast_signed()),
            }
        }),
        next: if is_me { Next::Close } else { Next::Continue },
    })
}

/// Reads the filters of KILL, and whether the client itself is left out.
fn filters(asked: &Asked<'_>) -> Result<(Filter, bool), Words> {
    let (mut filter, mut skips_me) = (Filter::default(), true);
    let mut at = 2;
    while at < asked.args.len() {
        if at + 1 == asked.args.len() {
            return Err(SYNTAX);
        }
        let value = asked.word(at + 1);
        if asked.is(at, "id") {
            let id = integer(value).and_then(|id| u64::try_from(id).ok());
            let id = id.filter(|id| *id > 0);
            filter.ids = Some(vec![id.ok_or("ERR client-id should be greater than 0")?]);
        } else if asked.is(at, "type") {
            filter.kind = Some(kind(value)?);
        } else if asked.is(at, "addr") {
            filter.addr = Some(value.to_vec());
        } else if asked.is(at, "laddr") {
            filter.local_addr = Some(value.to_vec());
        } else if asked.is(at, "user") {
            if asked.cluster.runtime().access.user(value).is_none() {
                let name = crate::protocol::redis::command::as_text(value);
                return Err(format!("ERR No such user '{name}'").into());
            }
            filter.user = Some(value.to_vec());
        } else if asked.is(at, "skipme") && (asked.is(at + 1, "yes") || asked.is(at + 1, "no")) {
            skips_me = asked.is(at + 1, "yes");
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    Ok((filter, skips_me))
}

fn kind(word: &[u8]) -> Result<ClientKind, Words> {
    let unknown = || {
        format!(
            "ERR Unknown client type '{}'",
            crate::protocol::redis::command::as_text(word)
        )
        .into()
    };
    ClientKind::parse(word).ok_or_else(unknown)
}

pub(super) fn pause(_: &Client, asked: &Asked<'_>) -> Result<Plan, Words> {
    let kind = match asked.args.len() {
        3 => PauseKind::All,
        4 if asked.is(3, "write") => PauseKind::Write,
        4 if asked.is(3, "all") => PauseKind::All,
        4 => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
        _ => return Err(too_many(asked)),
    };
    let timeout = integer(asked.word(2)).ok_or("ERR timeout is not an integer or out of range")?;
    let timeout = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    Ok(ok(Question::Pause(kind, Duration::from_millis(timeout))))
}

pub(super) fn unpause(_: &Client, _: &Asked<'_>) -> Result<Plan, Words> {
    Ok(ok(Question::Unpause))
}

pub(super) fn unblock(_: &Client, asked: &Asked<'_>) -> Result<Plan, Words> {
    let is_error = match asked.args.len() {
        3 => false,
        4 if asked.is(3, "timeout") => false,
        4 if asked.is(3, "error") => true,
        4 => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
        _ => return Err(too_many(asked)),
    };
    let id = integer(asked.word(2)).ok_or(NOT_A_NUMBER)?;
    let id = u64::try_from(id).unwrap_or(0);
    Ok(Plan {
        question: Question::Unblock { id, is_error },
        reply: Box::new(|answers, _, out| write_integer(out, total(&answers).cast_signed())),
        next: Next::Continue,
    })
}

/// Plans what is answered with OK once all workers have done it.
pub(super) fn ok(question: Question) -> Plan {
    Plan {
        question,
        reply: Box::new(|_, _, out| write_simple(out, "OK")),
        next: Next::Continue,
    }
}

//! Names that the table does not know: new commands, modules, and commands that an endpoint has under another name.

use super::{
    local::{self, Client},
    redis::refuse,
    session::Next,
    subscriber::confined,
    together,
    transaction::Transaction,
};
use crate::{
    cluster::{Batch, Knowledge},
    inflight::{Piece, Wish},
    protocol::{
        message::{Span, bytes_of},
        redis::command::{Foreign, Unfit},
    },
};

/// Longest name an endpoint is asked about, in bytes.
const MAX_NAME: usize = 128;

/// Forwards a request by what an endpoint says of its command, or refuses it in the words of Redis.
pub(super) fn serve(
    (client, transaction): (&mut Client, &mut Transaction),
    request: Piece<'_>,
    args: &[Span],
    batch: &mut Batch<'_>,
) -> Next {
    let copy = request.clone();
    let raw = copy.bytes();
    let name = args.first().map_or(&[][..], |span| bytes_of(raw, span));
    if !may_ask(client, raw, args, batch) {
        transaction.abort();
        refuse(batch, &Unfit::Unknown.text(raw, args));
        return Next::Continue;
    }
    match batch.learn(name) {
        Ok(None) => return Next::Hold,
        Ok(Some(Knowledge::Command(command))) => {
            if let Err(text) = check(client, &command, (raw, args), batch) {
                transaction.abort();
                refuse(batch, text.as_bytes());
            } else if local::is_foreign_paused(&command, batch.cluster()) {
                return Next::Hold;
            } else {
                let original = command.original().map_or("unknown", |row| row.name);
                client.record.command.set(original);
                let keys = command.keys(raw, args);
                if transaction.is_open() {
                    let keys = (&*keys.list, command.is_write);
                    transaction.push_foreign(keys, (raw, args), batch);
                    return Next::Continue;
                }
                together::send(&keys.list, command.is_write, request, args, batch);
            }
        }
        Ok(Some(Knowledge::Failed(reply))) => {
            transaction.abort();
            batch.answer(|out| out.extend_from_slice(&reply));
        }
        Ok(Some(Knowledge::Nothing)) => {
            transaction.abort();
            refuse(batch, &Unfit::Unknown.text(raw, args));
        }
        Err(error) => {
            transaction.abort();
            batch.fail(Wish::Reply, &error);
        }
    }
    Next::Continue
}

/// Returns whether an endpoint is asked about the name of a request: not for strangers, and not about any bytes.
pub(super) fn may_ask(client: &mut Client, raw: &[u8], args: &[Span], batch: &Batch<'_>) -> bool {
    let name = args.first().map_or(&[][..], |span| bytes_of(raw, span));
    let is_name = name.len() <= MAX_NAME && name.iter().all(u8::is_ascii_graphic);
    is_name && client.is_admitted(batch.cluster())
}

/// Refuses what the client may not do, what cannot be forwarded, and what an endpoint would refuse.
pub(super) fn check(
    client: &mut Client,
    command: &Foreign,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
) -> Result<(), String> {
    let name = String::from_utf8_lossy(args.first().map_or(&[][..], |span| bytes_of(raw, span)));
    let name = name.to_ascii_lowercase();
    client.check_foreign(batch.cluster(), command, &name, (raw, args))?;
    if client.is_confined(batch.kind().dialect) {
        return Err(confined(&command.name));
    }
    if let Some(obstacle) = command.obstacle() {
        return Err(format!(
            "ERR prism: '{name}' {obstacle}: it is not forwarded"
        ));
    }
    if !command.is_arity_ok(args.len()) {
        let name = &command.name;
        return Err(format!(
            "ERR wrong number of arguments for '{name}' command"
        ));
    }
    let keys = command.keys(raw, args);
    match keys.is_malformed || keys.list.is_empty() {
        true => Err(format!(
            "ERR prism: the keys of this '{name}' cannot be told: it is not forwarded"
        )),
        false => Ok(()),
    }
}

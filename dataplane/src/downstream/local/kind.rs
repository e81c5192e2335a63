//! HELLO, SELECT, RESET: what moves a session to connections of another kind.

use super::{
    Asked, Client, Words, refuse_with,
    session::{NO_CLUSTER_SELECT, REDIS, hello_options, integer, mode},
};
use crate::{
    cluster::Batch,
    downstream::session::Next,
    protocol::redis::reply::{
        Dialect, write_array_header, write_bulk, write_integer, write_map_header, write_simple,
    },
    upstream::Kind,
};

/// Serves one of these commands, `None` for every other.
pub(super) fn serve(client: &mut Client, asked: &Asked<'_>, batch: &mut Batch<'_>) -> Option<Next> {
    let change = match asked.command.name {
        "hello" => hello(asked),
        "reset" => Ok(Change {
            kind: Kind::default(),
            apply: |client, asked| {
                client.forget(asked.cluster);
                Ok(())
            },
            reply: |_, _, _, out| write_simple(out, "RESET"),
        }),
        "select" => select(asked),
        _ => return None,
    };
    Some(match change {
        Ok(change) => change.make(client, asked, batch),
        Err(words) => {
            refuse_with(batch, &words);
            Next::Continue
        }
    })
}

/// Returns whether `name` is one of these commands.
pub(super) fn serves(name: &str) -> bool {
    matches!(name, "hello" | "reset" | "select")
}

/// What one of these commands does, once it is known to be well formed.
struct Change {
    /// The kind the session is to have.
    kind: Kind,
    /// What else is done before.
    apply: fn(&mut Client, &Asked<'_>) -> Result<(), Words>,
    /// The reply when all went well.
    reply: fn(&Client, &Asked<'_>, Kind, &mut Vec<u8>),
}

impl Change {
    fn make(self, client: &mut Client, asked: &Asked<'_>, batch: &mut Batch<'_>) -> Next {
        if self.kind != asked.kind && !batch.is_quiet() {
            // Requests on connections of the old kind might be overtaken.
            return Next::Hold;
        }
        if let Err(words) = (self.apply)(client, asked) {
            refuse_with(batch, &words);
            return Next::Continue;
        }
        let (mut reply, kind) = (Vec::new(), self.kind);
        (self.reply)(client, asked, kind, &mut reply);
        if kind == asked.kind || batch.switch(kind) {
            batch.answer(|out| out.extend_from_slice(&reply));
            return Next::Continue;
        }
        let deferred = batch.postpone();
        let cluster = batch.cluster().shared();
        tokio::task::spawn_local(async move {
            match cluster.try_kind(kind).await {
                Ok(number) => {
                    cluster.switch(deferred.ticket, number);
                    cluster.settle(deferred.ticket, &reply);
                }
                Err(refusal) => cluster.settle(deferred.ticket, &refusal),
            }
        });
        Next::Continue
    }
}

fn select(asked: &Asked<'_>) -> Result<Change, Words> {
    let not_a_number = "ERR value is not an integer or out of range";
    let index = integer(asked.word(1)).ok_or(not_a_number)?;
    if i32::try_from(index).is_err() {
        let range = "ERR value is out of range, value must between -2147483648 and 2147483647";
        return Err(range.into());
    }
    if index != 0 && asked.cluster.settings_ref().is_cluster {
        return Err(NO_CLUSTER_SELECT);
    }
    let database = u32::try_from(index).map_err(|_| "ERR DB index is out of range")?;
    Ok(Change {
        kind: Kind {
            database,
            ..asked.kind
        },
        apply: |_, _| Ok(()),
        reply: |_, _, _, out| write_simple(out, "OK"),
    })
}

fn hello(asked: &Asked<'_>) -> Result<Change, Words> {
    let dialect = match asked.args.len() {
        1 => asked.kind.dialect,
        _ => match integer(asked.word(1)) {
            Some(2) => Dialect::Resp2,
            Some(3) => Dialect::Resp3,
            Some(_) => return Err("NOPROTO unsupported protocol version".into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        },
    };
    Ok(Change {
        kind: Kind {
            dialect,
            ..asked.kind
        },
        apply: hello_options,
        reply: |client, asked, kind, out| {
            let mode = mode(asked.cluster);
            introduce(client, kind.dialect, mode, out);
        },
    })
}

fn introduce(client: &Client, dialect: Dialect, mode: &str, out: &mut Vec<u8>) {
    let pair = |out: &mut Vec<u8>, name, value: &str| {
        write_bulk(out, name);
        write_bulk(out, value);
    };
    write_map_header(out, 7, dialect);
    pair(out, "server", "redis");
    pair(out, "version", REDIS);
    write_bulk(out, "proto");
    write_integer(
        out,
        match dialect {
            Dialect::Resp2 => 2,
            Dialect::Resp3 => 3,
        },
    );
    write_bulk(out, "id");
    write_integer(out, client.record.id.cast_signed());
    pair(out, "mode", mode);
    pair(out, "role", "master");
    write_bulk(out, "modules");
    write_array_header(out, 0);
}

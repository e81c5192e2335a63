//! Keyless commands: all shards are asked, and their replies made one; or any one shard is.

use super::{apart, scan, session::Next, wait};
use crate::{
    cluster::{Batch, Call},
    inflight::{Finish, Wish},
    protocol::{
        message::{Part, Span, bytes_of},
        redis::{
            aggregate::{self, Answer, Gather},
            command::{Class, Command},
        },
    },
    upstream::Expect,
};

/// Who is asked, and what becomes of the replies.
enum Plan {
    /// All shards.
    All(Gather),
    /// All shards, past what other clients wait for.
    Apart(Gather),
    /// Any shard: all of them would say the same.
    Any,
    /// All shards, for one of all their keys.
    RandomKey,
    /// All shards, one after the other.
    Scan,
    /// The shards that the session wrote to.
    Wait,
}

/// Returns whether commands of `class` have no keys and concern all shards, or any.
pub(super) fn is_spread(class: Class) -> bool {
    matches!(
        class,
        Class::Any | Class::Broadcast | Class::BroadcastAdmin | Class::Scan
    )
}

/// Returns whether `name` is served here.
pub(super) fn serves(name: &str) -> bool {
    plan(name, 0).is_some()
}

/// Sends a request to those who are to be asked.
pub(super) fn serve(command: &Command, raw: &[u8], args: &[Span], batch: &mut Batch<'_>) -> Next {
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: command.write,
    };
    note_scripts(command.name, raw, args, batch);
    let limit = batch.cluster().settings_ref().limits.max_reply_bytes;
    match plan(command.name, limit) {
        Some(Plan::All(how)) => batch.ask_all(&[raw], call, |shards| {
            with_names(shards, move |answers, out| {
                aggregate::gather(out, how, answers);
            })
        }),
        Some(Plan::Scan) => scan::serve(raw, args, batch),
        Some(Plan::Wait) => return wait::serve(raw, args, batch),
        Some(Plan::Apart(how)) => return apart::serve(raw, how, batch),
        Some(Plan::Any) | None => batch.ask_any(raw, call),
        Some(Plan::RandomKey) => {
            let (random, dialect) = (batch.cluster().context.random(), batch.kind().dialect);
            batch.ask_all(&[DBSIZE, raw], call, |shards| {
                with_names(shards, move |answers, out| {
                    aggregate::choose(out, answers, random, dialect);
                })
            });
        }
    }
    Next::Continue
}

/// Keeps what a client tells of scripts.
fn note_scripts(name: &str, raw: &[u8], args: &[Span], batch: &Batch<'_>) {
    let scripts = &batch.cluster().scripts;
    match name {
        "script|flush" => scripts.clear(),
        "script|load" => {
            let script = args.get(2).map_or(&[][..], |span| bytes_of(raw, span));
            scripts.remember(script);
        }
        _ => {}
    }
}

const DBSIZE: &[u8] = b"*1\r\n$6\r\nDBSIZE\r\n";

fn plan(name: &str, limit: usize) -> Option<Plan> {
    Some(match name {
        "dbsize" => Plan::All(Gather::Sum),
        "flushall" | "flushdb" | "function|delete" | "function|flush" | "function|load"
        | "function|restore" | "memory|purge" | "script|flush" | "script|load" => {
            Plan::All(Gather::Alike)
        }
        "function|kill" | "script|kill" => Plan::Apart(Gather::OneSucceeded),
        "function|stats" => Plan::Apart(Gather::Running),
        "function|dump" | "function|list" | "lolwut" | "module|list" => Plan::Any,
        "keys" => Plan::All(Gather::Concat { limit }),
        "lastsave" => Plan::All(Gather::Largest),
        "randomkey" => Plan::RandomKey,
        "scan" => Plan::Scan,
        "wait" => Plan::Wait,
        "script|exists" => Plan::All(Gather::Each),
        _ => return None,
    })
}

/// Gives `merge` the answers with the names of those who gave them.
fn with_names(
    shards: Box<[String]>,
    merge: impl Fn(&[Answer<'_>], &mut Vec<u8>) + 'static,
) -> Finish {
    Box::new(move |parts: &[Part<'_>], out| {
        let answers = shards.iter().zip(parts).map(|(shard, part)| Answer {
            shard,
            reply: part.reply,
        });
        merge(&answers.collect::<Vec<_>>(), out);
    })
}

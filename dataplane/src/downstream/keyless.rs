//! Scripts and functions called without keys: one shard runs them, always the same one.
//!
//! Such a script sees the keys of that shard only. In a Redis Cluster a key of another shard is an error there; in a
//! pool it would silently be a different key, so only what reaches no key is run.

use std::{fmt::Write as _, rc::Rc};

use super::redis::refuse;
use crate::{
    cluster::{Batch, Call},
    inflight::{Piece, Wish},
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::{Class, Command},
            reach::{Reach, reach},
            reply::write_error,
        },
    },
    upstream::Expect,
};

const NEEDS_KEYS: &str = "ERR prism: a script called without keys runs on one endpoint of this pool, so it may run no \
                          command on keys; name a key that says where they are";

const NEEDS_ALL: &str =
    "ERR prism: a script runs on one endpoint and cannot tell of the keys of all of them";

const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

/// Keeps the script that a request shows, for endpoints that will not know it.
pub(super) fn note(command: &Command, raw: &[u8], args: &[Span], batch: &Batch<'_>) {
    if let ("eval" | "eval_ro", Some(span)) = (command.name, args.get(1)) {
        batch.cluster().scripts.remember(bytes_of(raw, span));
    }
}

/// Sends a call without keys to its shard.
pub(super) fn serve(command: &Command, request: Piece<'_>, args: &[Span], batch: &mut Batch<'_>) {
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: command.class == Class::Script,
    };
    let copy = request.clone();
    let word = args
        .get(1)
        .map_or(&[][..], |span| bytes_of(copy.bytes(), span));
    let cluster = batch.cluster();
    let known = match command.name {
        "eval" | "eval_ro" => Some(Rc::from(word)),
        "evalsha" | "evalsha_ro" => cluster.scripts.find(word),
        _ => None,
    };
    let reached = known.as_deref().map(reach);
    let allowed = match (batch.is_spread(), batch.is_single()) {
        (_, true) => Reach::Everything,
        (true, false) => Reach::Nothing,
        (false, false) => Reach::Keys,
    };
    match reached {
        Some(reached) if reached > allowed => {
            let text = match allowed {
                Reach::Nothing => NEEDS_KEYS,
                Reach::Everything | Reach::Keys => NEEDS_ALL,
            };
            return refuse(batch, text.as_bytes());
        }
        None if allowed == Reach::Nothing => {
            if command.name.starts_with("fcall") {
                return refuse(batch, NEEDS_KEYS.as_bytes());
            }
            // Its text is not known here: a client that is told so sends it.
            return batch.answer(|out| write_error(out, NO_SCRIPT));
        }
        Some(_) | None => {}
    }
    batch.forward(&name(command, word, batch), request, call);
}

/// What tells the shard: the script's or the function's name.
fn name(command: &Command, word: &[u8], batch: &Batch<'_>) -> Vec<u8> {
    match command.name {
        "eval" | "eval_ro" => {
            let name = batch.cluster().scripts.remember(word);
            let mut text = String::with_capacity(2 * name.len());
            for byte in name {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text.into_bytes()
        }
        _ => word.to_ascii_lowercase(),
    }
}

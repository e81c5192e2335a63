//! Commands that one endpoint must serve: their keys are found, and must meet.

use prism_proto::placement::tagged;

use super::{keyless, local, redis::refuse};
use crate::{
    cluster::{Apart, Batch, Call, Together},
    inflight::{Piece, Wish},
    protocol::{
        message::{Span, bytes_of},
        redis::command::{Class, Command, Key, KeyFlags, Keys, sort_patterns},
    },
    upstream::Expect,
};

/// Returns whether commands of `class` go whole to the endpoint that has their keys.
pub(super) fn is_kept(class: Class) -> bool {
    matches!(
        class,
        Class::Same
            | Class::SameNumkeys
            | Class::SameSpecial
            | Class::Script
            | Class::ScriptRead
            | Class::Streams
    )
}

/// Sends a request to the endpoint that has all its keys.
pub(super) fn serve(command: &Command, request: Piece<'_>, args: &[Span], batch: &mut Batch<'_>) {
    let copy = request.clone();
    let raw = copy.bytes();
    if matches!(command.class, Class::Script | Class::ScriptRead) {
        keyless::note(command, raw, args, batch);
        let keys = command.keys(raw, args);
        if keys.list.is_empty() && !keys.is_malformed {
            return keyless::serve(command, request, args, batch);
        }
    }
    let keys = match keys_of(command, (raw, args), batch) {
        Ok(keys) => keys,
        Err(text) => return refuse(batch, text.as_bytes()),
    };
    let is_write = command.write || command.class == Class::Script;
    send(&keys.list, is_write, request, args, batch);
}

/// Sends a request to the endpoint that has its keys, or refuses it if there is no such.
pub(super) fn send(
    keys: &[Key],
    is_write: bool,
    request: Piece<'_>,
    args: &[Span],
    batch: &mut Batch<'_>,
) {
    let copy = request.clone();
    let raw = copy.bytes();
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write,
    };
    let key = |position: usize| {
        args.get(position)
            .map_or(&[][..], |span| bytes_of(raw, span))
    };
    match keys {
        // The form of the request is wrong: any endpoint says so in its own words.
        [] => batch.forward(key(1), request, call),
        [only] => batch.forward(key(only.position), request, call),
        several => {
            let together = Together {
                whole: request,
                keys: &mut several.iter().map(|each| key(each.position)),
            };
            if let Err(Apart) = batch.forward_together(together, call) {
                refuse(batch, CROSSSLOT);
            }
        }
    }
}

/// Returns whether all `keys` are where those of `unit` are; if not, the client has been told.
pub(super) fn do_meet<'k>(
    unit: &mut Option<usize>,
    keys: impl IntoIterator<Item = &'k [u8]>,
    batch: &mut Batch<'_>,
) -> bool {
    match batch.do_meet(unit, keys) {
        Ok(true) => return true,
        Ok(false) => refuse(batch, CROSSSLOT),
        Err(error) => batch.fail(Wish::Reply, &error),
    }
    false
}

pub(super) const CROSSSLOT: &[u8] = b"CROSSSLOT Keys in request don't hash to the same slot";

/// What `SORT` would silently leave out.
const FOREIGN: &str = "ERR prism: BY and GET of SORT name keys that may be on other endpoints of \
                       this pool; a hash tag before the * keeps them together";

/// Returns the keys that must meet.
///
/// # Errors
/// The words for a request that no endpoint could answer rightly.
pub(super) fn keys_of(
    command: &Command,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
) -> Result<Keys, String> {
    let mut keys = command.keys(raw, args);
    check(command, &mut keys, (raw, args), batch)?;
    Ok(keys)
}

/// Refuses what no endpoint could answer rightly.
pub(super) fn check(
    command: &Command,
    keys: &mut Keys,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
) -> Result<(), String> {
    match command.class {
        Class::Script | Class::ScriptRead if keys.list.is_empty() && !keys.is_malformed => {
            Err(local::unsupported(&format!("{} without keys", command.name)).into())
        }
        Class::SameSpecial if command.name.starts_with("sort") && batch.is_spread() => {
            let tag = batch.cluster().runtime().cluster.sharding().hash_tag;
            for position in sort_patterns(raw, args) {
                let pattern = args
                    .get(position)
                    .map_or(&[][..], |span| bytes_of(raw, span));
                if !tag.is_some_and(|tag| is_pinned(pattern, tag)) {
                    return Err(FOREIGN.into());
                }
                keys.list.push(Key {
                    position,
                    flags: KeyFlags::default(),
                });
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether every key a pattern can name is where its hash tag says: it is closed before the first `*`.
fn is_pinned(pattern: &[u8], tag: [u8; 2]) -> bool {
    let fixed = pattern
        .split(|byte| *byte == b'*')
        .next()
        .unwrap_or_default();
    tagged(fixed, tag).len() < fixed.len()
}

//! PRISM EXPLAIN: where a request would go and why, or why it would be refused; nothing is sent for it.

use super::{
    local::{self, Client},
    session::Next,
    together, unknown,
};
use crate::{
    cluster::{Batch, Knowledge, Located},
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::{Class, Command, Key, Keys, Unfit, find, streams},
            reply::{write_bulk, write_map_header},
        },
    },
};

/// Facts in the order they are told.
#[derive(Debug, Default)]
struct Told(Vec<(&'static str, String)>);

impl Told {
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }
}

/// Answers a `PRISM EXPLAIN`; `args` are its own, the explained request begins at the third.
pub(super) fn serve(client: &mut Client, raw: &[u8], args: &[Span], batch: &mut Batch<'_>) -> Next {
    let args = args.get(2..).unwrap_or_default();
    let mut told = Told::default();
    let explained = match find(raw, args) {
        Ok(command) => explain(client, command, (raw, args), batch, &mut told),
        Err(Unfit::Unknown) if unknown::may_ask(client, raw, args, batch) => {
            match learn(client, (raw, args), batch, &mut told) {
                Learned::Now(explained) => explained,
                Learned::Later => return Next::Hold,
            }
        }
        Err(unfit) => Err(unfit.text(raw, args)),
    };
    if let Err(text) = explained {
        told.add("refused", String::from_utf8_lossy(&text));
    }
    let dialect = batch.kind().dialect;
    batch.answer(|out| {
        write_map_header(out, told.0.len(), dialect);
        for (name, value) in &told.0 {
            write_bulk(out, name);
            write_bulk(out, value);
        }
    });
    Next::Continue
}

fn explain(
    client: &mut Client,
    command: &'static Command,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
    told: &mut Told,
) -> Result<(), Vec<u8>> {
    told.add("command", command.name);
    told.add("class", command.class.name());
    let mut keys = command.keys(raw, args);
    tell_keys(&keys.list, told);
    let cluster = batch.cluster();
    let checked = client.check(cluster, command, raw, args);
    checked.map_err(|words| words.into_owned().into_bytes())?;
    match command.class {
        Class::Script | Class::ScriptRead if keys.list.is_empty() && !keys.is_malformed => {
            told.add(
                "route",
                "one endpoint, if the script can do without the others",
            );
            Ok(())
        }
        Class::Streams if streams(raw, args).is_some_and(|streams| streams.block.is_some()) => {
            told.add("route", "a connection of its own");
            Ok(())
        }
        class if together::is_kept(class) => {
            let checked = together::check(command, &mut keys, (raw, args), batch);
            checked.map_err(String::into_bytes)?;
            tell_place(&keys, (raw, args), batch, told)
        }
        Class::SingleRead | Class::SingleWrite | Class::Subkey => {
            tell_place(&keys, (raw, args), batch, told)
        }
        Class::Split(kind) => match kind.key_count(args.len()) {
            Some(_) => tell_places(&keys, (raw, args), batch, told),
            None => Err(command.arity_error().into_bytes()),
        },
        _ => match local::refusal(command, cluster) {
            Some(words) => Err(words.into_owned().into_bytes()),
            None => {
                told.add("route", route(command.class));
                Ok(())
            }
        },
    }
}

/// What becomes of a command that does not go by its keys.
fn route(class: Class) -> &'static str {
    match class {
        Class::Broadcast | Class::BroadcastAdmin | Class::Scan => "every shard",
        Class::Any | Class::Admin => "any endpoint",
        Class::Slot => "the owner of the slot",
        Class::PubSub | Class::PubSubShard => "the channel's shard",
        Class::Block | Class::BlockNumkeys | Class::Transaction => "a connection of its own",
        _ => "the proxy itself",
    }
}

/// What came of asking about a name that is not in the table.
enum Learned {
    Later,
    Now(Result<(), Vec<u8>>),
}

fn learn(
    client: &mut Client,
    (raw, args): (&[u8], &[Span]),
    batch: &mut Batch<'_>,
    told: &mut Told,
) -> Learned {
    let name = args.first().map_or(&[][..], |span| bytes_of(raw, span));
    Learned::Now(match batch.learn(name) {
        Ok(None) => return Learned::Later,
        Ok(Some(Knowledge::Command(command))) => {
            told.add("command", command.name.as_str());
            told.add("class", "learned");
            let keys = command.keys(raw, args);
            tell_keys(&keys.list, told);
            match unknown::check(client, &command, (raw, args), batch) {
                Ok(()) => tell_place(&keys, (raw, args), batch, told),
                Err(text) => Err(text.into_bytes()),
            }
        }
        Ok(Some(Knowledge::Failed(reply))) => {
            let text = reply.strip_prefix(b"-").unwrap_or(&reply);
            Err(text.trim_ascii_end().to_vec())
        }
        Ok(Some(Knowledge::Nothing)) => Err(Unfit::Unknown.text(raw, args)),
        Err(error) => Err(format!("ERR prism: {error}").into_bytes()),
    })
}

fn tell_keys(keys: &[Key], told: &mut Told) {
    let positions: Vec<_> = keys.iter().map(|key| key.position.to_string()).collect();
    told.add("keys", positions.join(" "));
}

/// Tells of the one place all keys must have.
fn tell_place(
    keys: &Keys,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
    told: &mut Told,
) -> Result<(), Vec<u8>> {
    if keys.list.is_empty() {
        told.add("route", "any endpoint, which will refuse it");
        return Ok(());
    }
    let places = places(keys, (raw, args), batch)?;
    if places.windows(2).any(|pair| pair[0].unit != pair[1].unit) {
        return Err(together::CROSSSLOT.to_vec());
    }
    tell(&places[..1], batch, told);
    Ok(())
}

/// Tells of the places over which keys may be divided.
fn tell_places(
    keys: &Keys,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
    told: &mut Told,
) -> Result<(), Vec<u8>> {
    let mut places = places(keys, (raw, args), batch)?;
    places.sort_by_key(|place| place.unit);
    places.dedup_by_key(|place| place.unit);
    tell(&places, batch, told);
    Ok(())
}

fn places(
    keys: &Keys,
    (raw, args): (&[u8], &[Span]),
    batch: &Batch<'_>,
) -> Result<Vec<Located>, Vec<u8>> {
    let spans = keys.list.iter().filter_map(|key| args.get(key.position));
    let places = spans.map(|span| batch.locate(bytes_of(raw, span)));
    let places: Result<_, _> = places.collect();
    places.map_err(|error| format!("ERR prism: {error}").into_bytes())
}

fn tell(places: &[Located], batch: &Batch<'_>, told: &mut Told) {
    let joined = |word: fn(&Located) -> String| {
        let words: Vec<_> = places.iter().map(word).collect();
        words.join(", ")
    };
    let is_cluster = batch.cluster().settings_ref().is_cluster;
    let unit = if is_cluster { "slot" } else { "shard" };
    told.add(
        "route",
        if places.len() == 1 {
            "one endpoint"
        } else {
            "divided"
        },
    );
    told.add(unit, joined(|place| place.unit.to_string()));
    told.add("endpoint", joined(|place| place.endpoint.clone()));
    told.add("read_policy", "primary");
}

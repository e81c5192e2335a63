//! Commands that the proxy answers itself, and the words for those it does not serve.
//!
//! Whatever has a handler here, or a class that is forwarded, is served; everything else is refused in its turn.

use std::borrow::Cow;

use super::{broadcast, publish, session::Next, subscriber, together};
use crate::{
    cluster::{Batch, ClusterWorker},
    observe::PauseKind,
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::{Class, Command, Foreign},
            reply::write_error,
        },
    },
    upstream::Kind,
};

mod auth;
mod client;
mod clients;
mod cluster;
mod command;
mod config;
mod gather;
mod genpass;
mod info;
mod kind;
mod latency;
mod mute;
mod record;
mod session;
mod slowlog;

pub(super) use cluster::ask_owner;
pub(super) use session::{Client, integer};

/// A request that is answered here.
struct Asked<'a> {
    command: &'static Command,
    raw: &'a [u8],
    args: &'a [Span],
    cluster: &'a ClusterWorker,
    /// The kind of connections the session travels on.
    kind: Kind,
}

/// Writes the answer to one request, or gives the words that refuse it.
type Handler = fn(&mut Client, &Asked<'_>, &mut Vec<u8>) -> Result<(), Words>;

/// The text of an error, without `-` and line end.
type Words = Cow<'static, str>;

const SYNTAX: Words = Cow::Borrowed("ERR syntax error");

impl<'a> Asked<'a> {
    /// Returns an argument, the command's name is the first; empty when there are fewer.
    fn word(&self, at: usize) -> &'a [u8] {
        self.args
            .get(at)
            .map_or(&[][..], |span| bytes_of(self.raw, span))
    }

    /// Returns whether an argument is `word`, in any case.
    fn is(&self, at: usize, word: &str) -> bool {
        self.word(at).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Returns the arguments from one on.
    fn words(&self, from: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let (raw, rest) = (self.raw, self.args.get(from..).unwrap_or_default());
        rest.iter().map(move |span| bytes_of(raw, span))
    }
}

/// Answers or refuses a command that is not forwarded.
pub(super) fn serve(
    client: &mut Client,
    command: &'static Command,
    raw: &[u8],
    args: &[Span],
    batch: &mut Batch<'_>,
) -> Next {
    let cluster = batch.cluster();
    let asked = Asked {
        command,
        raw,
        args,
        cluster,
        kind: batch.kind(),
    };
    if command.name == "reset" {
        client.mute.reset(batch);
    }
    if let Some(next) = kind::serve(client, &asked, batch) {
        client.note_user();
        return next;
    }
    if clients::serve(client, &asked, batch) {
        return Next::Continue;
    }
    if let Some(next) = gather::serve(client, &asked, batch) {
        return next;
    }
    let handler = handler(command.name).unwrap_or(refuse);
    let mut is_refused = false;
    batch.answer(|out| {
        let start = out.len();
        if let Err(words) = handler(client, &asked, out) {
            is_refused = true;
            out.truncate(start);
            write_error(out, words.as_bytes());
        }
    });
    client.note_user();
    if is_refused {
        cluster.metrics.refused_total.inc();
    }
    match command.name {
        "quit" => Next::Close,
        _ => Next::Continue,
    }
}

/// Returns whether a client asked that such commands wait.
#[inline]
pub(super) fn is_paused(command: &Command, cluster: &ClusterWorker) -> bool {
    match cluster.observer.pause.kind() {
        None => false,
        Some(PauseKind::All) => true,
        Some(PauseKind::Write) => command.write || REPLICATED.contains(&command.name),
    }
}

/// Returns whether a command that is not in the table has to wait because clients are paused.
pub(super) fn is_foreign_paused(command: &Foreign, cluster: &ClusterWorker) -> bool {
    match cluster.observer.pause.kind() {
        None => false,
        Some(PauseKind::All) => true,
        Some(PauseKind::Write) => command.is_write,
    }
}

/// Commands that a pause of writes holds although they are none, as in Redis.
const REPLICATED: [&str; 6] = ["eval", "evalsha", "fcall", "pfcount", "publish", "spublish"];

/// Refuses a request that was not begun.
fn refuse_with(batch: &mut Batch<'_>, words: &Words) {
    batch.cluster().metrics.refused_total.inc();
    batch.answer(|out| write_error(out, words.as_bytes()));
}

/// Returns whether clients may use the command, here or at an endpoint.
fn is_served(command: &Command) -> bool {
    match command.class {
        Class::SingleRead | Class::SingleWrite | Class::Slot | Class::Split(_) | Class::Subkey => {
            true
        }
        Class::Block | Class::BlockNumkeys | Class::Transaction => true,
        class if together::is_kept(class) => true,
        Class::Container => command::subcommands(command).next().is_some(),
        _ if publish::serves(command.name) || broadcast::serves(command.name) => true,
        _ if subscriber::serves(command.name) => true,
        _ => {
            let name = command.name;
            let is_about_clients = clients::serves(name) || gather::serves(name);
            handler(name).is_some() || kind::serves(name) || is_about_clients
        }
    }
}

fn handler(name: &str) -> Option<Handler> {
    session::handler(name)
        .or_else(|| auth::handler(name))
        .or_else(|| client::handler(name))
        .or_else(|| cluster::handler(name))
        .or_else(|| command::handler(name))
        .or_else(|| info::handler(name))
        .or_else(|| latency::handler(name))
        .or_else(|| config::handler(name))
        .or_else(|| genpass::handler(name))
}

fn refuse(_: &mut Client, asked: &Asked<'_>, _: &mut Vec<u8>) -> Result<(), Words> {
    Err(words_for(asked.command, asked.cluster))
}

/// Returns the words that refuse a command whatever its arguments; nothing for one that is served.
pub(super) fn refusal(command: &Command, cluster: &ClusterWorker) -> Option<Words> {
    let is_of_clusters = command.name.starts_with("cluster|") && !cluster.settings_ref().is_cluster;
    let is_refused = is_of_clusters || !is_served(command) && command.name != "prism|explain";
    is_refused.then(|| words_for(command, cluster))
}

fn words_for(command: &Command, cluster: &ClusterWorker) -> Words {
    let name = command.name;
    if name.starts_with("cluster|") && !cluster.settings_ref().is_cluster {
        return session::NO_CLUSTER;
    }
    match command.class {
        Class::Admin | Class::Forbid => {
            format!("ERR prism: '{name}' belongs to one endpoint and is always refused").into()
        }
        Class::LocalAdmin => "ERR prism: managed; use prismctl apply".into(),
        _ => unsupported(name),
    }
}

pub(super) fn unsupported(what: &str) -> Words {
    format!("ERR prism: '{what}' is not supported by this version").into()
}

#[cfg(test)]
mod design;
#[cfg(test)]
mod tests;

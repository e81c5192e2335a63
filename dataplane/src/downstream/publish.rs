//! PUBLISH, and what PUBSUB tells of who listens.
//!
//! Counts are those of the endpoints, to which a worker is one subscriber however many clients it has.

use std::collections::BTreeSet;

use crate::{
    cluster::{Batch, Call, NOTIFICATIONS},
    inflight::{Finish, Piece, Wish},
    protocol::{
        message::{Part, Span, bytes_of},
        redis::{
            command::Command,
            reply::{
                array_elements, bulk_string, integer, is_error, write_array_header, write_bulk,
                write_error, write_integer, write_simple,
            },
        },
    },
    upstream::Expect,
};

use super::redis::refuse;

const KEPT: &[u8] =
    b"ERR prism: channels that begin with '__key' are kept for what endpoints tell of their keys";

const UNEXPECTED: &str = "ERR prism: an endpoint's reply is not of the command's type";

const HELP: [&str; 14] = [
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
];

/// Returns whether `name` is one of these commands.
pub(super) fn serves(name: &str) -> bool {
    name == "publish" || name == "spublish" || name.starts_with("pubsub|")
}

/// Serves one of these commands.
pub(super) fn serve(command: &Command, request: Piece<'_>, args: &[Span], batch: &mut Batch<'_>) {
    let finish: Finish = match command.name {
        "pubsub|channels" | "pubsub|shardchannels" if args.len() > 3 => {
            return refuse(batch, &too_many(request.bytes(), args));
        }
        "pubsub|channels" | "pubsub|shardchannels" => finish(distinct),
        "pubsub|help" => return batch.answer(help),
        // Every endpoint of a pool has all patterns, of a Redis Cluster each has its share.
        "pubsub|numpat" => match batch.cluster().settings_ref().is_cluster {
            true => {
                finish(|counts: &[Part<'_>], out| write_number(counts, i64::saturating_add, out))
            }
            false => finish(|counts: &[Part<'_>], out| write_number(counts, i64::max, out)),
        },
        "pubsub|numsub" | "pubsub|shardnumsub" => finish(sums),
        _ => return publish(request, args, batch),
    };
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: false,
    };
    batch.broadcast(request.bytes(), finish, call);
}

/// Sends a message to the endpoint that the channel's subscribers listen to.
fn publish(request: Piece<'_>, args: &[Span], batch: &mut Batch<'_>) {
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        // Messages of one session keep their order, as writes do.
        is_write: true,
    };
    let copy = request.clone();
    let channel = args
        .get(1)
        .map_or(&[][..], |span| bytes_of(copy.bytes(), span));
    if channel.starts_with(NOTIFICATIONS) && batch.cluster().settings_ref().is_cluster {
        // Its subscribers listen to every endpoint, each of which would tell them of the one message.
        return refuse(batch, KEPT);
    }
    batch.forward(channel, request, call);
}

fn too_many(raw: &[u8], args: &[Span]) -> Vec<u8> {
    let word = args.get(1).map_or(&[][..], |span| bytes_of(raw, span));
    let word = crate::protocol::redis::command::as_text(word.get(..128).unwrap_or(word));
    format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP.")
        .into_bytes()
}

fn help(out: &mut Vec<u8>) {
    write_array_header(out, HELP.len());
    for line in HELP {
        write_simple(out, line);
    }
}

/// Merges parts with `merge` unless one of them is an error, which is then the answer.
fn finish(merge: fn(&[Part<'_>], &mut Vec<u8>) -> Option<()>) -> Finish {
    Box::new(move |parts, out| {
        if let Some(part) = parts.iter().find(|part| is_error(part.reply)) {
            return out.extend_from_slice(part.reply);
        }
        let start = out.len();
        if merge(parts, out).is_none() {
            out.truncate(start);
            write_error(out, UNEXPECTED);
        }
    })
}

fn write_number(parts: &[Part<'_>], add: fn(i64, i64) -> i64, out: &mut Vec<u8>) -> Option<()> {
    let numbers: Vec<_> = parts
        .iter()
        .map(|part| integer(part.reply))
        .collect::<Option<_>>()?;
    write_integer(out, numbers.into_iter().reduce(add)?);
    Some(())
}

/// Names that several endpoints tell are told once.
fn distinct(parts: &[Part<'_>], out: &mut Vec<u8>) -> Option<()> {
    let mut names = BTreeSet::new();
    for part in parts {
        names.extend(array_elements(part.reply)?);
    }
    write_array_header(out, names.len());
    for name in names {
        out.extend_from_slice(name);
    }
    Some(())
}

/// Adds up the counts behind the names, which every endpoint repeats in the order asked.
fn sums(parts: &[Part<'_>], out: &mut Vec<u8>) -> Option<()> {
    let mut totals: Vec<(&[u8], i64)> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let elements: Vec<_> = array_elements(part.reply)?.collect();
        if number > 0 && elements.len() != totals.len() * 2 {
            return None;
        }
        for (at, pair) in elements.chunks(2).enumerate() {
            let [name, count] = pair else { return None };
            let (name, count) = (bulk_string(name)?, integer(count)?);
            match totals.get_mut(at) {
                Some(total) => total.1 += count,
                None => totals.push((name, count)),
            }
        }
    }
    write_array_header(out, totals.len() * 2);
    for (name, count) in totals {
        write_bulk(out, name);
        write_integer(out, count);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(finish: &Finish, replies: &[&str]) -> String {
        let parts: Vec<_> = replies
            .iter()
            .map(|reply| Part {
                indexes: &[0],
                reply: reply.as_bytes(),
            })
            .collect();
        let mut out = Vec::new();
        finish(&parts, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn counts_of_a_channel_are_added_by_its_place() {
        let replies = [
            "*4\r\n$1\r\na\r\n:1\r\n$1\r\na\r\n:1\r\n",
            "*4\r\n$1\r\na\r\n:2\r\n$1\r\na\r\n:2\r\n",
        ];
        let expected = "*4\r\n$1\r\na\r\n:3\r\n$1\r\na\r\n:3\r\n";
        assert_eq!(merged(&finish(sums), &replies), expected);
        let uneven = merged(&finish(sums), &["*2\r\n$1\r\na\r\n:1\r\n", "*0\r\n"]);
        assert!(uneven.starts_with("-ERR prism: "), "{uneven}");
    }

    #[test]
    fn channel_of_several_endpoints_is_told_once() {
        let replies = ["*1\r\n$1\r\na\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"];
        let reply = merged(&finish(distinct), &replies);
        assert_eq!(reply, "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        let reply = merged(&finish(distinct), &["*0\r\n", "-NOPERM no\r\n"]);
        assert_eq!(reply, "-NOPERM no\r\n");
    }
}

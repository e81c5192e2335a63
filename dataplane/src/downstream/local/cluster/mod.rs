//! CLUSTER: the fleet of data planes in the place of a Redis Cluster's nodes.

mod view;
mod words;

use std::ops::RangeInclusive;

use prism_proto::{
    model::shard_id,
    placement::{SLOTS, slot},
};

use super::{Asked, Client, Handler, Words, refuse_with, session};
use crate::{
    cluster::{Batch, Call, ClusterWorker},
    inflight::{Piece, Wish},
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::Command,
            reply::{
                Dialect, write_array_header, write_bulk, write_integer, write_map_header,
                write_simple,
            },
        },
    },
    upstream::Expect,
};

use view::{Node, nodes, own_id};

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "cluster|help" => |_, asked, out| {
            let lines = words::help();
            only_of_a_cluster(asked.cluster)?;
            write_array_header(out, lines.len());
            lines.for_each(|line| write_simple(out, line));
            Ok(())
        },
        "cluster|info" => info,
        "cluster|keyslot" => |_, asked, out| {
            only_of_a_cluster(asked.cluster)?;
            write_integer(out, i64::from(slot(asked.word(2))));
            Ok(())
        },
        // The links of the bus: the data planes have none.
        "cluster|links" => |_, asked, out| {
            only_of_a_cluster(asked.cluster)?;
            write_array_header(out, 0);
            Ok(())
        },
        "cluster|myid" => |_, asked, out| {
            only_of_a_cluster(asked.cluster)?;
            write_bulk(out, own_id(asked.cluster));
            Ok(())
        },
        "cluster|myshardid" => |_, asked, out| {
            only_of_a_cluster(asked.cluster)?;
            let runtime = asked.cluster.runtime();
            write_bulk(out, shard_id(&runtime.shared.peers.load().own.id));
            Ok(())
        },
        "cluster|nodes" => list,
        "cluster|replicas" | "cluster|slaves" => replicas,
        "cluster|shards" => shards,
        "cluster|slots" => slots,
        _ => return None,
    })
}

fn only_of_a_cluster(cluster: &ClusterWorker) -> Result<(), Words> {
    match cluster.settings_ref().is_cluster {
        true => Ok(()),
        false => Err(session::NO_CLUSTER),
    }
}

/// Sends a question about one slot to the slot's owner.
pub(in crate::downstream) fn ask_owner(
    command: &Command,
    request: Piece<'_>,
    args: &[Span],
    batch: &mut Batch<'_>,
) {
    let copy = request.clone();
    let number = |at: usize| {
        let word = args
            .get(at)
            .map_or(&[][..], |span| bytes_of(copy.bytes(), span));
        session::integer(word).ok_or("ERR value is not an integer or out of range".into())
    };
    match owned_slot(command, number, batch.cluster()) {
        Ok(slot) => {
            let call = Call {
                expect: Expect::Redis,
                wish: Wish::Reply,
                is_write: false,
            };
            batch.forward_to_owner(slot, request, call);
        }
        Err(words) => refuse_with(batch, &words),
    }
}

/// Reads the slot that is asked about, as strictly as Redis does.
fn owned_slot(
    command: &Command,
    number: impl Fn(usize) -> Result<i64, Words>,
    cluster: &ClusterWorker,
) -> Result<u16, Words> {
    only_of_a_cluster(cluster)?;
    let is_list = command.name == "cluster|getkeysinslot";
    let slot = number(2)?;
    let is_count_wrong = is_list && number(3)? < 0;
    let known = u16::try_from(slot).ok();
    known
        .filter(|slot| usize::from(*slot) < SLOTS && !is_count_wrong)
        .ok_or(match is_list {
            true => "ERR Invalid slot or number of keys".into(),
            false => "ERR Invalid slot".into(),
        })
}

fn slots(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    only_of_a_cluster(asked.cluster)?;
    let owners = owners(client, asked.cluster);
    write_array_header(out, owners.len());
    for (node, slots) in owners {
        write_array_header(out, 3);
        write_integer(out, i64::from(*slots.start()));
        write_integer(out, i64::from(*slots.end()));
        write_array_header(out, 4);
        write_bulk(out, &node.host);
        write_integer(out, i64::from(node.port));
        write_bulk(out, &node.id);
        write_map_header(out, 0, asked.kind.dialect);
    }
    Ok(())
}

fn shards(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    only_of_a_cluster(asked.cluster)?;
    let (owners, dialect) = (owners(client, asked.cluster), asked.kind.dialect);
    write_array_header(out, owners.len());
    for (node, slots) in owners {
        write_map_header(out, 2, dialect);
        write_bulk(out, "slots");
        write_array_header(out, 2);
        write_integer(out, i64::from(*slots.start()));
        write_integer(out, i64::from(*slots.end()));
        write_bulk(out, "nodes");
        write_array_header(out, 1);
        write_map_header(out, 7, dialect);
        let text = |out: &mut Vec<u8>, name, value: &str| {
            write_bulk(out, name);
            write_bulk(out, value);
        };
        text(out, "id", &node.id);
        write_bulk(out, "port");
        write_integer(out, i64::from(node.port));
        text(out, "ip", &node.host);
        text(out, "endpoint", &node.host);
        text(out, "role", "master");
        write_bulk(out, "replication-offset");
        write_integer(out, 0);
        text(out, "health", "online");
    }
    Ok(())
}

fn list(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    only_of_a_cluster(asked.cluster)?;
    let nodes = nodes(client, asked.cluster);
    let lines: String = (1..).zip(&nodes).map(words::line).collect();
    write_text(out, &lines, asked.kind.dialect);
    Ok(())
}

fn info(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    only_of_a_cluster(asked.cluster)?;
    write_text(
        out,
        &words::info(&nodes(client, asked.cluster)),
        asked.kind.dialect,
    );
    Ok(())
}

/// No data plane has replicas: each serves all there is.
fn replicas(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    only_of_a_cluster(asked.cluster)?;
    let wanted = asked.word(2);
    let mut nodes = nodes(client, asked.cluster).into_iter();
    if !nodes.any(|node| node.id.as_bytes() == wanted) {
        let wanted = crate::protocol::redis::command::as_text(wanted);
        return Err(format!("ERR Unknown node {wanted}").into());
    }
    write_array_header(out, 0);
    Ok(())
}

/// Returns the nodes that have a share of the slots, with it.
fn owners(client: &Client, cluster: &ClusterWorker) -> Vec<(Node, RangeInclusive<u16>)> {
    let nodes = nodes(client, cluster).into_iter();
    nodes
        .filter_map(|node| Some((node.slots.clone()?, node)))
        .map(|(slots, node)| (node, slots))
        .collect()
}

/// Writes a text that is told apart from data where the dialect can.
fn write_text(out: &mut Vec<u8>, text: &str, dialect: Dialect) {
    match dialect {
        Dialect::Resp2 => write_bulk(out, text),
        Dialect::Resp3 => {
            out.extend_from_slice(format!("={}\r\ntxt:{text}\r\n", text.len() + 4).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;

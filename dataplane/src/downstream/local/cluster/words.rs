//! The texts of CLUSTER INFO, NODES and HELP.

use prism_proto::placement::SLOTS;

use super::view::Node;

/// How far the bus of a node is from its port.
const BUS: u16 = 10_000;

/// Subcommands with what they do, for people.
const HELP: [(&str, &str); 13] = [
    (
        "COUNTKEYSINSLOT <slot>",
        "How many keys the owner of a slot has in it.",
    ),
    (
        "GETKEYSINSLOT <slot> <count>",
        "Names of keys in a slot, at most so many, as its owner tells them.",
    ),
    ("HELP", "This text."),
    (
        "INFO",
        "The state of the cluster: always ok, since every data plane serves every slot.",
    ),
    ("KEYSLOT <key>", "The slot of a key."),
    ("LINKS", "Links between nodes: data planes have none."),
    ("MYID", "The id of the data plane that answers."),
    ("MYSHARDID", "The id of its shard, which has no other node."),
    (
        "NODES",
        "The data planes that serve this cluster, one a line.",
    ),
    (
        "REPLICAS <node-id>",
        "Replicas of a node: data planes have none.",
    ),
    (
        "SHARDS",
        "The data planes and their shares of the slots, as maps.",
    ),
    ("SLAVES <node-id>", "As REPLICAS."),
    (
        "SLOTS",
        "The shares of the slots and the data planes that have them.",
    ),
];

/// Returns the lines of the help text.
pub(super) fn help() -> impl ExactSizeIterator<Item = String> {
    let title = "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:".to_owned();
    let lines = HELP
        .iter()
        .flat_map(|(usage, meaning)| [(*usage).to_owned(), format!("    {meaning}")]);
    std::iter::once(title)
        .chain(lines)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Returns one node's line of CLUSTER NODES; `number` is its epoch.
pub(super) fn line((number, node): (usize, &Node)) -> String {
    let Node { id, host, port, .. } = node;
    let bus = port.checked_add(BUS).unwrap_or_default();
    let flags = match node.is_own {
        true => "myself,master",
        false => "master",
    };
    let slots = match &node.slots {
        Some(slots) => format!(" {}-{}", slots.start(), slots.end()),
        None => String::new(),
    };
    format!("{id} {host}:{port}@{bus} {flags} - 0 0 {number} connected{slots}\n")
}

/// Returns the fields of CLUSTER INFO.
pub(super) fn info(nodes: &[Node]) -> String {
    let own = nodes.iter().position(|node| node.is_own);
    let own = own.map_or(0, |index| index + 1);
    let size = nodes.iter().filter(|node| node.slots.is_some()).count();
    format!(
        "cluster_state:ok\r\n\
         cluster_slots_assigned:{SLOTS}\r\n\
         cluster_slots_ok:{SLOTS}\r\n\
         cluster_slots_pfail:0\r\n\
         cluster_slots_fail:0\r\n\
         cluster_known_nodes:{known}\r\n\
         cluster_size:{size}\r\n\
         cluster_current_epoch:{known}\r\n\
         cluster_my_epoch:{own}\r\n\
         cluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n",
        known = nodes.len()
    )
}

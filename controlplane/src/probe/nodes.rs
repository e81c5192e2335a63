//! CLUSTER NODES as one node tells it.
//!
//! Spec: <https://redis.io/docs/latest/commands/cluster-nodes/>

use prism_proto::{model::EndpointAddr, placement::SLOTS};
use thiserror::Error;

/// Nodes of the largest cluster.
const MAX_NODES: usize = 5_000;

/// Why a text is no view.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NodesError {
    /// A line lacks fields or holds something else in one.
    #[error("line {line} of CLUSTER NODES cannot be read")]
    Line {
        /// From 1.
        line: usize,
    },
    /// There is no line of the node itself.
    #[error("CLUSTER NODES does not name the node that was asked")]
    NoSelf,
    /// There are more nodes than any cluster has.
    #[error("CLUSTER NODES has more than {MAX_NODES} lines")]
    TooMany,
}

/// What one node knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The id of the node that was asked.
    pub own_id: String,
    /// All nodes that it knows.
    pub nodes: Vec<Node>,
}

/// One node, as another one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Where it is; none when that is not known.
    pub addr: Option<String>,
    /// The id of its primary; none for a primary.
    pub primary_id: Option<String>,
    /// Its config epoch; a replica's is its primary's.
    pub epoch: u64,
    /// Whether the cluster agreed that it is down.
    pub is_failed: bool,
    /// Whether it is not yet, or no longer, part of the cluster.
    pub is_stranger: bool,
    /// Runs of slots it owns: first and last.
    pub slots: Vec<(u16, u16)>,
}

/// Reads the reply of the node at `asked`.
///
/// # Errors
/// When it is not what Redis sends.
pub fn read_nodes(text: &str, asked: &EndpointAddr) -> Result<View, NodesError> {
    let mut own_id = None;
    let mut nodes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if nodes.len() == MAX_NODES {
            return Err(NodesError::TooMany);
        }
        let (node, is_own) = read_line(line, asked).ok_or(NodesError::Line { line: number + 1 })?;
        if is_own {
            own_id = Some(node.id.clone());
        }
        nodes.push(node);
    }
    let own_id = own_id.ok_or(NodesError::NoSelf)?;
    Ok(View { own_id, nodes })
}

/// Reads `id addr flags primary ping pong epoch link slot…`; also returns whether it is the asked node's own.
fn read_line(line: &str, asked: &EndpointAddr) -> Option<(Node, bool)> {
    let mut fields = line.split(' ');
    let id = fields.next().filter(|id| !id.is_empty())?;
    let addr = fields.next()?;
    let flags: Vec<_> = fields.next()?.split(',').collect();
    let primary_id = fields.next()?;
    let epoch = fields.nth(2)?.parse().ok()?;
    fields.next()?;
    let has = |flag: &str| flags.contains(&flag);
    // Slots on their way, `[7->-id]`, belong to whom they belonged before.
    let slots = fields.filter(|slot| !slot.is_empty() && !slot.starts_with('['));
    let node = Node {
        id: id.into(),
        addr: if has("noaddr") {
            None
        } else {
            read_addr(addr, asked)
        },
        primary_id: Some(primary_id).filter(|id| *id != "-").map(Into::into),
        epoch,
        is_failed: has("fail"),
        is_stranger: has("handshake"),
        slots: slots.map(read_slots).collect::<Option<_>>()?,
    };
    Some((node, has("myself")))
}

/// Reads `ip:port@bus,name`; a node that does not know its own address is where it was asked.
fn read_addr(text: &str, asked: &EndpointAddr) -> Option<String> {
    let (addr, _) = text.split_once('@').unwrap_or((text, ""));
    let (host, port) = addr.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    let host = match asked {
        EndpointAddr::Tcp { host: asked, .. } if host.is_empty() => asked,
        _ => host,
    };
    (!host.is_empty()).then(|| EndpointAddr::tcp(host, port).to_string())
}

fn read_slots(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && usize::from(last) < SLOTS).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> EndpointAddr {
        EndpointAddr::tcp("10.9.9.9", 7000)
    }

    #[test]
    fn lines_of_redis_are_read() {
        let text = "\
aa 10.0.0.1:7000@17000,name.example myself,master - 0 0 12 connected 0-100 200 [300->-bb] [301-<-bb]
bb 10.0.0.2:7001@17001 slave aa 0 1690000000000 12 connected
cc fd00::1:7002@17002 master,fail? - 0 0 3 disconnected 16383
dd :0@0 master,fail,noaddr - 1 1 0 disconnected
ee 10.0.0.5:7004@17004 handshake - 0 0 0 disconnected
";
        let view = read_nodes(text, &asked()).expect("a view");
        assert_eq!(view.own_id, "aa");
        let addrs: Vec<_> = view.nodes.iter().map(|node| node.addr.as_deref()).collect();
        assert_eq!(
            addrs,
            [
                Some("10.0.0.1:7000"),
                Some("10.0.0.2:7001"),
                Some("[fd00::1]:7002"),
                None,
                Some("10.0.0.5:7004")
            ]
        );
        assert_eq!(view.nodes[0].slots, [(0, 100), (200, 200)]);
        assert_eq!(
            (view.nodes[0].epoch, view.nodes[1].primary_id.as_deref()),
            (12, Some("aa"))
        );
        let failed: Vec<_> = view.nodes.iter().map(|node| node.is_failed).collect();
        assert_eq!(failed, [false, false, false, true, false]);
        assert!(view.nodes[4].is_stranger);
    }

    #[test]
    fn node_without_an_address_of_its_own_is_where_it_was_asked() {
        let view = read_nodes("aa :7000@17000 myself,master - 0 0 0 connected\n", &asked())
            .expect("a view");
        assert_eq!(view.nodes[0].addr.as_deref(), Some("10.9.9.9:7000"));
    }

    #[test]
    fn what_redis_does_not_send_is_refused() {
        let cases = [
            "",
            "aa 10.0.0.1:7000@17000 master - 0 0 1 connected",
            "aa 10.0.0.1:7000@17000 myself,master - 0 0 x connected",
            "aa 10.0.0.1:7000@17000 myself,master - 0 0 1",
            "aa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 16384",
            "aa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 9-3",
            "\n",
        ];
        for text in cases {
            assert!(read_nodes(text, &asked()).is_err(), "{text:?}");
        }
        let line = "aa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected\n";
        assert_eq!(
            read_nodes(&line.repeat(MAX_NODES + 1), &asked()),
            Err(NodesError::TooMany)
        );
    }
}

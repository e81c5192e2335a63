//! Asking a Redis Cluster who owns which slot.

use std::{collections::BTreeMap, time::Duration};

use prism_proto::{
    model::EndpointAddr,
    placement::{ShardNodes, SlotMap, SlotRange},
};

use crate::{
    protocol::redis::reply::{array_elements, bulk_string, integer, is_error},
    upstream::{Dial, ask},
};

const CLUSTER_SLOTS: &[u8] = b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";

/// Why no slot map could be had from an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// It could not be asked.
    #[error("endpoint {endpoint}: {reason}")]
    Ask { endpoint: String, reason: String },
    /// What it said makes no sense.
    #[error("endpoint {endpoint} gave no usable slot map: {reason}")]
    Malformed { endpoint: String, reason: String },
    /// There was nobody to ask.
    #[error("no endpoint is known")]
    Nobody,
}

/// Asks the candidates, one after the other, and returns the first good answer.
///
/// # Errors
/// The last candidate's failure. Cancel safe.
pub(super) async fn refresh(
    dial: &Dial,
    candidates: &[EndpointAddr],
    limit: Duration,
) -> Result<SlotMap, RefreshError> {
    let mut last = RefreshError::Nobody;
    for addr in candidates {
        let endpoint = addr.to_string();
        match ask(dial, addr.clone(), CLUSTER_SLOTS, limit).await {
            Ok(reply) => match slot_map(&reply, addr) {
                Ok(map) => return Ok(map),
                Err(reason) => last = RefreshError::Malformed { endpoint, reason },
            },
            Err(error) => {
                last = RefreshError::Ask {
                    endpoint,
                    reason: error.to_string(),
                }
            }
        }
    }
    Err(last)
}

/// Reads the reply to `CLUSTER SLOTS`; an empty host means the one that was asked.
fn slot_map(reply: &[u8], asked: &EndpointAddr) -> Result<SlotMap, String> {
    if is_error(reply) {
        return Err(String::from_utf8_lossy(reply).trim_end().to_owned());
    }
    let rows = array_elements(reply).ok_or("no array")?;
    let mut shards: Vec<ShardNodes> = Vec::new();
    let mut by_primary: BTreeMap<String, u32> = BTreeMap::new();
    let mut ranges = Vec::new();
    for row in rows {
        let (start, end, nodes) = read_row(row, asked).ok_or("a row of another shape")?;
        let mut addrs = nodes.into_iter();
        let (primary, primary_id) = addrs.next().ok_or("a range without an owner")?;
        let next = u32::try_from(shards.len()).map_err(|_| "too many owners")?;
        let shard = *by_primary.entry(primary.clone()).or_insert(next);
        if shard == next {
            shards.push(ShardNodes {
                primary,
                replicas: addrs.map(|(addr, _)| addr).collect(),
                primary_id,
            });
        }
        ranges.push(SlotRange {
            start,
            length: end
                .checked_sub(start)
                .ok_or("a range that ends before it begins")?
                + 1,
            shard: Some(shard),
        });
    }
    if ranges.is_empty() {
        return Err("no slot has an owner".to_owned());
    }
    SlotMap::new(0, shards, ranges).map_err(|error| error.to_string())
}

type Node = (String, String);

fn read_row(row: &[u8], asked: &EndpointAddr) -> Option<(u32, u32, Vec<Node>)> {
    let mut fields = array_elements(row)?;
    let start = u32::try_from(integer(fields.next()?)?).ok()?;
    let end = u32::try_from(integer(fields.next()?)?).ok()?;
    let nodes = fields
        .map(|node| read_node(node, asked))
        .collect::<Option<Vec<_>>>()?;
    Some((start, end, nodes))
}

fn read_node(node: &[u8], asked: &EndpointAddr) -> Option<Node> {
    let mut fields = array_elements(node)?;
    let host = bulk_string(fields.next()?).unwrap_or_default();
    let port = u16::try_from(integer(fields.next()?)?).ok()?;
    let id = fields.next().and_then(bulk_string).unwrap_or_default();
    let host = match (std::str::from_utf8(host).ok()?, asked) {
        ("" | "?", EndpointAddr::Tcp { host, .. }) => host.clone(),
        (host, _) => host.to_owned(),
    };
    let addr = EndpointAddr::Tcp { host, port };
    Some((addr.to_string(), String::from_utf8_lossy(id).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> EndpointAddr {
        "127.0.0.1:7000".parse().expect("an address")
    }

    #[test]
    fn reply_of_a_real_cluster_is_read() {
        let reply = b"*2\r\n*4\r\n:0\r\n:5460\r\n*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\naa\r\n*0\r\n*4\r\n$9\r\n127.0.0.1\r\n:7003\r\n$2\r\ndd\r\n*0\r\n*3\r\n:5461\r\n:16383\r\n*4\r\n$0\r\n\r\n:7001\r\n$2\r\nbb\r\n*0\r\n";
        let map = slot_map(reply, &asked()).expect("readable");
        assert_eq!(map.covered(), 16384);
        assert_eq!(map.shards()[0].replicas, ["127.0.0.1:7003"]);
        assert_eq!(
            map.shards()[1].primary,
            "127.0.0.1:7001",
            "no host is the host asked"
        );
        assert_eq!((map.owner(5460), map.owner(5461)), (Some(0), Some(1)));
    }

    #[test]
    fn answers_that_are_no_map_are_errors() {
        for reply in [
            b"*0\r\n".as_slice(),
            b"-ERR This instance has cluster support disabled\r\n",
            b"*1\r\n:1\r\n",
            b"$-1\r\n",
        ] {
            assert!(
                slot_map(reply, &asked()).is_err(),
                "{}",
                String::from_utf8_lossy(reply)
            );
        }
    }
}

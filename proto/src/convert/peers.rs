//! Lists of data planes in messages.

use bytes::Bytes;

use crate::{
    convert::{DecodeError, decode, encode},
    model::{MAX_PEERS, Peer, Violations, parse_host},
    pb::discovery::v1 as pb,
};

/// Writes the body of a `peers` resource.
pub fn encode_peers(cluster: &str, peers: &[Peer]) -> Bytes {
    let peers = peers.iter().map(|peer| pb::Peer {
        id: peer.id.clone(),
        host: peer.host.clone(),
        port: u32::from(peer.port),
    });
    encode(&pb::PeerList {
        cluster: cluster.to_owned(),
        peers: peers.collect(),
    })
}

/// Reads the body of a `peers` resource: the name of its cluster, and the data planes by id.
///
/// # Errors
/// When the bytes are no such list, or a wrong one.
pub fn decode_peers(bytes: &[u8]) -> Result<(String, Vec<Peer>), DecodeError> {
    let message: pb::PeerList = decode(bytes)?;
    let mut violations = Violations::new();
    if message.cluster.is_empty() {
        violations.push("cluster", "is missing");
    }
    let count = message.peers.len();
    if count > MAX_PEERS {
        violations.push("peers", format!("{count} are more than {MAX_PEERS}"));
    }
    let mut peers: Vec<Peer> = Vec::with_capacity(count.min(MAX_PEERS));
    for (index, peer) in message.peers.into_iter().take(MAX_PEERS).enumerate() {
        if peers.last().is_some_and(|last| last.id >= peer.id) || peer.id.is_empty() {
            let description = format!("`{}` is missing or out of order", peer.id);
            violations.push(format!("peers[{index}].id"), description);
        }
        let host = parse_host(&peer.host).unwrap_or_else(|error| {
            violations.push(format!("peers[{index}].host"), error.to_string());
            String::new()
        });
        let port = u16::try_from(peer.port).unwrap_or_default();
        if port == 0 {
            let description = format!("{} is not a number from 1 to 65535", peer.port);
            violations.push(format!("peers[{index}].port"), description);
        }
        let id = peer.id;
        peers.push(Peer { id, host, port });
    }
    violations
        .into_result((message.cluster, peers))
        .map_err(DecodeError::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: &str, host: &str, port: u16) -> Peer {
        Peer {
            id: id.into(),
            host: host.into(),
            port,
        }
    }

    #[test]
    fn list_comes_back_as_it_was_written() {
        let peers = [
            peer("dp-1", "10.0.0.1", 9001),
            peer("dp-2", "::1", 9001),
            peer("dp-3", "proxy.example", 1),
        ];
        let body = encode_peers("rc", &peers);
        let (cluster, read) = decode_peers(&body).expect("a list");
        assert_eq!((cluster.as_str(), &read[..]), ("rc", &peers[..]));
    }

    #[test]
    fn everything_wrong_with_a_list_is_said_at_once() {
        let peers = [
            peer("dp-2", "10.0.0.1", 9001),
            peer("dp-1", "10.0.0.1:5", 0),
        ];
        let error = decode_peers(&encode_peers("", &peers)).expect_err("wrong");
        let violations = error.into_violations();
        let fields: Vec<_> = violations.iter().map(|v| v.field.clone()).collect();
        let expected = ["cluster", "peers[1].id", "peers[1].host", "peers[1].port"];
        assert_eq!(fields, expected);
        let many: Vec<_> = (0..300).map(|n| peer(&format!("{n:03}"), "h", 1)).collect();
        assert!(decode_peers(&encode_peers("rc", &many)).is_err());
    }
}

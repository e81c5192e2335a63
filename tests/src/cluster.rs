//! A real Redis Cluster of its own, and moving its slots.

use std::{collections::BTreeSet, time::Duration};

use crate::{raw::Raw, redis::Redis, wait};

/// Slots of a Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// Forming takes a few rounds of gossip.
const FORMING: Duration = Duration::from_secs(60);

/// A running Redis Cluster: the primaries first, then one replica of each, if any.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes: `primaries`, then their replicas in the same order.
    pub nodes: Vec<Redis>,
    primaries: usize,
}

impl Cluster {
    /// Starts `primaries` nodes that share the slots evenly, in order.
    ///
    /// # Panics
    /// When it does not form.
    pub fn start(primaries: usize) -> Self {
        Self::start_with(primaries, 0, Duration::from_secs(5))
    }

    /// Starts `primaries` nodes and `replicas` replicas (one each of the first), with a node timeout.
    ///
    /// # Panics
    /// When it does not form.
    pub fn start_with(primaries: usize, replicas: usize, node_timeout: Duration) -> Self {
        let timeout = node_timeout.as_millis().to_string();
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            &timeout,
            "--cluster-require-full-coverage",
            "no",
            "--cluster-allow-replica-migration",
            "no",
        ];
        let nodes = (0..primaries + replicas)
            .map(|_| Redis::start_with(&options))
            .collect();
        let cluster = Self { nodes, primaries };
        cluster.share_slots();
        cluster.meet();
        cluster.attach_replicas();
        cluster
    }

    /// The addresses of the primaries.
    pub fn seeds(&self) -> Vec<String> {
        self.nodes[..self.primaries]
            .iter()
            .map(Redis::addr)
            .collect()
    }

    /// The id of a node.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn id(&self, node: usize) -> String {
        let reply = self.nodes[node].ask("CLUSTER MYID");
        reply.lines().last().expect("a node has an id").to_owned()
    }

    /// The slot of `key`.
    pub fn slot(key: &str) -> u16 {
        crc16::State::<crc16::XMODEM>::calculate(key.as_bytes()) % SLOTS
    }

    /// The index of the primary that owns `slot` at the start.
    pub fn first_owner(&self, slot: u16) -> usize {
        (0..self.primaries)
            .find(|&node| self.share(node).contains(&slot))
            .expect("every slot has an owner")
    }

    /// Begins moving `slot`: from here on its absent keys answer ASK.
    ///
    /// # Panics
    /// When a node refuses.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (self.id(from), self.id(to));
        self.order(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {source}"));
        self.order(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {target}"));
    }

    /// Moves up to `count` keys of `slot`, and says how many were moved.
    ///
    /// # Panics
    /// When a node refuses.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize, count: usize) -> usize {
        let mut client = self.nodes[from].client();
        let listed = client.ask(&format!("CLUSTER GETKEYSINSLOT {slot} {count}"));
        let keys: Vec<_> = listed.lines().skip(2).step_by(2).collect();
        if !keys.is_empty() {
            let port = self.nodes[to].port();
            let order = format!(
                "MIGRATE 127.0.0.1 {port} _ 0 5000 REPLACE KEYS {}",
                keys.join(" ")
            );
            let words: Vec<_> = order
                .split_whitespace()
                .map(|word| if word == "_" { "" } else { word })
                .collect();
            let reply = String::from_utf8_lossy(&client.call(&words)).into_owned();
            assert!(
                reply.starts_with("+OK") || reply.starts_with("+NOKEY"),
                "{reply}"
            );
        }
        keys.len()
    }

    /// Ends moving `slot`: the target owns it, and every primary is told.
    ///
    /// # Panics
    /// When a node refuses.
    pub fn end_move(&self, slot: u16, from: usize, to: usize) {
        let owner = self.id(to);
        let others = (0..self.primaries).filter(|&node| node != to && node != from);
        for node in [to, from].into_iter().chain(others) {
            self.order(node, &format!("CLUSTER SETSLOT {slot} NODE {owner}"));
        }
        wait::until("all nodes agree on the new owner", FORMING, || {
            self.is_agreed(slot, &owner)
        });
    }

    /// Whether every node says that `owner` owns `slot`, since the same configuration epoch.
    fn is_agreed(&self, slot: u16, owner: &str) -> bool {
        let told: BTreeSet<_> = self
            .nodes
            .iter()
            .map(|node| {
                let nodes = node.ask("CLUSTER NODES");
                let line = nodes.lines().find(|line| line.starts_with(owner))?;
                let fields: Vec<_> = line.split(' ').collect();
                let holds = fields[8..].iter().any(|range| has(range, slot));
                holds.then(|| fields[6].to_owned())
            })
            .collect();
        told.len() == 1 && !told.contains(&None)
    }

    /// Moves `slot` with all its keys.
    ///
    /// # Panics
    /// When a node refuses.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) {
        self.begin_move(slot, from, to);
        while self.move_keys(slot, from, to, 100) > 0 {}
        self.end_move(slot, from, to);
    }

    fn share(&self, node: usize) -> std::ops::RangeInclusive<u16> {
        let bound = |index: usize| (index * usize::from(SLOTS) / self.primaries) as u16;
        bound(node)..=bound(node + 1) - 1
    }

    fn share_slots(&self) {
        for node in 0..self.primaries {
            let share = self.share(node);
            self.order(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", node + 1));
            self.order(
                node,
                &format!("CLUSTER ADDSLOTSRANGE {} {}", share.start(), share.end()),
            );
        }
    }

    fn meet(&self) {
        for node in 1..self.nodes.len() {
            let port = self.nodes[0].port();
            self.order(node, &format!("CLUSTER MEET 127.0.0.1 {port}"));
        }
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in &self.nodes {
            wait::until("the cluster has formed", FORMING, || {
                let info = node.ask("CLUSTER INFO");
                info.contains("cluster_state:ok")
                    && info.lines().any(|line| line == known)
                    && info.contains("cluster_slots_assigned:16384")
            });
        }
        wait::until("the bus carries messages", FORMING, || {
            self.nodes.iter().all(|node| self.is_linked(node))
        });
    }

    /// Whether a node has its connections to and from every other.
    ///
    /// Two nodes that greet each other at once close a connection twice made, and lose the messages between them
    /// until it is made again.
    fn is_linked(&self, node: &Redis) -> bool {
        // Answered once it has seen what was closed before.
        node.ask("PING");
        let links = node.ask("CLUSTER LINKS");
        links.matches("direction").count() == 2 * (self.nodes.len() - 1)
    }

    fn attach_replicas(&self) {
        for replica in self.primaries..self.nodes.len() {
            let primary = self.id(replica - self.primaries);
            self.order(replica, &format!("CLUSTER REPLICATE {primary}"));
        }
        for replica in &self.nodes[self.primaries..] {
            wait::until("a replica follows", FORMING, || {
                replica
                    .ask("INFO replication")
                    .contains("master_link_status:up")
            });
        }
    }

    fn order(&self, node: usize, words: &str) {
        let reply = Raw::connect(&self.nodes[node].addr()).ask(words);
        assert_eq!(reply, "+OK", "{words}");
    }
}

/// Whether a range as `CLUSTER NODES` writes it (`5` or `5-9`) holds `slot`.
fn has(range: &str, slot: u16) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&slot),
        _ => false,
    }
}

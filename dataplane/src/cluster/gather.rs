//! Keyless requests: to every shard, with one reply made of all, or to any one of them.

use super::{Batch, Call, CallError, Place, nodes::Route};
use crate::inflight::{Finish, Merge, Piece, Ticket};

impl Batch<'_> {
    /// Sends a request to every shard; `finish` merges the replies, in the order of shards.
    pub fn broadcast(&mut self, request: &[u8], finish: Finish, call: Call) {
        let nodes = match self.nodes.shards(self.cluster.name()) {
            Ok(nodes) => nodes,
            Err(error) => return self.fail(call.wish, &error),
        };
        let asked = nodes.into_iter().map(|node| (node, request));
        self.send_to(&asked.collect::<Vec<_>>(), call, finish);
    }

    /// Sends the same requests to every shard; `finish` is given the names of the shards.
    ///
    /// The replies come in the order of shards, those of one shard together. One request to one shard is sent as any
    /// other: its reply is the client's.
    pub fn ask_all(
        &mut self,
        requests: &[&[u8]],
        call: Call,
        finish: impl FnOnce(Box<[String]>) -> Finish,
    ) {
        let nodes = match self.nodes.shards(self.cluster.name()) {
            Ok(nodes) => nodes,
            Err(error) => return self.fail(call.wish, &error),
        };
        if let ([node], [request]) = (nodes.as_slice(), requests) {
            return self.ask(*node, request, call);
        }
        let asked = nodes
            .iter()
            .flat_map(|node| requests.iter().map(|request| (*node, *request)));
        let asked: Vec<_> = asked.collect();
        let labels = asked.iter().map(|(node, _)| self.label(*node)).collect();
        self.send_to(&asked, call, finish(labels));
    }

    /// Sends a request to one shard, always the same as long as it is in use.
    pub fn ask_any(&mut self, request: &[u8], call: Call) {
        match self.nodes.any(self.cluster.name()) {
            Ok(node) => self.ask(node, request, call),
            Err(error) => self.fail(call.wish, &error),
        }
    }

    /// Returns the shards, for a task that asks them; see [`super::ClusterWorker::shards`].
    ///
    /// # Errors
    /// When one of them is not known or out of use.
    pub fn places(&mut self) -> Result<Vec<Place>, CallError> {
        let shards = self.nodes.shards(self.cluster.name())?;
        let places = shards
            .into_iter()
            .map(|node| Place::of(&mut self.nodes, node));
        Ok(places.collect())
    }

    fn ask(&mut self, node: usize, request: &[u8], call: Call) {
        self.forward_to(Route { node, unit: node }, Piece::Borrowed(request), call);
    }

    /// Sends each request to its endpoint; `finish` makes one reply of theirs.
    fn send_to(&mut self, asked: &[(usize, &[u8])], call: Call, finish: Finish) {
        let indexes = 0..u32::try_from(asked.len()).unwrap_or(u32::MAX);
        let merge = Merge::new(indexes.map(|index| vec![index]), finish);
        let sequence = self.replies().begin_split(merge);
        if call.is_write {
            self.replies().note_write(sequence);
        }
        for (part, (node, request)) in (0..).zip(asked) {
            let ticket = Ticket {
                sequence,
                part,
                ..self.ticket
            };
            self.send(*node, ticket, Piece::Borrowed(request), call);
        }
    }

    fn label(&mut self, node: usize) -> String {
        self.nodes.node(node).target.label.clone()
    }
}

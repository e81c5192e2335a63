//! Keyless requests: to every shard, with one reply made of all, or to any one of them.

use super::{Batch, Call, CallError, Order, Place, nodes::Route};
use crate::{
    inflight::{Finish, Merge, Piece, Ticket, Wish},
    upstream::Expect,
};

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

    /// Returns the shards in the order that all data planes share.
    ///
    /// # Errors
    /// When one of them is not known or out of use.
    pub fn scan_order(&mut self) -> Result<Order, CallError> {
        Order::of(&mut self.nodes, self.cluster.name())
    }

    /// Sends a request to the shard of a rank; `finish`, given the shard's name, makes the client's reply of its own.
    pub fn ask_shard(
        &mut self,
        order: &Order,
        rank: usize,
        request: &[u8],
        call: Call,
        finish: impl FnOnce(String) -> Finish,
    ) {
        let Some(node) = order.node(rank) else {
            let cluster = self.cluster.name().to_owned();
            return self.fail(call.wish, &CallError::NoEndpoint { cluster });
        };
        let finish = finish(self.label(node));
        self.send_to(&[(node, request)], call, finish);
    }

    /// Returns whether one shard is known to have all keys.
    pub fn is_single(&self) -> bool {
        let shards = self.nodes.shards(self.cluster.name());
        shards.is_ok_and(|shards| shards.len() == 1)
    }

    /// Returns the shards where the session may have changed data, all when it is not known to have changed any.
    ///
    /// # Errors
    /// When one of them is not known or out of use.
    pub fn written(&mut self) -> Result<Vec<Place>, CallError> {
        let mut shards = self.nodes.owners(self.cluster.name())?;
        if self.replies().has_written_anywhere() {
            shards.retain(|shard| self.replies().has_written(*shard));
        }
        self.nodes.check_live(&shards)?;
        let places = shards
            .into_iter()
            .map(|node| Place::of(&mut self.nodes, node));
        Ok(places.collect())
    }

    /// Sends a request to one endpoint, whichever is in use; `finish` makes something of its reply.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn ask_one(&mut self, request: &[u8], finish: Finish) -> Result<(), CallError> {
        let node = self.nodes.any(self.cluster.name())?;
        let call = Call {
            expect: Expect::Redis,
            wish: Wish::Reply,
            is_write: false,
        };
        self.send_to(&[(node, request)], call, finish);
        Ok(())
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
            for (node, _) in asked {
                self.replies().note_write(sequence, *node);
            }
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

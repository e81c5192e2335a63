//! Transactions on shared connections: sent as one request, answered as one: to MULTI, to each queued command, to EXEC.

use prism_proto::placement;

use super::{Batch, Call, CallError, nodes::Route};
use crate::{
    inflight::Piece,
    protocol::{
        message::{Limits, Progress},
        redis::reply::{ErrorKind, ReplyDecoder, error_kind, is_error},
    },
};

impl Batch<'_> {
    /// Returns the unit of `key`: keys of one unit may travel in one command.
    ///
    /// # Errors
    /// When nobody is there to take it.
    fn unit(&self, key: &[u8]) -> Result<usize, CallError> {
        let route = self.nodes.route(key, self.cluster().name());
        match self.cluster().settings_ref().is_cluster {
            // Nobody may be known to own the slot just now; that is another matter.
            true => Ok(usize::from(placement::slot(key))),
            false => route.map(|route| route.unit),
        }
    }

    /// Returns whether all `keys` are in one unit, in `unit` if that is known already; if not, it becomes theirs.
    ///
    /// # Errors
    /// When nobody is there to take one of them.
    pub fn do_meet<'k>(
        &self,
        unit: &mut Option<usize>,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<bool, CallError> {
        for key in keys {
            let place = self.unit(key)?;
            if *unit.get_or_insert(place) != place {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the number that grows whenever keys may have moved.
    pub fn epoch(&self) -> u32 {
        self.cluster().epoch()
    }

    /// Sends requests that stay together, as one, to the endpoint that has `key`, or to any.
    pub fn forward_block(&mut self, key: Option<&[u8]>, requests: Piece<'_>, call: Call) {
        let name = self.cluster().name();
        let route = match key {
            Some(key) => self.nodes.route(key, name),
            None => self.nodes.any(name).map(|node| Route { node, unit: node }),
        };
        match route {
            Ok(route) => self.forward_to(route, requests, call),
            Err(error) => self.fail(call.wish, &error),
        }
    }
}

/// Returns the first error that sends the transaction elsewhere, if EXEC says that nothing of it was done.
pub(super) fn refusal(block: &[u8]) -> Option<&[u8]> {
    if !replies(block).last().is_some_and(is_error) {
        return None;
    }
    replies(block).find(|reply| {
        matches!(
            error_kind(reply),
            Some(
                ErrorKind::Ask { .. }
                    | ErrorKind::ClusterDown
                    | ErrorKind::Loading
                    | ErrorKind::Moved { .. }
                    | ErrorKind::TryAgain
            )
        )
    })
}

/// Returns the reply to EXEC, the only one for the client.
pub(super) fn last(block: Piece<'_>) -> Piece<'_> {
    let last = replies(block.bytes()).last().map_or(0, <[u8]>::len);
    match block {
        Piece::Borrowed(bytes) => Piece::Borrowed(bytes.split_at(bytes.len() - last).1),
        Piece::Shared(bytes) => Piece::Shared(bytes.slice(bytes.len() - last..)),
    }
}

/// Tells the whole replies of a block apart.
fn replies(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut decoder = ReplyDecoder::new(Limits::default());
    let mut rest = block;
    std::iter::from_fn(move || match decoder.decode(rest) {
        Ok(Progress::Complete { len }) => {
            let (reply, behind) = rest.split_at_checked(len)?;
            rest = behind;
            Some(reply)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVED: &str = "-MOVED 3 10.0.0.2:6379\r\n";

    #[test]
    fn transaction_is_sent_elsewhere_only_if_nothing_of_it_was_done() {
        let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
        for (block, expected) in [
            (format!("+OK\r\n{MOVED}{aborted}"), Some(MOVED)),
            (format!("+OK\r\n+QUEUED\r\n{MOVED}"), Some(MOVED)),
            (format!("+OK\r\n-OOM no\r\n{aborted}"), None),
            (format!("+OK\r\n+QUEUED\r\n*1\r\n{MOVED}"), None),
        ] {
            let found = refusal(block.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{block}");
        }
    }

    #[test]
    fn only_the_reply_to_exec_is_for_the_client() {
        let block = b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\na\r\n";
        let shared = bytes::Bytes::from_static(block);
        for piece in [Piece::Borrowed(block), Piece::Shared(shared)] {
            assert_eq!(last(piece).bytes(), b"*1\r\n$1\r\na\r\n");
        }
    }
}

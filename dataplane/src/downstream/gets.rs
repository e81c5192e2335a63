//! Single-key gets that follow each other in one batch: they travel as one multi-key get an endpoint.
//!
//! Memcached writes one reply for all of them instead of one each, and each client's get is answered by its own value.

use crate::{
    cluster::{Batch, Call, Divisible},
    inflight::{Finish, Piece, Wish},
    protocol::{
        memcache::split,
        message::{Span, bytes_of},
    },
    upstream::Expect,
};

/// Most gets that travel as one.
const MAX_MEMBERS: usize = 64;

const CALL: Call = Call {
    expect: Expect::Values,
    wish: Wish::Reply,
    is_write: false,
};

/// The gets of one session that were not sent yet.
#[derive(Debug, Default)]
pub(super) struct Gets {
    /// The keys, one behind the other.
    raw: Vec<u8>,
    keys: Vec<Span>,
    /// A single get as it is sent.
    line: Vec<u8>,
}

impl Gets {
    /// Adds a get of `key`.
    pub(super) fn add(&mut self, key: &[u8], batch: &mut Batch<'_>) {
        let start = u32::try_from(self.raw.len()).expect("64 keys are shorter than 4 GiB");
        self.raw.extend_from_slice(key);
        let end = u32::try_from(self.raw.len()).expect("64 keys are shorter than 4 GiB");
        self.keys.push(start..end);
        if self.keys.len() >= MAX_MEMBERS {
            self.send(batch);
        }
    }

    /// Sends what was added.
    pub(super) fn send(&mut self, batch: &mut Batch<'_>) {
        let is_sent = self.keys.len() > 1 && self.join(batch);
        if !is_sent {
            for key in &self.keys {
                let key = bytes_of(&self.raw, key);
                self.line.clear();
                split::append_retrieval(&mut self.line, "get", None, [key]);
                batch.forward(key, Piece::Borrowed(&self.line), CALL);
            }
        }
        self.keys.clear();
        self.raw.clear();
    }

    /// Sends all as one request; returns whether every key has a place.
    fn join(&self, batch: &mut Batch<'_>) -> bool {
        let (raw, keys) = (&self.raw, &self.keys);
        let append = |out: &mut Vec<u8>, indexes: &[u32]| {
            let chosen = indexes.iter().filter_map(|&index| keys.get(index as usize));
            split::append_retrieval(out, "get", None, chosen.map(|span| bytes_of(raw, span)));
        };
        let joined = Divisible {
            keys: &mut keys.iter().map(|span| bytes_of(raw, span)),
            append: &append,
            finish: &|| finish(raw, keys),
        };
        batch.join(joined, CALL)
    }
}

/// Returns what gives each get its own answer.
fn finish(raw: &[u8], keys: &[Span]) -> Finish {
    let (raw, keys) = (raw.to_vec(), keys.to_vec());
    Box::new(move |parts, out| split::merge_each(out, &raw, &keys, parts))
}

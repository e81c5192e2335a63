//! A Memcached session: classic text.

use std::rc::Rc;

use super::gets::Gets;
use crate::{
    cluster::{Batch, Call, ClusterWorker, Divisible},
    downstream::session::{Next, Protocol},
    inflight::{Finish, Piece, Wish},
    protocol::{
        memcache::{
            command::{Class, Command},
            request::{Located, RequestDecoder},
            split,
        },
        message::{PartErrors, Progress, Span, bytes_of},
    },
    upstream::Expect,
};

const VERSION: &str = concat!("VERSION prism-", env!("CARGO_PKG_VERSION"), "\r\n");

/// The protocol side of one Memcached client.
pub(super) struct Memcache {
    decoder: RequestDecoder,
    /// Bytes of a refused request that are still to come.
    swallow: usize,
    /// A request is being thrown away.
    is_swallowing: bool,
    gets: Gets,
}

impl Memcache {
    pub(super) fn new(cluster: &Rc<ClusterWorker>) -> Self {
        Self {
            decoder: RequestDecoder::new(cluster.settings_ref().limits),
            swallow: 0,
            is_swallowing: false,
            gets: Gets::default(),
        }
    }

    fn run(&self, command: &'static Command, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        match command.class {
            Class::Local if command.name == "quit" => return Next::Close,
            Class::Local => batch.answer(|out| out.extend_from_slice(VERSION.as_bytes())),
            Class::Refused | Class::RefusedStorage => refuse(batch, command.refusal),
            Class::Retrieval | Class::TouchRetrieval => self.retrieve(command, request, batch),
            Class::Keyed | Class::Storage => self.forward(command, request, batch),
        }
        Next::Continue
    }

    fn forward(&self, command: &Command, request: Piece<'_>, batch: &mut Batch<'_>) {
        let Some(key) = self.decoder.keys().first().cloned() else {
            return refuse(batch, b"ERROR\r\n");
        };
        let mut call = Call {
            expect: Expect::Line,
            wish: Wish::Reply,
            is_write: command.write,
        };
        if !self.decoder.is_noreply() {
            return with_key(request, &key, |key, request| {
                batch.forward(key, request, call)
            });
        }
        // The endpoint answers all the same, so that it and the proxy stay in step; the answer is dropped.
        call.wish = Wish::Silence;
        let mut rewritten = Vec::with_capacity(request.bytes().len());
        split::without_noreply(&mut rewritten, request.bytes(), self.decoder.line_span());
        batch.forward(
            bytes_of(request.bytes(), &key),
            Piece::Borrowed(&rewritten),
            call,
        );
    }

    fn retrieve(&self, command: &'static Command, request: Piece<'_>, batch: &mut Batch<'_>) {
        let call = Call {
            expect: Expect::Values,
            wish: Wish::Reply,
            is_write: command.write,
        };
        let keys = self.decoder.keys();
        if let [key] = keys {
            return with_key(request, key, |key, request| {
                batch.forward(key, request, call)
            });
        }
        let raw = request.bytes();
        let time = self.decoder.exptime();
        let exptime = (!time.is_empty()).then(|| bytes_of(raw, time));
        let append = |out: &mut Vec<u8>, indexes: &[u32]| {
            let chosen = indexes.iter().filter_map(|&index| keys.get(index as usize));
            split::append_retrieval(
                out,
                command.name,
                exptime,
                chosen.map(|span| bytes_of(raw, span)),
            );
        };
        let divisible = Divisible {
            keys: &mut keys.iter().map(|span| bytes_of(raw, span)),
            append: &append,
            finish: &|| finish(raw, keys),
        };
        batch.divide(Piece::Borrowed(raw), divisible, call);
    }
}

impl Protocol for Memcache {
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>> {
        if self.swallow > 0 {
            let len = self.swallow.min(bytes.len());
            self.swallow -= len;
            self.is_swallowing = true;
            return Ok(Progress::Complete { len });
        }
        self.decoder
            .decode(bytes)
            .map_err(|error| error.reply().to_vec())
    }

    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        if std::mem::take(&mut self.is_swallowing) {
            return Next::Continue;
        }
        match self.decoder.located() {
            Located::Command(command) => {
                if let ("get", [key]) = (command.name, self.decoder.keys())
                    && batch.cluster().settings_ref().join_gets
                {
                    self.gets.add(bytes_of(request.bytes(), key), batch);
                    return Next::Continue;
                }
                self.gets.send(batch);
                self.run(command, request, batch)
            }
            Located::Refused { reply, swallow } => {
                self.gets.send(batch);
                self.swallow = swallow;
                refuse(batch, reply);
                Next::Continue
            }
        }
    }

    fn end_batch(&mut self, batch: &mut Batch<'_>) {
        self.gets.send(batch);
    }

    fn shrink(&mut self) {
        self.decoder.shrink();
        self.gets = Gets::default();
    }
}

fn refuse(batch: &mut Batch<'_>, reply: &[u8]) {
    batch.cluster().metrics.refused_total.inc();
    if !reply.is_empty() {
        batch.answer(|out| out.extend_from_slice(reply));
    }
}

/// Calls `then` with the key and the request that holds it.
fn with_key(request: Piece<'_>, key: &Span, then: impl FnOnce(&[u8], Piece<'_>)) {
    match request {
        Piece::Borrowed(raw) => then(bytes_of(raw, key), Piece::Borrowed(raw)),
        Piece::Shared(bytes) => {
            let raw = bytes.clone();
            then(bytes_of(&raw, key), Piece::Shared(bytes));
        }
    }
}

/// Returns what merges the parts of a retrieval; it keeps the keys to put values in their order.
fn finish(raw: &[u8], keys: &[Span]) -> Finish {
    let (raw, keys) = (raw.to_vec(), keys.to_vec());
    Box::new(move |parts, out| split::merge(out, &raw, &keys, parts, PartErrors::Fail))
}

//! A Memcached session that speaks the binary protocol.

use std::rc::Rc;

use crate::{
    cluster::{Batch, Call, ClusterWorker},
    downstream::session::{Next, Protocol},
    inflight::{Finish, Piece, Wish},
    protocol::{
        memcache::{
            binary::{
                Class, Entry, Header, Located, Operation, Packet, RequestDecoder, Status,
                is_packet, write_failure,
            },
            command::lookup,
        },
        message::{Progress, bytes_of},
    },
    upstream::{Expect, Kind},
};

use super::{
    gate::{Gate, Stop},
    sasl::Sasl,
    stats::figures,
    swallow::Swallow,
};

const VERSION: &[u8] = concat!("prism-", env!("CARGO_PKG_VERSION")).as_bytes();

/// The kind of connections that binary sessions travel on; endpoints see by the first byte what is spoken.
const KIND: Kind = Kind {
    database: 0,
    dialect: crate::protocol::redis::reply::Dialect::Resp2,
    is_binary: true,
};

/// The protocol side of one client.
pub(super) struct Binary {
    decoder: RequestDecoder,
    gate: Gate,
    sasl: Sasl,
    swallow: Swallow,
}

impl Binary {
    pub(super) fn new(cluster: &Rc<ClusterWorker>) -> Self {
        Self {
            decoder: RequestDecoder::new(cluster.settings_ref().limits),
            gate: Gate::new(cluster),
            sasl: Sasl::default(),
            swallow: Swallow::default(),
        }
    }

    fn run(
        &self,
        operation: &'static Operation,
        header: Header,
        request: Piece<'_>,
        batch: &mut Batch<'_>,
    ) -> Next {
        let packet = header.answer(Status::Ok, b"");
        match operation.class {
            Class::Keyed => self.forward(operation, header, request, batch),
            Class::Mechanisms | Class::Present => {}
            Class::Flush => flush(operation, header, request.bytes(), batch),
            Class::Noop => batch.answer(|out| packet.write(out)),
            Class::Quit => {
                if !operation.is_quiet() {
                    batch.answer(|out| packet.write(out));
                }
                return Next::Close;
            }
            Class::Stat => {
                let key = self.decoder.key();
                let found = figures(bytes_of(request.bytes(), &key), batch.cluster());
                batch.answer(|out| match found {
                    Some(found) => write_figures(out, packet, &found),
                    None => write_status(out, header, Status::NotFound),
                });
            }
            Class::Version => batch.answer(|out| header.answer(Status::Ok, VERSION).write(out)),
        }
        Next::Continue
    }

    /// Looks at what a client sent that may not do everything; returns what becomes of it if it is answered by that.
    #[cold]
    fn stop(
        &mut self,
        operation: &Operation,
        header: Header,
        raw: &[u8],
        batch: &mut Batch<'_>,
    ) -> Option<Next> {
        if matches!(operation.class, Class::Mechanisms | Class::Present) {
            self.sasl.answer(&mut self.gate, header, raw, batch);
            return Some(Next::Continue);
        }
        let name = match operation.command {
            // A store on a condition is another command of text.
            "set" if header.cas != 0 => "cas",
            name => name,
        };
        let command = lookup(name.as_bytes()).filter(|command| command.name != "version")?;
        let key = bytes_of(raw, &self.decoder.key());
        let keys = (!key.is_empty() && operation.class == Class::Keyed).then_some(key);
        let (status, words, next) = match self.gate.check((command, false), keys) {
            Ok(()) => return None,
            Err(Stop::Shut) => (Status::AuthFailure, None, Next::Close),
            Err(Stop::Forbidden(words)) => (Status::Denied, Some(words), Next::Continue),
        };
        batch.cluster().metrics.refused_total.inc();
        let words = words.as_ref().map_or(status.words(), String::as_bytes);
        batch.answer(|out| header.answer(status, words).write(out));
        Some(next)
    }

    fn forward(
        &self,
        operation: &Operation,
        header: Header,
        request: Piece<'_>,
        batch: &mut Batch<'_>,
    ) {
        let call = Call {
            expect: Expect::Packet,
            wish: Wish::Packet {
                opcode: header.opcode,
                opaque: header.opaque,
                unsaid: operation.unsaid(),
            },
            is_write: operation.write,
        };
        let copy = request.clone();
        let key = bytes_of(copy.bytes(), &self.decoder.key());
        if !operation.is_quiet() {
            return batch.forward(key, request, call);
        }
        // The endpoint answers all the same, so that it and the proxy stay in step.
        batch.forward_as(key, call, |out| write_loud(out, operation, copy.bytes()));
    }
}

impl Protocol for Binary {
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>> {
        if let Some(taken) = self.swallow.take(bytes) {
            return Ok(taken);
        }
        if !self.gate.is_free() {
            let entry = match self.gate.is_locked() {
                true if self.gate.is_shut() => Entry::Shut,
                true => Entry::Open,
                false => Entry::Unguarded,
            };
            self.decoder.set_entry(entry);
        }
        // Memcached closes such a connection without a word.
        self.decoder.decode(bytes).map_err(|_| Vec::new())
    }

    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        if self.swallow.has_taken() {
            return Next::Continue;
        }
        let Some(header) = self.decoder.header() else {
            return Next::Close;
        };
        if batch.kind() != KIND {
            batch.cluster().know(KIND);
            batch.switch(KIND);
        }
        match self.decoder.located() {
            Located::Operation(operation) => {
                let is_login = matches!(operation.class, Class::Mechanisms | Class::Present);
                if (is_login || !self.gate.is_free())
                    && let Some(next) = self.stop(operation, header, request.bytes(), batch)
                {
                    return next;
                }
                self.run(operation, header, request, batch)
            }
            Located::Refused { status, swallow } => {
                batch.cluster().metrics.refused_total.inc();
                batch.answer(|out| write_status(out, header, status));
                self.swallow.begin(swallow.unwrap_or(0));
                match swallow {
                    Some(_) => Next::Continue,
                    None => Next::Close,
                }
            }
        }
    }

    fn is_dismissed(&mut self, _: &ClusterWorker) -> bool {
        self.gate.is_dismissed()
    }

    fn shrink(&mut self) {}
}

fn write_status(out: &mut Vec<u8>, header: Header, status: Status) {
    header.answer(status, status.words()).write(out);
}

/// Appends a packet a figure, and the empty one that ends them.
fn write_figures(out: &mut Vec<u8>, packet: Packet<'_>, figures: &[(&str, String)]) {
    for (name, value) in figures {
        let (key, value) = (name.as_bytes(), value.as_bytes());
        Packet {
            key,
            value,
            ..packet
        }
        .write(out);
    }
    packet.write(out);
}

/// Appends the request as one that is always answered.
fn write_loud(out: &mut Vec<u8>, operation: &Operation, raw: &[u8]) {
    let start = out.len();
    out.extend_from_slice(raw);
    if let Some(opcode) = out.get_mut(start + 1) {
        *opcode = operation.loud;
    }
}

/// Sends a flush to every endpoint; what one refuses is refused.
fn flush(operation: &Operation, header: Header, raw: &[u8], batch: &mut Batch<'_>) {
    let is_quiet = operation.is_quiet();
    let mut loud = Vec::with_capacity(raw.len());
    write_loud(&mut loud, operation, raw);
    let call = Call {
        expect: Expect::Packet,
        wish: Wish::Reply,
        is_write: true,
    };
    let finish: Finish = Box::new(move |parts, out| {
        let is_bad = |reply: &[u8]| Header::read(reply).is_none_or(|header| header.status != 0);
        match parts.iter().find(|part| is_bad(part.reply)) {
            Some(part) if is_packet(part.reply) => out.extend_from_slice(part.reply),
            Some(part) => write_failure(out, header.opcode, header.opaque, part.reply),
            None if is_quiet => {}
            None => write_status(out, header, Status::Ok),
        }
    });
    batch.broadcast(&loud, finish, call);
}

//! A Memcached session: classic text.

use std::{borrow::Cow, rc::Rc};

use super::{
    gate::{Gate, Stop},
    stats::write_stats,
    swallow::Swallow,
};
use crate::{
    cluster::{Batch, Call, ClusterWorker, Divisible},
    downstream::session::{Next, Protocol},
    inflight::{Finish, Piece, Wish},
    protocol::{
        memcache::{
            base64,
            command::{Class, Command},
            login::{Login, LoginDecoder},
            request::{Located, RequestDecoder},
            split,
        },
        message::{PartErrors, Progress, Span, bytes_of},
    },
    upstream::{Expect, Get},
};

/// Sent behind a quiet request: its answer tells that no other will come.
const BARRIER: &[u8] = b"mn\r\n";

/// Memcached 1.6.18 names a key that came in binary as it is: behind a line end in it others would read what a client wrote.
const LINE_END_IN_KEY: &[u8] =
    b"SERVER_ERROR prism: a key with a line end cannot be named in an answer\r\n";

const VERSION: &str = concat!("VERSION prism-", env!("CARGO_PKG_VERSION"), "\r\n");

/// The protocol side of one Memcached client.
pub(super) struct Memcache {
    decoder: RequestDecoder,
    /// What a client sends that has to authenticate.
    login: LoginDecoder,
    gate: Gate,
    swallow: Swallow,
}

impl Memcache {
    pub(super) fn new(cluster: &Rc<ClusterWorker>) -> Self {
        Self {
            decoder: RequestDecoder::new(cluster.settings_ref().limits),
            login: LoginDecoder::default(),
            gate: Gate::new(cluster),
            swallow: Swallow::default(),
        }
    }

    fn run(&self, command: &'static Command, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        match command.class {
            Class::Local if command.name == "quit" => return Next::Close,
            Class::Local => self.answer(command, request.bytes(), batch),
            Class::Refused => refuse(batch, command.refusal),
            Class::Everywhere => self.send_everywhere(request.bytes(), batch),
            Class::Meta | Class::MetaStorage => self.forward_meta(command, request, batch),
            Class::Retrieval if self.decoder.keys().len() == 1 => self.get(command, request, batch),
            Class::Retrieval | Class::TouchRetrieval => self.retrieve(command, request, batch),
            Class::Keyed | Class::Storage => self.forward(command, request, batch),
        }
        Next::Continue
    }

    fn answer(&self, command: &Command, raw: &[u8], batch: &mut Batch<'_>) {
        let cluster = batch.cluster();
        match command.name {
            // Everything before it is answered before it.
            "mn" => batch.answer(|out| out.extend_from_slice(b"MN\r\n")),
            "stats" => {
                let line = bytes_of(raw, self.decoder.line_span());
                let mut words = line
                    .split(|byte| *byte == b' ')
                    .filter(|word| !word.is_empty());
                let kind = words.nth(1).unwrap_or_default();
                batch.answer(|out| write_stats(out, kind, cluster));
            }
            "verbosity" if self.decoder.is_noreply() => {}
            "verbosity" => batch.answer(|out| out.extend_from_slice(b"OK\r\n")),
            _ => batch.answer(|out| out.extend_from_slice(VERSION.as_bytes())),
        }
    }

    /// Sends a line to every endpoint; what one refuses is refused.
    fn send_everywhere(&self, raw: &[u8], batch: &mut Batch<'_>) {
        let is_silent = self.decoder.is_noreply();
        let mut rewritten = Vec::with_capacity(raw.len());
        match is_silent {
            true => split::without_noreply(&mut rewritten, raw, self.decoder.line_span()),
            false => rewritten.extend_from_slice(raw),
        }
        let call = Call {
            expect: Expect::Line,
            wish: Wish::Reply,
            is_write: true,
        };
        let finish: Finish = Box::new(move |parts, out| {
            if !is_silent {
                split::merge_oks(out, parts);
            }
        });
        batch.broadcast(&rewritten, finish, call);
    }

    /// Forwards a meta request as it is, or, where it may be answered by nothing, so that something comes all the same.
    fn forward_meta(&self, command: &Command, request: Piece<'_>, batch: &mut Batch<'_>) {
        let Some(span) = self.decoder.keys().first().cloned() else {
            return refuse(batch, b"ERROR\r\n");
        };
        let mut call = Call {
            expect: Expect::Meta,
            wish: Wish::Reply,
            is_write: command.write,
        };
        let copy = request.clone();
        let raw = copy.bytes();
        let key = key(&self.decoder, raw, &span);
        if self.decoder.has_key_back() && key.contains(&b'\n') {
            return refuse(batch, LINE_END_IN_KEY);
        }
        if !self.decoder.is_quiet() {
            return batch.forward(&key, request, call);
        }
        if let Some((unsaid, flag)) = command.unsaid().zip(self.decoder.quiet_flag()) {
            call.wish = Wish::Unless(unsaid);
            return batch.forward_as(&key, call, |out| split::without_flag(out, raw, flag));
        }
        call.expect = Expect::Quiet;
        batch.forward_as(&key, call, |out| {
            out.extend_from_slice(raw);
            out.extend_from_slice(BARRIER);
        });
    }

    /// Looks at what a client sent that may not do everything; returns whether it is answered by that.
    #[cold]
    fn is_stopped(&mut self, request: &Piece<'_>, batch: &mut Batch<'_>) -> bool {
        if let Some(login) = self.login.take() {
            self.log_in(login, request.bytes(), batch);
            return true;
        }
        let Located::Command(command) = self.decoder.located() else {
            return false;
        };
        let decoder = &self.decoder;
        let spans = decoder.keys().iter();
        let keys = spans.map(|span| key(decoder, request.bytes(), span));
        let words = match self.gate.check((command, decoder.is_change()), keys) {
            Ok(()) => return false,
            Err(Stop::Shut) => "unauthenticated".to_owned(),
            Err(Stop::Forbidden(words)) => words,
        };
        match self.decoder.is_noreply() {
            true => refuse(batch, b""),
            false => refuse(batch, format!("CLIENT_ERROR {words}\r\n").as_bytes()),
        }
        true
    }

    /// Answers a client that presents a name and a password, or should have.
    fn log_in(&mut self, login: Login, raw: &[u8], batch: &mut Batch<'_>) {
        match login {
            Login::Refused { reply, swallow } => {
                self.swallow.begin(swallow);
                refuse(batch, reply);
            }
            Login::Credentials { user, password } => {
                let (user, password) = (bytes_of(raw, &user), bytes_of(raw, &password));
                match self.gate.present(user, password) {
                    true => batch.answer(|out| out.extend_from_slice(b"STORED\r\n")),
                    false => refuse(batch, b"CLIENT_ERROR authentication failure\r\n"),
                }
            }
        }
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
        let raw = request.bytes();
        batch.forward_as(bytes_of(raw, &key), call, |out| {
            split::without_noreply(out, raw, self.decoder.line_span());
        });
    }

    /// Asks for the value of one key, together with neighbours who do.
    fn get(&self, command: &Command, request: Piece<'_>, batch: &mut Batch<'_>) {
        let Some(key) = self.decoder.keys().first() else {
            return refuse(batch, b"ERROR\r\n");
        };
        let settings = batch.cluster().settings_ref();
        let key = bytes_of(request.bytes(), key);
        let call = Call {
            expect: Expect::Value(Get {
                key: u8::try_from(key.len()).expect("the longest key has 250 bytes"),
                with_cas: command.name == "gets",
                is_alone: !settings.join_gets,
            }),
            wish: Wish::Value(settings.part_errors),
            is_write: false,
        };
        drop(settings);
        batch.forward(key, Piece::Borrowed(key), call);
    }

    fn retrieve(&self, command: &'static Command, request: Piece<'_>, batch: &mut Batch<'_>) {
        let call = Call {
            expect: Expect::Values,
            wish: Wish::Reply,
            is_write: command.write,
        };
        let keys = self.decoder.keys();
        let errors = match command.class {
            Class::Retrieval => batch.cluster().settings_ref().part_errors,
            _ => PartErrors::Fail,
        };
        let is_lenient = errors != PartErrors::Fail;
        if let [key] = keys
            && !is_lenient
        {
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
            finish: &|| finish(raw, keys, errors),
        };
        match is_lenient {
            true => batch.divide_leniently(divisible, call),
            false => batch.divide(Piece::Borrowed(raw), divisible, call),
        }
    }
}

impl Protocol for Memcache {
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>> {
        if let Some(taken) = self.swallow.take(bytes) {
            return Ok(taken);
        }
        if !self.gate.is_free()
            && (!self.login.is_idle() || self.decoder.is_idle() && self.gate.is_shut())
        {
            // Memcached closes such a connection without a word.
            return self.login.decode(bytes).map_err(|_| Vec::new());
        }
        self.decoder
            .decode(bytes)
            .map_err(|error| error.reply().to_vec())
    }

    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        if self.swallow.has_taken() {
            return Next::Continue;
        }
        if !self.gate.is_free() && self.is_stopped(&request, batch) {
            return Next::Continue;
        }
        match self.decoder.located() {
            Located::Command(command) => self.run(command, request, batch),
            Located::Refused { reply, swallow } => {
                self.swallow.begin(swallow);
                refuse(batch, reply);
                Next::Continue
            }
        }
    }

    fn is_dismissed(&mut self, _: &ClusterWorker) -> bool {
        self.gate.is_dismissed()
    }

    fn shrink(&mut self) {
        self.decoder.shrink();
    }
}

fn refuse(batch: &mut Batch<'_>, reply: &[u8]) {
    batch.cluster().metrics.refused_total.inc();
    if !reply.is_empty() {
        batch.answer(|out| out.extend_from_slice(reply));
    }
}

/// Returns the bytes that a key stands for.
fn key<'a>(decoder: &RequestDecoder, raw: &'a [u8], span: &Span) -> Cow<'a, [u8]> {
    let key = bytes_of(raw, span);
    match decoder.is_base64() {
        // Both spellings of a key meet. What the endpoint cannot decode it refuses wherever it goes.
        true => base64::decode(key).map_or(Cow::Borrowed(key), Cow::Owned),
        false => Cow::Borrowed(key),
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
fn finish(raw: &[u8], keys: &[Span], errors: PartErrors) -> Finish {
    let (raw, keys) = (raw.to_vec(), keys.to_vec());
    Box::new(move |parts, out| split::merge(out, &raw, &keys, parts, errors))
}

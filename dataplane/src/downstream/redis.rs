//! A Redis session: what is forwarded, what is divided, what is answered here, what is refused.

use std::rc::Rc;

use super::{
    blocking, broadcast, explain,
    local::{self, Client},
    publish,
    session::{Next, Protocol},
    subscriber, together,
    transaction::Transaction,
    unknown,
};
use crate::{
    cluster::{Batch, Call, ClusterWorker, Divisible, finish},
    inflight::{Piece, Ticket, Wish},
    protocol::{
        message::{Limits, PartErrors, Progress, Span, bytes_of},
        redis::{
            command::{Class, Command, SplitKind, Unfit, find},
            reply::write_error,
            request::{RequestDecoder, RequestError},
            split,
        },
    },
    upstream::{Expect, Stream},
};

/// Arguments of a request from a client that has not presented the password, as in Redis.
const STRANGER_ARGS: usize = 10;

/// Bytes of such a request.
const STRANGER_BYTES: usize = STRANGER_ARGS * 16 * 1024;

const STRANGER_COUNT: &[u8] = b"-ERR Protocol error: unauthenticated multibulk length\r\n";
const STRANGER_LENGTH: &[u8] = b"-ERR Protocol error: unauthenticated bulk length\r\n";

/// The protocol side of one Redis client.
pub(super) struct Redis {
    decoder: RequestDecoder,
    client: Client,
    /// The decoder's limits are those of a client that has not presented the password.
    is_stranger: bool,
    transaction: Transaction,
}

impl Redis {
    pub(super) fn new(cluster: &Rc<ClusterWorker>, stream: &Stream, ticket: Ticket) -> Self {
        let is_stranger = cluster.is_locked();
        Self {
            decoder: RequestDecoder::new(limits(cluster, is_stranger)),
            client: Client::new(cluster, stream, ticket),
            is_stranger,
            transaction: Transaction::default(),
        }
    }

    fn look_up(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        match find(request.bytes(), self.decoder.args()) {
            Ok(command) => self.run(command, request, batch),
            Err(Unfit::Unknown) => {
                let clients = (&mut self.client, &mut self.transaction);
                unknown::serve(clients, request, self.decoder.args(), batch)
            }
            Err(unfit) => {
                self.transaction.note_unfit(unfit);
                refuse(batch, &unfit.text(request.bytes(), self.decoder.args()));
                Next::Continue
            }
        }
    }

    fn run(
        &mut self,
        command: &'static Command,
        request: Piece<'_>,
        batch: &mut Batch<'_>,
    ) -> Next {
        let (args, cluster) = (self.decoder.args(), batch.cluster());
        if !self.client.is_free(cluster)
            && let Err(words) = self.client.check(cluster, command, request.bytes(), args)
        {
            self.transaction.note_refused(command);
            refuse(batch, words.as_bytes());
            return Next::Continue;
        }
        if self.client.is_confined(batch.kind().dialect)
            && let Err(words) = subscriber::confine(command)
        {
            refuse(batch, words.as_bytes());
            return Next::Continue;
        }
        if local::is_paused(command, cluster) {
            return Next::Hold;
        }
        self.client.record.command.set(command.name);
        if (self.transaction.is_begun() || command.class == Class::Transaction)
            && let Some(next) = self.transaction.serve(command, &request, args, batch)
        {
            self.client.record.queued.set(self.transaction.len());
            return next;
        }
        match command.class {
            Class::SingleRead | Class::SingleWrite | Class::Subkey => {
                forward(command, request, args, batch)
            }
            Class::Split(kind) => divide(kind, command, request, args, batch),
            Class::Slot => local::ask_owner(command, request, args, batch),
            class if broadcast::is_spread(class) && broadcast::serves(command.name) => {
                return broadcast::serve(command, request.bytes(), args, batch);
            }
            _ if blocking::is_blocking(command, request.bytes(), args) => {
                return blocking::serve(command, request.bytes(), args, batch);
            }
            class if together::is_kept(class) => together::serve(command, request, args, batch),
            _ if subscriber::serves(command.name) => {
                let raw = request.bytes();
                return subscriber::serve(&mut self.client, command, raw, args, batch);
            }
            _ if publish::serves(command.name) => publish::serve(command, request, args, batch),
            _ if command.name == "prism|explain" => {
                return explain::serve(&mut self.client, request.bytes(), args, batch);
            }
            _ => return local::serve(&mut self.client, command, request.bytes(), args, batch),
        }
        Next::Continue
    }
}

impl Protocol for Redis {
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>> {
        let is_stranger = self.is_stranger;
        self.decoder.decode(bytes).map_err(|error| match error {
            RequestError::InvalidMultibulkLength if is_stranger => STRANGER_COUNT.to_vec(),
            RequestError::TooLarge { .. } if is_stranger => STRANGER_LENGTH.to_vec(),
            error => error.reply(),
        })
    }

    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        let rebuilt = self.decoder.take_rebuilt();
        let request = match &rebuilt {
            Some(bytes) => Piece::Borrowed(bytes),
            None => request,
        };
        let next = match self.decoder.args().is_empty() {
            true => Next::Continue,
            false => self.look_up(request, batch),
        };
        if next != Next::Hold {
            self.client.mute.step(batch);
        }
        if self.is_stranger && self.client.is_admitted(batch.cluster()) {
            self.is_stranger = false;
            self.decoder.limit(limits(batch.cluster(), false));
        }
        next
    }

    fn is_dismissed(&mut self, cluster: &ClusterWorker) -> bool {
        !self.client.is_free(cluster) && self.client.is_dismissed(cluster)
    }

    fn shrink(&mut self) {
        self.decoder.shrink();
    }
}

/// Returns the limits of a client's requests.
fn limits(cluster: &ClusterWorker, is_stranger: bool) -> Limits {
    let limits = cluster.settings_ref().limits;
    match is_stranger {
        true => Limits {
            max_args: limits.max_args.min(STRANGER_ARGS),
            max_request_bytes: limits.max_request_bytes.min(STRANGER_BYTES),
            ..limits
        },
        false => limits,
    }
}

fn forward(command: &Command, request: Piece<'_>, args: &[Span], batch: &mut Batch<'_>) {
    let position = usize::from(command.first_key.max(1));
    let Some(span) = args.get(position) else {
        return refuse(batch, command.arity_error().as_bytes());
    };
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: command.write,
    };
    match request {
        Piece::Borrowed(raw) => batch.forward(bytes_of(raw, span), Piece::Borrowed(raw), call),
        Piece::Shared(bytes) => {
            let raw = bytes.clone();
            batch.forward(bytes_of(&raw, span), Piece::Shared(bytes), call);
        }
    }
}

fn divide(
    kind: SplitKind,
    command: &Command,
    request: Piece<'_>,
    args: &[Span],
    batch: &mut Batch<'_>,
) {
    let Some(keys) = kind.key_count(args.len()) else {
        return refuse(batch, command.arity_error().as_bytes());
    };
    let errors = batch.cluster().settings_ref().part_errors;
    let is_lenient = kind == SplitKind::Mget && errors != PartErrors::Fail;
    if keys == 1 && !is_lenient {
        return forward(command, request, args, batch);
    }
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: command.write,
    };
    let copy = request.clone();
    let (raw, whole) = (copy.bytes(), request);
    let dialect = batch.kind().dialect;
    let key = |index: usize| {
        args.get(kind.argument_of(index))
            .map_or(&[][..], |span| bytes_of(raw, span))
    };
    let divisible = Divisible {
        keys: &mut (0..keys).map(key),
        append: &|out, indexes| split::append_part(out, kind, raw, args, indexes),
        finish: &|| finish(kind, keys, dialect, errors),
    };
    match is_lenient {
        true => batch.divide_leniently(divisible, call),
        false => batch.divide(whole, divisible, call),
    }
}

/// Answers a request with an error in its turn.
pub(super) fn refuse(batch: &mut Batch<'_>, text: &[u8]) {
    batch.cluster().metrics.refused_total.inc();
    batch.answer(|out| write_error(out, text));
}

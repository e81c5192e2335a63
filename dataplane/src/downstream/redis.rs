//! A Redis session: what is forwarded, what is divided, what is answered here, what is refused.

use std::rc::Rc;

use super::{
    local::{self, Client},
    session::{Next, Protocol},
};
use crate::{
    cluster::{Batch, Call, ClusterWorker, Divisible, finish},
    inflight::{Piece, Ticket, Wish},
    protocol::{
        message::{Progress, Span, bytes_of},
        redis::{
            command::{Class, Command, SplitKind, find},
            reply::write_error,
            request::RequestDecoder,
            split,
        },
    },
    upstream::Expect,
};

/// The protocol side of one Redis client.
pub(super) struct Redis {
    decoder: RequestDecoder,
    client: Client,
}

impl Redis {
    pub(super) fn new(cluster: &Rc<ClusterWorker>, ticket: Ticket) -> Self {
        Self {
            decoder: RequestDecoder::new(cluster.settings_ref().limits),
            client: Client::new(cluster, ticket),
        }
    }

    fn run(
        &mut self,
        command: &'static Command,
        request: Piece<'_>,
        batch: &mut Batch<'_>,
    ) -> Next {
        if !self.client.may(command) {
            refuse(batch, b"NOAUTH Authentication required.");
            return Next::Continue;
        }
        let args = self.decoder.args();
        match command.class {
            Class::SingleRead | Class::SingleWrite | Class::Subkey => {
                forward(command, request, args, batch)
            }
            Class::Split(kind) => divide(kind, command, request, args, batch),
            _ => return local::serve(&mut self.client, command, request.bytes(), args, batch),
        }
        Next::Continue
    }
}

impl Protocol for Redis {
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>> {
        self.decoder.decode(bytes).map_err(|error| error.reply())
    }

    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        let rebuilt = self.decoder.take_rebuilt();
        let request = match &rebuilt {
            Some(bytes) => Piece::Borrowed(bytes),
            None => request,
        };
        if self.decoder.args().is_empty() {
            return Next::Continue;
        }
        match find(request.bytes(), self.decoder.args()) {
            Ok(command) => self.run(command, request, batch),
            Err(unfit) => {
                let text = match self.client.is_authenticated() {
                    true => unfit.text(request.bytes(), self.decoder.args()),
                    false => b"NOAUTH Authentication required.".to_vec(),
                };
                refuse(batch, &text);
                Next::Continue
            }
        }
    }

    fn shrink(&mut self) {
        self.decoder.shrink();
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
    if keys == 1 {
        return forward(command, request, args, batch);
    }
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: command.write,
    };
    let owned;
    let (raw, whole): (&[u8], _) = match request {
        Piece::Borrowed(raw) => (raw, Piece::Borrowed(raw)),
        Piece::Shared(bytes) => {
            owned = bytes.clone();
            (&owned, Piece::Shared(bytes))
        }
    };
    let key = |index: usize| {
        args.get(kind.argument_of(index))
            .map_or(&[][..], |span| bytes_of(raw, span))
    };
    let divisible = Divisible {
        whole,
        keys: &mut (0..keys).map(key),
        append: &|out, indexes| split::append_part(out, kind, raw, args, indexes),
        finish: &|| finish(kind, keys),
    };
    batch.divide(divisible, call);
}

/// Answers a request with an error in its turn.
pub(super) fn refuse(batch: &mut Batch<'_>, text: &[u8]) {
    batch.cluster().metrics.refused_total.inc();
    batch.answer(|out| write_error(out, text));
}

//! Commands that the proxy answers itself, and those it refuses.

use std::rc::Rc;

use super::{redis::refuse, session::Next};
use crate::{
    cluster::{Batch, ClusterWorker},
    inflight::Ticket,
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::Command,
            reply::{write_bulk, write_simple},
        },
    },
};

/// What the proxy keeps of one Redis client.
pub(super) struct Client {
    is_authenticated: bool,
}

impl Client {
    pub(super) fn new(cluster: &Rc<ClusterWorker>, _ticket: Ticket) -> Self {
        Self {
            is_authenticated: cluster.runtime().cluster.password().is_none(),
        }
    }

    pub(super) fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }

    pub(super) fn may(&self, command: &Command) -> bool {
        self.is_authenticated || command.has_flag("no_auth")
    }
}

/// Answers or refuses a command that is not forwarded.
pub(super) fn serve(
    _client: &mut Client,
    command: &'static Command,
    raw: &[u8],
    args: &[Span],
    batch: &mut Batch<'_>,
) -> Next {
    match command.name {
        "ping" => match args.get(1) {
            Some(span) => batch.answer(|out| write_bulk(out, bytes_of(raw, span))),
            None => batch.answer(|out| write_simple(out, "PONG")),
        },
        "quit" => {
            batch.answer(|out| write_simple(out, "OK"));
            return Next::Close;
        }
        name => {
            let text = format!("ERR prism: '{name}' is not supported by this version");
            refuse(batch, text.as_bytes());
        }
    }
    Next::Continue
}

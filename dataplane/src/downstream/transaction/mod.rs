//! MULTI, EXEC, DISCARD: a session keeps what is to run together, and sends it in one piece.
//!
//! Nothing of a transaction is upstream before EXEC, so nobody else's requests can come between. What an endpoint would
//! refuse when it queues a command is seen at EXEC, which it then answers with EXECABORT.

mod queue;
mod watch;

use crate::{
    cluster::{Batch, Call},
    inflight::{Piece, Wish},
    protocol::{
        message::Span,
        redis::{
            command::{Command, Key, Unfit},
            reply::{write_array_header, write_simple},
        },
    },
    upstream::Expect,
};

use super::{redis::refuse, session::Next};
use queue::{Queue, Words};
use watch::Watch;

const ABORTED: &[u8] = b"EXECABORT Transaction discarded because of previous errors.";

/// What a session keeps of its transaction.
#[derive(Default)]
pub(super) struct Transaction {
    /// There is one from MULTI to EXEC or DISCARD.
    queue: Option<Box<Queue>>,
    watch: Watch,
}

impl Transaction {
    /// Returns whether commands are queued.
    pub(super) fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Returns whether commands are queued or keys watched.
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.queue.is_some() || self.watch.is_on()
    }

    /// Returns the number of commands queued.
    pub(super) fn len(&self) -> Option<usize> {
        self.queue.as_ref().map(|queue| queue.len())
    }

    /// Queues a command that only endpoints know, which touches `keys`.
    pub(super) fn push_foreign(
        &mut self,
        (keys, is_write): (&[Key], bool),
        request: (&[u8], &[Span]),
        batch: &mut Batch<'_>,
    ) {
        if let Some(queue) = &mut self.queue {
            let result = queue.push_keyed((keys, is_write), request, batch);
            answer(queue, result, batch);
        }
    }

    /// Notes that a command was refused: what is queued will not run.
    pub(super) fn note_refused(&mut self, command: &Command) {
        if command.name == "exec" {
            self.queue = None;
            self.watch.close();
        }
        self.abort();
    }

    /// Notes that a request named no command that can be run.
    pub(super) fn note_unfit(&mut self, unfit: Unfit) {
        match unfit {
            Unfit::Arity(command) | Unfit::UnknownSub(command) => self.note_refused(command),
            Unfit::Unknown => self.abort(),
        }
    }

    /// Notes that what is queued will not run.
    pub(super) fn abort(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.abort();
        }
    }

    /// Serves MULTI and its like, and queues what comes behind it; `None` for what is served as ever.
    pub(super) fn serve(
        &mut self,
        command: &'static Command,
        request: &Piece<'_>,
        args: &[Span],
        batch: &mut Batch<'_>,
    ) -> Option<Next> {
        match command.name {
            "discard" => self.discard(batch),
            "exec" => return Some(self.exec(batch)),
            "multi" => self.multi(batch),
            "quit" => return None,
            "reset" => {
                self.queue = None;
                self.watch.end(batch.cluster());
                return None;
            }
            "watch" if self.is_open() => refuse(batch, b"ERR WATCH inside MULTI is not allowed"),
            "watch" => {
                return Some(self.watch.serve(command, (request.bytes(), args), batch));
            }
            "unwatch" if !self.is_open() => {
                self.watch.end(batch.cluster());
                batch.answer(|out| write_simple(out, "OK"));
            }
            _ => match &mut self.queue {
                Some(queue) => {
                    let result = queue.push(command, (request.bytes(), args), batch);
                    answer(queue, result, batch);
                }
                None => return None,
            },
        }
        Some(Next::Continue)
    }

    fn multi(&mut self, batch: &mut Batch<'_>) {
        if self.is_open() {
            return refuse(batch, b"ERR MULTI calls can not be nested");
        }
        self.queue = Some(Box::new(Queue::new(self.watch.unit(), batch)));
        batch.answer(|out| write_simple(out, "OK"));
    }

    fn discard(&mut self, batch: &mut Batch<'_>) {
        match self.queue.take() {
            Some(_) => {
                self.watch.end(batch.cluster());
                batch.answer(|out| write_simple(out, "OK"));
            }
            None => refuse(batch, b"ERR DISCARD without MULTI"),
        }
    }

    fn exec(&mut self, batch: &mut Batch<'_>) -> Next {
        let is_write = self.queue.as_ref().is_some_and(|queue| queue.is_write());
        if is_write && batch.cluster().observer.pause.kind().is_some() {
            return Next::Hold;
        }
        if self.is_open() && self.watch.is_on() && !batch.is_quiet() {
            // What the client itself changed before counts, as it does at one server.
            return Next::Hold;
        }
        match self.queue.take() {
            None => refuse(batch, b"ERR EXEC without MULTI"),
            Some(queue) if queue.is_aborted() => {
                self.watch.end(batch.cluster());
                refuse(batch, ABORTED);
            }
            Some(queue) if self.watch.is_on() => match queue.check(batch) {
                Ok(()) => self.watch.exec(*queue, batch),
                Err(words) => {
                    self.watch.end(batch.cluster());
                    refuse(batch, words);
                }
            },
            Some(queue) if queue.len() == 0 => batch.answer(|out| write_array_header(out, 0)),
            Some(queue) => match queue.check(batch) {
                Ok(()) => run(*queue, batch),
                Err(words) => refuse(batch, words),
            },
        }
        Next::Continue
    }
}

/// Sends a transaction to the endpoint that has its keys.
fn run(queue: Queue, batch: &mut Batch<'_>) {
    let call = Call {
        expect: Expect::Block(queue.replies()),
        wish: Wish::Reply,
        is_write: queue.is_write(),
    };
    let (key, block) = queue.into_block();
    batch.forward_block(key.as_deref(), Piece::Shared(block.into()), call);
}

fn answer(queue: &mut Queue, result: Result<(), Words>, batch: &mut Batch<'_>) {
    match result {
        Ok(()) => batch.answer(|out| write_simple(out, "QUEUED")),
        Err(words) => {
            queue.abort();
            refuse(batch, words.as_bytes());
        }
    }
}

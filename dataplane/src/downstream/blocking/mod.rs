//! Commands that wait for others: each on a connection of its own, for as long as the client has patience.
//!
//! What ends a wait early is told to the endpoint, which answers with what it has: an element that was taken just then
//! is not lost. A client that is gone closes the connection, as its own would be; what the endpoint took for it in that
//! moment is gone with it, as at one server.

mod attempt;
mod patience;

use std::{rc::Rc, time::Duration};

use prism_proto::placement;
use tokio::time::{Instant, sleep};

use super::{session::Next, together::do_meet};
use crate::{
    cluster::{Batch, CallError, ClusterWorker, Place},
    inflight::{Cancel, Deferred},
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::{Class, Command, streams},
            reply::write_null_array,
        },
    },
    upstream::Kind,
};
use attempt::Outcome;
use patience::Patience;

/// Time between two attempts where the first was put off.
const PAUSE: Duration = Duration::from_millis(50);

/// What lasted longer was a wait.
const MOMENT: Duration = Duration::from_millis(200);

/// Redirects that are followed at once; each further one waits a little.
const PATIENT_HOPS: u32 = 4;

const UNBLOCKED: &[u8] = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

/// Returns whether a request may have to wait for others.
pub(super) fn is_blocking(command: &Command, raw: &[u8], args: &[Span]) -> bool {
    match command.class {
        Class::Block | Class::BlockNumkeys => true,
        Class::Streams => streams(raw, args).is_some_and(|streams| streams.block.is_some()),
        _ => false,
    }
}

/// Serves a request that may have to wait.
pub(super) fn serve(command: &Command, raw: &[u8], args: &[Span], batch: &mut Batch<'_>) -> Next {
    let keys = keys_of(command, raw, args);
    if !do_meet(&mut None, keys.iter().copied(), batch) {
        return Next::Continue;
    }
    if !batch.is_quiet() {
        // What the client sent before is to be done before it waits.
        return Next::Hold;
    }
    let wait = Wait {
        cluster: batch.cluster().shared(),
        kind: batch.kind(),
        keys: keys.into_iter().map(<[u8]>::to_vec).collect(),
        patience: Patience::of(command, raw, args),
        start: Instant::now(),
        request: raw.to_vec(),
    };
    let mut deferred = match command.write {
        true => batch.defer(),
        false => batch.postpone(),
    };
    batch.cluster().note_blocked(deferred.ticket, true);
    tokio::task::spawn_local(async move {
        let result = wait.reply(&mut deferred).await;
        wait.cluster.note_blocked(deferred.ticket, false);
        wait.cluster.metrics.requests_total.inc();
        match result {
            Ok(reply) => wait.cluster.settle(deferred.ticket, &reply),
            Err(error) => wait.cluster.settle_error(deferred.ticket, &error),
        }
    });
    Next::Continue
}

/// Returns the keys of a request; of one whose form is wrong, what stands in the first one's place.
fn keys_of<'r>(command: &Command, raw: &'r [u8], args: &[Span]) -> Vec<&'r [u8]> {
    let word = |at: usize| args.get(at).map_or(&[][..], |span| bytes_of(raw, span));
    let keys = command.keys(raw, args).list;
    let mut found: Vec<_> = keys.iter().map(|key| word(key.position)).collect();
    if found.is_empty() {
        found.push(word(1));
    }
    found
}

/// A request that waits.
struct Wait {
    cluster: Rc<ClusterWorker>,
    kind: Kind,
    /// The keys; the first says where it waits.
    keys: Vec<Vec<u8>>,
    patience: Patience,
    start: Instant,
    request: Vec<u8>,
}

impl Wait {
    /// Waits at whoever has the key, and at whoever has it next.
    async fn reply(&self, deferred: &mut Deferred) -> Result<Vec<u8>, CallError> {
        let limit = self.cluster.settings().bounds.read;
        let (mut next, mut hops) = (None, 0);
        // Since when nobody could be waited at.
        let mut since = Instant::now();
        loop {
            if self.remaining() == Some(Duration::ZERO) {
                return Ok(self.nothing());
            }
            let began = Instant::now();
            let words = match self.attempt(next.take(), deferred).await {
                Outcome::Failed(error) => return Err(error),
                Outcome::GivenUp(why) => return Ok(self.given_up(why)),
                Outcome::Reply(reply) => return Ok(reply),
                Outcome::Elsewhere { place, is_asked } => {
                    (since, hops) = match began.elapsed() > MOMENT {
                        true => (Instant::now(), 0),
                        false => (since, hops + 1),
                    };
                    next = Some((place, is_asked));
                    Err(self.astray())
                }
                Outcome::Later(words) => words,
                Outcome::Lost(_) | Outcome::Waited if began.elapsed() > MOMENT => {
                    (since, hops) = (Instant::now(), 0);
                    continue;
                }
                Outcome::Lost(error) => Err(error),
                Outcome::Waited => Err(self.astray()),
            };
            if next.is_some() && hops <= PATIENT_HOPS {
                continue;
            }
            if since.elapsed() >= limit {
                return words;
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                why = deferred.cancelled() => return Ok(self.given_up(why)),
            }
        }
    }

    /// Returns what the client is told whose request nobody takes.
    fn astray(&self) -> CallError {
        CallError::NoOwner {
            cluster: self.cluster.name().to_owned(),
            slot: placement::slot(self.key()),
        }
    }

    /// Returns what the client is told whose wait was ended where nothing was waited at.
    fn given_up(&self, why: Cancel) -> Vec<u8> {
        match why {
            Cancel::Error => UNBLOCKED.to_vec(),
            // Nobody reads it.
            Cancel::Gone => Vec::new(),
            Cancel::Timeout => self.nothing(),
        }
    }

    /// Returns the answer that time brings.
    fn nothing(&self) -> Vec<u8> {
        let mut reply = Vec::new();
        write_null_array(&mut reply, self.kind.dialect);
        reply
    }

    /// Returns the time left of the client's patience; `None` is for ever.
    fn remaining(&self) -> Option<Duration> {
        let limit = self.patience.limit()?;
        Some(limit.saturating_sub(self.start.elapsed()))
    }

    /// Returns the key that says where it waits.
    fn key(&self) -> &[u8] {
        self.keys.first().map_or(&[][..], |key| key)
    }

    /// Returns whether one of the keys is somewhere else than at `place` by now.
    fn has_moved(&self, place: &Place) -> bool {
        self.keys.iter().any(|key| {
            let now = self.cluster.place_of(key);
            now.is_ok_and(|now| now.target.addr != place.target.addr)
        })
    }
}

//! One attempt to wait, at one endpoint.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Wait;
use crate::{
    cluster::{ASKING, CallError, Leased, Place, Turn},
    inflight::{Cancel, Deferred},
    protocol::redis::reply::{is_error, write_array_header, write_bulk},
};

/// What became of an attempt.
pub(super) enum Outcome {
    /// The request is to go to another endpoint.
    Elsewhere {
        place: Place,
        /// It is to be asked this once.
        is_asked: bool,
    },
    /// The client is told so.
    Failed(CallError),
    /// The wait was ended before it had begun, or with the connection.
    GivenUp(Cancel),
    /// Nobody could be waited at; what the client is told if that lasts.
    Later(Result<Vec<u8>, CallError>),
    /// The connection was lost while it waited.
    Lost(CallError),
    /// The client's reply.
    Reply(Vec<u8>),
    /// It waited, and is to wait again at whoever has the key now.
    Waited,
}

/// How a wait ended.
enum End {
    /// With a reply, after the wait was called off for this reason or for none.
    Reply(Vec<u8>, Option<Why>),
    Outcome(Outcome),
}

/// Why a wait was called off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Client(Cancel),
    Moved,
}

const LOST_TRACK: &[u8] =
    b"-ERR prism: the stream moved while it was waited for, and what came since cannot be told\r\n";

impl Wait {
    pub(super) async fn attempt(
        &self,
        next: Option<(Place, bool)>,
        deferred: &mut Deferred,
    ) -> Outcome {
        let (place, is_asked) = match next {
            Some(next) => next,
            None => match self.cluster.place_of(self.key()) {
                Ok(place) => (place, false),
                Err(error) => return Outcome::Later(Err(error)),
            },
        };
        let opened = tokio::select! {
            opened = self.open(&place) => opened,
            why = deferred.cancelled() => return Outcome::GivenUp(why),
        };
        let mut lease = match opened {
            Ok(lease) => lease,
            Err(error @ CallError::TooManyLeases { .. }) => return Outcome::Failed(error),
            Err(error) if self.cluster.settings_ref().is_cluster => {
                return Outcome::Later(Err(error));
            }
            Err(error) => return Outcome::Failed(error),
        };
        match self.send(&mut lease, is_asked).await {
            Ok(None) => {}
            // The request was refused for the same reason.
            Ok(Some(refusal)) => {
                let limit = self.cluster.settings_ref().bounds.read;
                return match lease.ask_all(&[], 1, limit).await {
                    Ok(_) => self.judge(lease, refusal, None),
                    Err(error) => Outcome::Later(Err(error)),
                };
            }
            Err(error) => return Outcome::Later(Err(error)),
        }
        let outcome = match self.wait(&mut lease, is_asked, deferred).await {
            End::Reply(reply, why) => self.judge(lease, reply, why),
            End::Outcome(outcome) => outcome,
        };
        match outcome {
            Outcome::Failed(_) | Outcome::GivenUp(_) | Outcome::Reply(_) => outcome,
            // A second request would miss what came in between.
            _ if self.patience.is_from_now() => Outcome::Reply(LOST_TRACK.to_vec()),
            _ => outcome,
        }
    }

    async fn open(&self, place: &Place) -> Result<Leased, CallError> {
        let limit = self.cluster.settings_ref().bounds.read;
        let mut lease = self.cluster.lease(place, self.kind).await?;
        lease.identify(limit).await?;
        Ok(lease)
    }

    /// Sends the request; returns the refusal when the endpoint does not have the stream that is waited for.
    async fn send(&self, lease: &mut Leased, is_asked: bool) -> Result<Option<Vec<u8>>, CallError> {
        let limit = self.cluster.settings_ref().bounds.read;
        let asking = if is_asked { ASKING } else { &[] };
        let mut bytes = Vec::new();
        let mut replies = usize::from(is_asked);
        if self.must_know() {
            // A request that waits cannot be told from one that will be redirected: this one answers at once.
            bytes.extend_from_slice(asking);
            write_array_header(&mut bytes, 2);
            write_bulk(&mut bytes, "EXISTS");
            write_bulk(&mut bytes, self.key());
            replies += 1 + usize::from(is_asked);
        }
        bytes.extend_from_slice(asking);
        match self.remaining() {
            Some(remaining) => {
                bytes.extend(self.patience.shortened(&self.request, remaining));
            }
            None => bytes.extend_from_slice(&self.request),
        }
        let replies = lease.ask_all(&bytes, replies, limit).await?;
        Ok(replies.into_iter().find(|reply| is_error(reply)))
    }

    /// Returns whether it matters if the endpoint had begun to wait.
    fn must_know(&self) -> bool {
        self.patience.is_from_now() && self.cluster.settings_ref().is_cluster
    }

    /// Waits for the reply, for the end of the client's patience or interest, and for the key to go elsewhere.
    async fn wait(&self, lease: &mut Leased, is_asked: bool, deferred: &mut Deferred) -> End {
        let limit = self.cluster.settings_ref().bounds.read;
        let place = lease.place().clone();
        let patience = match self.patience.is_amiss() {
            true => Some(Duration::ZERO),
            false => self.remaining(),
        };
        let mut deadline = patience.map(|patience| Instant::now() + patience + limit);
        let mut called_off = None;
        loop {
            let moves = self.cluster.moves();
            let why = if called_off.is_none() && !is_asked && self.has_moved(&place) {
                Why::Moved
            } else {
                tokio::select! {
                    reply = lease.reply() => return match reply {
                        Ok(reply) => End::Reply(reply, called_off),
                        Err(loss) => End::Outcome(Outcome::Lost(place.lost(&loss))),
                    },
                    why = deferred.cancelled() => Why::Client(why),
                    () = moves, if called_off.is_none() => continue,
                    () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                        return End::Outcome(match called_off {
                            Some(why) => Self::called_off(why),
                            None => Outcome::Failed(place.late(limit)),
                        });
                    }
                }
            };
            if why == Why::Client(Cancel::Gone) {
                return End::Outcome(Outcome::GivenUp(Cancel::Gone));
            }
            called_off = Some(why);
            deadline = Some(Instant::now() + limit);
            if self.cluster.unblock(lease).await.is_err() {
                return End::Outcome(Self::called_off(why));
            }
        }
    }

    /// Returns what becomes of a wait whose endpoint cannot be told that it is over: its connection is closed.
    fn called_off(why: Why) -> Outcome {
        match why {
            Why::Client(why) => Outcome::GivenUp(why),
            Why::Moved => Outcome::Waited,
        }
    }

    /// Looks whether a reply is the client's.
    fn judge(&self, lease: Leased, reply: Vec<u8>, why: Option<Why>) -> Outcome {
        let turn = self.cluster.turn(lease.place(), &reply);
        self.cluster.give_back(lease);
        let is_unblocked = reply.starts_with(b"-UNBLOCKED");
        match (turn, why) {
            (Err(error), _) => Outcome::Failed(error),
            (Ok(None), Some(Why::Client(why))) if is_unblocked => Outcome::GivenUp(why),
            (Ok(None), _) if is_unblocked => Outcome::Waited,
            (Ok(None), _) => Outcome::Reply(reply),
            (Ok(Some(Turn::Ask(place))), _) => Outcome::Elsewhere {
                place,
                is_asked: true,
            },
            (Ok(Some(Turn::Moved(place))), _) => Outcome::Elsewhere {
                place,
                is_asked: false,
            },
            (Ok(Some(Turn::Later)), _) => Outcome::Later(Ok(reply)),
        }
    }
}

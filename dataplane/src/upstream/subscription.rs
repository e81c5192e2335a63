//! A connection on which an endpoint sends the messages of channels and patterns.
//!
//! RESP2 is spoken on it. What an endpoint sends there is either a message or answers what was sent, in order; one
//! thing comes unasked, that an endpoint gave up a shard channel with its slot.

use std::{
    io::IoSlice,
    task::{Context, Poll, ready},
};

use super::{Loss, Stream};
use crate::{
    inflight::{ByteQueue, Intake, MAX_SLICES, Piece},
    protocol::{
        message::Limits,
        redis::reply::{ReplyDecoder, array_elements, bulk_string, is_error},
    },
};

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A channel that every endpoint of a Redis Cluster hears of.
    Channel,
    /// All channels whose names fit.
    Pattern,
    /// A channel that belongs to the endpoint that has its slot.
    Shard,
}

impl Family {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];

    /// Returns the command that subscribes, which is also the first word of its confirmation.
    pub fn subscribe(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Pattern => "psubscribe",
            Self::Shard => "ssubscribe",
        }
    }

    /// Returns the command that ends a subscription, which is also the first word of its confirmation.
    pub fn unsubscribe(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Pattern => "punsubscribe",
            Self::Shard => "sunsubscribe",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Channel => "message",
            Self::Pattern => "pmessage",
            Self::Shard => "smessage",
        }
    }
}

/// What an endpoint sent on such a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// It confirms a subscription.
    Joined(Family, &'a [u8]),
    /// A subscription is over.
    Left(Family, &'a [u8]),
    /// A message of a channel, or of one that fits a pattern; the name is what was subscribed to.
    Message(Family, &'a [u8]),
    /// It is there.
    Pong,
    /// It refuses what was asked.
    Refused,
    /// Nothing of the kind.
    Strange,
}

impl<'a> Notice<'a> {
    /// Says what a whole reply is.
    pub fn of(reply: &'a [u8]) -> Self {
        if is_error(reply) {
            return Self::Refused;
        }
        if reply == b"+PONG\r\n" {
            return Self::Pong;
        }
        let Some(mut elements) = array_elements(reply) else {
            return Self::Strange;
        };
        let mut next = || elements.next().and_then(bulk_string);
        let (Some(word), Some(name)) = (next(), next()) else {
            return Self::Strange;
        };
        if word == b"pong" {
            return Self::Pong;
        }
        let found = Family::ALL.into_iter().find_map(|family| {
            [
                (family.message(), Self::Message(family, name)),
                (family.subscribe(), Self::Joined(family, name)),
                (family.unsubscribe(), Self::Left(family, name)),
            ]
            .into_iter()
            .find_map(|(known, notice)| (known.as_bytes() == word).then_some(notice))
        });
        found.unwrap_or(Self::Strange)
    }
}

/// One open connection of the kind; drives nothing itself.
#[derive(Debug)]
pub struct Subscription {
    stream: Stream,
    decoder: ReplyDecoder,
    intake: Intake,
    outbox: ByteQueue,
    written: u64,
}

impl Subscription {
    /// Takes over an open connection on which nothing is awaited.
    pub fn new(stream: Stream, limits: Limits) -> Self {
        Self {
            stream,
            decoder: ReplyDecoder::new(limits),
            intake: Intake::default(),
            outbox: ByteQueue::default(),
            written: 0,
        }
    }

    /// Queues bytes that are to go out.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.outbox.push(bytes);
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// [`Loss`]; the connection is of no use then.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        while self.written < self.outbox.end() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let filled = self.outbox.slices(self.written, &mut slices);
            let some = slices.get(..filled).unwrap_or_default();
            let count = ready!(self.stream.poll_write_vectored(cx, some))?;
            if count == 0 {
                return Poll::Ready(Err(Loss::Closed));
            }
            self.written += count as u64;
            self.outbox.release(self.written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into `scratch`.
    ///
    /// # Errors
    /// [`Loss`]; the connection is of no use then.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<usize, Loss>> {
        match ready!(self.stream.poll_read(cx, scratch))? {
            0 => Poll::Ready(Err(Loss::Closed)),
            count => Poll::Ready(Ok(count)),
        }
    }

    /// Returns the next whole reply of what was read.
    ///
    /// # Errors
    /// [`Loss::Malformed`] when the endpoint breaks the protocol.
    pub fn next<'a>(
        &'a mut self,
        fresh: &'a [u8],
        position: &mut usize,
    ) -> Result<Option<Piece<'a>>, Loss> {
        let decoder = &mut self.decoder;
        self.intake
            .next(fresh, position, |bytes| decoder.decode(bytes))
            .map_err(|error| Loss::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_told_apart() {
        let cases: [(&[u8], Notice<'_>); 9] = [
            (
                b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n",
                Notice::Message(Family::Channel, b"a"),
            ),
            (
                b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$2\r\nhi\r\n",
                Notice::Message(Family::Pattern, b"a*"),
            ),
            (
                b"*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n",
                Notice::Joined(Family::Shard, b"a"),
            ),
            (
                b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n",
                Notice::Left(Family::Channel, b"a"),
            ),
            (b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", Notice::Pong),
            (b"+PONG\r\n", Notice::Pong),
            (b"-NOPERM no\r\n", Notice::Refused),
            (b"*3\r\n$3\r\nfoo\r\n$1\r\na\r\n:1\r\n", Notice::Strange),
            (b":1\r\n", Notice::Strange),
        ];
        for (reply, expected) in cases {
            assert_eq!(Notice::of(reply), expected, "{reply:?}");
        }
    }
}

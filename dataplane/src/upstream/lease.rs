//! A connection that one task has for itself, for what would disturb others on a shared one.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, Waker},
};

use super::{Loss, Stream};
use crate::protocol::{
    message::{Limits, Progress},
    redis::reply::ReplyDecoder,
};

/// Least room given to one read, in bytes.
const CHUNK: usize = 4096;

/// One open connection with what was read and not taken.
///
/// Nothing is timed here: whoever waits has a deadline of its own.
#[derive(Debug)]
pub struct Lease {
    stream: Stream,
    decoder: ReplyDecoder,
    /// Bytes of replies that were not taken, the next one first.
    buffer: Vec<u8>,
}

impl Lease {
    /// Takes over an open connection on which nothing is awaited.
    pub fn new(stream: Stream, limits: Limits) -> Self {
        Self {
            stream,
            decoder: ReplyDecoder::new(limits),
            buffer: Vec::new(),
        }
    }

    /// Sends a request. Not cancel safe: part of it may have gone.
    ///
    /// # Errors
    /// [`Loss`]; the connection is of no use then.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), Loss> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Returns the next reply, or push, as the endpoint wrote it. Cancel safe.
    ///
    /// # Errors
    /// [`Loss`]; the connection is of no use then.
    pub async fn reply(&mut self) -> Result<Vec<u8>, Loss> {
        loop {
            let progress = self.decoder.decode(&self.buffer);
            match progress.map_err(|error| Loss::Malformed(error.to_string()))? {
                Progress::Complete { len } => {
                    let rest = self.buffer.split_off(len);
                    return Ok(std::mem::replace(&mut self.buffer, rest));
                }
                Progress::NeedMore { at_least } => {
                    let room = at_least.saturating_sub(self.buffer.len()).min(1024 * CHUNK);
                    poll_fn(|cx| self.poll_fill(cx, room.max(CHUNK))).await?;
                }
            }
        }
    }

    /// Sends a request and returns its reply. Not cancel safe.
    ///
    /// # Errors
    /// [`Loss`]; the connection is of no use then.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, Loss> {
        self.send(request).await?;
        self.reply().await
    }

    /// Returns whether the connection is open and everything that was read is taken, without waiting.
    pub fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.buffer.is_empty() && self.poll_fill(&mut cx, CHUNK).is_pending()
    }

    /// Gives the connection back.
    ///
    /// # Errors
    /// When bytes came that nobody asked for.
    pub fn into_stream(self) -> Result<Stream, Loss> {
        if self.buffer.is_empty() {
            return Ok(self.stream);
        }
        Err(Loss::unasked(&self.buffer))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<Result<(), Loss>> {
        let before = self.buffer.len();
        self.buffer.resize(before + room, 0);
        let polled = match self.buffer.get_mut(before..) {
            Some(tail) => self.stream.poll_read(cx, tail),
            None => Poll::Ready(Err(io::ErrorKind::OutOfMemory.into())),
        };
        let count = match &polled {
            Poll::Ready(Ok(count)) => *count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.buffer.truncate(before + count);
        polled.map(|result| match result? {
            0 => Err(Loss::Closed),
            _ => Ok(()),
        })
    }
}

//! What decoders of every protocol share: spans, progress, limits and parts of a split request.

use std::ops::Range;

/// A range of bytes, relative to the start of the request's raw bytes.
pub type Span = Range<u32>;

/// The bytes `span` names in `raw`; empty where `raw` is too short.
#[inline]
pub fn bytes_of<'a>(raw: &'a [u8], span: &Span) -> &'a [u8] {
    raw.get(span.start as usize..span.end as usize)
        .unwrap_or_default()
}

/// How far a decoder has come with the message at the start of its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The message is complete and takes the first `len` bytes of the buffer.
    Complete {
        /// Bytes of this message.
        len: usize,
    },
    /// The message is not complete yet.
    NeedMore {
        /// Length the buffer must have before the decoder can go on, never less than what is there plus one.
        at_least: usize,
    },
}

/// Bounds of what a decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of one request (Redis arguments), at most.
    pub max_args: usize,
    /// Levels of nested aggregates in a reply, at most.
    pub max_depth: usize,
    /// Elements one aggregate of a reply may declare, at most.
    pub max_elements: usize,
    /// Bytes of one reply, at most.
    pub max_reply_bytes: usize,
    /// Bytes of one request, at most; never more than `u32::MAX`.
    pub max_request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_args: 1024 * 1024,
            max_depth: 128,
            max_elements: 128 * 1024 * 1024,
            max_reply_bytes: 512 * 1024 * 1024,
            max_request_bytes: 512 * 1024 * 1024,
        }
    }
}

/// The answer to one part of a split request.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Positions, among the keys of the whole request, of the keys this part carried; ascending.
    pub indexes: &'a [u32],
    /// The raw reply to the part, complete.
    pub reply: &'a [u8],
}

/// What becomes of a merged reply when a part was answered by an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartErrors {
    /// The error stands in the place of each key of the part, where the protocol has a way to say so.
    Element,
    /// The first error is the whole answer.
    #[default]
    Fail,
    /// The keys of a part count as absent where its shard is not there.
    Nil,
}

//! What an error reply asks of the proxy.

/// An error an endpoint answered with, by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind<'a> {
    /// The slot is being moved and this key may already be at `addr`.
    Ask {
        /// The slot.
        slot: u16,
        /// Where to ask, as the endpoint wrote it: `host:port`, host perhaps empty.
        addr: &'a str,
    },
    /// The Redis Cluster cannot serve the slot.
    ClusterDown,
    /// The endpoint is reading its data.
    Loading,
    /// A replica without its primary that may not serve old data.
    MasterDown,
    /// The slot lives at `addr`.
    Moved {
        /// The slot.
        slot: u16,
        /// Where it lives, as the endpoint wrote it: `host:port`, host perhaps empty.
        addr: &'a str,
    },
    /// The connection is not authenticated.
    NoAuth,
    /// The endpoint does not speak this protocol's dialect.
    NoProto,
    /// The endpoint does not know the script.
    NoScript,
    /// Anything else.
    Other,
    /// A write was sent to a replica.
    ReadOnly,
    /// Keys of one command are on both sides of a slot's move.
    TryAgain,
    /// Name or password is wrong.
    WrongPass,
}

/// Whether `reply` is an error.
#[inline]
pub fn is_error(reply: &[u8]) -> bool {
    matches!(reply.first(), Some(b'-' | b'!'))
}

/// What kind of error `reply` is; `None` if it is none.
#[inline]
pub fn error_kind(reply: &[u8]) -> Option<ErrorKind<'_>> {
    if is_error(reply) {
        Some(kind(error_text(reply)))
    } else {
        None
    }
}

/// The text of an error, without its sign and line end.
pub fn error_text(reply: &[u8]) -> &[u8] {
    let (first, second) = split_line(reply);
    match first.split_first() {
        Some((b'!', _)) => split_line(second).0,
        Some((_, text)) => text,
        None => first,
    }
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\r', bytes).unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
    (line, rest.strip_prefix(b"\r\n").unwrap_or_default())
}

const NO_SCRIPT: &[u8] = b"NOSCRIPT No matching script. Please use EVAL.";

#[cold]
fn kind(text: &[u8]) -> ErrorKind<'_> {
    let mut words = text.split(|byte| *byte == b' ');
    match words.next().unwrap_or_default() {
        b"ASK" => redirect(words).map_or(ErrorKind::Other, |(slot, addr)| ErrorKind::Ask {
            slot,
            addr,
        }),
        b"CLUSTERDOWN" => ErrorKind::ClusterDown,
        b"LOADING" => ErrorKind::Loading,
        b"MASTERDOWN" => ErrorKind::MasterDown,
        b"MOVED" => redirect(words).map_or(ErrorKind::Other, |(slot, addr)| ErrorKind::Moved {
            slot,
            addr,
        }),
        b"NOAUTH" => ErrorKind::NoAuth,
        b"NOPROTO" => ErrorKind::NoProto,
        // A script may answer with an error of that code too.
        b"NOSCRIPT" if text == NO_SCRIPT => ErrorKind::NoScript,
        b"READONLY" => ErrorKind::ReadOnly,
        b"TRYAGAIN" => ErrorKind::TryAgain,
        b"WRONGPASS" => ErrorKind::WrongPass,
        _ => ErrorKind::Other,
    }
}

/// Slot and address of a redirect; nothing where they are not what a Redis Cluster would write.
fn redirect<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<(u16, &'a str)> {
    let slot = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let addr = std::str::from_utf8(words.next()?).ok()?;
    (slot < 16_384 && addr.contains(':')).then_some((slot, addr))
}

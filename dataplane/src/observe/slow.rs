//! Requests that took long, newest first.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Duration,
};

/// Most arguments kept of a request, as in Redis.
const MAX_ARGS: usize = 32;

/// Most bytes kept of an argument, as in Redis.
const MAX_ARG_BYTES: usize = 128;

/// Bytes from which on a request is not looked at any further.
const MAX_BYTES: usize = 64 * 1024;

/// One request that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// A number that no other has; later ones are larger.
    pub id: u64,
    /// Unix time in seconds.
    pub time: u64,
    /// From queued to answered.
    pub took: Duration,
    /// The request, cut as Redis does.
    pub args: Vec<Box<[u8]>>,
    /// The client's address.
    pub addr: Box<str>,
    /// The client's name.
    pub name: Box<[u8]>,
}

/// The slow requests of one cluster on one worker.
#[derive(Debug)]
pub struct SlowLog {
    /// In nanoseconds; `u64::MAX` is off.
    threshold: Cell<u64>,
    max_len: Cell<usize>,
    entries: RefCell<VecDeque<SlowEntry>>,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self {
            threshold: Cell::new(u64::MAX),
            max_len: Cell::new(0),
            entries: RefCell::default(),
        }
    }
}

impl SlowLog {
    /// Bytes of a request that [`SlowLog::cut`] looks at.
    pub const LOOK: usize = MAX_BYTES;

    /// Sets from when on a request is slow, `None` is never, and how many are kept.
    pub fn set(&self, slower_than: Option<Duration>, max_len: usize) {
        let nanos = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.threshold.set(slower_than.map_or(u64::MAX, nanos));
        self.max_len.set(max_len);
        self.entries.borrow_mut().truncate(max_len);
    }

    /// Returns whether a request that took so many nanoseconds is slow.
    #[inline]
    pub fn is_slow(&self, nanos: u64) -> bool {
        nanos >= self.threshold.get()
    }

    /// Keeps a request, and drops the oldest when there are too many.
    pub fn push(&self, entry: SlowEntry) {
        let mut entries = self.entries.borrow_mut();
        entries.push_front(entry);
        entries.truncate(self.max_len.get());
    }

    /// Returns what is kept, newest first.
    pub fn entries(&self) -> Vec<SlowEntry> {
        self.entries.borrow().iter().cloned().collect()
    }

    /// Forgets what is kept.
    pub fn clear(&self) {
        self.entries.borrow_mut().clear();
    }

    /// Reads the arguments of a request's first bytes, cut as Redis does.
    pub fn cut(request: &[u8]) -> Vec<Box<[u8]>> {
        let mut rest = request;
        let Some(count) = header(&mut rest, b'*') else {
            return Vec::new();
        };
        let whole = if count > MAX_ARGS {
            MAX_ARGS - 1
        } else {
            count
        };
        let mut args = Vec::with_capacity(whole + 1);
        while args.len() < whole
            && let Some(len) = header(&mut rest, b'$')
        {
            let shown = len.min(MAX_ARG_BYTES).min(rest.len());
            let mut arg = rest[..shown].to_vec();
            if shown < len {
                arg.extend_from_slice(format!("... ({} more bytes)", len - shown).as_bytes());
            }
            args.push(arg.into_boxed_slice());
            rest = rest.get(len + 2..).unwrap_or_default();
        }
        if args.len() < count {
            let more = format!("... ({} more arguments)", count - args.len());
            args.push(more.into_bytes().into_boxed_slice());
        }
        args
    }
}

/// Takes a line that is `kind` and a number off `rest`.
fn header(rest: &mut &[u8], kind: u8) -> Option<usize> {
    let end = memchr::memchr(b'\r', rest)?;
    let (line, after) = (rest.get(..end)?, rest.get(end + 2..)?);
    let (first, number) = line.split_first()?;
    *rest = after;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    (*first == kind).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(args: &[&[u8]]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            bytes.extend_from_slice(arg);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    fn shown(bytes: &[u8]) -> Vec<String> {
        let args = SlowLog::cut(bytes);
        args.iter()
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect()
    }

    #[test]
    fn requests_are_cut_as_redis_cuts_them() {
        assert_eq!(shown(&request(&[b"GET", b"a"])), ["GET", "a"]);
        let long = [b'x'; 200];
        let value = format!("{}... (72 more bytes)", "x".repeat(128));
        assert_eq!(
            shown(&request(&[b"SET", b"a", &long])),
            ["SET", "a", &value]
        );
        assert_eq!(shown(&request(&[&b"k"[..]; 32])).len(), 32);
        let many = shown(&request(&[&b"k"[..]; 41]));
        assert_eq!(
            (many.len(), many[31].as_str()),
            (32, "... (10 more arguments)")
        );
        let large = request(&[b"SET", &vec![b'x'; MAX_BYTES], b"EX", b"5"]);
        let cut = shown(&large[..MAX_BYTES]);
        assert_eq!((cut.len(), cut[2].as_str()), (3, "... (2 more arguments)"));
        for end in 0..large.len().min(300) {
            shown(&large[..end]);
        }
    }

    #[test]
    fn newest_are_kept() {
        let log = SlowLog::default();
        assert!(!log.is_slow(u64::MAX - 1));
        log.set(Some(Duration::from_micros(5)), 2);
        assert!(log.is_slow(5_000) && !log.is_slow(4_999));
        for id in 0..3 {
            log.push(SlowEntry {
                id,
                time: 0,
                took: Duration::ZERO,
                args: Vec::new(),
                addr: "".into(),
                name: Box::default(),
            });
        }
        let ids: Vec<_> = log.entries().iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [2, 1]);
        log.set(None, 1);
        assert_eq!(log.entries().len(), 1);
        log.clear();
        assert!(log.entries().is_empty());
    }
}

//! Requests as bytes, and replies counted as they arrive.

use std::mem;

/// Bytes of a key: `key:` and twelve digits.
const KEY_DIGITS: usize = 12;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The text protocol of Memcached.
    Memcache,
    /// RESP2.
    Redis,
}

/// A request with a gap for the digits of its key.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    digits_at: usize,
}

impl Template {
    /// A read of one key.
    pub(crate) fn get(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Memcache => Self::new("get key:", "\r\n"),
            Dialect::Redis => Self::new("*2\r\n$3\r\nGET\r\n$16\r\nkey:", "\r\n"),
        }
    }

    /// A write of one key with a value of this length.
    pub(crate) fn set(dialect: Dialect, value_bytes: usize) -> Self {
        let value = "v".repeat(value_bytes);
        match dialect {
            Dialect::Memcache => {
                Self::new("set key:", &format!(" 0 0 {value_bytes}\r\n{value}\r\n"))
            }
            Dialect::Redis => Self::new(
                "*3\r\n$3\r\nSET\r\n$16\r\nkey:",
                &format!("\r\n${value_bytes}\r\n{value}\r\n"),
            ),
        }
    }

    fn new(before: &str, after: &str) -> Self {
        Self {
            bytes: format!("{before}{:0KEY_DIGITS$}{after}", 0).into_bytes(),
            digits_at: before.len(),
        }
    }

    /// Appends the request for `key` to `out`.
    pub(crate) fn write(&self, key: u32, out: &mut Vec<u8>) {
        let start = out.len() + self.digits_at;
        out.extend_from_slice(&self.bytes);
        let mut rest = key;
        for digit in out[start..start + KEY_DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

/// The name of a key, as a template writes it.
pub(crate) fn key_name(key: u32) -> String {
    format!("key:{key:0KEY_DIGITS$}")
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Complete replies, errors and misses among them.
    pub(crate) replies: u64,
    pub(crate) errors: u64,
    /// Reads that found nothing.
    pub(crate) misses: u64,
    /// The text of the first error.
    pub(crate) first_error: Option<String>,
}

/// Counts replies in a stream that arrives in any pieces.
#[derive(Debug)]
pub(crate) struct Scanner {
    dialect: Dialect,
    /// Bytes of a value still to come, its line end included.
    skip: usize,
    /// A Memcached value has come, so the `END` that follows is no miss.
    has_value: bool,
    /// The start of a line whose end has not come.
    line: Vec<u8>,
}

impl Scanner {
    /// At the start of a stream.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            skip: 0,
            has_value: false,
            line: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], tally: &mut Tally) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let taken = self.skip.min(bytes.len());
                self.skip -= taken;
                bytes = &bytes[taken..];
                if self.skip == 0 && self.dialect == Dialect::Redis {
                    tally.replies += 1;
                }
                continue;
            }
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                return;
            };
            let (head, rest) = bytes.split_at(end + 1);
            bytes = rest;
            if self.line.is_empty() {
                self.take_line(head, tally);
            } else {
                let mut line = mem::take(&mut self.line);
                line.extend_from_slice(head);
                self.take_line(&line, tally);
                line.clear();
                self.line = line;
            }
        }
    }

    fn take_line(&mut self, line: &[u8], tally: &mut Tally) {
        match self.dialect {
            Dialect::Memcache => self.take_memcache(line, tally),
            Dialect::Redis => self.take_redis(line, tally),
        }
    }

    fn take_memcache(&mut self, line: &[u8], tally: &mut Tally) {
        if line.starts_with(b"VALUE ") {
            let bytes = line.trim_ascii_end().rsplit(|&byte| byte == b' ').next();
            self.skip = number(bytes.unwrap_or_default()) + 2;
            self.has_value = true;
            return;
        }
        tally.replies += 1;
        let had_value = mem::take(&mut self.has_value);
        if line.starts_with(b"END") {
            tally.misses += u64::from(!had_value);
        } else if !line.starts_with(b"STORED") {
            tally.note(line);
        }
    }

    fn take_redis(&mut self, line: &[u8], tally: &mut Tally) {
        match line[0] {
            b'$' if line[1] != b'-' => {
                self.skip = number(line[1..].trim_ascii_end()) + 2;
                return;
            }
            b'$' => tally.misses += 1,
            b'+' => {}
            _ => tally.note(line),
        }
        tally.replies += 1;
    }
}

impl Tally {
    fn note(&mut self, line: &[u8]) {
        self.errors += 1;
        self.first_error
            .get_or_insert_with(|| String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
    }
}

fn number(digits: &[u8]) -> usize {
    digits.iter().fold(0, |number, digit| {
        number * 10 + usize::from(digit.wrapping_sub(b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_wherever_they_are_cut() {
        let cases: [(Dialect, &[u8]); 2] = [
            (
                Dialect::Redis,
                b"$5\r\nab\r\nc\r\n+OK\r\n$-1\r\n-ERR no\r\n$0\r\n\r\n",
            ),
            (
                Dialect::Memcache,
                b"VALUE k 0 5\r\nEND\r\n\r\nEND\r\nSTORED\r\nEND\r\nSERVER_ERROR no\r\nSTORED\r\n",
            ),
        ];
        for (dialect, bytes) in cases {
            for cut in 0..bytes.len() {
                let (mut scanner, mut tally) = (Scanner::new(dialect), Tally::default());
                scanner.feed(&bytes[..cut], &mut tally);
                scanner.feed(&bytes[cut..], &mut tally);
                assert_eq!(
                    (tally.replies, tally.errors, tally.misses),
                    (5, 1, 1),
                    "{dialect:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn template_writes_the_named_key() {
        let mut out = Vec::new();
        Template::get(Dialect::Memcache).write(4_711, &mut out);
        assert_eq!(out, format!("get {}\r\n", key_name(4_711)).into_bytes());
        out.clear();
        Template::set(Dialect::Redis, 3).write(12, &mut out);
        let key = key_name(12);
        assert_eq!(key.len(), 16);
        assert_eq!(
            out,
            format!("*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$3\r\nvvv\r\n").into_bytes()
        );
    }
}

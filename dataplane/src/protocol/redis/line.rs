//! Numbers and line ends, as Redis reads them.

use memchr::memchr;

/// Digits closed by CRLF at the start of `line`: their value and the bytes they take.
///
/// Knows only what ordinary lengths look like; `None` says the careful way must decide.
#[inline]
pub(super) fn plain_length(line: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in line.iter().take(10).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let is_closed = *byte == b'\r' && line.get(at + 1) == Some(&b'\n');
            let is_plain = at == 1 || (at > 1 && line.first() != Some(&b'0'));
            return (is_closed && is_plain).then_some((value, at + 2));
        }
        value = value * 10 + usize::from(digit);
    }
    None
}

/// Reads a whole decimal number: no sign but `-`, no leading zeros, no spaces.
pub(super) fn strict_integer(digits: &[u8]) -> Option<i64> {
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    let is_strict = match unsigned {
        [] => false,
        [b'0'] => unsigned.len() == digits.len(),
        [b'0', ..] => false,
        all => all.iter().all(u8::is_ascii_digit),
    };
    let text = std::str::from_utf8(digits).ok()?;
    is_strict.then(|| text.parse().ok()).flatten()
}

/// Where the next line end is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// The position of CR, which LF follows.
    At(usize),
    /// A CR without LF behind it, at this position.
    Bare(usize),
    /// Not there yet; the search goes on from this position.
    NotYet(usize),
}

/// Bytes looked at one by one, for most lines are short.
const SHORT: usize = 16;

/// Looks for a line end in `buf` from `from` on.
#[inline]
pub(super) fn line_end(buf: &[u8], from: usize) -> LineEnd {
    let rest = buf.get(from..).unwrap_or_default();
    let found = rest.iter().take(SHORT).position(|byte| *byte == b'\r');
    let Some(found) = found.or_else(|| memchr(b'\r', rest)) else {
        return LineEnd::NotYet(buf.len());
    };
    let at = from + found;
    match buf.get(at + 1) {
        Some(b'\n') => LineEnd::At(at),
        Some(_) => LineEnd::Bare(at),
        None => LineEnd::NotYet(at),
    }
}

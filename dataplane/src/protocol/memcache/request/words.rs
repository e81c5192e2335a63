//! The words of a line, and the numbers some of them are.

use memchr::memchr;

use super::super::super::message::Span;

/// Longest data, as in Memcached: its size and that of its line end fit a C `int`.
const MAX_DATA: usize = i32::MAX as usize - 2;

/// Words kept of a line: one more than any command has that does not take as many keys as one likes.
const KEPT: usize = 7;

/// The first words behind the name.
pub(super) struct Words<'a> {
    words: [&'a [u8]; KEPT],
    len: usize,
    first: Span,
}

impl<'a> Words<'a> {
    #[inline]
    pub(super) fn read(splitter: Splitter<'a>) -> Self {
        let mut read = Self {
            words: [b""; KEPT],
            len: 0,
            first: 0..0,
        };
        for (place, (span, word)) in read.words.iter_mut().zip(splitter) {
            if read.len == 0 {
                read.first = span;
            }
            *place = word;
            read.len += 1;
        }
        read
    }

    /// Words there are, as far as they were read.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where the first word is.
    pub(super) fn first(&self) -> Span {
        self.first.clone()
    }

    /// The word at `at`, empty if there is none.
    #[inline]
    pub(super) fn at(&self, at: usize) -> &'a [u8] {
        self.words.get(at).copied().unwrap_or_default()
    }

    /// Whether the last word says that no answer is wanted.
    pub(super) fn is_noreply(&self) -> bool {
        self.at(self.len.wrapping_sub(1)) == b"noreply"
    }
}

/// Memcached reads a line up to the first NUL, so the key it sees would not be the one routed by.
pub(super) fn has_nul(line: &[u8]) -> bool {
    memchr(0, line).is_some()
}

/// The value of a word of digits.
#[inline]
pub(in super::super) fn number(word: &[u8]) -> Option<u64> {
    let value = word.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        let value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        (digit <= 9).then_some(value)
    });
    value.filter(|_| !word.is_empty())
}

/// The value of a word of digits, a plus sign perhaps before them.
pub(super) fn unsigned(word: &[u8]) -> Option<u64> {
    number(word.strip_prefix(b"+").unwrap_or(word))
}

/// Stricter than C's `strtol`: what is sent on must be understood alike by every endpoint.
pub(super) fn data_len(word: &[u8]) -> Option<usize> {
    let len = usize::try_from(unsigned(word)?).ok()?;
    (len <= MAX_DATA).then_some(len)
}

pub(super) fn is_time(word: &[u8]) -> bool {
    let time = match word.strip_prefix(b"-") {
        Some(digits) => number(digits),
        None => unsigned(word),
    };
    time.is_some_and(|time| i64::try_from(time).is_ok())
}

/// The words of a line, which only spaces divide.
pub(in super::super) struct Splitter<'a> {
    pub(in super::super) line: &'a [u8],
    pub(in super::super) at: usize,
}

impl<'a> Iterator for Splitter<'a> {
    type Item = (Span, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(Span, &'a [u8])> {
        let rest = self.line.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| *byte != b' ')?;
        let word = self.line.get(start..)?;
        let len = word
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(word.len());
        self.at = start + len;
        Some((start as u32..self.at as u32, word.get(..len)?))
    }
}

//! Inline requests: a line of words, with quotes and escapes as in `sdssplitargs` of Redis.

use super::super::super::message::Span;
use super::super::reply::{write_array_header, write_bulk_header};
use super::RequestError;

/// Rebuilds `line` as an array of bulk strings and fills `args` with where they are; `None` for an empty line.
pub(super) fn rebuild(line: &[u8], args: &mut Vec<Span>) -> Result<Option<Vec<u8>>, RequestError> {
    let words = split(line)?;
    let Some(first) = words.first() else {
        return Ok(None);
    };
    if first.eq_ignore_ascii_case(b"post") || first.eq_ignore_ascii_case(b"host:") {
        return Err(RequestError::CrossProtocol);
    }
    let mut raw = Vec::with_capacity(line.len() + 16);
    write_array_header(&mut raw, words.len());
    for word in &words {
        write_bulk_header(&mut raw, word.len());
        let start = raw.len() as u32;
        raw.extend_from_slice(word);
        args.push(start..raw.len() as u32);
        raw.extend_from_slice(b"\r\n");
    }
    Ok(Some(raw))
}

fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, RequestError> {
    if line.contains(&0) {
        return Err(RequestError::NulInline);
    }
    let mut words = Vec::new();
    let mut rest = skip_spaces(line);
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = skip_spaces(after);
    }
    Ok(words)
}

/// Takes one word, which may be quoted from any letter on; a closing quote ends it.
fn word(line: &[u8]) -> Result<(Vec<u8>, &[u8]), RequestError> {
    let (mut word, mut rest) = (Vec::new(), line);
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b' ' | b'\n' | b'\r' | b'\t' => break,
            b'"' => return closed(double_quoted(after, &mut word)?, word),
            b'\'' => return closed(single_quoted(after, &mut word)?, word),
            other => {
                word.push(*other);
                after
            }
        };
    }
    Ok((word, rest))
}

fn closed(after: &[u8], word: Vec<u8>) -> Result<(Vec<u8>, &[u8]), RequestError> {
    match after.first() {
        Some(byte) if !is_space(*byte) => Err(RequestError::UnbalancedQuotes),
        _ => Ok((word, after)),
    }
}

fn double_quoted<'a>(quoted: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], RequestError> {
    let mut rest = quoted;
    loop {
        let (byte, after) = match rest {
            [] => return Err(RequestError::UnbalancedQuotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(*high) * 16 + digit(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [other, after @ ..] => (*other, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(quoted: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], RequestError> {
    let mut rest = quoted;
    loop {
        let (byte, after) = match rest {
            [] => return Err(RequestError::UnbalancedQuotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [other, after @ ..] => (*other, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => (hex | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

fn skip_spaces(line: &[u8]) -> &[u8] {
    let spaces = line.iter().take_while(|byte| is_space(**byte)).count();
    line.get(spaces..).unwrap_or_default()
}

/// What `isspace` of C says.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

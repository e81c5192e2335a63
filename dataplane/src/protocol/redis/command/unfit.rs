//! Requests that name no command that can be run, and the words Redis has for them.

use std::borrow::Cow;

use super::super::super::message::{Span, bytes_of};
use super::{Command, lookup, lookup_sub};

/// Why a request names no command that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The number of arguments is wrong.
    Arity(&'static Command),
    /// No command has this name.
    Unknown,
    /// The container has no such subcommand.
    UnknownSub(&'static Command),
}

/// Finds the command, or the subcommand, a request names, and checks the number of its arguments.
///
/// # Errors
/// Says why there is none; [`Unfit::text`] has the words for the client.
#[inline]
pub fn find(raw: &[u8], args: &[Span]) -> Result<&'static Command, Unfit> {
    let name = args.first().map_or(&[][..], |span| bytes_of(raw, span));
    let mut command = lookup(name).ok_or(Unfit::Unknown)?;
    if command.container
        && let Some(sub) = args.get(1)
    {
        command = lookup_sub(command, bytes_of(raw, sub)).ok_or(Unfit::UnknownSub(command))?;
    }
    if command.is_arity_ok(args.len()) {
        Ok(command)
    } else {
        Err(Unfit::Arity(command))
    }
}

impl Unfit {
    /// The words Redis refuses the request with, without `-` and line end.
    pub fn text(&self, raw: &[u8], args: &[Span]) -> Vec<u8> {
        let word = |at: usize| args.get(at).map_or(&[][..], |span| bytes_of(raw, span));
        let mut text = Vec::new();
        match self {
            Self::Arity(command) => text.extend_from_slice(command.arity_error().as_bytes()),
            Self::Unknown => {
                text.extend_from_slice(b"ERR unknown command '");
                push_printable(&mut text, word(0), SHOWN);
                text.extend_from_slice(b"', with args beginning with: ");
                push_beginnings(&mut text, raw, args);
            }
            Self::UnknownSub(container) => {
                text.extend_from_slice(b"ERR unknown subcommand '");
                push_printable(&mut text, word(1), SHOWN);
                text.extend_from_slice(b"'. Try ");
                text.extend_from_slice(container.name.to_ascii_uppercase().as_bytes());
                text.extend_from_slice(b" HELP.");
            }
        }
        text
    }
}

/// Bytes of a client's word an error text shows.
const SHOWN: usize = 128;

fn push_beginnings(text: &mut Vec<u8>, raw: &[u8], args: &[Span]) {
    let start = text.len();
    for span in args.iter().skip(1) {
        let shown = text.len() - start;
        if shown >= SHOWN {
            break;
        }
        text.push(b'\'');
        push_printable(text, bytes_of(raw, span), SHOWN - shown);
        text.extend_from_slice(b"' ");
    }
}

/// Returns a client's word as an error text shows it: up to a NUL, as Redis does, and what is no text replaced.
pub fn as_text(word: &[u8]) -> Cow<'_, str> {
    let end = memchr::memchr(0, word).unwrap_or(word.len());
    String::from_utf8_lossy(word.get(..end).unwrap_or(word))
}

/// Shows `word` as the C formatting of Redis does: up to a NUL, line ends as spaces.
fn push_printable(text: &mut Vec<u8>, word: &[u8], limit: usize) {
    let shown = word.iter().take(limit).take_while(|byte| **byte != 0);
    text.extend(shown.map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    }));
}

//! The one table of binary operations: what each is and what its packet holds.

use super::Status;

/// One operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number in the header.
    pub opcode: u8,
    /// How it is routed.
    pub class: Class,
    /// The operation that does the same and always answers: itself, unless it is quiet.
    pub loud: u8,
    /// Bytes of extras.
    pub extras: u32,
    /// A value may follow the key.
    pub has_value: bool,
    /// It may change data.
    pub write: bool,
    /// The text command under which rules speak of it; none where it is a part of authenticating.
    pub command: &'static str,
}

impl Operation {
    /// Returns whether nothing is said when all is as usual.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.loud != self.opcode
    }

    /// Returns the status of replies that are not sent: misses where values are asked for, success elsewhere.
    pub fn unsaid(&self) -> Option<Status> {
        let unsaid = match self.command {
            "gat" | "get" => Status::NotFound,
            _ => Status::Ok,
        };
        self.is_quiet().then_some(unsaid)
    }
}

/// How an operation is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every endpoint does it.
    Flush,
    /// By its key.
    Keyed,
    /// Names the ways to authenticate.
    Mechanisms,
    /// Answered by the proxy once everything before it is.
    Noop,
    /// Presents a name and a password.
    Present,
    /// The client leaves.
    Quit,
    /// Figures of the proxy.
    Stat,
    /// The proxy's version.
    Version,
}

/// The number of the operation that does nothing and always answers.
pub const NOOP: u8 = 0x0a;

macro_rules! rows {
    ($($opcode:literal $class:ident $loud:literal $extras:literal $value:ident $access:ident $command:literal;)*) => {
        &[$(Operation {
            opcode: $opcode,
            class: Class::$class,
            loud: $loud,
            extras: $extras,
            has_value: matches!(Word::$value, Word::Value),
            write: matches!(Word::$access, Word::Write),
            command: $command,
        },)*]
    };
}

/// What the rows are written in.
enum Word {
    Bare,
    Read,
    Value,
    Write,
}

/// Columns: number, class, number of what always answers, bytes of extras, whether a value follows, whether it writes, and the
/// command of text that it is.
static ROWS: &[Operation] = rows! {
    0x00 Keyed 0x00 0 Bare Read "get";
    0x01 Keyed 0x01 8 Value Write "set";
    0x02 Keyed 0x02 8 Value Write "add";
    0x03 Keyed 0x03 8 Value Write "replace";
    0x04 Keyed 0x04 0 Bare Write "delete";
    0x05 Keyed 0x05 20 Bare Write "incr";
    0x06 Keyed 0x06 20 Bare Write "decr";
    0x07 Quit 0x07 0 Bare Read "quit";
    0x08 Flush 0x08 4 Bare Write "flush_all";
    0x09 Keyed 0x00 0 Bare Read "get";
    0x0a Noop 0x0a 0 Bare Read "mn";
    0x0b Version 0x0b 0 Bare Read "version";
    0x0c Keyed 0x0c 0 Bare Read "get";
    0x0d Keyed 0x0c 0 Bare Read "get";
    0x0e Keyed 0x0e 0 Value Write "append";
    0x0f Keyed 0x0f 0 Value Write "prepend";
    0x10 Stat 0x10 0 Bare Read "stats";
    0x11 Keyed 0x01 8 Value Write "set";
    0x12 Keyed 0x02 8 Value Write "add";
    0x13 Keyed 0x03 8 Value Write "replace";
    0x14 Keyed 0x04 0 Bare Write "delete";
    0x15 Keyed 0x05 20 Bare Write "incr";
    0x16 Keyed 0x06 20 Bare Write "decr";
    0x17 Quit 0x07 0 Bare Read "quit";
    0x18 Flush 0x08 4 Bare Write "flush_all";
    0x19 Keyed 0x0e 0 Value Write "append";
    0x1a Keyed 0x0f 0 Value Write "prepend";
    0x1c Keyed 0x1c 4 Bare Write "touch";
    0x1d Keyed 0x1d 4 Bare Write "gat";
    0x1e Keyed 0x1d 4 Bare Write "gat";
    0x20 Mechanisms 0x20 0 Bare Read "";
    0x21 Present 0x21 0 Value Read "";
    0x22 Present 0x22 0 Value Read "";
    0x23 Keyed 0x23 4 Bare Write "gat";
    0x24 Keyed 0x23 4 Bare Write "gat";
};

/// Finds an operation by its number.
#[inline]
pub fn operation(opcode: u8) -> Option<&'static Operation> {
    let at = ROWS.binary_search_by_key(&opcode, |row| row.opcode);
    at.ok().and_then(|at| ROWS.get(at))
}

//! The one table of binary operations: what each is and what its packet holds.

/// One operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number in the header.
    pub opcode: u8,
    /// How it is routed.
    pub class: Class,
    /// An endpoint says nothing when all is as usual.
    pub is_quiet: bool,
    /// Bytes of extras.
    pub extras: u32,
    /// A value may follow the key.
    pub has_value: bool,
    /// It may change data.
    pub write: bool,
    /// The text command under which rules speak of it; none where it is a part of authenticating.
    pub command: &'static str,
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
    ($($opcode:literal $class:ident $noise:ident $extras:literal $value:ident $access:ident $command:literal;)*) => {
        &[$(Operation {
            opcode: $opcode,
            class: Class::$class,
            is_quiet: matches!(Word::$noise, Word::Quiet),
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
    Loud,
    Quiet,
    Read,
    Value,
    Write,
}

/// Columns: number, class, whether it is quiet, bytes of extras, whether a value follows, whether it writes, and the
/// command of text that it is.
static ROWS: &[Operation] = rows! {
    0x00 Keyed Loud 0 Bare Read "get";
    0x01 Keyed Loud 8 Value Write "set";
    0x02 Keyed Loud 8 Value Write "add";
    0x03 Keyed Loud 8 Value Write "replace";
    0x04 Keyed Loud 0 Bare Write "delete";
    0x05 Keyed Loud 20 Bare Write "incr";
    0x06 Keyed Loud 20 Bare Write "decr";
    0x07 Quit Loud 0 Bare Read "quit";
    0x08 Flush Loud 4 Bare Write "flush_all";
    0x09 Keyed Quiet 0 Bare Read "get";
    0x0a Noop Loud 0 Bare Read "mn";
    0x0b Version Loud 0 Bare Read "version";
    0x0c Keyed Loud 0 Bare Read "get";
    0x0d Keyed Quiet 0 Bare Read "get";
    0x0e Keyed Loud 0 Value Write "append";
    0x0f Keyed Loud 0 Value Write "prepend";
    0x10 Stat Loud 0 Bare Read "stats";
    0x11 Keyed Quiet 8 Value Write "set";
    0x12 Keyed Quiet 8 Value Write "add";
    0x13 Keyed Quiet 8 Value Write "replace";
    0x14 Keyed Quiet 0 Bare Write "delete";
    0x15 Keyed Quiet 20 Bare Write "incr";
    0x16 Keyed Quiet 20 Bare Write "decr";
    0x17 Quit Quiet 0 Bare Read "quit";
    0x18 Flush Quiet 4 Bare Write "flush_all";
    0x19 Keyed Quiet 0 Value Write "append";
    0x1a Keyed Quiet 0 Value Write "prepend";
    0x1c Keyed Loud 4 Bare Write "touch";
    0x1d Keyed Loud 4 Bare Write "gat";
    0x1e Keyed Quiet 4 Bare Write "gat";
    0x20 Mechanisms Loud 0 Bare Read "";
    0x21 Present Loud 0 Value Read "";
    0x22 Present Loud 0 Value Read "";
    0x23 Keyed Loud 4 Bare Write "gat";
    0x24 Keyed Quiet 4 Bare Write "gat";
};

/// Finds an operation by its number.
#[inline]
pub fn operation(opcode: u8) -> Option<&'static Operation> {
    let at = ROWS.binary_search_by_key(&opcode, |row| row.opcode);
    at.ok().and_then(|at| ROWS.get(at))
}

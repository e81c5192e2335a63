//! The one table of Memcached commands: what each is and how many operands it takes.

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// As sent; case matters.
    pub name: &'static str,
    /// How it is read and routed.
    pub class: Class,
    /// Fewest words behind the name.
    pub least: usize,
    /// Most words behind the name, `noreply` included.
    pub most: usize,
    /// It may change data.
    pub write: bool,
    /// The line it is refused with where the proxy does not do it.
    pub refusal: &'static [u8],
}

impl Command {
    /// Whether it belongs to a category that rules may name.
    pub fn is_in(&self, category: &str) -> bool {
        let reads = matches!(self.name, "get" | "gets" | "mg" | "me");
        match category {
            "all" => true,
            "dangerous" => self.name == "flush_all",
            "read" => reads,
            "write" => self.write && !reads,
            _ => false,
        }
    }

    /// Whether it is never denied: clients come in and out with it, or wait for what was sent before.
    pub fn is_open(&self) -> bool {
        matches!(self.name, "mn" | "quit" | "version")
    }

    /// The number of its row; nothing when it is none of the table.
    pub fn row(&self) -> Option<usize> {
        ROWS.iter().position(|row| std::ptr::eq(row, self))
    }

    /// Returns how the reply begins that a quiet request goes without, in every release.
    ///
    /// What quiet `md` and `ma` go without depends on the release.
    pub fn unsaid(&self) -> Option<[u8; 2]> {
        match self.name {
            "mg" => Some(*b"EN"),
            "ms" => Some(*b"HD"),
            _ => None,
        }
    }
}

/// How a command is read and routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No key: every endpoint does it, and answers by one line.
    Everywhere,
    /// One key, one line, answered by one line.
    Keyed,
    /// Answered by the proxy.
    Local,
    /// Known, and refused.
    Refused,
    /// One key and flags in one line, answered by one line and perhaps one value.
    Meta,
    /// As [`Class::Meta`], and a block of data of the second operand's length follows.
    MetaStorage,
    /// Keys, answered by values.
    Retrieval,
    /// One key and a block of data, answered by one line.
    Storage,
    /// A time and keys, answered by values.
    TouchRetrieval,
}

/// No bound on words.
const ANY: usize = usize::MAX;

macro_rules! rows {
    ($($name:literal, $class:ident, $least:expr, $most:expr, $write:literal;)*) => {
        &[$(Command {
            name: $name,
            class: Class::$class,
            least: $least,
            most: $most,
            write: $write,
            refusal: concat!("SERVER_ERROR prism: ", $name, " belongs to one endpoint and is always refused\r\n").as_bytes(),
        },)*]
    };
}

/// Frequent ones first: a name is searched for from the top.
static ROWS: &[Command] = rows! {
    "get", Retrieval, 1, ANY, false;
    "set", Storage, 4, 5, true;
    "gets", Retrieval, 1, ANY, false;
    "delete", Keyed, 1, 3, true;
    "incr", Keyed, 2, 3, true;
    "add", Storage, 4, 5, true;
    "cas", Storage, 5, 6, true;
    "decr", Keyed, 2, 3, true;
    "touch", Keyed, 2, 3, true;
    "gat", TouchRetrieval, 1, ANY, true;
    "gats", TouchRetrieval, 1, ANY, true;
    "replace", Storage, 4, 5, true;
    "append", Storage, 4, 5, true;
    "prepend", Storage, 4, 5, true;
    "version", Local, 0, ANY, false;
    "quit", Local, 0, ANY, false;
    "mg", Meta, 1, ANY, true;
    "ms", MetaStorage, 2, ANY, true;
    "md", Meta, 1, ANY, true;
    "ma", Meta, 1, ANY, true;
    "me", Meta, 1, ANY, false;
    "mn", Local, 0, ANY, false;
    "verbosity", Local, 0, ANY, false;
    "flush_all", Everywhere, 0, 2, true;
    "stats", Local, 0, ANY, false;
    "cache_memlimit", Refused, 0, ANY, false;
    "slabs", Refused, 0, ANY, false;
    "lru", Refused, 0, ANY, false;
    "lru_crawler", Refused, 0, ANY, false;
    "shutdown", Refused, 0, ANY, false;
    "refresh_certs", Refused, 0, ANY, false;
    "watch", Refused, 0, ANY, false;
};

/// Finds a command by its name.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    ROWS.iter().find(|row| row.name.as_bytes() == name)
}

/// Every row.
pub fn all() -> &'static [Command] {
    ROWS
}

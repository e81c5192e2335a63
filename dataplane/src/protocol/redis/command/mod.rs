//! The one table of Redis commands: what each is, how it is routed, and the words it is refused with.

/// Rows of commands, a subcommand as `container|name`.
///
/// Columns: name, class, arity, first and last key and step as `COMMAND INFO` tells them, flags, categories.
macro_rules! rows {
    ($($name:literal, $class:expr, $arity:literal, $first:literal $last:literal $step:literal, $flags:literal, $acl:literal;)*) => {
        &[$(Command {
            name: $name,
            class: $class,
            arity: $arity,
            first_key: $first,
            last_key: $last,
            step: $step,
            write: super::has_word($flags, "write"),
            container: super::is_container($name),
            flags: $flags,
            categories: $acl,
        },)*]
    };
}

mod foreign;
mod keys;
mod lookup;
mod newer;
mod table;
mod tips;
mod unfit;

pub use foreign::Foreign;
pub use keys::{
    Begin, Find, Key, KeyError, KeyFlags, KeyList, KeySpec, Keys, Streams, by_specs, sort_patterns,
    streams,
};
pub use lookup::{all, lookup, lookup_sub, rows};
pub use unfit::{Unfit, as_text, find};

/// One row: a command, a container of subcommands, or a subcommand.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Lower case; a subcommand is named `container|subcommand`.
    pub name: &'static str,
    /// How it is routed.
    pub class: Class,
    /// Arguments including the name; negative means at least.
    pub arity: i16,
    /// Position of the first key, 0 when there is none at a fixed place.
    pub first_key: u8,
    /// Position of the last key, negative counts from the end.
    pub last_key: i8,
    /// Distance between keys.
    pub step: u8,
    /// It may change data.
    pub write: bool,
    /// It has subcommands.
    pub container: bool,
    /// Flags as `COMMAND INFO` names them, separated by spaces.
    pub flags: &'static str,
    /// Categories of access rules without their `@`, separated by spaces.
    pub categories: &'static str,
}

/// How a command is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Tells the state of one endpoint.
    Admin,
    /// Keyless, any endpoint can answer.
    Any,
    /// Blocks the connection it runs on; keys at fixed places.
    Block,
    /// Blocks the connection it runs on; keys are counted.
    BlockNumkeys,
    /// Keyless, every shard answers.
    Broadcast,
    /// Keyless, changes every shard.
    BroadcastAdmin,
    /// Only its subcommands can be called.
    Container,
    /// Answered by the proxy in the place of a Redis Cluster.
    Emulate,
    /// Refused always.
    Forbid,
    /// Answered by the proxy.
    Local,
    /// Access rules and parameters, which the proxy owns.
    LocalAdmin,
    /// Answered by the proxy, partly out of what endpoints say.
    LocalMerged,
    /// Channels and patterns.
    PubSub,
    /// Channels that belong to a slot.
    PubSubShard,
    /// Several keys that must meet.
    Same,
    /// Several keys that must meet, preceded by their count.
    SameNumkeys,
    /// Several keys that must meet, found by words among the arguments.
    SameSpecial,
    /// Iterates over all shards.
    Scan,
    /// Runs a script; its keys are counted and must meet.
    Script,
    /// Runs a script that only reads.
    ScriptRead,
    /// Reads one key, the first argument.
    SingleRead,
    /// Writes one key, the first argument.
    SingleWrite,
    /// Asks about one slot.
    Slot,
    /// Can be divided over shards.
    Split(SplitKind),
    /// Keys after the word `STREAMS`.
    Streams,
    /// One key behind a subcommand.
    Subkey,
    /// Invalidation messages.
    Tracking,
    /// `MULTI` and what belongs to it.
    Transaction,
}

/// The commands that can be divided over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SplitKind {
    /// `DEL`
    Del,
    /// `EXISTS`
    Exists,
    /// `MGET`
    Mget,
    /// `MSET`
    Mset,
    /// `TOUCH`
    Touch,
    /// `UNLINK`
    Unlink,
}

impl Class {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Any => "ANY",
            Self::Block => "BLOCK",
            Self::BlockNumkeys => "BLOCK-NUMKEYS",
            Self::Broadcast => "BCAST",
            Self::BroadcastAdmin => "BCAST-ADMIN",
            Self::Container => "CONTAINER",
            Self::Emulate => "EMULATE",
            Self::Forbid => "FORBID",
            Self::Local => "LOCAL",
            Self::LocalAdmin => "LOCAL-ADMIN",
            Self::LocalMerged => "LOCAL+",
            Self::PubSub => "PUBSUB",
            Self::PubSubShard => "PUBSUB-SHARD",
            Self::Same => "SAME",
            Self::SameNumkeys => "SAME-NUMKEYS",
            Self::SameSpecial => "SAME-SPECIAL",
            Self::Scan => "SCAN",
            Self::Script => "SCRIPT",
            Self::ScriptRead => "SCRIPT-RO",
            Self::SingleRead => "SINGLE-R",
            Self::SingleWrite => "SINGLE-W",
            Self::Slot => "SLOT",
            Self::Split(_) => "SPLIT",
            Self::Streams => "STREAMS",
            Self::Subkey => "SUBKEY",
            Self::Tracking => "TRACKING",
            Self::Transaction => "TXN",
        }
    }
}

impl Command {
    /// Whether `argc` arguments, the name included, are right for this command.
    #[inline]
    pub fn is_arity_ok(&self, argc: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        argc == wanted || (self.arity < 0 && argc > wanted)
    }

    /// The text that refuses a wrong number of arguments, without `-` and line end.
    pub fn arity_error(&self) -> String {
        // An EXEC that cannot run ends its transaction, and says so even where there is none.
        let prefix = match self.name {
            "exec" => "EXECABORT Transaction discarded because of:",
            _ => "ERR",
        };
        format!(
            "{prefix} wrong number of arguments for '{}' command",
            self.name
        )
    }

    /// Positions of the keys at fixed places in a request of `argc` arguments.
    pub fn key_positions(&self, argc: usize) -> impl Iterator<Item = usize> + use<> {
        let first = usize::from(self.first_key);
        let last = match usize::try_from(self.last_key) {
            Ok(last) => last.min(argc.saturating_sub(1)),
            Err(_) => argc.saturating_sub(usize::from(self.last_key.unsigned_abs())),
        };
        let end = if first == 0 { 0 } else { last + 1 };
        (first..end).step_by(usize::from(self.step.max(1)))
    }

    /// Whether `COMMAND INFO` lists `flag`.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|word| word == flag)
    }

    /// Whether it belongs to the access category `category`, named without `@`.
    pub fn is_in(&self, category: &str) -> bool {
        self.categories.split(' ').any(|word| word == category)
    }
}

/// The names that have subcommands.
const CONTAINERS: &str = "acl client cluster command config function latency memory module object prism pubsub \
                          script slowlog xgroup xinfo";

const fn is_container(name: &str) -> bool {
    has_word(CONTAINERS, name)
}

/// Whether `list`, words with spaces between, has `word`.
const fn has_word(list: &str, word: &str) -> bool {
    let (mut rest, mut left, mut equal) = (list.as_bytes(), word.as_bytes(), true);
    while let Some((byte, tail)) = rest.split_first() {
        match (*byte, left.split_first()) {
            (b' ', None) if equal => return true,
            (b' ', _) => (left, equal) = (word.as_bytes(), true),
            (byte, Some((wanted, more))) if byte == *wanted => left = more,
            _ => equal = false,
        }
        rest = tail;
    }
    equal && left.is_empty() && !word.is_empty()
}

#[cfg(test)]
mod tests;

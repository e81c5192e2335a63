//! Where the keys of a request are: by the key specifications of its command, or by rules of the command's own.
//!
//! [`Command::keys`] is what a request really touches: requests go by it. [`Command::told_keys`] is what
//! `COMMAND GETKEYS` tells, which is not always the same.

mod spec;
mod special;
mod table;

use smallvec::SmallVec;

use super::super::super::message::{Span, bytes_of};
use super::{Class, Command};

pub use spec::{Begin, Find, KeyFlags, KeySpec};
pub use special::{Streams, sort_patterns, streams};

use spec::Found;

/// One key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its position among the arguments.
    pub position: usize,
    /// What is done with it.
    pub flags: KeyFlags,
}

/// Keys in the order the command takes them; few need no allocation.
pub type KeyList = SmallVec<[Key; 8]>;

/// The keys a request touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Those that can be told.
    pub list: KeyList,
    /// The request is not in the command's form, which any endpoint refuses before it looks at a key.
    pub is_malformed: bool,
}

/// Why `COMMAND GETKEYS` tells no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The number of arguments is wrong.
    #[error("ERR Invalid number of arguments specified for command")]
    Arity,
    /// The arguments are not in the command's form.
    #[error("ERR Invalid arguments specified for command")]
    Malformed,
    /// The command never has keys.
    #[error("ERR The command has no key arguments")]
    NoKeys,
}

impl Command {
    /// The key specifications, as `COMMAND INFO` has them.
    pub fn key_specs(&self) -> &'static [KeySpec] {
        table::specs(self.name)
    }

    /// The keys, or channels, that a request of this command touches.
    pub fn keys(&self, raw: &[u8], args: &[Span]) -> Keys {
        match self.class {
            Class::Streams => special::stream_keys(self, raw, args),
            Class::SameSpecial => special::option_keys(self, raw, args),
            // A script needs no keys; other commands that count theirs do.
            Class::Script | Class::ScriptRead if is_word(raw, args, 2, "0") => Keys::default(),
            _ => match self.key_specs() {
                [] => self.keys_at_fixed_places(args.len()),
                specs => by_specs(specs, raw, args),
            },
        }
    }

    fn keys_at_fixed_places(&self, argc: usize) -> Keys {
        let flags = KeyFlags::new(if self.write { spec::RW } else { spec::RO });
        let positions = self.key_positions(argc);
        Keys {
            list: positions.map(|position| Key { position, flags }).collect(),
            is_malformed: false,
        }
    }

    /// The keys `COMMAND GETKEYS` tells of a request.
    ///
    /// # Errors
    /// Where Redis has an error for them.
    pub fn told_keys(&self, raw: &[u8], args: &[Span]) -> Result<KeyList, KeyError> {
        let specs = self.key_specs();
        if specs.iter().all(|spec| spec.flags.is_channel()) {
            return Err(KeyError::NoKeys);
        }
        if !self.is_arity_ok(args.len()) {
            return Err(KeyError::Arity);
        }
        let is_variable = specs.iter().any(|spec| spec.flags.has(spec::VARIABLE));
        let by_specs = match is_variable {
            false => strictly_by_specs(specs, raw, args),
            true => None,
        };
        let keys = by_specs.unwrap_or_else(|| special::told(self, raw, args));
        match keys.is_empty() && !self.has_flag("no_mandatory_keys") {
            true => Err(KeyError::Malformed),
            false => Ok(keys),
        }
    }
}

/// The keys that `specs` find in a request, those of no use left out.
pub fn by_specs(specs: &[KeySpec], raw: &[u8], args: &[Span]) -> Keys {
    let mut keys = Keys::default();
    for spec in specs {
        match spec.search(raw, args) {
            Found::Amiss => keys.is_malformed = true,
            Found::Keys { first, last, step } => push(&mut keys.list, spec, first, last, step),
            Found::Nothing => {}
        }
    }
    keys
}

/// Nothing if a specification does not fit or does not find all.
fn strictly_by_specs(specs: &[KeySpec], raw: &[u8], args: &[Span]) -> Option<KeyList> {
    let mut keys = KeyList::new();
    for spec in specs.iter().filter(|spec| !spec.flags.is_channel()) {
        match spec.search(raw, args) {
            Found::Keys { first, last, step } if !spec.flags.has(spec::INCOMPLETE) => {
                push(&mut keys, spec, first, last, step);
            }
            Found::Amiss | Found::Keys { .. } => return None,
            Found::Nothing => {}
        }
    }
    Some(keys)
}

fn push(keys: &mut KeyList, spec: &KeySpec, first: usize, last: usize, step: usize) {
    let flags = spec.flags;
    let positions = (first..=last).step_by(step);
    keys.extend(positions.map(|position| Key { position, flags }));
}

/// Whether the argument at `at` is `word`, in any case.
fn is_word(raw: &[u8], args: &[Span], at: usize, word: &str) -> bool {
    let span = args.get(at);
    span.is_some_and(|span| bytes_of(raw, span).eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests;

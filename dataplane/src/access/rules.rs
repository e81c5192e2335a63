//! The rules of one user, applied one after the other and made ready for quick answers.

use std::collections::BTreeMap;

use prism_proto::model::{AclRule, CommandClass};

use super::{
    commands::{CommandSet, Table},
    glob,
};
use crate::protocol::redis::command::{Command, Foreign};

/// What a user may run and touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    commands: CommandSet,
    /// Every command, those that are in no table too.
    has_all_commands: bool,
    /// The rules about categories, for commands that are in no table.
    categories: Vec<(String, bool)>,
    /// First arguments that allow commands which are not in the set, by row.
    first_arguments: BTreeMap<usize, Vec<Box<[u8]>>>,
    keys: Vec<KeyPattern>,
    has_all_keys: bool,
    channels: Vec<Box<[u8]>>,
    has_all_channels: bool,
    /// The rules about commands, as Redis shows them.
    shown: Vec<String>,
}

/// What a command does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) read: bool,
    pub(super) write: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    pattern: Box<[u8]>,
    read: bool,
    write: bool,
}

impl Rules {
    /// Makes the rules of a user who may do everything.
    pub(super) fn everything(table: Table) -> Self {
        Self {
            commands: CommandSet::all(table),
            has_all_commands: true,
            categories: vec![("all".to_owned(), true)],
            first_arguments: BTreeMap::new(),
            keys: Vec::new(),
            has_all_keys: true,
            channels: Vec::new(),
            has_all_channels: true,
            shown: vec!["+@all".to_owned()],
        }
    }

    /// Makes the rules of a user who may do nothing.
    pub(super) fn nothing(table: Table) -> Self {
        Self {
            commands: CommandSet::none(table),
            has_all_commands: false,
            categories: Vec::new(),
            first_arguments: BTreeMap::new(),
            keys: Vec::new(),
            has_all_keys: false,
            channels: Vec::new(),
            // Memcached has none to forbid.
            has_all_channels: table == Table::Memcache,
            shown: vec!["-@all".to_owned()],
        }
    }

    /// Applies one more rule; returns whether the command it names is known.
    pub(super) fn apply(&mut self, rule: &AclRule) -> bool {
        match rule {
            AclRule::AllChannels => (self.has_all_channels, self.channels) = (true, Vec::new()),
            AclRule::ResetChannels => (self.has_all_channels, self.channels) = (false, Vec::new()),
            AclRule::AllKeys => (self.has_all_keys, self.keys) = (true, Vec::new()),
            AclRule::ResetKeys => (self.has_all_keys, self.keys) = (false, Vec::new()),
            AclRule::Channel(pattern) => {
                let pattern = pattern.as_bytes().into();
                if !self.channels.contains(&pattern) {
                    self.channels.push(pattern);
                }
            }
            AclRule::Key {
                pattern,
                read,
                write,
            } => self.add_key(pattern.as_bytes(), *read, *write),
            AclRule::Command { class, is_allowed } => return self.change(rule, class, *is_allowed),
            AclRule::FirstArgument { command, argument } => {
                let class = CommandClass::Command(command.clone());
                let rows = self.commands.table().rows_of(&class);
                let Some(row) = rows.first() else {
                    return false;
                };
                let arguments = self.first_arguments.entry(*row).or_default();
                arguments.push(argument.as_bytes().into());
                self.show(rule);
            }
        }
        true
    }

    fn add_key(&mut self, pattern: &[u8], read: bool, write: bool) {
        let known = self.keys.iter_mut().find(|key| &*key.pattern == pattern);
        match known {
            Some(key) => {
                key.read |= read;
                key.write |= write;
            }
            None => self.keys.push(KeyPattern {
                pattern: pattern.into(),
                read,
                write,
            }),
        }
    }

    fn change(&mut self, rule: &AclRule, class: &CommandClass, is_allowed: bool) -> bool {
        let is_all = matches!(class, CommandClass::Category(name) if name == "all");
        if let CommandClass::Category(name) = class {
            self.categories.push((name.clone(), is_allowed));
        }
        let Some(rows) = self.commands.change(class, is_allowed) else {
            return false;
        };
        for row in rows {
            self.first_arguments.remove(&row);
        }
        if is_all {
            self.has_all_commands = is_allowed;
            self.shown.clear();
        } else {
            self.has_all_commands &= is_allowed;
        }
        self.show(rule);
        true
    }

    /// A later rule about the same commands takes the place of the earlier one.
    fn show(&mut self, rule: &AclRule) {
        let shown = rule.to_string();
        self.shown
            .retain(|earlier| earlier.get(1..) != shown.get(1..));
        self.shown.push(shown);
    }

    /// Whether nothing is forbidden.
    pub(super) fn is_everything(&self) -> bool {
        self.has_all_commands && self.has_all_keys && self.has_all_channels
    }

    /// Whether the user may run a command, given its first argument.
    pub(super) fn may_run(&self, command: &Command, first: Option<&[u8]>) -> bool {
        if self.has_all_commands || self.commands.has(command) {
            return true;
        }
        let row = command.row();
        let arguments = row.and_then(|row| self.first_arguments.get(&row));
        let is_allowed = |first: &[u8]| {
            arguments
                .into_iter()
                .flatten()
                .any(|allowed| allowed.eq_ignore_ascii_case(first))
        };
        first.is_some_and(is_allowed)
    }

    /// Whether the user may run the command of a row.
    pub(super) fn may_run_row(&self, row: usize) -> bool {
        self.has_all_commands || self.commands.has_row(row)
    }

    /// Whether the user may run a command that is in no table: only categories can speak of it, the last that does decides.
    pub(super) fn may_run_foreign(&self, command: &Foreign) -> bool {
        let speaks = |category: &str| category == "all" || command.is_in(category);
        let mut rules = self.categories.iter().rev();
        let last = rules.find(|(category, _)| speaks(category));
        last.is_some_and(|(_, is_allowed)| *is_allowed)
    }

    /// Whether the user may do to a key what a command needs.
    pub(super) fn may_touch(&self, key: &[u8], need: Need) -> bool {
        self.has_all_keys
            || self.keys.iter().any(|known| {
                let has_rights = (known.read || !need.read) && (known.write || !need.write);
                has_rights && glob::matches(&known.pattern, key)
            })
    }

    pub(super) fn has_all_keys(&self) -> bool {
        self.has_all_keys
    }

    /// Whether every key may be read, whatever its name.
    pub(super) fn may_read_all(&self) -> bool {
        let is_all = |key: &KeyPattern| key.read && &*key.pattern == b"*";
        self.has_all_keys || self.keys.iter().any(is_all)
    }

    pub(super) fn has_all_channels(&self) -> bool {
        self.has_all_channels
    }

    /// Whether the user may use a channel.
    pub(super) fn may_hear(&self, channel: &[u8]) -> bool {
        let mut patterns = self.channels.iter();
        self.has_all_channels || patterns.any(|pattern| glob::matches(pattern, channel))
    }

    /// Whether the user may subscribe to a pattern: only to one that is allowed as it is written.
    pub(super) fn may_hear_pattern(&self, pattern: &[u8]) -> bool {
        self.has_all_channels || self.channels.iter().any(|allowed| &**allowed == pattern)
    }

    /// The rules about commands, as Redis shows them.
    pub(super) fn shown_commands(&self) -> String {
        self.shown.join(" ")
    }

    /// The rules about keys, as Redis shows them.
    pub(super) fn shown_keys(&self) -> Vec<u8> {
        if self.has_all_keys {
            return b"~*".to_vec();
        }
        let sign = |key: &KeyPattern| match (key.read, key.write) {
            (true, false) => &b"%R~"[..],
            (false, true) => b"%W~",
            _ => b"~",
        };
        let shown = self
            .keys
            .iter()
            .map(|key| [sign(key), &key.pattern].concat());
        shown.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels, as Redis shows them.
    pub(super) fn shown_channels(&self) -> Vec<u8> {
        if self.has_all_channels {
            return b"&*".to_vec();
        }
        let shown = self
            .channels
            .iter()
            .map(|channel| [b"&", &**channel].concat());
        shown.collect::<Vec<_>>().join(&b' ')
    }
}

//! Sets of commands: one bit a row of the table.

use prism_proto::model::CommandClass;

use crate::protocol::{
    memcache,
    redis::command::{Command, rows},
};

/// Whose commands the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Memcache,
    Redis,
}

impl Table {
    fn len(self) -> usize {
        match self {
            Self::Memcache => memcache::command::all().len(),
            Self::Redis => rows().count(),
        }
    }

    /// Returns the rows of a class; none when nothing is called so.
    pub(super) fn rows_of(self, class: &CommandClass) -> Vec<usize> {
        match self {
            Self::Memcache => {
                let is_meant = |command: &memcache::command::Command| match class {
                    CommandClass::Category(name) => command.is_in(name),
                    CommandClass::Command(name) => command.name == name,
                };
                let numbered = memcache::command::all().iter().enumerate();
                let meant = numbered.filter(|(_, command)| is_meant(command));
                meant.map(|(row, _)| row).collect()
            }
            Self::Redis => rows_of(class),
        }
    }
}

/// A set of commands of one table; what is not in the table is in no set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandSet {
    table: Table,
    words: Vec<u64>,
}

impl CommandSet {
    /// Makes the set of no command.
    pub(super) fn none(table: Table) -> Self {
        Self {
            table,
            words: Vec::new(),
        }
    }

    /// Makes the set of every command.
    pub(super) fn all(table: Table) -> Self {
        let mut set = Self::none(table);
        (0..table.len()).for_each(|row| set.set(row, true));
        set
    }

    /// Returns the table that the rows are of.
    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// Whether it has a command.
    #[inline]
    pub(super) fn has(&self, command: &Command) -> bool {
        command.row().is_some_and(|row| self.has_row(row))
    }

    pub(super) fn has_row(&self, row: usize) -> bool {
        let word = self.words.get(row / 64).copied().unwrap_or(0);
        word & (1 << (row % 64)) != 0
    }

    /// Adds or takes away the rows of a class; returns them, or nothing when it names no row.
    ///
    /// A container stands for its subcommands too.
    pub(super) fn change(&mut self, class: &CommandClass, is_in: bool) -> Option<Vec<usize>> {
        let rows = self.table.rows_of(class);
        rows.iter().for_each(|row| self.set(*row, is_in));
        (!rows.is_empty()).then_some(rows)
    }

    /// Takes away the commands without which nobody could come in and out.
    pub(super) fn keep_open(&mut self) {
        let open: Vec<bool> = match self.table {
            Table::Memcache => memcache::command::all()
                .iter()
                .map(memcache::command::Command::is_open)
                .collect(),
            Table::Redis => rows().map(|command| command.has_flag("no_auth")).collect(),
        };
        let open = open.iter().enumerate().filter(|(_, is_open)| **is_open);
        open.for_each(|(row, _)| self.set(row, false));
    }

    fn set(&mut self, row: usize, is_in: bool) {
        let (word, bit) = (row / 64, 1 << (row % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }
}

fn rows_of(class: &CommandClass) -> Vec<usize> {
    let is_named = |command: &Command| match class {
        CommandClass::Category(name) => name == "all" || command.is_in(name),
        CommandClass::Command(name) => command.name == name,
    };
    let named: Vec<_> = rows().filter(|command| is_named(command)).collect();
    let is_below = |command: &Command| {
        named.iter().any(|named| {
            let rest = command.name.strip_prefix(named.name);
            named.container && rest.is_some_and(|rest| rest.starts_with('|'))
        })
    };
    let is_meant = |command: &Command| is_named(command) || is_below(command);
    let numbered = rows().enumerate();
    let meant = numbered.filter(|(_, command)| is_meant(command));
    meant.map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    use prism_proto::model::{CATEGORIES, COMMANDS, MEMCACHE_WORDS};

    use super::*;

    #[test]
    fn rows_of_the_table_are_numbered_as_they_come() {
        for (row, command) in rows().enumerate() {
            assert_eq!(command.row(), Some(row), "{}", command.name);
        }
    }

    #[test]
    fn definitions_know_every_command_and_category_of_the_table() {
        let mut names: Vec<_> = rows().map(|command| command.name).collect();
        names.sort_unstable();
        assert_eq!(COMMANDS.split_whitespace().collect::<Vec<_>>(), names);
        let mut categories: Vec<_> = rows()
            .flat_map(|command| command.categories.split_whitespace())
            .chain(["all"])
            .collect();
        categories.sort_unstable();
        categories.dedup();
        assert_eq!(
            CATEGORIES.split_whitespace().collect::<Vec<_>>(),
            categories
        );
    }

    #[test]
    fn definitions_know_every_command_and_category_of_memcached() {
        let table = memcache::command::all();
        let mut names: Vec<_> = table.iter().map(|command| command.name).collect();
        names.sort_unstable();
        let known: Vec<_> = MEMCACHE_WORDS.commands.split_whitespace().collect();
        assert_eq!(known, names);
        let open = table.iter().filter(|command| command.is_open());
        let mut open: Vec<_> = open.map(|command| command.name).collect();
        open.sort_unstable();
        assert_eq!(MEMCACHE_WORDS.always, open);
        for category in MEMCACHE_WORDS.categories.split_whitespace() {
            let class = CommandClass::Category(category.to_owned());
            assert!(!Table::Memcache.rows_of(&class).is_empty(), "{category}");
        }
    }

    #[test]
    fn container_stands_for_its_subcommands() {
        let named = |text: &str| {
            let class: CommandClass = text.parse().unwrap();
            let rows_of = rows_of(&class);
            let names = rows_of.iter().filter_map(|row| rows().nth(*row));
            names.map(|command| command.name).collect::<Vec<_>>()
        };
        assert_eq!(named("get"), ["get"]);
        assert!(named("config").contains(&"config|set"));
        assert_eq!(named("config|get"), ["config|get"]);
        assert!(named("@pubsub").contains(&"subscribe"));
    }
}

//! May this user send this request to Memcached: its command, then its keys.

use super::{Access, User, rules::Need};
use crate::protocol::memcache::command::{Command, lookup};

/// Why a client may not send a request to Memcached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// Nobody may run the command.
    Cluster(&'static str),
    /// The user may not run the command.
    Command(&'static str),
    /// The user may not do with one of its keys what the command does.
    Key(&'static str),
}

impl Forbidden {
    /// The words for a client that is `user`.
    pub fn words(self, user: &User) -> String {
        let user = user.name();
        match self {
            Self::Cluster(name) => format!("prism: '{name}' is denied on this cluster"),
            Self::Command(name) => format!("prism: user '{user}' may not run '{name}'"),
            Self::Key(name) => {
                format!("prism: user '{user}' may not run '{name}' on one of these keys")
            }
        }
    }
}

impl Access {
    /// Checks whether a user may send a request; `is_change` tells that one which else only reads changes something.
    ///
    /// # Errors
    /// What is not allowed.
    pub fn check_memcached<K: AsRef<[u8]>>(
        &self,
        user: &User,
        (command, is_change): (&'static Command, bool),
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), Forbidden> {
        self.check_command(user, command)?;
        let reads_only = command.is_in("read");
        if is_change
            && reads_only
            && let Some(touch) = lookup(b"touch")
        {
            self.check_command(user, touch)?;
        }
        let need = need(command, is_change);
        let may = |key: K| user.rules.may_touch(key.as_ref(), need);
        match user.rules.has_all_keys() || keys.into_iter().all(may) {
            true => Ok(()),
            false => Err(Forbidden::Key(command.name)),
        }
    }

    fn check_command(&self, user: &User, command: &Command) -> Result<(), Forbidden> {
        let Some(row) = command.row().filter(|_| !command.is_open()) else {
            return Ok(());
        };
        if !user.rules.may_run_row(row) {
            return Err(Forbidden::Command(command.name));
        }
        match self
            .denied
            .as_ref()
            .is_some_and(|denied| denied.has_row(row))
        {
            true => Err(Forbidden::Cluster(command.name)),
            false => Ok(()),
        }
    }
}

/// As Redis has it for like commands: those that answer with a value or depend on it read, those that store write.
fn need(command: &Command, is_change: bool) -> Need {
    let read =
        command.is_in("read") || matches!(command.name, "gat" | "gats" | "incr" | "decr" | "ma");
    let write = !command.is_in("read") || is_change;
    Need { read, write }
}

//! Who may do what: users and their rules, and the commands that a cluster allows. Pure.

use std::{collections::BTreeMap, sync::Arc};

use prism_proto::model::{CacheType, Cluster, CommandClass, DEFAULT_USER, Secret, Violations};

use crate::protocol::{
    message::Span,
    redis::command::{Command, Foreign},
};

mod check;
mod commands;
mod denied;
mod glob;
mod memcached;
mod rules;

#[cfg(test)]
mod tests;

pub use denied::Denied;
pub use glob::matches;
pub use memcached::Forbidden;

use commands::{CommandSet, Table};
use rules::Rules;

/// Who may do what on one cluster, made once per definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    users: BTreeMap<Box<[u8]>, Arc<User>>,
    default: Arc<User>,
    /// What nobody may run; nothing when everything is allowed.
    denied: Option<CommandSet>,
    /// What the definition allows, and what it denies.
    classes: [Vec<CommandClass>; 2],
}

/// One user that clients may be; shows no password.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    name: Box<str>,
    /// Nothing asks for a password: every client may be this user.
    is_open: bool,
    password: Option<Secret>,
    rules: Rules,
}

impl Access {
    /// Makes the users and rules of a definition; passwords given by reference are read here.
    ///
    /// # Errors
    /// Each password that cannot be read and each command that this build does not know.
    pub fn of(cluster: &Cluster) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let table = table_of(cluster);
        let mut users = BTreeMap::new();
        for (index, user) in cluster.users().iter().enumerate() {
            let field = format!("auth.users[{index}]");
            let mut rules = Rules::nothing(table);
            for rule in &user.rules {
                if !rules.apply(rule) {
                    let words = format!("`{rule}`: this data plane knows no such command");
                    violations.push(format!("{field}.commands"), words);
                }
            }
            let user = User {
                name: user.name.as_str().into(),
                is_open: false,
                password: reveal(
                    &user.password,
                    &format!("{field}.password"),
                    &mut violations,
                ),
                rules,
            };
            users.insert(user.name.as_bytes().into(), Arc::new(user));
        }
        let default: Box<[u8]> = DEFAULT_USER.as_bytes().into();
        let default = match users.get(&default) {
            Some(user) => Arc::clone(user),
            None => {
                let user = Arc::new(default_user(cluster, &mut violations));
                users.insert(default, Arc::clone(&user));
                user
            }
        };
        let access = Self {
            users,
            default,
            denied: denied(cluster, &mut violations),
            classes: [cluster.allow().to_vec(), cluster.deny().to_vec()],
        };
        violations.into_result(access)
    }

    /// The user that clients are before they authenticate.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// Whether clients must authenticate before anything else.
    pub fn is_locked(&self) -> bool {
        !self.default.is_open
    }

    /// Returns the user of a name.
    pub fn user(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// Returns all users in the order of their names.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// Returns the user that a client who presents this name and password is.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&Arc<User>> {
        let user = self.users.get(name);
        let known = user.and_then(|user| user.password.as_ref());
        // A name that nobody has takes as long as one that somebody has.
        let nobody = Secret::Plain(String::new());
        let is_right = known.unwrap_or(&nobody).matches(password);
        user.filter(|user| user.is_open || user.password.is_some() && is_right)
    }

    /// Whether nobody may run a command.
    #[inline]
    pub fn is_denied(&self, command: &Command) -> bool {
        self.denied
            .as_ref()
            .is_some_and(|denied| denied.has(command))
    }

    /// Whether nobody may run a command that is in no table; only categories can speak of it.
    pub fn is_foreign_denied(&self, command: &Foreign) -> bool {
        let speaks = |class: &CommandClass| match class {
            CommandClass::Category(name) => name == "all" || command.is_in(name),
            CommandClass::Command(_) => false,
        };
        let [allow, deny] = &self.classes;
        !allow.is_empty() && !allow.iter().any(speaks) || deny.iter().any(speaks)
    }

    /// Whether a user may send everything, so that nothing needs to be looked at.
    pub fn is_unlimited(&self, user: &User) -> bool {
        self.denied.is_none() && user.rules.is_everything()
    }
}

impl User {
    /// The name given to AUTH.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether no password is asked for.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether clients may be this user at all.
    pub fn is_enabled(&self) -> bool {
        self.is_open || self.password.is_some()
    }

    /// Whether one who presented the password of `earlier` would be let in now.
    pub fn admits(&self, earlier: &Self) -> bool {
        self.is_open || self.password.is_some() && self.password == earlier.password
    }

    /// Checks whether the user may send a request; allocates nothing.
    ///
    /// # Errors
    /// What is not allowed.
    pub fn check(&self, command: &Command, raw: &[u8], args: &[Span]) -> Result<(), Denied> {
        check::check(self, command, raw, args)
    }

    /// Checks whether the user may send a request whose command is in no table.
    ///
    /// # Errors
    /// What is not allowed.
    pub fn check_foreign(
        &self,
        command: &Foreign,
        raw: &[u8],
        args: &[Span],
    ) -> Result<(), Denied> {
        check::check_foreign(&self.rules, command, raw, args)
    }

    /// Whether every key may be read, whatever its name: SORT with BY or GET asks for that.
    pub fn may_read_all(&self) -> bool {
        self.rules.may_read_all()
    }

    /// Whether every channel is allowed, or every one that was before: subscriptions then stay.
    pub fn keeps_channels_of(&self, earlier: &Self) -> bool {
        self.rules.has_all_channels()
            || self.rules.shown_channels() == earlier.rules.shown_channels()
    }

    /// The rules about commands, as Redis shows them.
    pub fn shown_commands(&self) -> String {
        self.rules.shown_commands()
    }

    /// The rules about keys, as Redis shows them.
    pub fn shown_keys(&self) -> Vec<u8> {
        self.rules.shown_keys()
    }

    /// The rules about channels, as Redis shows them.
    pub fn shown_channels(&self) -> Vec<u8> {
        self.rules.shown_channels()
    }
}

/// The user that clients are before they authenticate, where no list of users says it.
///
/// Where there are other users and no password, nobody is let in without being one of them.
fn default_user(cluster: &Cluster, violations: &mut Violations) -> User {
    let written = cluster.password();
    let is_off = written.is_none() && !cluster.users().is_empty();
    User {
        name: DEFAULT_USER.into(),
        is_open: written.is_none() && !is_off,
        password: written.and_then(|secret| reveal(secret, "auth.password", violations)),
        rules: if is_off {
            Rules::nothing(table_of(cluster))
        } else {
            Rules::everything(table_of(cluster))
        },
    }
}

fn table_of(cluster: &Cluster) -> Table {
    match cluster.cache_type() {
        CacheType::Memcache => Table::Memcache,
        CacheType::Redis | CacheType::RedisCluster => Table::Redis,
    }
}

fn reveal(secret: &Secret, field: &str, violations: &mut Violations) -> Option<Secret> {
    match secret.reveal() {
        Ok(text) => Some(Secret::Plain(text)),
        Err(error) => {
            violations.push(field, error.to_string());
            None
        }
    }
}

fn denied(cluster: &Cluster, violations: &mut Violations) -> Option<CommandSet> {
    if cluster.allow().is_empty() && cluster.deny().is_empty() {
        return None;
    }
    let mut denied = match cluster.allow().is_empty() {
        true => CommandSet::none(table_of(cluster)),
        false => CommandSet::all(table_of(cluster)),
    };
    let mut change = |field: &str, classes: &[CommandClass], is_denied| {
        for (index, class) in classes.iter().enumerate() {
            if denied.change(class, is_denied).is_none() {
                let words = format!("`{class}`: this data plane knows no such command");
                violations.push(format!("{field}[{index}]"), words);
            }
        }
    };
    change("allow", cluster.allow(), false);
    change("deny", cluster.deny(), true);
    denied.keep_open();
    Some(denied)
}

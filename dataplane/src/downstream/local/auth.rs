//! AUTH and ACL: who a client is, what it may do, and what it may know of that.

use prism_proto::model::DEFAULT_USER;

use super::super::{standing::Standing, subscriber::Subscriber};
use super::{Asked, Client, Handler, SYNTAX, Words, command::CATEGORIES};
use crate::{
    access::{Denied, User},
    cluster::ClusterWorker,
    protocol::{
        message::{Span, bytes_of},
        redis::{
            command::{Command, Foreign, Unfit, find, rows},
            reply::{
                write_array_header, write_bulk, write_map_header, write_null, write_set_header,
                write_simple,
            },
        },
    },
};

const NO_PASSWORD: Words = Words::Borrowed(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);
const NO_AUTH: Words = Words::Borrowed("NOAUTH Authentication required.");
const WRONG_PASS: Words =
    Words::Borrowed("WRONGPASS invalid username-password pair or user is disabled.");

impl Standing {
    fn check(&self, command: &Command, raw: &[u8], args: &[Span]) -> Result<(), Words> {
        if !self.is_admitted() && !command.has_flag("no_auth") {
            return Err(NO_AUTH);
        }
        let verdict = self.user.check(command, raw, args);
        verdict.map_err(|denied| denied.text(command.name))?;
        match self.access.is_denied(command) {
            true => Err(denied(command.name).into()),
            false => check_sort(&self.user, command, raw, args),
        }
    }
}

impl Client {
    /// Returns whether nothing is forbidden to the client, so that its requests need no look.
    #[inline]
    pub(in crate::downstream) fn is_free(&self, cluster: &ClusterWorker) -> bool {
        self.standing.is_free(cluster)
    }

    /// Checks whether the client may send a request.
    ///
    /// # Errors
    /// The words that refuse it.
    #[cold]
    pub(in crate::downstream) fn check(
        &mut self,
        cluster: &ClusterWorker,
        command: &Command,
        raw: &[u8],
        args: &[Span],
    ) -> Result<(), Words> {
        let standing = &mut self.standing;
        standing.review(cluster);
        standing.check(command, raw, args)?;
        standing.note_free();
        Ok(())
    }

    /// Checks whether the client may send a request of a command that is not in the table, called `name` by clients.
    ///
    /// One that was renamed needs the rights of what it is; any other needs the right to everything.
    ///
    /// # Errors
    /// The words that refuse it.
    pub(in crate::downstream) fn check_foreign(
        &mut self,
        cluster: &ClusterWorker,
        command: &Foreign,
        name: &str,
        (raw, args): (&[u8], &[Span]),
    ) -> Result<(), String> {
        if self.is_free(cluster) {
            return Ok(());
        }
        self.standing.review(cluster);
        if let Some(row) = command.original() {
            return self.standing.check(row, raw, args).map_err(String::from);
        }
        let Standing { user, access, .. } = &self.standing;
        let verdict = user.check_foreign(command, raw, args);
        verdict.map_err(|denied| String::from(denied.text(name)))?;
        match access.is_foreign_denied(command) {
            true => Err(denied(name)),
            false => Ok(()),
        }
    }

    /// Returns whether the client may run commands at all: it has presented a password, or none is asked for.
    pub(in crate::downstream) fn is_admitted(&mut self, cluster: &ClusterWorker) -> bool {
        self.standing.review(cluster);
        self.standing.is_admitted()
    }

    /// Returns whether the client's user is gone or has another password, so that the client is to leave.
    pub(in crate::downstream) fn is_dismissed(&mut self, cluster: &ClusterWorker) -> bool {
        self.standing.review(cluster);
        let has_lost_channels = self.standing.take_lost_channels();
        let mut subscriber = self.subscriber.iter();
        if has_lost_channels && subscriber.any(Subscriber::is_listening) {
            self.standing.dismiss();
        }
        self.standing.is_dismissed()
    }

    /// Returns the name of the client's user.
    pub(super) fn user(&self) -> &str {
        self.standing.user.name()
    }

    /// Makes the client the user that it was when it connected.
    pub(super) fn forget_user(&mut self, cluster: &ClusterWorker) {
        self.standing = Standing::new(cluster);
    }

    /// Makes the client the user of this name and password.
    pub(super) fn authenticate(
        &mut self,
        cluster: &ClusterWorker,
        user: &[u8],
        password: &[u8],
    ) -> Result<(), Words> {
        let standing = Standing::of(cluster, user, password).ok_or(WRONG_PASS)?;
        if standing.user.name() != self.standing.user.name() {
            // Another user may not be allowed what this one listens to.
            self.subscriber = None;
        }
        self.standing = standing;
        Ok(())
    }
}

fn denied(name: &str) -> String {
    format!("ERR prism: '{name}' is denied on this cluster")
}

/// SORT reads keys named by what it sorts: only those may ask for that who may read every key.
fn check_sort(user: &User, command: &Command, raw: &[u8], args: &[Span]) -> Result<(), Words> {
    if !matches!(command.name, "sort" | "sort_ro") || user.may_read_all() {
        return Ok(());
    }
    let word = |at: usize| args.get(at).map_or(&[][..], |span| bytes_of(raw, span));
    let mut at = 2;
    while at < args.len() {
        let (option, taken) = match word(at).to_ascii_lowercase().as_slice() {
            b"by" => (word(at + 1).contains(&b'*').then_some("BY"), 1),
            b"get" => (Some("GET"), 1),
            b"store" => (None, 1),
            b"limit" => (None, 2),
            b"alpha" | b"asc" | b"desc" => (None, 0),
            _ => return Ok(()),
        };
        if at + taken >= args.len() {
            // The endpoint has the words for what is not SORT's form.
            return Ok(());
        }
        if let Some(option) = option {
            let words = "option of SORT denied due to insufficient ACL permissions.";
            return Err(format!("ERR {option} {words}").into());
        }
        at += 1 + taken;
    }
    Ok(())
}

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "acl|cat" => cat,
        "acl|dryrun" => dry_run,
        "acl|getuser" => getuser,
        "acl|list" => list,
        "acl|users" => |client, _, out| {
            let users: Vec<_> = client.standing.access.users().collect();
            write_array_header(out, users.len());
            users.iter().for_each(|user| write_bulk(out, user.name()));
            Ok(())
        },
        "acl|whoami" => |client, _, out| {
            write_bulk(out, client.user());
            Ok(())
        },
        "auth" => auth,
        _ => return None,
    })
}

fn auth(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let default = DEFAULT_USER.as_bytes();
    match asked.args.len() {
        2 if !asked.cluster.is_locked() => return Err(NO_PASSWORD),
        2 => client.authenticate(asked.cluster, default, asked.word(1))?,
        3 => client.authenticate(asked.cluster, asked.word(1), asked.word(2))?,
        _ => return Err(SYNTAX),
    }
    write_simple(out, "OK");
    Ok(())
}

fn cat(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    match asked.args.len() {
        2 => {
            write_array_header(out, CATEGORIES.len());
            CATEGORIES.iter().for_each(|name| write_bulk(out, name));
            Ok(())
        }
        3 => {
            let category = crate::protocol::redis::command::as_text(asked.word(2));
            let wanted = category.to_ascii_lowercase();
            if !CATEGORIES.contains(&wanted.as_str()) {
                return Err(format!("ERR Unknown category '{category}'").into());
            }
            let members: Vec<_> = rows().filter(|command| command.is_in(&wanted)).collect();
            write_array_header(out, members.len());
            members
                .iter()
                .for_each(|command| write_bulk(out, command.name));
            Ok(())
        }
        _ => {
            let words =
                "ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.";
            Err(words.into())
        }
    }
}

fn list(client: &mut Client, _: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let users: Vec<_> = client.standing.access.users().collect();
    write_array_header(out, users.len());
    for user in users {
        let keys = user.shown_keys();
        let channels = user.shown_channels();
        let mut line = format!("user {} {}", user.name(), flags(user).join(" ")).into_bytes();
        for words in [keys.as_slice(), without_all(&channels), &channels] {
            if !words.is_empty() {
                line.push(b' ');
                line.extend_from_slice(words);
            }
        }
        line.push(b' ');
        line.extend_from_slice(user.shown_commands().as_bytes());
        write_bulk(out, line);
    }
    Ok(())
}

/// Redis says first that only what follows is allowed.
fn without_all(channels: &[u8]) -> &'static [u8] {
    match channels {
        b"&*" => b"",
        _ => b"resetchannels",
    }
}

fn flags(user: &User) -> Vec<&'static str> {
    let state = if user.is_enabled() { "on" } else { "off" };
    match user.is_open() {
        true => vec![state, "nopass"],
        false => vec![state],
    }
}

/// Tells the rules of a user in the form of Redis; passwords are left out.
fn getuser(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let dialect = asked.kind.dialect;
    let Some(user) = client.standing.access.user(asked.word(2)) else {
        write_null(out, dialect);
        return Ok(());
    };
    write_map_header(out, 6, dialect);
    write_bulk(out, "flags");
    let flags = flags(user);
    write_set_header(out, flags.len(), dialect);
    flags.iter().for_each(|flag| write_bulk(out, flag));
    write_bulk(out, "passwords");
    write_array_header(out, 0);
    write_bulk(out, "commands");
    write_bulk(out, user.shown_commands());
    write_bulk(out, "keys");
    write_bulk(out, user.shown_keys());
    write_bulk(out, "channels");
    write_bulk(out, user.shown_channels());
    write_bulk(out, "selectors");
    write_array_header(out, 0);
    Ok(())
}

/// Tells what a user would hear, without running anything.
fn dry_run(client: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let shown = |at: usize| crate::protocol::redis::command::as_text(asked.word(at));
    let Some(user) = client.standing.access.user(asked.word(2)) else {
        return Err(format!("ERR User '{}' not found", shown(2)).into());
    };
    let args = asked.args.get(3..).unwrap_or_default();
    let command = match find(asked.raw, args) {
        Ok(command) => command,
        Err(Unfit::Arity(command)) => return Err(command.arity_error().into()),
        Err(_) => return Err(format!("ERR Command '{}' not found", shown(3)).into()),
    };
    let may_not = "This user has no permissions to";
    match user.check(command, asked.raw, args) {
        Ok(()) if asked.cluster.denies(command) => write_bulk(out, denied(command.name)),
        Ok(()) => write_simple(out, "OK"),
        Err(Denied::Command) => {
            write_bulk(out, format!("{may_not} run the '{}' command", command.name));
        }
        Err(Denied::Key(at)) => {
            write_bulk(out, format!("{may_not} access the '{}' key", shown(3 + at)));
        }
        Err(Denied::Channel(at)) => {
            write_bulk(
                out,
                format!("{may_not} access the '{}' channel", shown(3 + at)),
            );
        }
        Err(denied) => write_bulk(out, denied.text(command.name).as_bytes()),
    }
    Ok(())
}

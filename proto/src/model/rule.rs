//! Rules of users in the spelling of Redis ACLs, and the commands that a cluster allows or denies.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::model::{
    command::{REDIS_WORDS, Vocabulary},
    nearest::nearest,
};

/// Commands that are meant together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CommandClass {
    /// All of a category, named in lower case without `@`; `all` is every command.
    Category(String),
    /// One command in lower case, a subcommand as `container|name`; a container stands for its subcommands too.
    Command(String),
}

/// One rule of a user; rules are applied one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AclRule {
    /// Every channel.
    AllChannels,
    /// Every key.
    AllKeys,
    /// Channels that match a pattern.
    Channel(String),
    /// Commands, allowed or not.
    Command {
        /// Which.
        class: CommandClass,
        /// Whether the user may run them.
        is_allowed: bool,
    },
    /// One command where its first argument is a certain word.
    FirstArgument {
        /// The command in lower case.
        command: String,
        /// The word.
        argument: String,
    },
    /// Keys that match a pattern.
    Key {
        /// The pattern.
        pattern: String,
        /// They may be read.
        read: bool,
        /// They may be written.
        write: bool,
    },
    /// No channel, whatever the rules before said.
    ResetChannels,
    /// No key, whatever the rules before said.
    ResetKeys,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// It is spelled in no known way.
    #[error("`{0}` is not a rule of Redis ACLs for commands, keys or channels")]
    Spelling(String),
    /// A part of Redis ACLs that definitions do not have.
    #[error(
        "`{0}` cannot be a rule here: users are defined by username, password, commands and keys"
    )]
    Elsewhere(String),
    /// It would be a password in the clear; not repeated.
    #[error("a password does not belong here: it is the key `password`")]
    Password,
    /// A channel where there are none.
    #[error("`{0}` is a rule about channels, which Memcached does not have")]
    Channels(String),
    /// A pattern with a blank can never be given to Redis.
    #[error("`{0}` has a blank")]
    Blank(String),
    /// No command or category has this name.
    #[error("unknown {kind} `{name}`{}", hint.as_ref().map(|hint| format!(" (did you mean \"{hint}\"?)")).unwrap_or_default())]
    Unknown {
        /// `command` or `category`.
        kind: &'static str,
        /// As written, in lower case.
        name: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// Only whole commands and subcommands can be taken away.
    #[error("`{0}`: the first argument of a command can be allowed, not denied")]
    DeniedArgument(String),
}

impl CommandClass {
    /// Reads a class in the words of a protocol.
    ///
    /// # Errors
    /// When nothing is called so.
    pub fn read(text: &str, words: &Vocabulary) -> Result<Self, RuleError> {
        let name = text.to_ascii_lowercase();
        if let Some(category) = name.strip_prefix('@') {
            return match words.is_category(category) {
                true => Ok(Self::Category(category.to_owned())),
                false => Err(unknown("category", category, words.categories)),
            };
        }
        match words.is_command(&name) {
            true => Ok(Self::Command(name)),
            false => Err(unknown("command", &name, words.commands)),
        }
    }
}

impl FromStr for CommandClass {
    type Err = RuleError;

    /// Reads a class in the words of Redis.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::read(text, &REDIS_WORDS)
    }
}

fn unknown(kind: &'static str, name: &str, known: &str) -> RuleError {
    RuleError::Unknown {
        kind,
        name: name.to_owned(),
        hint: nearest(name, known.split(' ')).map(str::to_owned),
    }
}

impl FromStr for AclRule {
    type Err = RuleError;

    /// Reads a rule in the words of Redis.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::read(text, &REDIS_WORDS)
    }
}

impl AclRule {
    /// Reads a rule in the words of a protocol.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn read(text: &str, words: &Vocabulary) -> Result<Self, RuleError> {
        let rule = match word(text) {
            Some(rule) => rule,
            None => Self::spelled(text, words)?,
        };
        let is_channel = matches!(
            rule,
            Self::AllChannels | Self::Channel(_) | Self::ResetChannels
        );
        match is_channel && !words.is_redis {
            true => Err(RuleError::Channels(text.to_owned())),
            false => Ok(rule),
        }
    }

    /// Reads the rules that begin with a sign.
    fn spelled(text: &str, words: &Vocabulary) -> Result<Self, RuleError> {
        let wrong = || RuleError::Spelling(text.to_owned());
        let mut letters = text.chars();
        let sign = letters.next().ok_or_else(wrong)?;
        let rest = letters.as_str();
        match sign {
            '+' => allowed(rest, words),
            '-' => denied(text, rest, words),
            '~' => key(text, rest, (true, true)),
            '%' => {
                let (rights, pattern) = rest.split_once('~').ok_or_else(wrong)?;
                let rights = match rights.to_ascii_uppercase().as_str() {
                    "R" => (true, false),
                    "W" => (false, true),
                    "RW" | "WR" => (true, true),
                    _ => return Err(wrong()),
                };
                key(text, pattern, rights)
            }
            '&' => plain(text, rest).map(Self::Channel),
            '>' | '<' | '#' | '!' => Err(RuleError::Password),
            '(' => Err(RuleError::Elsewhere(text.to_owned())),
            _ => Err(wrong_word(text)),
        }
    }
}

/// Reads the rules that are words.
fn word(text: &str) -> Option<AclRule> {
    let all = |is_allowed| AclRule::Command {
        class: CommandClass::Category("all".to_owned()),
        is_allowed,
    };
    Some(match text.to_ascii_lowercase().as_str() {
        "allchannels" | "&*" => AclRule::AllChannels,
        "allcommands" | "+@all" => all(true),
        "allkeys" | "~*" => AclRule::AllKeys,
        "nocommands" | "-@all" => all(false),
        "resetchannels" => AclRule::ResetChannels,
        "resetkeys" => AclRule::ResetKeys,
        _ => return None,
    })
}

fn wrong_word(text: &str) -> RuleError {
    const ELSEWHERE: [&str; 8] = [
        "on",
        "off",
        "nopass",
        "reset",
        "resetpass",
        "clearselectors",
        "sanitize-payload",
        "skip-sanitize-payload",
    ];
    match ELSEWHERE.contains(&text.to_ascii_lowercase().as_str()) {
        true => RuleError::Elsewhere(text.to_owned()),
        false => RuleError::Spelling(text.to_owned()),
    }
}

fn allowed(text: &str, words: &Vocabulary) -> Result<AclRule, RuleError> {
    if let Some((command, argument)) = text.split_once('|') {
        let command = command.to_ascii_lowercase();
        let is_word = words.is_redis && !argument.is_empty() && !argument.contains('|');
        if is_word && words.is_command(&command) && !words.is_container(&command) {
            return Ok(AclRule::FirstArgument {
                command,
                argument: argument.to_owned(),
            });
        }
    }
    Ok(AclRule::Command {
        class: CommandClass::read(text, words)?,
        is_allowed: true,
    })
}

fn denied(whole: &str, text: &str, words: &Vocabulary) -> Result<AclRule, RuleError> {
    if let Some((command, _)) = text.split_once('|') {
        let command = command.to_ascii_lowercase();
        if words.is_redis && words.is_command(&command) && !words.is_container(&command) {
            return Err(RuleError::DeniedArgument(whole.to_owned()));
        }
    }
    Ok(AclRule::Command {
        class: CommandClass::read(text, words)?,
        is_allowed: false,
    })
}

fn key(whole: &str, pattern: &str, (read, write): (bool, bool)) -> Result<AclRule, RuleError> {
    let pattern = plain(whole, pattern)?;
    Ok(AclRule::Key {
        pattern,
        read,
        write,
    })
}

fn plain(whole: &str, pattern: &str) -> Result<String, RuleError> {
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b);
    match pattern.bytes().any(is_blank) {
        true => Err(RuleError::Blank(whole.to_owned())),
        false => Ok(pattern.to_owned()),
    }
}

impl fmt::Display for CommandClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Category(name) => write!(f, "@{name}"),
            Self::Command(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for AclRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllChannels => f.write_str("&*"),
            Self::AllKeys => f.write_str("~*"),
            Self::Channel(pattern) => write!(f, "&{pattern}"),
            Self::Command { class, is_allowed } => {
                let sign = if *is_allowed { '+' } else { '-' };
                write!(f, "{sign}{class}")
            }
            Self::FirstArgument { command, argument } => write!(f, "+{command}|{argument}"),
            Self::Key {
                pattern,
                read,
                write,
            } => match (read, write) {
                (true, false) => write!(f, "%R~{pattern}"),
                (false, true) => write!(f, "%W~{pattern}"),
                _ => write!(f, "~{pattern}"),
            },
            Self::ResetChannels => f.write_str("resetchannels"),
            Self::ResetKeys => f.write_str("resetkeys"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_shown_as_redis_spells_them() {
        for (written, shown) in [
            ("+GET", "+get"),
            ("-Config|Set", "-config|set"),
            ("+@Read", "+@read"),
            ("allcommands", "+@all"),
            ("nocommands", "-@all"),
            ("+select|0", "+select|0"),
            ("~app:*", "~app:*"),
            ("%r~x", "%R~x"),
            ("%WR~x", "~x"),
            ("%W~*", "%W~*"),
            ("ALLKEYS", "~*"),
            ("&news.*", "&news.*"),
            ("&*", "&*"),
            ("resetkeys", "resetkeys"),
        ] {
            let rule: AclRule = written.parse().unwrap();
            assert_eq!(rule.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (written, words) in [
            ("", "`` is not a rule"),
            ("get", "`get` is not a rule"),
            ("+gte", "unknown command `gte` (did you mean \"get\"?)"),
            ("+@reed", "unknown category `reed` (did you mean \"read\"?)"),
            ("+config|", "unknown command `config|`"),
            ("-select|0", "`-select|0`: the first argument"),
            ("%X~a", "`%X~a` is not a rule"),
            ("%R", "`%R` is not a rule"),
            ("~a b", "`~a b` has a blank"),
            ("on", "`on` cannot be a rule here"),
            ("(+get ~x)", "`(+get ~x)` cannot be a rule here"),
        ] {
            let error = written.parse::<AclRule>().unwrap_err().to_string();
            assert!(error.starts_with(words), "{written}: {error}");
        }
    }

    #[test]
    fn password_among_rules_is_not_repeated() {
        for written in [">hunter2", "<hunter2", "#hunter2", "!hunter2"] {
            let error = written.parse::<AclRule>().unwrap_err();
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}

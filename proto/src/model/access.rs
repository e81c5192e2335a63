//! Who may do what, checked: users with their rules, and the commands a cluster allows or denies.

use std::collections::BTreeMap;

use crate::model::{
    AclRule, CommandClass, Draft, RuleError, Secret, UserDraft, Violations, Vocabulary,
    command::REDIS_WORDS, limits,
};

/// Name of the user that clients are before they authenticate.
pub const DEFAULT_USER: &str = "default";

/// One user that clients may authenticate as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name given to AUTH.
    pub name: String,
    /// What the client must present.
    pub password: Secret,
    /// Rules, to be applied in this order to a user who may do nothing.
    pub rules: Vec<AclRule>,
}

/// Reads the rules of all users of a checked draft.
pub(super) fn users(draft: &Draft) -> Vec<User> {
    let users = draft.auth.iter().flat_map(|auth| &auth.users);
    let words = words_of(draft);
    let user = |user: &UserDraft| {
        let texts = user.commands.iter().chain(&user.keys);
        Some(User {
            name: user.username.clone(),
            password: user.password.clone()?,
            rules: texts
                .filter_map(|text| AclRule::read(text, words).ok())
                .collect(),
        })
    };
    users.filter_map(user).collect()
}

/// Reads a list of commands and categories of a checked draft.
pub(super) fn classes(draft: &Draft, texts: &[String]) -> Vec<CommandClass> {
    let words = words_of(draft);
    let read = |text: &String| CommandClass::read(text, words).ok();
    texts.iter().filter_map(read).collect()
}

/// Returns the names that rules of a definition are written with; a type that is missing is a violation elsewhere.
fn words_of(draft: &Draft) -> &'static Vocabulary {
    draft.cache_type.map_or(&REDIS_WORDS, Vocabulary::of)
}

/// Checks everything about users and commands.
pub(super) fn check(draft: &Draft, violations: &mut Violations) {
    let words = words_of(draft);
    for (field, texts) in [("allow", &draft.allow), ("deny", &draft.deny)] {
        check_size(field, texts.len(), violations);
        read_all(
            field,
            texts,
            |text| CommandClass::read(text, words),
            violations,
        );
    }
    for (index, text) in draft.deny.iter().enumerate() {
        if words.always.contains(&text.to_ascii_lowercase().as_str()) {
            let words = format!("`{text}` cannot be denied: clients come in and out with it");
            violations.push(format!("deny[{index}]"), words);
        }
    }
    let Some(auth) = &draft.auth else { return };
    check_size("auth.users", auth.users.len(), violations);
    let mut names = BTreeMap::new();
    for (index, user) in auth.users.iter().enumerate() {
        let mut wrong = Violations::new();
        check_user(user, words, &mut wrong);
        if let Some(first) = names.insert(&user.username, index) {
            let words = format!("`{}` is already auth.users[{first}]", user.username);
            wrong.push("username", words);
        }
        if user.username == DEFAULT_USER && auth.password.is_some() {
            wrong.push("username", "`default` is already defined by auth.password");
        }
        violations.extend_under(&format!("auth.users[{index}]"), wrong);
    }
}

fn check_user(user: &UserDraft, words: &Vocabulary, violations: &mut Violations) {
    let name = &user.username;
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    if name.is_empty() {
        violations.push("username", "is missing");
    } else if name.len() > limits::MAX_NAME_BYTES || name.contains(is_blank) {
        let words = format!("`{name}` is not 1 to 128 bytes without blanks");
        violations.push("username", words);
    }
    if user.password.is_none() {
        violations.push("password", "is missing");
    }
    if user.commands.is_empty() {
        let words = "is empty: the user may run nothing; [\"+@all\"] is every command";
        violations.push("commands", words);
    }
    for (field, texts) in [("commands", &user.commands), ("keys", &user.keys)] {
        check_size(field, texts.len(), violations);
        let rules = read_all(field, texts, |text| AclRule::read(text, words), violations);
        check_useless(field, &rules, violations);
    }
}

/// Refuses, as Redis does, a pattern after the rule that allows everything.
fn check_useless(field: &str, rules: &[AclRule], violations: &mut Violations) {
    let (mut keys, mut channels) = (false, false);
    for (index, rule) in rules.iter().enumerate() {
        let is_useless = match rule {
            AclRule::Key { .. } => keys,
            AclRule::Channel(_) => channels,
            _ => false,
        };
        match rule {
            AclRule::AllKeys => keys = true,
            AclRule::ResetKeys => keys = false,
            AclRule::AllChannels => channels = true,
            AclRule::ResetChannels => channels = false,
            _ => {}
        }
        if is_useless {
            let words = format!("`{rule}` has no effect after the rule that allows all");
            violations.push(format!("{field}[{index}]"), words);
        }
    }
}

fn read_all<T>(
    field: &str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, RuleError>,
    violations: &mut Violations,
) -> Vec<T> {
    let mut known = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if text.len() > limits::MAX_TEXT_BYTES {
            violations.push(field, "is over 4096 bytes long");
            continue;
        }
        match read(text) {
            Ok(value) => known.push(value),
            Err(error) => violations.push(field, error.to_string()),
        }
    }
    known
}

fn check_size(field: &str, count: usize, violations: &mut Violations) {
    if count > limits::MAX_ENTRIES {
        let most = limits::MAX_ENTRIES;
        violations.push(field, format!("{count} entries are more than {most}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuthDraft, CacheType, ClusterSpec, tests::least};

    fn user(username: &str, commands: &[&str], keys: &[&str]) -> UserDraft {
        UserDraft {
            username: username.to_owned(),
            password: Some(Secret::Plain("hunter2".to_owned())),
            commands: commands.iter().map(|&text| text.to_owned()).collect(),
            keys: keys.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    fn with(users: Vec<UserDraft>) -> Draft {
        Draft {
            auth: Some(AuthDraft {
                password: None,
                users,
            }),
            ..least()
        }
    }

    fn violations_of(draft: Draft) -> Vec<String> {
        let violations = ClusterSpec::new(draft).expect_err("something is wrong");
        violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn users_are_read_with_their_rules_in_order() {
        let draft = with(vec![user("app", &["+@all", "-KEYS"], &["~app:*", "&news"])]);
        let cluster = ClusterSpec::new(draft).expect("valid").resolve();
        let [user] = cluster.users() else {
            panic!("one user");
        };
        let rules: Vec<_> = user.rules.iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["+@all", "-keys", "~app:*", "&news"]);
        assert!(!format!("{cluster:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_with_users_is_told_with_its_path() {
        let nobody = UserDraft::default();
        for (users, expected) in [
            (
                vec![nobody],
                vec![
                    "auth.users[0].username: is missing",
                    "auth.users[0].password: is missing",
                    "auth.users[0].commands: is empty: the user may run nothing; [\"+@all\"] is every command",
                ],
            ),
            (
                vec![user("a", &["+@all"], &[]), user("a", &["+@all"], &[])],
                vec!["auth.users[1].username: `a` is already auth.users[0]"],
            ),
            (
                vec![user("a b", &["+@all", "+gte"], &["~*", "~x"])],
                vec![
                    "auth.users[0].username: `a b` is not 1 to 128 bytes without blanks",
                    "auth.users[0].commands[1]: unknown command `gte` (did you mean \"get\"?)",
                    "auth.users[0].keys[1]: `~x` has no effect after the rule that allows all",
                ],
            ),
        ] {
            assert_eq!(violations_of(with(users)), expected);
        }
        let mut twice = with(vec![user("default", &["+@all"], &[])]);
        twice.auth.as_mut().expect("written").password = Some(Secret::Plain("x".to_owned()));
        let expected = "auth.users[0].username: `default` is already defined by auth.password";
        assert_eq!(violations_of(twice), [expected]);
    }

    #[test]
    fn users_of_memcached_have_its_commands_and_no_channels() {
        let rules = ["+get", "-flush_all", "+set|x", "+hgetall", "+@connection"];
        let draft = Draft {
            cache_type: Some(CacheType::Memcache),
            ..with(vec![user(
                "a",
                &rules,
                &["%R~app:*", "&news", "allchannels"],
            )])
        };
        assert_eq!(
            violations_of(draft),
            [
                "auth.users[0].commands[2]: unknown command `set|x`",
                "auth.users[0].commands[3]: unknown command `hgetall`",
                "auth.users[0].commands[4]: unknown category `connection`",
                "auth.users[0].keys[1]: `&news` is a rule about channels, which Memcached does not have",
                "auth.users[0].keys[2]: `allchannels` is a rule about channels, which Memcached does not have",
            ]
        );
    }

    #[test]
    fn commands_of_a_cluster_are_names_and_categories() {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let draft = Draft {
            allow: list(&["@read", "Set", "nope"]),
            deny: list(&["config|set", "@dangeros", "HELLO"]),
            ..least()
        };
        assert_eq!(
            violations_of(draft.clone()),
            [
                "allow[2]: unknown command `nope`",
                "deny[1]: unknown category `dangeros` (did you mean \"dangerous\"?)",
                "deny[2]: `HELLO` cannot be denied: clients come in and out with it",
            ]
        );
        let memcache = Draft {
            cache_type: Some(CacheType::Memcache),
            allow: list(&["@write", "GATS", "hget"]),
            deny: list(&["flushall", "@slow", "version", "@dangerous"]),
            ..draft
        };
        assert_eq!(
            violations_of(memcache),
            [
                "allow[2]: unknown command `hget` (did you mean \"get\"?)",
                "deny[0]: unknown command `flushall` (did you mean \"flush_all\"?)",
                "deny[1]: unknown category `slow`",
                "deny[2]: `version` cannot be denied: clients come in and out with it",
            ]
        );
    }
}

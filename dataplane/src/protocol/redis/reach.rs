//! What a script without keys can reach, as far as its text tells.

use super::command::{Class, lookup};

/// What a script can reach; later ones include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No key.
    Nothing,
    /// Keys, by their names.
    Keys,
    /// All keys at once.
    Everything,
}

/// Returns what the text of a script can reach.
///
/// A script runs commands through functions whose names end in `call`; a text without the word runs none. A command
/// that is not named right there may be any that takes keys.
pub fn reach(script: &[u8]) -> Reach {
    let calls = memchr::memmem::find_iter(script, CALL);
    let reaches = calls.map(|at| {
        let rest = script.get(at + CALL.len()..).unwrap_or_default();
        command_reach(named(rest))
    });
    reaches.max().unwrap_or(Reach::Nothing)
}

const CALL: &[u8] = b"call";

/// The first argument of a call, if it is a string in quotes.
fn named(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"(").unwrap_or(rest).trim_ascii_start();
    let (quote, rest) = rest.split_first()?;
    let end = rest.iter().position(|byte| byte == quote)?;
    matches!(quote, b'"' | b'\'').then(|| rest.get(..end))?
}

fn command_reach(name: Option<&[u8]>) -> Reach {
    match name.and_then(lookup) {
        Some(command) if matches!(command.name, "echo" | "ping" | "time") => Reach::Nothing,
        Some(command) => match command.class {
            Class::Any | Class::Broadcast | Class::BroadcastAdmin | Class::Scan => {
                Reach::Everything
            }
            _ => Reach::Keys,
        },
        None => Reach::Keys,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_is_that_of_the_commands_a_script_names() {
        let cases = [
            ("return ARGV[1]", Reach::Nothing),
            ("return redis.sha1hex('')", Reach::Nothing),
            ("return redis.call('TIME')[1]", Reach::Nothing),
            ("return redis.call( \"ping\" )", Reach::Nothing),
            ("return redis.call('get', 'a')", Reach::Keys),
            ("return redis.pcall('set', 'a', 1)", Reach::Keys),
            ("return redis.call 'get'", Reach::Keys),
            ("return redis.call(ARGV[1])", Reach::Keys),
            ("local c = redis.call return c('TIME')", Reach::Keys),
            ("return redis.call('nosuch')", Reach::Keys),
            (
                "redis.call('TIME') return redis.call('DbSize')",
                Reach::Everything,
            ),
            ("return redis.pcall \"keys\"", Reach::Everything),
            (
                "redis.call('flushall') redis.call('get', 'a')",
                Reach::Everything,
            ),
            ("return redis.call(", Reach::Keys),
            ("return redis.call('time", Reach::Keys),
        ];
        for (script, expected) in cases {
            assert_eq!(reach(script.as_bytes()), expected, "{script}");
        }
    }
}

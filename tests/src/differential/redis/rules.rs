//! Where a reply may differ from a single server's: every rule by name, with its reason.

use super::reply::Reply;

/// A way in which replies to some commands are compared otherwise than byte for byte.
///
/// Errors are compared as text.
#[derive(Debug)]
pub struct Rule {
    /// What it is called in the summary.
    pub name: &'static str,
    /// Why it must be.
    pub reason: &'static str,
    /// Commands in lower case, a subcommand behind a space.
    pub commands: &'static [&'static str],
    level: fn(&[Vec<u8>], &mut Reply, &mut Reply),
}

/// All of them.
pub const RULES: [Rule; 11] = [
    Rule {
        name: "order",
        reason: "a hash table gives its members in an order of its server's own",
        commands: &[
            "hkeys",
            "hvals",
            "keys",
            "pubsub channels",
            "pubsub shardchannels",
            "sdiff",
            "sinter",
            "smembers",
            "sunion",
            "function list",
            "command list",
        ],
        level: |_, left, right| both(left, right, |reply| reply.parts().sort()),
    },
    Rule {
        name: "order of pairs",
        reason: "a hash table gives its fields in an order of its server's own",
        commands: &["hgetall"],
        level: |_, left, right| both(left, right, sort_pairs),
    },
    Rule {
        name: "order without sorting",
        reason: "SORT BY nosort takes the order of a hash table",
        commands: &["sort", "sort_ro"],
        level: |words, left, right| {
            let by = words
                .iter()
                .position(|word| word.eq_ignore_ascii_case(b"by"));
            let pattern = by.and_then(|at| words.get(at + 1));
            if pattern.is_some_and(|pattern| !pattern.contains(&b'*')) {
                both(left, right, blank)
            }
        },
    },
    Rule {
        name: "random",
        reason: "each server throws its own dice",
        commands: &[
            "acl genpass",
            "hrandfield",
            "randomkey",
            "srandmember",
            "zrandmember",
        ],
        level: |_, left, right| both(left, right, blank),
    },
    Rule {
        name: "cursor",
        reason: "a cursor is a place in a hash table of a server's own; what a whole scan finds is compared elsewhere",
        commands: &["hscan", "scan", "sscan", "zscan"],
        level: |words, left, right| {
            let at = if words[0].eq_ignore_ascii_case(b"SCAN") {
                1
            } else {
                2
            };
            let is_from_start = words.get(at).is_some_and(|cursor| cursor == b"0");
            let is_whole = is_from_start
                && [&mut *left, &mut *right]
                    .into_iter()
                    .all(|reply| reply.parts().first().and_then(Reply::text) == Some(&b"0"[..]));
            match is_whole {
                true => both(left, right, sort_scanned),
                false => both(left, right, shallow),
            }
        },
    },
    Rule {
        name: "clock",
        reason: "two servers are asked at two moments",
        commands: &[
            "expiretime",
            "pexpiretime",
            "pttl",
            "ttl",
            "xinfo consumers",
            "xinfo stream",
            "xpending",
        ],
        level: |_, left, right| level_clocks(left, right),
    },
    Rule {
        name: "memory",
        reason: "what a value costs, and how long it has lain, is the business of the server that holds it",
        commands: &[
            "memory usage",
            "object freq",
            "object idletime",
            "dump",
            "function dump",
        ],
        level: |_, left, right| both(left, right, blank),
    },
    Rule {
        name: "own account",
        reason: "the proxy tells of itself, and of the commands it serves",
        commands: &[
            "acl cat",
            "acl getuser",
            "acl list",
            "client id",
            "client info",
            "client list",
            "command",
            "command count",
            "command docs",
            "command info",
            "config get",
            "function stats",
            "info",
            "lastsave",
            "latency latest",
            "latency histogram",
            "lolwut",
            "memory doctor",
            "memory malloc-stats",
            "memory stats",
            "role",
            "slowlog get",
            "slowlog len",
            "time",
            "client trackinginfo",
            "module list",
            "acl log",
        ],
        level: |_, left, right| both(left, right, shallow),
    },
    Rule {
        name: "help",
        reason: "HELP lists the subcommands that are served",
        commands: &["* help"],
        level: |_, left, right| both(left, right, shallow),
    },
    Rule {
        name: "text",
        reason: "an error of the proxy's own shows bytes that are no text as U+FFFD",
        commands: &["* error"],
        level: |_, left, right| both(left, right, replace_no_text),
    },
    Rule {
        name: "greeting",
        reason: "HELLO names the connection by a number of its own, and a Redis Cluster as such",
        commands: &["hello"],
        level: |_, left, right| {
            for reply in [left, right] {
                after(reply, b"id", shallow);
                after(reply, b"mode", shallow);
            }
        },
    },
];

/// Two replies differ in what no rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unequal;

/// The rules for a command.
pub fn rules_for(words: &[Vec<u8>]) -> impl Iterator<Item = (usize, &'static Rule)> {
    let name = |count: usize| {
        let words = words.iter().take(count);
        let words: Vec<_> = words
            .map(|word| String::from_utf8_lossy(word).to_lowercase())
            .collect();
        words.join(" ")
    };
    let is_help = words.len() == 2 && words[1].eq_ignore_ascii_case(b"HELP");
    let names = [
        name(1),
        name(2),
        String::from(if is_help { "* help" } else { "" }),
    ];
    let is_named = move |one: &&str| names.iter().any(|name| name == one);
    RULES
        .iter()
        .enumerate()
        .filter(move |(_, rule)| rule.commands.iter().any(&is_named))
}

/// Compares two replies to a command; gives the places of the rules that were needed to find them equal.
///
/// # Errors
/// When they differ.
pub fn are_equal(words: &[Vec<u8>], left: &[u8], right: &[u8]) -> Result<Vec<usize>, Unequal> {
    if left == right {
        return Ok(Vec::new());
    }
    let (mut left, mut right) = (Reply::parse(left), Reply::parse(right));
    level(words, &mut left, &mut right)
        .filter(|_| left == right)
        .ok_or(Unequal)
}

/// Changes both replies by the rules; `None` when one is an error.
fn level(words: &[Vec<u8>], left: &mut Reply, right: &mut Reply) -> Option<Vec<usize>> {
    if left.is_error() && right.is_error() {
        let text = RULES.iter().position(|rule| rule.name == "text")?;
        (RULES[text].level)(words, left, right);
        return Some(vec![text]);
    }
    if left.is_error() || right.is_error() {
        return None;
    }
    let used = rules_for(words).map(|(at, rule)| {
        (rule.level)(words, left, right);
        at
    });
    Some(used.collect())
}

/// Compares two replies to EXEC part for part, given the commands that were queued.
///
/// # Errors
/// When they differ.
pub fn are_blocks_equal(
    queued: &[Vec<Vec<u8>>],
    left: &[u8],
    right: &[u8],
) -> Result<Vec<usize>, Unequal> {
    if left == right {
        return Ok(Vec::new());
    }
    let (mut left, mut right) = (Reply::parse(left), Reply::parse(right));
    if left.parts().len() != queued.len() || right.parts().len() != queued.len() {
        return Err(Unequal);
    }
    let mut used = Vec::new();
    let pairs = left.parts().iter_mut().zip(right.parts());
    for (words, (left, right)) in queued.iter().zip(pairs) {
        used.extend(level(words, left, right).unwrap_or_default());
    }
    if left == right {
        Ok(used)
    } else {
        Err(Unequal)
    }
}

fn both(left: &mut Reply, right: &mut Reply, change: fn(&mut Reply)) {
    change(left);
    change(right);
}

/// Leaves kinds, counts and nothing else; what is null stays null.
fn blank(reply: &mut Reply) {
    match reply {
        Reply::Many(_, parts) => parts.iter_mut().flatten().for_each(blank),
        Reply::One(_, text) => *text = text.as_ref().map(|_| Vec::new()),
    }
}

/// Leaves the kind of the outermost part.
fn shallow(reply: &mut Reply) {
    match reply {
        Reply::Many(_, parts) => *parts = None,
        Reply::One(kind, text) => {
            // A text may be plain, or verbatim.
            if *kind == b'=' {
                *kind = b'$';
            }
            *text = None;
        }
    }
}

fn replace_no_text(error: &mut Reply) {
    if let Reply::One(_, Some(text)) = error {
        *text = String::from_utf8_lossy(text).into_owned().into_bytes();
    }
}

fn sort_pairs(reply: &mut Reply) {
    if let Reply::Many(_, Some(parts)) = reply {
        let mut pairs: Vec<_> = parts.chunks(2).map(<[Reply]>::to_vec).collect();
        pairs.sort();
        *parts = pairs.concat();
    }
}

fn sort_scanned(reply: &mut Reply) {
    if let [_, found] = reply.parts() {
        found.parts().sort();
    }
}

/// Hands the value behind a name in a map to `change`.
fn after(reply: &mut Reply, name: &[u8], change: impl Fn(&mut Reply)) {
    let parts = reply.parts();
    let found = parts.iter().position(|part| part.text() == Some(name));
    if let Some(value) = found.and_then(|at| parts.get_mut(at + 1)) {
        change(value);
    }
}

/// The most that two moments of asking may lie apart, in milliseconds.
const APART_MS: i64 = 60_000;

/// Numbers below this are no moments in milliseconds.
const MOMENT_MS: i64 = 1_000_000_000_000;

/// Gives both the same moments, where they are near.
fn level_clocks(left: &mut Reply, right: &mut Reply) {
    if let (Some(one), Some(other)) = (left.number(), right.number()) {
        // At the outermost place: seconds or milliseconds that are left, or a moment.
        let apart = if one.min(other) > 90_000 {
            APART_MS
        } else {
            APART_MS / 1000
        };
        if one.min(other) >= 0 && one.abs_diff(other) <= apart.unsigned_abs() {
            *left = right.clone();
        }
        return;
    }
    level_moments(left, right);
}

fn level_moments(left: &mut Reply, right: &mut Reply) {
    let is_pending = |parts: &[Reply]| parts.len() == 4 && parts[2].number().is_some();
    let (left, right) = (left.parts(), right.parts());
    let is_entry = is_pending(left) && is_pending(right);
    let mut name = None;
    for (at, (one, other)) in left.iter_mut().zip(right).enumerate() {
        let is_idle = name == Some(b"idle".to_vec()) || (is_entry && at == 2);
        if let (Some(first), Some(second)) = (one.number(), other.number()) {
            let is_moment = first.min(second) > MOMENT_MS;
            if (is_idle || is_moment) && first.abs_diff(second) <= APART_MS.unsigned_abs() {
                *one = other.clone();
            }
        } else {
            level_moments(one, other);
        }
        name = one.text().map(<[u8]>::to_vec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn rules_level_what_they_name_and_nothing_else() {
        let cases: [(&str, &str, &str, bool); 16] = [
            (
                "smembers s",
                "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
                "*2\r\n$1\r\nb\r\n$1\r\na\r\n",
                true,
            ),
            (
                "lrange l",
                "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
                "*2\r\n$1\r\nb\r\n$1\r\na\r\n",
                false,
            ),
            (
                "smembers s",
                "*1\r\n$1\r\na\r\n",
                "*1\r\n$1\r\nb\r\n",
                false,
            ),
            ("smembers s", "-ERR a\r\n", "-ERR b\r\n", false),
            (
                "hgetall h",
                "*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
                "*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n",
                true,
            ),
            (
                "hgetall h",
                "*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
                "*4\r\n:1\r\n:4\r\n:3\r\n:2\r\n",
                false,
            ),
            ("ttl k", ":100\r\n", ":99\r\n", true),
            ("ttl k", ":-1\r\n", ":-2\r\n", false),
            ("ttl k", ":5000\r\n", ":100\r\n", false),
            ("srandmember s", "$1\r\na\r\n", "$1\r\nb\r\n", true),
            ("srandmember s", "$1\r\na\r\n", "$-1\r\n", false),
            (
                "hscan h 0",
                "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n",
                "*2\r\n$1\r\n0\r\n*1\r\n:2\r\n",
                false,
            ),
            (
                "hscan h 0",
                "*2\r\n$1\r\n0\r\n*0\r\n",
                "*2\r\n$1\r\n5\r\n*1\r\n:2\r\n",
                true,
            ),
            ("get a", "$1\r\na\r\n", "$1\r\nb\r\n", false),
            ("get a", "-ERR \u{fffd}\r\n", "-ERR x\r\n", false),
            ("info", "$1\r\na\r\n", "-ERR\r\n", false),
        ];
        for (command, left, right, is_equal) in cases {
            let found = are_equal(&words(command), left.as_bytes(), right.as_bytes());
            assert_eq!(found.is_ok(), is_equal, "{command}: {left:?} {right:?}");
        }
    }

    #[test]
    fn replies_of_a_block_are_levelled_one_by_one() {
        let queued = [words("smembers s"), words("get a")];
        let reply = |set: &str, get: &str| format!("*2\r\n*2\r\n{set}{get}").into_bytes();
        let (set, other) = (":1\r\n:2\r\n", ":2\r\n:1\r\n");
        let same = are_blocks_equal(&queued, &reply(set, ":1\r\n"), &reply(other, ":1\r\n"));
        assert_eq!(same, Ok(vec![0]));
        let unlike = are_blocks_equal(&queued, &reply(set, ":1\r\n"), &reply(set, ":2\r\n"));
        assert_eq!(unlike, Err(Unequal));
    }
}

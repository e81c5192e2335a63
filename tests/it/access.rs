//! Who may do what: every verdict is that of one real server with the same users.

use prism_tests::{
    definitions,
    dice::Dice,
    ports,
    programs::{self, DataPlane},
    raw::Raw,
    redis::Redis,
};
use serde_json::Value;

use crate::pool::{Pool, servers};

const GETKEYS: &str = include_str!("../vectors/getkeys.json");

/// A user: name, password, rules about commands, rules about keys and channels.
pub(crate) type User = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const USERS: &[User] = &[
    ("reader", "pw-reader", &["+@all"], &["%R~a*", "%R~k*"]),
    ("writer", "pw-writer", &["+@all"], &["%W~a*", "%W~k*"]),
    ("owner", "pw-owner", &["+@all"], &["~k*", "%W~dest*"]),
    ("keyless", "pw-keyless", &["allcommands"], &["&news:*"]),
    (
        "limited",
        "pw-limited",
        &[
            "+@read",
            "-@dangerous",
            "+set",
            "+config|get",
            "+select|0",
            "-get",
        ],
        &["allkeys", "allchannels"],
    ),
    (
        "careful",
        "pw-careful",
        &["+@all", "-@dangerous", "-acl", "+acl|whoami"],
        &["~app:[0-9]*", "~h?llo", "~odd\\\\*", "&*"],
    ),
    ("nothing", "pw-nothing", &["-@all"], &["resetkeys"]),
];

/// The definition's lines about users.
pub(crate) fn auth(users: &[User], password: &str) -> String {
    let users: Vec<_> = users
        .iter()
        .map(|(name, password, commands, keys)| {
            format!(
                "{{ username = {name:?}, password = {password:?}, commands = {commands:?}, keys = {keys:?} }}"
            )
        })
        .collect();
    format!(
        "auth = {{ password = {password:?}, users = [{}] }}",
        users.join(", ")
    )
}

/// Gives a real server the same users.
fn define(redis: &Redis, users: &[User], password: &str) {
    let mut client = redis.client();
    for (name, password, commands, keys) in users {
        let secret = format!(">{password}");
        let head = ["ACL", "SETUSER", name, "on", &secret];
        let rules: Vec<_> = head.iter().chain(*commands).chain(*keys).collect();
        assert_eq!(client.call(&rules), b"+OK\r\n", "{rules:?}");
    }
    let secret = format!(">{password}");
    let default = ["ACL", "SETUSER", "default", "resetpass", &secret];
    assert_eq!(client.call(&default), b"+OK\r\n");
}

/// A real server and a proxy with the same users.
struct Twins {
    truth: Redis,
    pool: Pool,
}

impl Twins {
    fn start(endpoints: usize) -> Self {
        let truth = Redis::start();
        define(&truth, USERS, "open sesame");
        let more = auth(USERS, "open sesame");
        let pool = Pool::start_with(Redis::start_many(endpoints), &more);
        Self { truth, pool }
    }

    fn clients(&self) -> [Raw; 2] {
        [self.truth.client(), self.pool.client()]
    }
}

/// Asks both the same and compares.
#[track_caller]
fn check<A: AsRef<[u8]>>([truth, proxy]: &mut [Raw; 2], words: &[A]) -> String {
    let (expected, found) = (truth.call(words), proxy.call(words));
    let shown: Vec<_> = words
        .iter()
        .map(|word| String::from_utf8_lossy(word.as_ref()))
        .collect();
    assert_eq!(
        String::from_utf8_lossy(&found),
        String::from_utf8_lossy(&expected),
        "proxy (left) and server differ at {shown:?}"
    );
    String::from_utf8_lossy(&found).into_owned()
}

#[track_caller]
fn check_line(clients: &mut [Raw; 2], line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    check(clients, &words)
}

#[test]
fn replies_are_those_of_a_server_with_the_same_users() {
    let twins = Twins::start(1);
    let mut admin = twins.clients();
    check(&mut admin, &["AUTH", "open sesame"]);
    for line in [
        "SET k1 1",
        "SET a1 1",
        "SET app:1 1",
        "SET hallo 1",
        "SADD kset 1 2",
        "RPUSH klist 1 2",
    ] {
        check_line(&mut admin, line);
    }
    for (name, password, ..) in USERS {
        let mut clients = twins.clients();
        for line in LINES.iter().take(4) {
            check_line(&mut clients, line);
        }
        check(&mut clients, &["AUTH", name, "wrong"]);
        check(&mut clients, &["AUTH", name, password]);
        for line in LINES {
            check_line(&mut clients, line);
        }
    }
}

/// Commands that answer alike behind a proxy and at a server, whoever sends them.
const LINES: &[&str] = &[
    "GET k1",
    "PING",
    "NOSUCH x",
    "GET",
    "ACL WHOAMI",
    "SET k1 2",
    "SET k1 2 GET",
    "GET a1",
    "GET app:1",
    "GET hallo",
    "GET hllo",
    "GET odd*",
    "GET oddly",
    "MGET k1 k2",
    "MGET k1 z",
    "MSET k1 1 a1 1",
    "DEL nothing",
    "EXISTS k1 a1",
    "EXISTS z",
    "INCR k1",
    "STRLEN k1",
    "TYPE k1",
    "TTL k1",
    "COPY k1 dest1",
    "RENAME k1 k2",
    "RENAME k2 k1",
    "SUNIONSTORE dest kset",
    "SORT kset",
    "SORT kset BY w* GET #",
    "SORT kset BY nosort",
    "SORT kset GET x* STORE dest",
    "SORT klist LIMIT 0 1 GET",
    "BITFIELD k1 GET u8 0",
    "BITFIELD k1 SET u8 0 1",
    "OBJECT ENCODING kset",
    "SINTERCARD 2 kset k1set",
    "LMPOP 1 kmiss LEFT",
    "XADD kstream 1 a b",
    "CONFIG",
    "CONFIG NOSUCH",
    "SELECT 0",
    "ECHO x",
    "AUTH",
    "AUTH a b c",
    "AUTH nobody x",
    "ACL WHOAMI",
    "COMMAND GETKEYS GET x",
    "HELLO 2 AUTH nobody x",
    "HELLO x",
];

#[test]
fn verdicts_on_keys_are_those_of_a_server_with_the_same_users() {
    let twins = Twins::start(1);
    let mut clients = twins.clients();
    check(&mut clients, &["AUTH", "open sesame"]);
    let file: Value = serde_json::from_str(GETKEYS).expect("the vectors are JSON");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    let mut asked = 0;
    for vector in vectors {
        let words = vector["argv"].as_array().expect("a list of words");
        let command: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        // Scripts are for users without limits, whatever their keys.
        if command[0].starts_with("eval") || command[0].starts_with("fcall") {
            continue;
        }
        // Once with the keys as they are, once with keys that the first pattern does not fit.
        let moved: Vec<_> = command
            .iter()
            .map(|&word| if word == "a" { "k1" } else { word })
            .collect();
        for command in [command, moved] {
            for (user, ..) in USERS {
                let words = [&["ACL", "DRYRUN", user], command.as_slice()].concat();
                check(&mut clients, &words);
                asked += 1;
            }
        }
    }
    assert!(asked > 1000, "{asked} verdicts");
}

#[test]
fn patterns_match_what_they_match_in_redis() {
    let mut dice = Dice::new(7);
    let mut word = |letters: &[u8], most: usize| -> String {
        let count = 1 + dice.below(most);
        let letter = |_| char::from(letters[dice.below(letters.len())]);
        (0..count).map(letter).collect()
    };
    let patterns: Vec<_> = (0..60).map(|_| word(b"aabc**?[]^-\\", 8)).collect();
    let texts: Vec<_> = (0..60).map(|_| word(b"aabbcc[]^-\\*", 5)).collect();
    let (truth, listen) = (Redis::start(), ports::free_addr());
    let mut server = truth.client();
    let mut users = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let (name, rule) = (format!("u{index}"), format!("~{pattern}"));
        server.call(&["ACL", "SETUSER", &name, "on", ">pw", "+@all", &rule]);
        users.push(format!(
            "{{ username = {name:?}, password = \"pw\", commands = [\"+@all\"], keys = [{rule:?}] }}"
        ));
    }
    let more = format!(
        "auth = {{ password = \"pw\", users = [{}] }}",
        users.join(", ")
    );
    let endpoint = Redis::start();
    let text = definitions::redis("pool", &listen, &servers(&[endpoint]), &more);
    let _data_plane = DataPlane::bootstrap(&text);
    let mut proxy = Raw::connect(&listen);
    assert_eq!(proxy.ask("AUTH pw"), "+OK");
    for (index, pattern) in patterns.iter().enumerate() {
        for text in &texts {
            let user = format!("u{index}");
            let words = ["ACL", "DRYRUN", &user, "GET", text];
            let (expected, found) = (server.call(&words), proxy.call(&words));
            assert_eq!(found, expected, "pattern {pattern:?}, key {text:?}");
        }
    }
}

#[test]
fn wrong_rules_are_told_with_their_place() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = folder.path().join("access.toml");
    let rules = "deny = [\"keyz\"]\nauth = { users = [{ username = \"a\", password = \"p\", commands = [\"+gte\"] }] }";
    let text = definitions::redis("pool", "127.0.0.1:9001", &["127.0.0.1:1".into()], rules);
    std::fs::write(&file, text).expect("writable");
    let path = file.to_string_lossy();
    let output = programs::run("prismctl", &["validate", "-f", &path], "");
    assert_ne!(output.code, 0);
    let said = format!("{}{}", output.stdout, output.stderr);
    for expected in [
        format!("{path}:6:9: deny[0]: unknown command `keyz` (did you mean \"keys\"?)"),
        format!(
            "{path}:7:65: auth.users[0].commands[0]: unknown command `gte` (did you mean \"get\"?)"
        ),
    ] {
        assert!(said.contains(&expected), "{said}");
    }
}

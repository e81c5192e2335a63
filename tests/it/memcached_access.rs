//! What users of a Memcached pool may do, over text, meta and binary, and how that changes while they are connected.

use std::time::Duration;

use prism_tests::{
    definitions, memcached::Memcached, ports, programs::DataPlane, programs::http_get, raw::Raw,
    wait,
};

use crate::{
    access::{User, auth},
    memcached_binary::{packet, plain, reply, store},
};

const LIMIT: Duration = Duration::from_secs(10);

/// A pool of two endpoints whose users can be changed.
struct Changing {
    data_plane: DataPlane,
    listen: String,
    servers: Vec<String>,
    _endpoints: Vec<Memcached>,
}

impl Changing {
    fn start(more: &str) -> Self {
        let (endpoints, listen) = (Memcached::start_many(2), ports::free_addr());
        let servers: Vec<_> = endpoints
            .iter()
            .map(|one| format!("{}:1", one.addr()))
            .collect();
        let text = definitions::cluster("pool", "memcache", &listen, &servers, more);
        Self {
            data_plane: DataPlane::bootstrap(&text),
            listen,
            servers,
            _endpoints: endpoints,
        }
    }

    fn change(&self, more: &str) {
        let text = definitions::cluster("pool", "memcache", &self.listen, &self.servers, more);
        self.data_plane.rewrite(&text);
    }

    fn open(&self) -> Raw {
        Raw::connect(&self.listen)
    }

    /// Whether a new client that asks for a value hears this.
    fn hears(&self, words: &str) -> bool {
        let mut client = self.open();
        client.send(b"get none\r\n");
        said(&mut client) == words
    }

    #[track_caller]
    fn text(&self, user: &str, password: &str) -> Raw {
        let mut client = self.open();
        let words = format!("{user} {password}");
        client.send(format!("set k 0 0 {}\r\n{words}\r\n", words.len()).as_bytes());
        assert_eq!(said(&mut client), "STORED");
        client
    }

    #[track_caller]
    fn binary(&self, user: &str, password: &str) -> Raw {
        let mut client = self.open();
        let words = format!("\0{user}\0{password}");
        client.send(&packet(0x21, &[], "PLAIN", words.as_bytes(), 1));
        assert_eq!(reply(&mut client)[6..8], [0, 0]);
        client
    }
}

/// The next line, without its end.
#[track_caller]
pub(crate) fn said(client: &mut Raw) -> String {
    client.line().trim_end().to_owned()
}

/// Sends a request of text and reads everything up to the answer of the `mn` behind it.
#[track_caller]
fn ask(client: &mut Raw, request: &str) -> String {
    client.send(format!("{request}\r\nmn\r\n").as_bytes());
    let mut answer = Vec::new();
    loop {
        match said(client).as_str() {
            "MN" => return answer.join("|"),
            line => answer.push(line.to_owned()),
        }
    }
}

/// Sends a binary request and a `noop`; returns status and value of the answers before that of the `noop`.
#[track_caller]
fn ask_binary(client: &mut Raw, request: &[u8]) -> Vec<(u8, String)> {
    client.send(&[request, &plain(0x0a, "")].concat());
    let mut answers = Vec::new();
    loop {
        let packet = reply(client);
        if packet[1] == 0x0a {
            return answers;
        }
        let value = String::from_utf8_lossy(&packet[24..]).into_owned();
        answers.push((packet[7], value));
    }
}

#[test]
fn denied_commands_are_refused_in_every_protocol_and_leave_it_in_step() {
    let pool = Changing::start("deny = [\"@dangerous\", \"cas\", \"decr\", \"mg\", \"stats\"]");
    let mut text = pool.open();
    let denied = |name: &str| format!("CLIENT_ERROR prism: '{name}' is denied on this cluster");
    for (request, answer) in [
        ("set a 0 0 1\r\n5", "STORED".to_owned()),
        ("flush_all", denied("flush_all")),
        ("flush_all noreply", String::new()),
        ("cas a 0 0 3 1\r\nxyz", denied("cas")),
        ("cas a 0 0 3 1 noreply\r\nxyz", String::new()),
        ("decr a 1", denied("decr")),
        ("mg a v", denied("mg")),
        ("mg a q v", denied("mg")),
        ("stats", denied("stats")),
        ("get a", "VALUE a 0 1|5|END".to_owned()),
        ("incr a 1", "6".to_owned()),
        ("me missing", "EN".to_owned()),
    ] {
        assert_eq!(ask(&mut text, request), answer, "{request}");
    }
    let mut binary = pool.open();
    let denied = |name: &str| vec![(0x24, format!("prism: '{name}' is denied on this cluster"))];
    let mut conditional = store(0x01, "a", b"x");
    conditional[23] = 9;
    let mut quiet = store(0x11, "a", b"x");
    quiet[23] = 9;
    let count = |opcode: u8| packet(opcode, &[0; 20], "a", &[], 77);
    for (request, answer) in [
        (packet(0x08, &[], "", &[], 1), denied("flush_all")),
        (packet(0x18, &[0; 4], "", &[], 1), denied("flush_all")),
        (conditional, denied("cas")),
        (quiet, denied("cas")),
        (count(0x06), denied("decr")),
        (count(0x16), denied("decr")),
        (packet(0x10, &[], "", &[], 1), denied("stats")),
        (count(0x15), vec![]),
        (store(0x11, "b", b"x"), vec![]),
    ] {
        assert_eq!(ask_binary(&mut binary, &request), answer, "{request:?}");
    }
    assert_eq!(ask(&mut text, "get a b"), "VALUE a 0 1|6|VALUE b 5 1|x|END");
}

#[test]
fn only_allowed_commands_are_served() {
    let pool = Changing::start("allow = [\"@read\", \"set\"]");
    let mut text = pool.open();
    for (request, is_allowed) in [
        ("set a 0 0 1\r\nx", true),
        ("get a", true),
        ("gets a", true),
        ("mg a v", true),
        ("mg a v T0", false),
        ("mg new N60 v", false),
        ("me a", true),
        ("version", true),
        ("touch a 1", false),
        ("gat 1 a", false),
        ("ms a 1\r\ny", false),
        ("delete a", false),
        ("verbosity 1", false),
    ] {
        let answer = ask(&mut text, request);
        assert_eq!(
            !answer.starts_with("CLIENT_ERROR prism:"),
            is_allowed,
            "{request}: {answer}"
        );
    }
    assert!(ask(&mut text, "mg a T0").contains("'touch' is denied"));
    pool.change("");
    wait::until("everything is served again", LIMIT, || {
        ask(&mut text, "touch a 100") == "TOUCHED"
    });
    pool.change("deny = [\"touch\"]");
    wait::until("touch is denied", LIMIT, || {
        ask(&mut text, "touch a 100").contains("'touch' is denied")
    });
}

const USERS: &[User] = &[
    (
        "app",
        "one",
        &["+@all"],
        &["~app:*", "%R~shared:*", "%W~log:*", "~{*"],
    ),
    ("reader", "two", &["+@read"], &["~*"]),
];

#[test]
fn users_are_held_to_their_keys_in_every_protocol() {
    let pool = Changing::start(&auth(USERS, "root"));
    let mut root = pool.text("default", "root");
    for key in ["app:1", "shared:1", "other"] {
        assert_eq!(ask(&mut root, &format!("set {key} 0 0 1\r\n5")), "STORED");
    }
    let mut app = pool.text("app", "one");
    for (request, is_allowed) in [
        ("get app:1", true),
        ("get app:1 shared:1", true),
        ("get app:1 other shared:1", false),
        ("gets other", false),
        ("gat 100 app:1", true),
        ("gat 100 shared:1", false),
        ("touch shared:1 100", false),
        ("touch log:1 100", true),
        ("set log:1 0 0 1\r\nx", true),
        ("get log:1", false),
        ("incr log:1 1", false),
        ("append log:1 0 0 1\r\ny", true),
        ("set shared:1 0 0 1\r\nx", false),
        ("mg shared:1 v", true),
        ("mg shared:1 v T10", false),
        ("ms shared:1 1\r\nx", false),
        ("ma app:1", true),
        // The key is `other` in base64.
        ("mg b3RoZXI= b v", false),
        ("mg YXBwOjE= b v", true),
        // Memcached passes over what is no letter of base64: the first is `other`, the second `app:1`.
        ("mg {b3RoZXI=} b v", false),
        ("mg {YXBwOjE=} b v", true),
        ("delete other", false),
    ] {
        let answer = ask(&mut app, request);
        assert_eq!(
            !answer.starts_with("CLIENT_ERROR prism:"),
            is_allowed,
            "{request}: {answer}"
        );
        assert!(answer.lines().count() <= 1, "{request}: {answer}");
    }
    let refusal = "CLIENT_ERROR prism: user 'app' may not run 'get' on one of these keys";
    assert_eq!(ask(&mut app, "get app:1 other"), refusal);
    let mut reader = pool.text("reader", "two");
    assert_eq!(ask(&mut reader, "get other"), "VALUE other 0 1|5|END");
    let refusal = "CLIENT_ERROR prism: user 'reader' may not run 'set'";
    assert_eq!(ask(&mut reader, "set other 0 0 1\r\nx"), refusal);
    assert_eq!(ask(&mut reader, "set other 0 0 1 noreply\r\nx"), "");
    let mut binary = pool.binary("app", "one");
    for (request, is_allowed) in [
        (plain(0x00, "app:1"), true),
        (plain(0x09, "other"), false),
        (plain(0x0d, "shared:1"), true),
        (store(0x01, "shared:1", b"x"), false),
        (store(0x11, "shared:1", b"x"), false),
        (store(0x11, "log:1", b"x"), true),
        (packet(0x24, &[0; 4], "shared:1", &[], 1), false),
        (plain(0x14, "other"), false),
        (plain(0x14, "app:missing"), true),
    ] {
        let answers = ask_binary(&mut binary, &request);
        let is_denied = answers.iter().any(|(status, _)| *status == 0x24);
        assert_eq!(!is_denied, is_allowed, "{request:?}: {answers:?}");
    }
    assert_eq!(
        ask(&mut root, "get other shared:1"),
        "VALUE other 0 1|5|VALUE shared:1 0 1|5|END"
    );
}

#[test]
fn changes_of_users_reach_connected_clients() {
    let pool = Changing::start(&auth(USERS, "root"));
    let [mut gone, mut kept] = [pool.text("app", "one"), pool.text("reader", "two")];
    let (mut gone_binary, mut kept_binary) =
        (pool.binary("app", "one"), pool.binary("reader", "two"));
    assert!(ask(&mut kept, "set a 0 0 1\r\nx").contains("may not run 'set'"));
    pool.change(&auth(&[("reader", "two", &["+@all"], &["~a"])], "root"));
    assert!(gone.is_closed_within(LIMIT), "its user is gone");
    assert!(gone_binary.is_closed_within(LIMIT), "its user is gone");
    wait::until("the user may write", LIMIT, || {
        ask(&mut kept, "set a 0 0 1\r\nx") == "STORED"
    });
    assert!(ask(&mut kept, "get other").contains("on one of these keys"));
    // Another worker may serve it, which hears of the change at another moment.
    wait::until("the user may write in binary", LIMIT, || {
        ask_binary(&mut kept_binary, &store(0x11, "a", b"x")).is_empty()
    });
    pool.change(&auth(&[("reader", "three", &["+@all"], &["~a"])], "root"));
    assert!(kept.is_closed_within(LIMIT), "its password is another");
    assert!(
        kept_binary.is_closed_within(LIMIT),
        "its password is another"
    );
    pool.text("reader", "three");
}

/// A request that has come in part is served under the new rules, and ends where it said.
#[test]
fn rules_that_change_within_a_request_leave_it_in_step() {
    let pool = Changing::start("password = \"root\"");
    let login = packet(0x21, &[], "PLAIN", b"\0default\0root", 1);
    let mut client = pool.open();
    client.send(&login[..30]);
    pool.text("default", "root");
    pool.change("");
    wait::until("no password is asked for", LIMIT, || pool.hears("END"));
    client.send(&login[30..]);
    assert_eq!(reply(&mut client)[1], 0x21);
    assert_eq!(ask_binary(&mut client, &plain(0x00, "none")).len(), 1);
    let request = store(0x01, "a", &[b'x'; 50_000]);
    client.send(&request[..25_000]);
    pool.change("password = \"root\"");
    wait::until("a password is asked for", LIMIT, || {
        pool.hears("CLIENT_ERROR unauthenticated")
    });
    client.send(&request[25_000..]);
    assert_eq!(reply(&mut client)[1], 0x01);
}

#[test]
fn passwords_that_come_and_go_are_asked_for_from_then_on() {
    let pool = Changing::start("");
    let (mut text, mut binary) = (pool.open(), pool.open());
    assert_eq!(ask(&mut text, "set a 0 0 1\r\nx"), "STORED");
    assert_eq!(ask_binary(&mut binary, &plain(0x00, "b")).len(), 1);
    pool.change("password = \"root\"");
    wait::until("a password is asked for", LIMIT, || {
        text.send(b"get a\r\n");
        let first = said(&mut text);
        if first.starts_with("VALUE") {
            assert_eq!(
                (said(&mut text), said(&mut text)),
                ("x".to_owned(), "END".to_owned())
            );
        }
        first == "CLIENT_ERROR unauthenticated"
    });
    wait::until("a password is asked for in binary", LIMIT, || {
        binary.send(&plain(0x00, "a"));
        reply(&mut binary)[6..8] == [0, 0x20]
    });
    assert!(binary.is_closed_within(LIMIT));
    text.send(b"set k 0 0 12\r\ndefault root\r\n");
    assert_eq!(said(&mut text), "STORED");
    let mut stranger = pool.open();
    wait::until("others are asked too, whoever serves them", LIMIT, || {
        stranger = pool.open();
        stranger.send(b"get a\r\n");
        said(&mut stranger) == "CLIENT_ERROR unauthenticated"
    });
    assert_eq!(
        ask(&mut text, "get a"),
        "VALUE a 0 1|x|END",
        "others are others"
    );
    pool.change("");
    wait::until("nobody is asked any more", LIMIT, || {
        stranger.send(b"get a\r\n");
        let first = said(&mut stranger);
        if first.starts_with("VALUE") {
            assert_eq!(
                (said(&mut stranger), said(&mut stranger)),
                ("x".to_owned(), "END".to_owned())
            );
        }
        first.starts_with("VALUE")
    });
    assert_eq!(ask(&mut text, "get a"), "VALUE a 0 1|x|END");
}

#[test]
fn passwords_are_shown_nowhere() {
    let users: &[User] = &[("app", "hidden-app", &["+@all"], &["~*"])];
    let mut pool = Changing::start(&auth(users, "hidden-root"));
    let mut wrong = pool.open();
    wrong.send(b"set k 0 0 17\r\napp hidden-wrong1\r\n");
    assert_eq!(said(&mut wrong), "CLIENT_ERROR authentication failure");
    let mut client = pool.text("app", "hidden-app");
    let said = ask(&mut client, "stats") + &ask(&mut client, "stats settings");
    let admin = pool.data_plane.admin().to_owned();
    let (_, config) = http_get(&admin, "/config").expect("answered");
    let (_, metrics) = http_get(&admin, "/metrics").expect("answered");
    let log = pool.data_plane.process().log();
    assert!(config.contains("app"));
    assert!(!format!("{said}{config}{metrics}{log}").contains("hidden"));
}

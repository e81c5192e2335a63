//! Endpoints of Memcached that want a password: what the proxy presents over text and binary, and what else is heard.

use std::{collections::BTreeSet, time::Duration};

use prism_tests::{
    definitions, fleet::Fleet, memcached::Memcached, ports, programs::DataPlane, raw::Raw, wait,
};

use crate::{
    memcached_access::said,
    memcached_binary::{packet, plain, reply, store},
};

const WORDS: [(&str, &str); 2] = [("proxy", "inner-word"), ("default", "other-word")];

const LOGIN: &str = "backend_auth = { username = \"proxy\", password = \"inner-word\" }\n";

fn define(endpoint: &Memcached, listen: &str, more: &str) -> String {
    let servers = [format!("{}:1 cache-1", endpoint.addr())];
    definitions::cluster("pool", "memcache", listen, &servers, more)
}

struct Pool {
    endpoint: Memcached,
    data_plane: DataPlane,
    listen: String,
}

impl Pool {
    fn start(endpoint: Memcached, more: &str) -> Self {
        let listen = ports::free_addr();
        Self {
            data_plane: DataPlane::bootstrap(&define(&endpoint, &listen, more)),
            endpoint,
            listen,
        }
    }

    fn change(&self, more: &str) {
        let text = define(&self.endpoint, &self.listen, more);
        self.data_plane.rewrite(&text);
    }

    fn client(&self) -> Raw {
        Raw::connect(&self.listen)
    }

    /// What a client of text hears for one get.
    #[track_caller]
    fn text(&self) -> String {
        let mut client = self.client();
        client.send(b"get a\r\n");
        said(&mut client)
    }

    /// What a client of the binary protocol hears for one get: status and words.
    #[track_caller]
    fn binary(&self) -> (u8, String) {
        let mut client = self.client();
        client.send(&plain(0x00, "a"));
        let packet = reply(&mut client);
        (
            packet[7],
            String::from_utf8_lossy(&packet[24..]).into_owned(),
        )
    }
}

#[test]
fn text_presents_the_first_set() {
    let pool = Pool::start(Memcached::with_text_users(&WORDS), LOGIN);
    let mut client = pool.client();
    client
        .send(b"set a 5 0 1\r\nx\r\nget a\r\nmg a v\r\nappend a 0 0 1 noreply\r\ny\r\nget a b\r\n");
    for line in [
        "STORED",
        "VALUE a 5 1",
        "x",
        "END",
        "VA 1",
        "x",
        "VALUE a 5 2",
        "xy",
        "END",
    ] {
        assert_eq!(said(&mut client), line);
    }
    let (status, words) = pool.binary();
    assert_eq!(status, 0x84);
    assert!(words.starts_with("prism: endpoint cache-1 ("), "{words}");
    assert!(
        words.contains("speaks text only, as a memcached with -Y"),
        "{words}"
    );
    assert_eq!(pool.text(), "VALUE a 5 2", "the others go on");
}

#[test]
fn binary_presents_sasl() {
    let pool = Pool::start(Memcached::with_sasl_users(&WORDS), LOGIN);
    let mut client = pool.client();
    client.send(&[store(0x01, "a", b"x"), plain(0x09, "a"), plain(0x0a, "")].concat());
    for (opcode, status) in [(0x01, 0), (0x09, 0), (0x0a, 0)] {
        let packet = reply(&mut client);
        assert_eq!((packet[1], packet[7]), (opcode, status));
    }
    let heard = pool.text();
    assert!(
        heard.starts_with("SERVER_ERROR prism: endpoint cache-1 ("),
        "{heard}"
    );
    assert!(
        heard.contains("speaks the binary protocol only (-S)"),
        "{heard}"
    );
    assert_eq!(pool.binary().0, 0, "the others go on");
}

#[test]
fn password_alone_is_presented_by_the_user_default() {
    let more = "backend_password = \"other-word\"\n";
    let text = Pool::start(Memcached::with_text_users(&WORDS), more);
    assert_eq!(text.text(), "END");
    let binary = Pool::start(Memcached::with_sasl_users(&WORDS), more);
    assert_eq!(binary.binary(), (1, "Not found".to_owned()));
}

#[test]
fn refused_missing_and_needless_credentials_are_named_without_secrets() {
    let wrong = "backend_auth = { username = \"proxy-x\", password = \"wrong-word\" }\n";
    let blank = "backend_auth = { username = \"proxy\", password = \"wrong-word two\" }\n";
    let missing = "wants a password: backend_password or backend_auth is missing";
    let failure = "refused the credentials: CLIENT_ERROR authentication failure";
    let text_only = Memcached::with_text_users(&WORDS);
    let mut pool = Pool::start(text_only, wrong);
    let mut heard = vec![pool.text()];
    assert!(heard[0].contains(failure), "{heard:?}");
    for (more, words) in [
        ("", missing),
        (blank, "over text a name or password cannot have a blank"),
        (wrong, failure),
    ] {
        pool.change(more);
        wait::until(words, wait::LIMIT, || {
            heard.push(pool.text());
            heard.last().is_some_and(|heard| heard.contains(words))
        });
    }
    pool.change(LOGIN);
    wait::until("the right password is presented", wait::LIMIT, || {
        pool.text() == "END"
    });
    let logs = pool.data_plane.process().log();
    let binary_only = Memcached::with_sasl_users(&WORDS);
    let mut pool = Pool::start(binary_only, wrong);
    wait::until("the refusal is named", wait::LIMIT, || {
        let (status, words) = pool.binary();
        assert_eq!(status, 0x84);
        heard.push(words);
        heard
            .last()
            .is_some_and(|heard| heard.contains("refused the credentials: Auth failure."))
    });
    pool.change("");
    wait::until(missing, wait::LIMIT, || pool.binary().1.contains(missing));
    pool.change(LOGIN);
    wait::until("the right password is presented", wait::LIMIT, || {
        pool.binary().0 == 1
    });
    let logs = logs + &pool.data_plane.process().log();
    let pool = Pool::start(Memcached::start(), LOGIN);
    let needless = "refused the credentials: it asks for no password";
    for words in [pool.text(), pool.binary().1] {
        assert!(words.contains(needless), "{words}");
    }
    let mut direct = pool.endpoint.client();
    direct.send(b"stats items\r\nget prism_login\r\n");
    assert_eq!(
        (said(&mut direct), said(&mut direct)),
        ("END".to_owned(), "END".to_owned()),
        "nothing was stored"
    );
    let shown = format!("{heard:?}{logs}");
    assert!(!shown.contains("wrong-word") && !shown.contains("inner-word"));
}

#[test]
fn password_with_a_blank_works_over_binary() {
    let pool = Pool::start(
        Memcached::with_sasl_users(&[("default", "two words")]),
        "backend_password = \"two words\"\n",
    );
    assert_eq!(pool.binary().0, 1);
}

/// How often a client has authenticated at an endpoint of SASL, this one included.
fn logins(endpoint: &Memcached) -> u64 {
    let mut client = endpoint.client();
    client.send(&packet(0x21, &[], "PLAIN", b"\0proxy\0inner-word", 1));
    reply(&mut client);
    client.send(&plain(0x10, ""));
    let mut count = 0;
    loop {
        let packet = reply(&mut client);
        let key = usize::from(packet[3]);
        if packet.len() == 24 {
            return count;
        }
        let (name, value) = packet[24..].split_at(key);
        if name == b"auth_cmds" {
            count = String::from_utf8_lossy(value).parse().expect("a number");
        }
    }
}

#[test]
fn endpoint_of_another_protocol_is_probed_by_its_own_and_stays() {
    let more = "ping_fail_limit = 1\nping_succ_interval = 20\nmax_ejection_percent = 100\n";
    let pool = Pool::start(
        Memcached::with_sasl_users(&WORDS),
        &format!("{LOGIN}{more}"),
    );
    // Only the data plane's own probes log in: no client speaks the binary protocol.
    let (before, mut asked) = (logins(&pool.endpoint), 0);
    wait::until("it was probed three times", wait::LIMIT, || {
        let heard = pool.text();
        assert!(
            heard.contains("speaks the binary protocol only (-S)"),
            "{heard}"
        );
        asked += 1;
        logins(&pool.endpoint) >= before + asked + 3
    });
    assert_eq!(pool.binary().0, 1, "it is in use");
}

#[test]
fn control_plane_presents_the_same_and_never_ejects_over_credentials() {
    let fleet = Fleet::start(1);
    let guarded = [
        Memcached::with_text_users(&WORDS),
        Memcached::with_sasl_users(&WORDS),
        Memcached::with_text_users(&[("proxy", "another")]),
        Memcached::with_sasl_users(&[("proxy", "another")]),
        Memcached::start(),
    ];
    let servers: Vec<_> = guarded
        .iter()
        .map(|one| format!("{}:1", one.addr()))
        .collect();
    let (listen, at) = fleet.listener();
    let probing = "ping_interval = 200\nping_succ_interval = 100\nping_timeout = 500\nping_fail_limit = 1\nmax_ejection_percent = 100\n";
    let text = definitions::cluster(
        "pool",
        "memcache",
        &listen,
        &servers,
        &format!("{LOGIN}{probing}"),
    );
    fleet.apply(&text);
    let mut status = String::new();
    wait::until("refusals are told", Duration::from_secs(60), || {
        status = fleet.control.ctl(&["status"]).stdout;
        guarded[2..].iter().all(|one| status.contains(&one.addr()))
    });
    assert!(status.contains("misconfigured"), "{status}");
    assert!(
        !status.contains(&guarded[0].addr()) && !status.contains(&guarded[1].addr()),
        "{status}"
    );
    let mut client = Raw::connect(&at[0]);
    let mut answers = BTreeSet::new();
    for index in 0..300 {
        client.send(format!("get {index}-key-{}\r\n", index * 7919).as_bytes());
        answers.insert(said(&mut client));
    }
    for words in [
        "END",
        "speaks the binary protocol only",
        "authentication failure",
        "asks for no password",
    ] {
        assert!(
            answers.iter().any(|answer| answer.contains(words)),
            "{words}: {answers:?}"
        );
    }
    assert!(!answers.iter().any(|answer| answer.contains("ejected")));
    let written = fleet.control.ctl(&["get", "clusters", "-o", "toml"]).stdout;
    assert!(written.contains("secret:"), "{written}");
    let changed = text.replace("inner-word", "inner-word-2");
    let diff = fleet.control.ctl_with(&["diff", "-f", "-"], &changed);
    assert!(diff.stdout.contains("password"), "{diff:#?}");
    assert!(!format!("{status}{answers:?}{written}{diff:?}").contains("inner-word"));
}

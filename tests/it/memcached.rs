//! A pool of Memcached endpoints: every command of the text protocol, against a real memcached.

use prism_tests::{
    definitions, dice::Dice, memcached::Memcached, ports, programs::DataPlane, raw::Raw,
};

/// A data plane with one pool, and a real memcached to compare with.
pub(crate) struct Pool {
    pub(crate) endpoints: Vec<Memcached>,
    pub(crate) listen: String,
    _data_plane: DataPlane,
    server: Memcached,
    truth: Raw,
    proxy: Raw,
}

impl Pool {
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, "")
    }

    pub(crate) fn start_with(count: usize, more: &str) -> Self {
        let endpoints = Memcached::start_many(count);
        let servers: Vec<_> = endpoints
            .iter()
            .map(|one| format!("{}:1", one.addr()))
            .collect();
        let listen = ports::free_addr();
        let text = definitions::cluster("pool", "memcache", &listen, &servers, more);
        let data_plane = DataPlane::bootstrap(&text);
        let truth = Memcached::start();
        Self {
            endpoints,
            proxy: Raw::connect(&listen),
            listen,
            _data_plane: data_plane,
            truth: truth.client(),
            server: truth,
        }
    }

    /// Where the memcached to compare with listens.
    pub(crate) fn truth_addr(&self) -> String {
        self.server.addr()
    }

    /// Sends `bytes` to both, then a `mn`-like end mark (an unknown key's get), and compares everything before it.
    #[track_caller]
    pub(crate) fn check(&mut self, bytes: &str) -> String {
        self.check_cut(bytes, 0, &mut Dice::new(1))
    }

    #[track_caller]
    fn check_cut(&mut self, bytes: &str, pieces: usize, dice: &mut Dice) -> String {
        let ended = format!("{bytes}set end-mark 0 0 3\r\nEND\r\nget end-mark\r\n");
        self.truth.send(ended.as_bytes());
        self.proxy.send_cut(ended.as_bytes(), pieces, dice);
        let (truth, reply) = (until_mark(&mut self.truth), until_mark(&mut self.proxy));
        assert_eq!(
            reply, truth,
            "proxy (left) and memcached differ at {bytes:?}"
        );
        reply
    }
}

const MARK: &str = "STORED\r\nVALUE end-mark 0 3\r\nEND\r\nEND\r\n";

/// Everything up to the end mark.
fn until_mark(client: &mut Raw) -> String {
    let bytes = client.take(|bytes| {
        bytes
            .windows(MARK.len())
            .position(|window| window == MARK.as_bytes())
            .map(|at| at + MARK.len())
    });
    let text = String::from_utf8(bytes.expect("the end mark comes")).expect("text");
    text.strip_suffix(MARK).expect("found above").to_owned()
}

const TRANSCRIPT: [&str; 50] = [
    "get missing\r\n",
    "set a 5 0 1\r\nx\r\n",
    "get a\r\n",
    "add a 0 0 1\r\ny\r\n",
    "add b 7 0 2\r\nyy\r\n",
    "replace b 1 0 3\r\nabc\r\n",
    "replace missing 1 0 3\r\nabc\r\n",
    "append b 0 0 3\r\ndef\r\n",
    "prepend b 0 0 1\r\n_\r\n",
    "append missing 0 0 1\r\n_\r\n",
    "prepend missing 0 0 1\r\n_\r\n",
    "get b\r\n",
    "get a b missing a b\r\n",
    "cas a 0 0 1 999999\r\nz\r\n",
    "cas missing 0 0 1 1\r\nz\r\n",
    "set n 0 0 2\r\n41\r\n",
    "incr n 1\r\n",
    "decr n 50\r\n",
    "incr n 18446744073709551615\r\n",
    "incr missing 1\r\n",
    "decr missing 1\r\n",
    "incr b 1\r\n",
    "incr n x\r\n",
    "touch a 1000\r\n",
    "touch missing 1000\r\n",
    "gat 1000 a\r\n",
    "gat 1000 a b missing n\r\n",
    "delete a\r\n",
    "delete a\r\n",
    "delete b 0\r\n",
    "set empty 0 0 0\r\n\r\n",
    "get empty\r\n",
    "set expired 0 -1 1\r\nx\r\n",
    "get expired\r\n",
    "set flags 4294967295 0 1\r\nx\r\n",
    "get flags\r\n",
    "set quiet 0 0 1 noreply\r\nx\r\n",
    "add quiet 0 0 1 noreply\r\ny\r\n",
    "append quiet 0 0 1 noreply\r\nz\r\n",
    "get quiet\r\n",
    "set count 0 0 1 noreply\r\n1\r\n",
    "incr count 5 noreply\r\n",
    "decr count 1 noreply\r\n",
    "touch count 0 noreply\r\n",
    "get count\r\n",
    "delete count noreply\r\n",
    "get count\r\n",
    "set crlf 0 0 8\r\na\r\nEND\r\n\r\n",
    "get crlf\r\n",
    "set one 0 0 1\r\n1\r\nset two 0 0 1\r\n2\r\nget one two\r\ndelete one\r\nget one two\r\n",
];

#[test]
fn commands_answer_as_one_memcached() {
    let mut pool = Pool::start(3);
    for bytes in TRANSCRIPT {
        pool.check(bytes);
    }
}

#[test]
fn pipelined_commands_answer_in_order_however_they_are_cut() {
    let mut pool = Pool::start(3);
    let mut dice = Dice::new(7);
    for _ in 0..40 {
        pool.check_cut(&TRANSCRIPT.concat(), 12, &mut dice);
    }
}

#[test]
fn multi_get_keeps_the_order_of_its_keys() {
    let mut pool = Pool::start(3);
    let keys: Vec<_> = (0..60).map(|index| format!("{index}-key")).collect();
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| index % 4 != 0) {
        let value = "v".repeat(index * 40);
        pool.check(&format!(
            "set {key} {index} 0 {}\r\n{value}\r\n",
            value.len()
        ));
    }
    pool.check(&format!("get {}\r\n", keys.join(" ")));
    pool.check(&format!("gat 0 {}\r\n", keys.join(" ")));
    let backwards: Vec<_> = keys.iter().rev().map(String::as_str).collect();
    pool.check(&format!("get {}\r\n", backwards.join(" ")));
    pool.check(&format!("get {}\r\nget {}\r\n", keys[1], keys[2]).repeat(50));
    let held = pool.endpoints.iter().filter(|one| {
        let mut client = one.client();
        client.send(b"stats\r\n");
        let stats = client.take(|bytes| bytes.ends_with(b"END\r\n").then_some(bytes.len()));
        !String::from_utf8_lossy(&stats.expect("stats come")).contains("STAT curr_items 0\r")
    });
    assert_eq!(held.count(), 3, "every endpoint holds keys");
}

#[test]
fn gets_and_cas_agree_through_the_proxy() {
    let pool = Pool::start(3);
    let mut client = Raw::connect(&pool.listen);
    for key in ["a", "b", "c", "d"] {
        client.send(format!("set {key} 0 0 1\r\n1\r\ngets {key}\r\n").as_bytes());
        assert_eq!(client.line(), "STORED\r\n");
        let value = client.line();
        let token = value
            .split_whitespace()
            .last()
            .expect("a cas token")
            .to_owned();
        assert_eq!(
            (client.line(), client.line()),
            ("1\r\n".into(), "END\r\n".into())
        );
        client.send(format!("cas {key} 0 0 1 {token}\r\n2\r\n").as_bytes());
        assert_eq!(client.line(), "STORED\r\n");
        client.send(format!("cas {key} 0 0 1 {token}\r\n3\r\n").as_bytes());
        assert_eq!(client.line(), "EXISTS\r\n");
        client.send(format!("gats 0 {key}\r\n").as_bytes());
        let value = client.line();
        assert_eq!(value.split_whitespace().count(), 5, "{value}");
        assert_eq!(
            (client.line(), client.line()),
            ("2\r\n".into(), "END\r\n".into())
        );
    }
}

#[test]
fn wrong_commands_keep_the_connection_in_step() {
    let mut pool = Pool::start(2);
    for bytes in [
        "nosuch\r\n",
        "get\r\n",
        "incr a\r\n",
        "set a\r\n",
        "delete\r\n",
        "touch a\r\n",
    ] {
        pool.check(bytes);
    }
    let long = "k".repeat(251);
    for bytes in [
        format!("get {long}\r\n"),
        format!("delete {long}\r\n"),
        format!("incr {long} 1\r\n"),
    ] {
        let reply = pool.check(&bytes);
        assert!(reply.starts_with("CLIENT_ERROR"), "{reply}");
    }
    pool.check(&format!("get {}\r\n", "k".repeat(250)));
    let reply = pool.check("set a 0 0 3\r\nabcdef\r\n");
    assert!(reply.starts_with("CLIENT_ERROR bad data chunk"), "{reply}");
}

#[test]
fn too_large_value_is_refused_and_swallowed() {
    let mut pool = Pool::start(2);
    let value = "v".repeat(2 << 20);
    let reply = pool.check(&format!("set large 0 0 {}\r\n{value}\r\n", value.len()));
    assert!(reply.starts_with("SERVER_ERROR"), "{reply}");
}

#[test]
fn value_of_almost_a_mebibyte_comes_back() {
    let mut pool = Pool::start(2);
    let value = "0123456789abcdef".repeat((1 << 16) - 64);
    pool.check(&format!(
        "set large 1 0 {}\r\n{value}\r\nget large\r\n",
        value.len()
    ));
}

#[test]
fn version_and_quit_are_local() {
    let pool = Pool::start(2);
    let mut client = Raw::connect(&pool.listen);
    client.send(b"version\r\nset a 0 0 1\r\nx\r\nget a\r\nquit\r\n");
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    let (version, after) = rest.split_once("\r\n").expect("a first line");
    assert!(version.starts_with("VERSION "), "{version}");
    assert_eq!(after, "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn refused_commands_answer_in_order_and_keep_the_connection() {
    let pool = Pool::start(2);
    let mut client = Raw::connect(&pool.listen);
    for words in [
        "shutdown",
        "cache_memlimit 1",
        "slabs reassign 1 2",
        "lru tune 1 2",
        "watch",
        "refresh_certs",
    ] {
        client.send(format!("set a 0 0 1\r\nx\r\n{words}\r\nget a\r\n").as_bytes());
        assert_eq!(client.line(), "STORED\r\n");
        let error = client.line();
        assert!(error.contains("ERROR"), "{words}: {error}");
        assert_eq!(client.line(), "VALUE a 0 1\r\n", "after {words}");
        assert_eq!(
            (client.line(), client.line()),
            ("x\r\n".into(), "END\r\n".into())
        );
    }
}

#[test]
fn dead_endpoint_is_a_named_error_for_its_keys_only() {
    let mut pool = Pool::start_with(2, "ping_fail_limit = 0");
    pool.endpoints[0].process().kill();
    let mut client = Raw::connect(&pool.listen);
    let (mut stored, mut failed) = (0, 0);
    for index in 0..400 {
        client.send(format!("set {index}-key 0 0 1\r\nx\r\n").as_bytes());
        let line = client.line();
        stored += usize::from(line == "STORED\r\n");
        failed += usize::from(line.starts_with("SERVER_ERROR prism: "));
    }
    assert_eq!(stored + failed, 400);
    assert!(stored > 0 && failed > 0, "{stored} stored, {failed} failed");
}

#[test]
fn quiet_commands_leave_others_in_step() {
    let pool = Pool::start(3);
    let mut clients: Vec<_> = (0..8).map(|_| Raw::connect(&pool.listen)).collect();
    for round in 0..50 {
        for (number, client) in clients.iter_mut().enumerate() {
            let key = format!("k{number}-{}", round % 7);
            client.send(
                format!(
                    "set {key} 0 0 3 noreply\r\n{round:03}\r\ndelete none noreply\r\nget {key}\r\n"
                )
                .as_bytes(),
            );
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(
                client.line(),
                format!("VALUE k{number}-{} 0 3\r\n", round % 7)
            );
            assert_eq!(
                (client.line(), client.line()),
                (format!("{round:03}\r\n"), "END\r\n".into())
            );
        }
    }
}

#[test]
fn neighbouring_gets_are_answered_each_by_its_own() {
    for more in ["", "join_gets = false", "multi_key_policy = \"miss\""] {
        let mut pool = Pool::start_with(3, more);
        for number in 0..100 {
            let value = "v".repeat(number % 7);
            let len = value.len();
            pool.check(&format!("set key-{number} {number} 0 {len}\r\n{value}\r\n"));
        }
        // Hits, misses, repeated keys, more than travel as one, other commands between.
        let mut lines = String::new();
        for step in 0..300 {
            let number = (step * 37) % 130;
            match step % 50 {
                17 => lines.push_str(&format!(
                    "gets key-{number}\r\nget key-1 key-{number} key-1\r\n"
                )),
                31 => lines.push_str(&format!(
                    "set key-{number} 0 0 2\r\nab\r\nget key-{number}\r\n"
                )),
                _ => lines.push_str(&format!(
                    "get key-{number}\r\nget key-{number}\r\nget key-1\r\n"
                )),
            }
        }
        let lines = lines.replace("gets key-", "get key-");
        pool.check(&lines);
        pool.check_cut(&lines, 40, &mut Dice::new(7));
    }
}

#[test]
fn blanks_that_are_no_spaces_are_part_of_keys() {
    let mut pool = Pool::start(1);
    for blank in ["\t", "\r", "\x0b", "\x0c"] {
        let lines = [
            "set k 0 0 1\r\nA\r\n".to_owned(),
            format!("set k{blank} 0 0 1\r\nB\r\n"),
            format!("delete k{blank} noreply\r\n"),
            format!("get k k{blank}\r\n"),
        ];
        pool.check(&lines.concat());
    }
}

#[test]
fn large_values_of_neighbours_are_no_matter_of_the_others() {
    let mut pool = Pool::start_with(1, "max_reply_bytes = 100000");
    let value = "v".repeat(60_000);
    for key in ["a", "b", "c"] {
        pool.check(&format!("set {key} 0 0 60000\r\n{value}\r\n"));
    }
    pool.check("get a\r\nget b\r\nget c\r\nget none\r\nset d 0 0 1\r\nx\r\n");
}

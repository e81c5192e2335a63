//! A pool of Redis endpoints: every reply is what one server would say, everything else a clear error.

use std::collections::BTreeSet;

use prism_dataplane::protocol::redis::command::{self, Class};
use prism_tests::{definitions::transcript, oracle::Oracle, redis::Redis, resp};

use crate::pool::Pool;

const SINGLE_KEY: &str = include_str!("../vectors/redis/single_key.txt");

#[test]
fn single_key_commands_answer_as_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    for run in 0..5 {
        for command in transcript(SINGLE_KEY, &format!("run-{run}:")) {
            oracle.check(&command);
        }
    }
    for redis in &pool.endpoints {
        assert_ne!(redis.ask("DBSIZE"), ":0", "every endpoint holds keys");
    }
}

#[test]
fn pipelined_single_key_commands_answer_in_order() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    let commands = transcript(SINGLE_KEY, "pipelined:");
    let bytes: Vec<u8> = commands
        .iter()
        .flat_map(|words| resp::command(words))
        .collect();
    oracle.check_bytes(&bytes, commands.len());
}

#[test]
fn transcript_has_every_single_key_command() {
    let sent: BTreeSet<_> = transcript(SINGLE_KEY, "")
        .iter()
        .flat_map(|words| {
            let word = |at: usize| String::from_utf8_lossy(&words[at]).to_lowercase();
            let name = word(0);
            let leaf = if words.len() > 1 {
                format!("{name}|{}", word(1))
            } else {
                name.clone()
            };
            [name, leaf]
        })
        .collect();
    let missing: Vec<_> = command::all()
        .iter()
        .filter(|row| {
            matches!(
                row.class,
                Class::SingleRead | Class::SingleWrite | Class::Subkey
            )
        })
        .map(|row| row.name)
        .filter(|&name| !sent.contains(name) && name != "restore")
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn dumped_key_is_restored() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    for (index, value) in ["1", "some text", ""].into_iter().enumerate() {
        let key = format!("dumped-{index}");
        oracle.check(&["SET", &key, value]);
        let dumped = oracle.check(&["DUMP", &key]);
        let at = dumped
            .iter()
            .position(|&byte| byte == b'\n')
            .expect("a bulk reply")
            + 1;
        let payload = &dumped[at..dumped.len() - 2];
        let target = format!("restored-{index}");
        oracle.check(&[b"RESTORE", target.as_bytes(), b"0", payload]);
        oracle.check(&[b"RESTORE", target.as_bytes(), b"0", payload]);
        oracle.check(&["GET", &target]);
    }
}

#[test]
fn inline_commands_answer_as_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    let lines = "SET inline \"a b\"\r\nGET inline\r\n\r\nget inline\nPING\r\nECHO 'x y'\r\n";
    oracle.check_bytes(lines.as_bytes(), 5);
}

#[test]
fn commands_over_many_shards_are_merged() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    let keys: Vec<_> = (0..100).map(|index| format!("many-{index}")).collect();
    let mut set = vec!["MSET".to_owned()];
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| index % 3 != 0) {
        set.extend([key.clone(), format!("value {index}")]);
    }
    oracle.check(&set);
    let with = |name: &str, keys: &[String]| -> Vec<String> {
        [name.to_owned()]
            .into_iter()
            .chain(keys.iter().cloned())
            .collect()
    };
    oracle.check(&with("MGET", &keys));
    let doubled = [&keys[..], &keys[10..30], &keys[10..12]].concat();
    for name in ["MGET", "EXISTS", "TOUCH"] {
        oracle.check(&with(name, &doubled));
    }
    oracle.check_words("MSET many-0 first many-1 x many-0 last many-2 y");
    oracle.check_words("MGET many-0 many-1 many-2");
    oracle.check(&with("DEL", &doubled[5..115]));
    oracle.check(&with("UNLINK", &doubled));
    oracle.check(&with("MGET", &keys));
}

#[test]
fn wrong_numbers_of_keys_are_refused_as_by_one_server() {
    let pool = Pool::start(3);
    let mut oracle = Oracle::new(&pool.listen);
    for words in [
        "MGET",
        "MSET",
        "MSET a",
        "MSET a 1 b",
        "DEL",
        "EXISTS",
        "UNLINK",
        "TOUCH",
    ] {
        oracle.check_words(words);
    }
    oracle.check_words("RPUSH list a");
    oracle.check_words("MGET list missing");
    for index in 0..20 {
        oracle.check_words(&format!("SET key-{index} {index}"));
    }
    oracle.check_words("MGET key-1 list key-2 missing key-3");
}

#[test]
fn error_of_one_part_is_the_reply() {
    let endpoints = Redis::start_many(3);
    endpoints[0].ask("CONFIG SET maxmemory 1");
    let pool = Pool::start_with(endpoints, "");
    let mut client = pool.client();
    let pairs: Vec<_> = (0..400).map(|index| format!("{index}-key value")).collect();
    let reply = client.ask(&format!("MSET {}", pairs.join(" ")));
    assert!(reply.starts_with("-OOM"), "{reply}");
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn local_commands_answer_as_one_server() {
    let pool = Pool::start(2);
    let mut oracle = Oracle::new(&pool.listen);
    let lines = [
        "PING",
        "PING hello",
        "PING a b",
        "ECHO hello",
        "ECHO",
        "SELECT 0",
        "SELECT x",
        "CLIENT SETNAME me",
        "CLIENT GETNAME",
        "CLIENT BAD",
        "COMMAND COUNT x",
    ];
    for words in lines {
        oracle.check_words(words);
    }
}

#[test]
fn client_libraries_find_what_they_ask_for() {
    let pool = Pool::start(2);
    let mut client = pool.client();
    assert_eq!(client.ask("CLIENT SETINFO LIB-NAME redis-py"), "+OK");
    assert!(client.ask("CLIENT ID").starts_with(':'));
    assert!(client.ask("INFO").contains("redis_version:"));
    assert!(client.ask("INFO").contains("loading:0"));
    assert!(client.ask("COMMAND").starts_with('*'));
    assert!(client.ask("COMMAND COUNT").starts_with(':'));
    assert!(client.ask("COMMAND DOCS get").starts_with('*'));
    let hello = client.ask("HELLO 2");
    assert!(
        hello.starts_with("*14") && hello.contains("proto"),
        "{hello}"
    );
    assert!(client.ask("HELLO 9").starts_with("-NOPROTO"));
    let select = client.ask("SELECT 16");
    assert_eq!(select, "-ERR DB index is out of range");
}

#[test]
fn quit_answers_what_came_before_and_closes() {
    let pool = Pool::start(2);
    let mut client = pool.client();
    client.send(b"SET a 1\r\nGET a\r\nQUIT\r\n");
    assert_eq!(client.rest(), b"+OK\r\n$1\r\n1\r\n+OK\r\n");
}

#[test]
fn refused_commands_answer_in_order_and_keep_the_connection() {
    let pool = Pool::start(2);
    let mut client = pool.client();
    let refused = [
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "DEBUG SLEEP 0",
        "CONFIG SET maxmemory 1",
        "MONITOR",
        "SYNC",
        "PSYNC ? -1",
        "MIGRATE h 1 k 0 1",
        "MOVE a 1",
        "SWAPDB 0 1",
        "BGSAVE",
        "SAVE",
        "CLUSTER MEET a 1",
        "MODULE LOAD x",
        "FAILOVER",
        "NOSUCHCOMMAND a b",
        "CLIENT TRACKING ON",
        "ACL SETUSER x",
        "SLAVEOF a b",
    ];
    let mut bytes = Vec::new();
    for words in refused {
        bytes.extend(resp::command(&["SET", "key", words]));
        let words: Vec<_> = words.split(' ').collect();
        bytes.extend(resp::command(&words));
        bytes.extend(resp::command(&["GET", "key"]));
    }
    client.send(&bytes);
    for words in refused {
        assert_eq!(client.reply(), b"+OK\r\n", "before {words}");
        let error = String::from_utf8_lossy(&client.reply()).into_owned();
        assert!(error.starts_with("-ERR "), "{words}: {error}");
        assert_eq!(client.reply(), resp::bulk(words), "after {words}");
    }
    for redis in &pool.endpoints {
        assert_eq!(redis.ask("PING"), "+PONG");
    }
}

#[test]
fn command_with_several_keys_is_right_or_refused() {
    let pool = Pool::start(3);
    let server = Redis::start();
    let mut truth = server.client();
    let mut client = pool.client();
    let lines = [
        "SADD s1 a b",
        "SADD s2 b c",
        "SUNION s1 s2",
        "SINTER s1 s2",
        "SDIFF s1 s2",
        "SUNIONSTORE s3 s1 s2",
        "SMOVE s1 s2 a",
        "RENAME s1 s4",
        "COPY s2 s5",
        "BITOP AND d x y",
        "PFCOUNT p1 p2",
        "PFMERGE p3 p1 p2",
        "ZUNION 2 z1 z2",
        "ZUNIONSTORE z3 2 z1 z2",
        "LMOVE l1 l2 LEFT LEFT",
        "RPOPLPUSH l1 l2",
        "MSETNX a 1 b 2",
        "LCS a b",
        "SORT s2 ALPHA STORE out",
        "GEORADIUS g 0 0 1 km STORE h",
        "EVAL return(1) 2 a b",
        "XREAD STREAMS x y 0 0",
        "SINTERCARD 2 s1 s2",
    ];
    for words in lines {
        // Members of a set come in an order of each server's own.
        let sorted = |reply: &str| {
            let mut lines: Vec<_> = reply.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (reply, right) = (client.ask(words), truth.ask(words));
        assert!(
            sorted(&reply) == sorted(&right)
                || reply.starts_with("-ERR")
                || reply.starts_with("-CROSSSLOT"),
            "{words}: {reply}"
        );
    }
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn hash_tag_keeps_keys_together() {
    let pool = Pool::start_with(Redis::start_many(3), "hash_tag = \"{}\"");
    let mut client = pool.client();
    for index in 0..30 {
        assert_eq!(client.ask(&format!("SET {{tag}}:{index} 1")), "+OK");
    }
    let sizes: BTreeSet<_> = pool
        .endpoints
        .iter()
        .map(|redis| redis.ask("DBSIZE"))
        .collect();
    assert_eq!(sizes, BTreeSet::from([":0".to_owned(), ":30".to_owned()]));
}

#[test]
fn clients_must_present_the_password() {
    let pool = Pool::start_with(Redis::start_many(2), "password = \"open sesame\"");
    let server = Redis::start_with(&["--requirepass", "open sesame"]);
    let mut truth_client = server.client();
    let mut client = pool.client();
    let lines: [&[&str]; 9] = [
        &["GET", "a"],
        &["MGET", "a", "b"],
        &["PING"],
        &["AUTH", "wrong"],
        &["AUTH"],
        &["GET", "a"],
        &["AUTH", "open sesame"],
        &["GET", "a"],
        &["AUTH", "default", "open sesame"],
    ];
    for words in lines {
        let (reply, truth) = (client.call(words), truth_client.call(words));
        assert_eq!(
            String::from_utf8_lossy(&reply),
            String::from_utf8_lossy(&truth),
            "{words:?}"
        );
    }
    let mut other = pool.client();
    assert_eq!(other.ask("GET a"), "-NOAUTH Authentication required.");
    let hello = other.call(&["HELLO", "2", "AUTH", "default", "open sesame"]);
    assert!(
        hello.starts_with(b"*"),
        "{}",
        String::from_utf8_lossy(&hello)
    );
    assert_eq!(other.ask("GET a"), "$-1");
}

#[test]
fn auth_without_password_is_an_error_as_by_one_server() {
    let pool = Pool::start(2);
    let mut client = pool.client();
    let reply = client.ask("AUTH secret");
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert_eq!(client.ask("GET a"), "$-1");
}

#[test]
fn backend_password_is_presented_upstream() {
    let locked = |_| Redis::start_with(&["--requirepass", "inner"]);
    let pool = Pool::start_with((0..2).map(locked).collect(), "backend_password = \"inner\"");
    let mut client = pool.client();
    for index in 0..20 {
        assert_eq!(client.ask(&format!("SET key-{index} 1")), "+OK");
    }
}

#[test]
fn wrong_backend_password_is_a_clear_error() {
    let locked = Redis::start_with(&["--requirepass", "inner"]);
    let pool = Pool::start_with(vec![locked], "backend_password = \"other\"");
    let mut client = pool.client();
    let reply = client.ask("GET a");
    assert!(
        reply.starts_with("-ERR prism: ") || reply.starts_with("-WRONGPASS"),
        "{reply}"
    );
    assert!(!reply.contains("other"), "no password in {reply}");
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn broken_protocol_is_an_error_and_closes() {
    let pool = Pool::start(1);
    let mut client = pool.client();
    client.send(b"*1\r\n$4\r\nPING\r\n*1\r\n:4\r\n");
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(rest.starts_with("+PONG\r\n-ERR Protocol error"), "{rest}");
}

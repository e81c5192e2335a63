//! The proxy tells of itself in the words and fields of one real server.

use prism_tests::{oracle::Oracle, redis::Redis};

use crate::pool::Pool;

fn names(reply: &str) -> Vec<String> {
    let line = reply.lines().find(|line| line.starts_with("id="));
    let fields = line.expect("a client is listed").split(' ');
    fields
        .filter_map(|field| Some(field.split_once('=')?.0.to_owned()))
        .collect()
}

#[test]
fn fields_are_those_of_redis_in_its_order() {
    let pool = Pool::start(1);
    let truth = Redis::start();
    let theirs = names(&truth.ask("CLIENT INFO"));
    for command in ["CLIENT INFO", "CLIENT LIST"] {
        let mut ours = names(&pool.client().ask(command));
        // What came after 7.0.
        assert_eq!(ours.split_off(ours.len() - 2), ["lib-name", "lib-ver"]);
        let known: Vec<_> = theirs
            .iter()
            .filter(|name| ours.contains(name))
            .cloned()
            .collect();
        assert_eq!(ours, known, "{command}");
        assert!(ours.len() > 15, "{ours:?}");
    }
}

#[test]
fn words_are_those_of_redis() {
    let pool = Pool::start(1);
    let mut oracle = Oracle::new(&pool.listen);
    for words in [
        "CLIENT KILL 1.2.3.4:5",
        "CLIENT KILL ID 0",
        "CLIENT KILL ID x",
        "CLIENT KILL ID",
        "CLIENT KILL TYPE foo",
        "CLIENT KILL USER foo",
        "CLIENT KILL ID 5 SKIPME maybe",
        "CLIENT KILL ID 5 ADDR",
        "CLIENT KILL ID 77777",
        "CLIENT KILL foo bar",
        "CLIENT LIST TYPE foo",
        "CLIENT LIST TYPE normal x",
        "CLIENT LIST ID x",
        "CLIENT LIST ID",
        "CLIENT LIST ID 9999999",
        "CLIENT LIST foo",
        "CLIENT PAUSE x",
        "CLIENT PAUSE -1",
        "CLIENT PAUSE 1 foo",
        "CLIENT PAUSE 1 write x",
        "client pause 1 WRITE",
        "CLIENT UNPAUSE",
        "CLIENT UNBLOCK 3",
        "CLIENT UNBLOCK x",
        "CLIENT UNBLOCK 3 foo",
        "CLIENT UNBLOCK 3 error x",
        "CLIENT REPLY foo",
        "CLIENT NO-EVICT on",
        "CLIENT NO-EVICT foo",
        "CLIENT GETREDIR",
        "CLIENT TRACKINGINFO",
        "SLOWLOG GET x",
        "SLOWLOG GET -2",
        "SLOWLOG GET 1 2",
        "SLOWLOG RESET",
        "SLOWLOG LEN",
        "SLOWLOG GET",
        "SLOWLOG FOO",
        "LATENCY LATEST",
        "LATENCY HISTORY command",
        "LATENCY RESET",
        "LATENCY RESET a b",
        "LATENCY GRAPH command",
        "LATENCY DOCTOR",
        "CONFIG GET maxmemory",
        "CONFIG GET MAXMEMORY-POL?CY",
        "CONFIG GET nothing-like-it",
        "CONFIG GET slowlog-log-*",
        "CONFIG GET slowlog-max-len nothing SLOWLOG-MAX-LEN",
        "CONFIG GET",
        "CONFIG SET foo",
        "CLIENT CACHING yes",
        "ACL GENPASS 0",
        "ACL GENPASS x",
        "ACL GENPASS 1 2",
        "INFO nothing",
        "ROLE",
    ] {
        oracle.check_words(words);
    }
}

#[test]
fn words_are_those_of_redis_in_resp3() {
    let pool = Pool::start(1);
    let truth = Redis::start();
    let (mut ours, mut theirs) = (pool.client(), truth.client());
    for client in [&mut ours, &mut theirs] {
        assert!(client.ask("HELLO 3").starts_with("%7"));
    }
    for words in [
        "CLIENT GETNAME",
        "CLIENT TRACKINGINFO",
        "CLIENT LIST ID 9999999",
        "CONFIG GET maxmemory",
        "INFO nothing",
        "INFO cluster",
        "LATENCY DOCTOR",
        "LATENCY LATEST",
        "SLOWLOG GET",
    ] {
        assert_eq!(ours.ask(words), theirs.ask(words), "{words}");
    }
    for words in ["CLIENT INFO", "CLIENT LIST"] {
        let reply = ours.ask(words);
        assert!(
            reply.starts_with('=') && reply.contains("txt:id="),
            "{reply}"
        );
        assert!(reply.contains(" resp=3 "), "{reply}");
    }
}

#[test]
fn info_tells_in_the_fields_of_redis() {
    let pool = Pool::start(1);
    let truth = Redis::start();
    let fields = |text: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let names = lines.map(|(name, _)| name.to_owned());
        names
            .filter(|name| !name.starts_with("prism_"))
            .collect::<Vec<_>>()
    };
    let sections = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("# "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (ours, theirs) = (pool.client().ask("INFO"), truth.ask("INFO"));
    let known = fields(&theirs);
    let unknown: Vec<_> = fields(&ours)
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();
    assert_eq!(unknown, Vec::<String>::new());
    let named: Vec<_> = sections(&theirs)
        .into_iter()
        .filter(|section| sections(&ours).contains(section))
        .collect();
    assert_eq!(sections(&ours), named, "in the order of Redis");
    let mut client = pool.client();
    let two = client.ask("INFO stats MEMORY");
    assert_eq!(sections(&two), ["# Memory", "# Stats"]);
    assert!(client.ask("INFO keyspace").starts_with("-ERR prism: "));
    assert_eq!(client.ask("SET a 1"), "+OK");
    assert!(
        client
            .ask("INFO stats")
            .contains("total_commands_processed:1\r\n")
    );
}

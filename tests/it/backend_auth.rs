//! Endpoints with users of their own: what the proxy presents, and what clients hear when that is not enough.

use prism_tests::{raw::Raw, redis::Redis};

use crate::pool::Pool;

const OPTIONS: [&str; 12] = [
    "--user",
    "default",
    "off",
    "--user",
    "proxy",
    "on",
    ">inner-word",
    "~app:*",
    "&*",
    "+@all",
    "-keys",
    "-flushall",
];

fn start(more: &str) -> Pool {
    Pool::start_with(vec![Redis::start_with(&OPTIONS)], more)
}

#[test]
fn endpoint_holds_the_proxy_to_its_users_rules() {
    let pool = start("backend_auth = { username = \"proxy\", password = \"inner-word\" }");
    let (mut truth, mut client) = (pool.endpoints[0].client(), pool.client());
    assert_eq!(truth.ask("AUTH proxy inner-word"), "+OK");
    for words in [
        "SET app:1 1",
        "GET app:1",
        "GET other",
        "SET other 1",
        "MGET app:1 other",
        "DEL other app:1",
        "SETEX app:2 0 x",
        "OBJECT ENCODING other",
    ] {
        assert_eq!(client.ask(words), truth.ask(words), "{words}");
    }
    assert!(client.ask("GET other").starts_with("-NOPERM "));
    assert_eq!(
        client.ask("ACL WHOAMI"),
        "$7\r\ndefault",
        "users upstream are not the clients'"
    );
}

#[test]
fn wrong_credentials_are_a_named_error_without_them() {
    let mut pool = start("backend_auth = { username = \"proxy\", password = \"other-word\" }");
    let mut client = pool.client();
    let error = client.ask("GET app:1");
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
    assert!(error.contains("WRONGPASS"), "{error}");
    let log = pool.data_plane.process().log();
    assert!(!format!("{error}{log}").contains("other-word"));
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn missing_credentials_are_not_asked_of_the_client() {
    let pool = start("");
    let error = pool.client().ask("GET app:1");
    assert!(
        error.starts_with("-ERR prism: endpoint redis-1 ("),
        "{error}"
    );
    assert!(error.contains("backend_auth"), "{error}");
}

#[test]
fn user_that_comes_back_is_presented_again() {
    let pool = start(
        "backend_auth = { username = \"proxy\", password = \"inner-word\" }\nping_fail_limit = 0",
    );
    let mut admin = pool.endpoints[0].client();
    let mut client = pool.client();
    assert_eq!(client.ask("SET app:1 1"), "+OK");
    assert_eq!(admin.ask("AUTH proxy inner-word"), "+OK");
    let define = "ACL SETUSER root on >root ~* &* +@all";
    assert_eq!(admin.ask(define), "+OK");
    let mut root = pool.endpoints[0].client();
    assert_eq!(root.ask("AUTH root root"), "+OK");
    assert_eq!(root.ask("ACL DELUSER proxy"), ":1");
    hears(&mut client, "WRONGPASS");
    assert_eq!(
        root.ask("ACL SETUSER proxy on >inner-word ~app:* +@all"),
        "+OK"
    );
    hears(&mut client, "$1\r\n1");
}

/// Asks until the answer has `part`.
#[track_caller]
fn hears(client: &mut Raw, part: &str) {
    prism_tests::wait::until(part, prism_tests::wait::LIMIT, || {
        client.ask("GET app:1").contains(part)
    });
}

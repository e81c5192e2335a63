//! Claims about users, their rules and what a cluster denies.

use prism_proto::model::{
    AuthDraft, CacheType, ClusterSpec, Draft, EndpointDraft, Secret, UserDraft,
};

use super::*;
use crate::protocol::{
    message::Progress,
    redis::{
        command::{find, lookup},
        request::RequestDecoder,
    },
};

fn draft() -> Draft {
    Draft {
        name: "sessions".into(),
        cache_type: Some(CacheType::Redis),
        listen_addr: "127.0.0.1:9".into(),
        endpoints: vec![EndpointDraft {
            addr: "127.0.0.1:9".into(),
            ..EndpointDraft::default()
        }],
        ..Draft::default()
    }
}

fn access(draft: Draft) -> Access {
    Access::of(&ClusterSpec::new(draft).unwrap().resolve()).unwrap()
}

fn with_user(rules: &str) -> Access {
    access(with_user_draft(rules))
}

fn with_user_draft(rules: &str) -> Draft {
    let (keys, commands) = rules
        .split_whitespace()
        .map(str::to_owned)
        .partition(|rule| rule.starts_with(['~', '%', '&']));
    Draft {
        auth: Some(AuthDraft {
            password: None,
            users: vec![UserDraft {
                username: "app".into(),
                password: Some(Secret::Plain("pw".into())),
                commands,
                keys,
            }],
        }),
        ..draft()
    }
}

/// What a user of these rules hears when it sends `line`.
fn verdict(access: &Access, line: &str) -> Result<(), Denied> {
    let raw = format!("{line}\r\n").into_bytes();
    let mut decoder = RequestDecoder::new(crate::protocol::message::Limits::default());
    assert!(matches!(
        decoder.decode(&raw),
        Ok(Progress::Complete { .. })
    ));
    let rebuilt = decoder.take_rebuilt();
    let raw = rebuilt.as_deref().unwrap_or(&raw);
    let command = find(raw, decoder.args()).unwrap();
    access
        .user(b"app")
        .unwrap()
        .check(command, raw, decoder.args())
}

#[test]
fn rules_are_applied_from_left_to_right() {
    for (rules, line, is_allowed) in [
        ("+get", "GET a", true),
        ("+get", "SET a 1", false),
        ("+@all -@dangerous", "KEYS *", false),
        ("+@all -@dangerous +keys", "KEYS *", true),
        ("+keys -@dangerous", "KEYS *", false),
        ("+@all -config|set", "CONFIG GET x", true),
        ("+@all -config|set", "CONFIG SET x y", false),
        ("-@all +config", "CONFIG SET x y", true),
        ("+@all nocommands", "GET a", false),
        ("+get allcommands", "SET a 1", true),
        ("+select|0", "SELECT 0", true),
        ("+select|0", "SELECT 1", false),
        ("+select|0 -select", "SELECT 0", false),
        ("+get", "AUTH x", true),
        ("-@all", "PING", false),
    ] {
        let found = verdict(&with_user(&format!("{rules} ~*")), line);
        let expected = if is_allowed {
            Ok(())
        } else {
            Err(Denied::Command)
        };
        assert_eq!(found, expected, "{rules}: {line}");
    }
}

#[test]
fn keys_are_held_to_their_patterns() {
    for (rules, line, denied) in [
        ("~app:*", "GET app:1", None),
        ("~app:*", "GET other", Some(1)),
        ("~app:*", "MSET app:1 x app:2 x", None),
        ("~app:*", "MSET app:1 x other x", Some(3)),
        ("%R~app:*", "GET app:1", None),
        ("%R~app:*", "SET app:1 x", Some(1)),
        ("%W~app:*", "SET app:1 x", None),
        ("%W~app:*", "SET app:1 x GET", Some(1)),
        ("%W~app:*", "INCR app:1", Some(1)),
        ("%W~app:*", "EXISTS app:1", None),
        ("%W~app:*", "BITFIELD app:1 GET u8 0", Some(1)),
        ("%R~app:*", "BITFIELD app:1 GET u8 0 OVERFLOW SAT", None),
        ("%R~app:*", "BITFIELD app:1 SET u8 0 1", Some(1)),
        ("%R~src:* %W~dst:*", "SUNIONSTORE dst:1 src:1 src:2", None),
        (
            "%R~src:* %W~dst:*",
            "SUNIONSTORE dst:1 src:1 dst:2",
            Some(3),
        ),
        ("%R~src:* %W~dst:*", "COPY src:1 dst:1", None),
        ("%R~src:* %W~dst:*", "RENAME src:1 dst:1", Some(1)),
        ("%R~a* %W~*b", "INCR ab", Some(1)),
        ("%R~a* %W~a*", "INCR ab", None),
        ("%R~a* %W~a* ~b", "INCR b", None),
        ("%R~* ~x", "GET y", None),
        ("", "PING", None),
        ("", "KEYS *", None),
    ] {
        let found = verdict(&with_user(&format!("+@all {rules}")), line);
        let expected = denied.map_or(Ok(()), |at| Err(Denied::Key(at)));
        assert_eq!(found, expected, "{rules}: {line}");
    }
}

#[test]
fn channels_are_held_to_their_patterns() {
    for (rules, line, denied) in [
        ("&news:*", "PUBLISH news:1 x", None),
        ("&news:*", "PUBLISH other x", Some(1)),
        ("&news:*", "SUBSCRIBE news:1 other", Some(2)),
        ("&news:*", "PSUBSCRIBE news:1", Some(1)),
        ("&news:*", "PSUBSCRIBE news:*", None),
        ("", "UNSUBSCRIBE news:1", None),
        ("&*", "PSUBSCRIBE any", None),
    ] {
        let found = verdict(&with_user(&format!("+@all {rules}")), line);
        let expected = denied.map_or(Ok(()), |at| Err(Denied::Channel(at)));
        assert_eq!(found, expected, "{rules}: {line}");
    }
}

#[test]
fn scripts_are_for_users_who_may_do_everything() {
    for (rules, expected) in [
        ("+@all ~* &*", Ok(())),
        ("+@all ~*", Err(Denied::Script)),
        ("+@all -keys ~* &*", Err(Denied::Script)),
        ("+@all ~a &*", Err(Denied::Script)),
    ] {
        assert_eq!(verdict(&with_user(rules), "EVAL x 0"), expected, "{rules}");
    }
}

#[test]
fn only_the_right_password_of_the_right_user_lets_in() {
    let access = with_user("+@all");
    let name = |user: &[u8], password: &[u8]| {
        let user = access.authenticate(user, password);
        user.map(|user| user.name().to_owned())
    };
    assert_eq!(name(b"app", b"pw").as_deref(), Some("app"));
    for (user, password) in [
        (&b"app"[..], &b"pw2"[..]),
        (b"app", b""),
        (b"App", b"pw"),
        (b"default", b""),
        (b"default", b"pw"),
        (b"nobody", b""),
    ] {
        assert_eq!(name(user, password), None);
    }
    assert!(access.is_locked(), "users without a default password");
    let open = self::access(draft());
    assert!(!open.is_locked());
    assert!(open.authenticate(b"default", b"anything").is_some());
    assert!(open.authenticate(b"nobody", b"").is_none());
}

#[test]
fn access_shows_no_password() {
    let access = with_user("+@all");
    assert!(!format!("{access:?}").contains("pw"));
}

#[test]
fn cluster_denies_what_it_does_not_allow() {
    let list = |words: &str| words.split_whitespace().map(str::to_owned).collect();
    for (allow, deny, name, is_denied) in [
        ("", "", "keys", false),
        ("", "keys", "keys", true),
        ("", "@dangerous", "flushall", true),
        ("", "@dangerous", "get", false),
        ("get set", "", "get", false),
        ("get set", "", "del", true),
        ("get set", "", "auth", false),
        ("@all", "get", "get", true),
        ("@read", "get", "get", true),
        ("", "@connection", "hello", false),
        ("", "@connection", "ping", true),
        ("", "@all", "quit", false),
    ] {
        let access = access(Draft {
            allow: list(allow),
            deny: list(deny),
            ..draft()
        });
        let command = lookup(name.as_bytes()).unwrap();
        assert_eq!(
            access.is_denied(command),
            is_denied,
            "{allow}/{deny}: {name}"
        );
        let user = access.default_user();
        assert_eq!(
            access.is_unlimited(user),
            allow.is_empty() && deny.is_empty()
        );
    }
}

#[test]
fn rules_are_shown_as_redis_shows_them() {
    let access = with_user("-@all +get +set +get ~app:* %R~ro:* &news");
    let user = access.user(b"app").unwrap();
    assert_eq!(user.shown_commands(), "-@all +set +get");
    assert_eq!(user.shown_keys(), b"~app:* %R~ro:*");
    assert_eq!(user.shown_channels(), b"&news");
    let user = access.default_user();
    assert_eq!(user.shown_commands(), "-@all");
    assert!(!user.is_enabled());
}

#[test]
fn commands_of_modules_are_held_to_categories_and_keys() {
    // JSON.SET as a module of Redis 7.0 describes it.
    let foreign = |flags: &str| {
        let reply = format!(
            "*1\r\n*10\r\n$8\r\njson.set\r\n:-4\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*2\r\n+@write\r\n+@slow\r\n*0\r\n\
             *1\r\n*6\r\n$5\r\nflags\r\n{flags}$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n\
             *2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n\
             *6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"
        );
        Foreign::read(reply.as_bytes()).unwrap().unwrap()
    };
    let told = foreign("*2\r\n+OW\r\n+update\r\n");
    let untold = foreign("*1\r\n+variable_flags\r\n");
    let raw = b"JSON.SET app:1 $ 1";
    let args: [Span; 4] = [0..8, 9..14, 15..16, 17..18];
    for (rules, command, expected) in [
        ("+@all ~*", &told, Ok(())),
        ("+@all -@write ~*", &told, Err(Denied::Command)),
        ("+@write ~*", &told, Ok(())),
        ("-@slow +@write ~*", &told, Ok(())),
        ("+@write -@slow ~*", &told, Err(Denied::Command)),
        ("+@read +set ~*", &told, Err(Denied::Command)),
        ("+@all -get ~*", &told, Ok(())),
        ("+@all ~app:*", &told, Ok(())),
        ("+@all ~other:*", &told, Err(Denied::Key(1))),
        ("+@all %W~app:*", &told, Ok(())),
        ("+@all %R~app:*", &told, Err(Denied::Key(1))),
        ("+@all %W~app:*", &untold, Err(Denied::Key(1))),
        ("+@all ~app:*", &untold, Ok(())),
    ] {
        let access = with_user(rules);
        let user = access.user(b"app").unwrap();
        assert_eq!(user.check_foreign(command, raw, &args), expected, "{rules}");
    }
    let list = |words: &str| words.split_whitespace().map(str::to_owned).collect();
    for (allow, deny, is_denied) in [
        ("", "", false),
        ("", "keys", false),
        ("", "@write", true),
        ("", "@dangerous", false),
        ("get set", "", true),
        ("@write", "", false),
        ("@all", "@slow", true),
    ] {
        let access = access(Draft {
            allow: list(allow),
            deny: list(deny),
            ..draft()
        });
        assert_eq!(access.is_foreign_denied(&told), is_denied, "{allow}/{deny}");
    }
}

/// What a user of these rules hears from a Memcached cluster, given the command, whether it changes something, and a key.
fn heard(access: &Access, (name, is_change): (&str, bool), key: &str) -> Result<(), Forbidden> {
    let command = crate::protocol::memcache::command::lookup(name.as_bytes()).expect("a command");
    let user = access.user(b"app").expect("defined");
    access.check_memcached(user, (command, is_change), [key])
}

#[test]
fn users_of_memcached_need_the_command_and_the_right_to_the_key() {
    let memcache = |rules: &str, deny: &[&str]| {
        let user = with_user_draft(rules);
        access(Draft {
            cache_type: Some(CacheType::Memcache),
            deny: deny.iter().map(|&name| name.to_owned()).collect(),
            ..user
        })
    };
    let limited = memcache("+@all -@dangerous ~app:* %R~shared:* %W~log:*", &["decr"]);
    let command = |name| Err(Forbidden::Command(name));
    let cluster = |name| Err(Forbidden::Cluster(name));
    let key = |name| Err(Forbidden::Key(name));
    for (request, name, expected) in [
        (("get", false), "app:1", Ok(())),
        (("get", false), "log:1", key("get")),
        (("set", false), "log:1", Ok(())),
        (("append", false), "shared:1", key("append")),
        (("incr", false), "log:1", key("incr")),
        (("incr", false), "app:1", Ok(())),
        (("decr", false), "app:1", cluster("decr")),
        (("gats", false), "shared:1", key("gats")),
        (("touch", false), "log:1", Ok(())),
        (("mg", false), "shared:1", Ok(())),
        (("mg", true), "shared:1", key("mg")),
        (("ma", false), "log:1", key("ma")),
        (("me", false), "shared:1", Ok(())),
        (("flush_all", false), "app:1", command("flush_all")),
    ] {
        assert_eq!(
            heard(&limited, request, name),
            expected,
            "{request:?} {name}"
        );
    }
    let reader = memcache("+@read ~*", &[]);
    for (request, expected) in [
        (("mg", false), Ok(())),
        (("mg", true), command("touch")),
        (("gat", false), command("gat")),
        (("ms", false), command("ms")),
        (("stats", false), command("stats")),
        (("version", false), Ok(())),
        (("quit", false), Ok(())),
        (("mn", false), Ok(())),
    ] {
        assert_eq!(heard(&reader, request, "a"), expected, "{request:?}");
    }
    let free = memcache("+@all ~*", &[]);
    assert!(free.is_unlimited(free.user(b"app").expect("defined")));
    assert!(!reader.is_unlimited(reader.user(b"app").expect("defined")));
}

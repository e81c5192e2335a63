//! What a client hears from the proxy itself, word by word.

use std::{rc::Rc, sync::Arc};

use prism_proto::model::{AuthDraft, ClusterSpec, Draft, EndpointDraft, Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::{Builder, LocalOptions},
    task::spawn_local,
};

use super::*;
use crate::{
    cluster::{ClusterRuntime, TopologyHandle},
    downstream::{Session, session::Seat},
    metrics::Registry,
    protocol::redis::{command::all, reply::ReplyDecoder},
    upstream::{Stream, WorkerContext},
};

/// A cluster in service on one worker, with nobody at its endpoint's address.
pub(super) struct Bench {
    cluster: Rc<ClusterWorker>,
    _handle: TopologyHandle,
}

impl Bench {
    pub(super) fn start(password: Option<&str>) -> Self {
        let registry = Registry::new();
        let definition = Arc::new(definition(password));
        let (shared, handle) =
            TopologyHandle::start(Arc::clone(&definition), Arc::clone(&registry));
        let runtime = ClusterRuntime::new(definition, 0, 0, shared).unwrap();
        let context = Rc::new(WorkerContext::new(3, registry));
        let cluster = ClusterWorker::start(context, Arc::new(runtime));
        Self {
            cluster,
            _handle: handle,
        }
    }

    fn lock(&self, password: &str) {
        let shared = Arc::clone(&self.cluster.runtime().shared);
        let definition = Arc::new(definition(Some(password)));
        let runtime = ClusterRuntime::new(definition, 1, 1, shared).unwrap();
        self.cluster.update(Arc::new(runtime));
    }

    pub(super) fn connect(&self) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        let seat = Seat::take(&self.cluster.runtime().shared, None).unwrap();
        let cluster = Rc::clone(&self.cluster);
        spawn_local(Session::new(Stream::Unix(far), cluster, seat));
        near
    }
}

fn definition(password: Option<&str>) -> prism_proto::model::Cluster {
    let draft = Draft {
        name: "bench".into(),
        cache_type: Some(prism_proto::model::CacheType::Redis),
        listen_addr: "127.0.0.1:9".into(),
        endpoints: vec![EndpointDraft {
            addr: "127.0.0.1:9".into(),
            ..EndpointDraft::default()
        }],
        auth: password.map(|text| AuthDraft {
            password: Some(Secret::Plain(text.into())),
            ..AuthDraft::default()
        }),
        ..Draft::default()
    };
    ClusterSpec::new(draft).unwrap().resolve()
}

pub(super) fn run(test: impl AsyncFnOnce()) {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test());
}

/// Sends one inline request and reads until the whole reply is there.
pub(super) async fn ask(client: &mut UnixStream, line: &str) -> String {
    client.write_all(line.as_bytes()).await.unwrap();
    client.write_all(b"\r\n").await.unwrap();
    let mut decoder = ReplyDecoder::new(crate::protocol::message::Limits::default());
    let mut bytes = Vec::new();
    loop {
        assert!(client.read_buf(&mut bytes).await.unwrap() > 0, "{line}");
        if let crate::protocol::message::Progress::Complete { len } =
            decoder.decode(&bytes).unwrap()
        {
            assert_eq!(len, bytes.len(), "{line}");
            return String::from_utf8(bytes).unwrap();
        }
    }
}

async fn check(client: &mut UnixStream, transcript: &[(&str, &str)]) {
    for (line, reply) in transcript {
        assert_eq!(ask(client, line).await, format!("{reply}\r\n"), "{line}");
    }
}

const NOAUTH: &str = "-NOAUTH Authentication required.";
const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

#[test]
fn stranger_may_only_introduce_itself() {
    run(async || {
        let bench = Bench::start(Some("pw"));
        let mut client = bench.connect();
        let transcript = [
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("GET a", NOAUTH),
            ("PING", NOAUTH),
            ("COMMAND", NOAUTH),
            ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
            ("AUTH a b c", "-ERR syntax error"),
            ("AUTH other pw", WRONG),
            ("AUTH pw2", WRONG),
            ("AUTH p", WRONG),
            ("RESET", "+RESET"),
            ("HELLO 2 AUTH default no", WRONG),
            ("AUTH pw", "+OK"),
            ("PING", "+PONG"),
            ("AUTH no", WRONG),
            ("PING", "+PONG"),
            ("RESET", "+RESET"),
            ("PING", NOAUTH),
        ];
        check(&mut client, &transcript).await;
        assert!(
            ask(&mut client, "HELLO")
                .await
                .starts_with("-NOAUTH HELLO must be called")
        );
        let hello = ask(&mut client, "HELLO 2 AUTH default pw SETNAME me").await;
        assert!(hello.starts_with("*14\r\n"), "{hello}");
        check(
            &mut client,
            &[("CLIENT GETNAME", "$2\r\nme"), ("PING", "+PONG")],
        )
        .await;
    });
}

#[test]
fn added_password_is_asked_of_those_who_never_gave_one() {
    run(async || {
        let bench = Bench::start(None);
        let (mut old, mut known) = (bench.connect(), bench.connect());
        check(&mut old, &[("AUTH default any", "+OK"), ("PING", "+PONG")]).await;
        bench.lock("first");
        check(&mut old, &[("PING", NOAUTH)]).await;
        check(&mut known, &[("AUTH first", "+OK")]).await;
        bench.lock("first");
        check(&mut known, &[("PING", "+PONG")]).await;
        bench.lock("second");
        assert_eq!(known.read(&mut [0; 1]).await.unwrap(), 0, "it leaves");
        check(&mut old, &[("AUTH first", WRONG), ("AUTH second", "+OK")]).await;
    });
}

#[test]
fn stranger_cannot_send_much() {
    run(async || {
        let bench = Bench::start(Some("pw"));
        let long = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n", STRANGER_LIMIT);
        for (bytes, reply) in [
            (
                "*11\r\n",
                "-ERR Protocol error: unauthenticated multibulk length\r\n",
            ),
            (
                &long,
                "-ERR Protocol error: unauthenticated bulk length\r\n",
            ),
        ] {
            let mut client = bench.connect();
            client.write_all(bytes.as_bytes()).await.unwrap();
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, reply);
        }
        let mut client = bench.connect();
        check(&mut client, &[("AUTH pw", "+OK")]).await;
        let much = "x".repeat(STRANGER_LIMIT);
        let request = format!("*2\r\n$4\r\nECHO\r\n${}\r\n{much}", much.len());
        let reply = ask(&mut client, &request).await;
        assert_eq!(reply, format!("${}\r\n{much}\r\n", much.len()));
        let many = format!("*40\r\n$3\r\nDEL{}", "\r\n$1\r\na".repeat(39));
        let reply = ask(&mut client, &many).await;
        assert!(reply.starts_with("-ERR prism: endpoint"), "{reply}");
    });
}

const STRANGER_LIMIT: usize = 200 * 1024;

#[test]
fn numbers_are_read_as_strictly_as_redis_does() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        let (no_number, no_range) = (
            "-ERR value is not an integer or out of range",
            "-ERR DB index is out of range",
        );
        for word in ["x", "+0", "00", "-0", "''", "99999999999999999999"] {
            check(&mut client, &[(&format!("SELECT {word}"), no_number)]).await;
        }
        check(&mut client, &[("SELECT -1", no_range)]).await;
        let transcript = [
            ("SELECT 0", "+OK"),
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
            (
                "HELLO 02",
                "-ERR Protocol version is not an integer or out of range",
            ),
            ("HELLO 2 X", "-ERR Syntax error in HELLO option 'X'"),
        ];
        check(&mut client, &transcript).await;
    });
}

#[test]
fn what_is_not_served_is_refused_in_order() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        for row in all() {
            if is_served(row) || row.container {
                continue;
            }
            let mut line = row.name.replace('|', " ");
            let words = line.split(' ').count();
            for _ in words..usize::from(row.arity.unsigned_abs()) {
                line.push_str(" 1");
            }
            let reply = ask(&mut client, &line).await;
            assert!(reply.starts_with("-ERR "), "{line}: {reply}");
            assert_eq!(ask(&mut client, "ECHO on").await, "$2\r\non\r\n", "{line}");
        }
    });
}

#[test]
fn command_tells_of_what_is_served_and_nothing_else() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        let reply = ask(&mut client, "COMMAND LIST").await;
        let names = reply.split("\r\n").skip(2).step_by(2);
        let names: Vec<_> = names.filter(|name| !name.contains('|')).collect();
        for name in [
            "get", "ping", "mget", "client", "cluster", "xgroup", "rename",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["monitor"] {
            assert!(!names.contains(&name), "{name}");
            let reply = ask(&mut client, &format!("COMMAND INFO {name}")).await;
            assert_eq!(reply, "*1\r\n$-1\r\n");
        }
        let count = format!(":{}", names.len());
        check(&mut client, &[("COMMAND COUNT", &count)]).await;
        for (line, sign) in [("COMMAND", '*'), ("COMMAND DOCS", '*')] {
            let reply = ask(&mut client, line).await;
            let len = if line == "COMMAND" {
                names.len()
            } else {
                names.len() * 2
            };
            assert!(reply.starts_with(&format!("{sign}{len}\r\n")), "{line}");
        }
    });
}

#[test]
fn keys_are_told_as_redis_tells_them() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        let transcript = [
            ("COMMAND GETKEYS GET a", "*1\r\n$1\r\na"),
            ("COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb"),
            ("COMMAND GETKEYS XGROUP CREATE a b c", "*1\r\n$1\r\na"),
            (
                "COMMAND GETKEYS PING a",
                "-ERR The command has no key arguments",
            ),
            (
                "COMMAND GETKEYS SUBSCRIBE a",
                "-ERR The command has no key arguments",
            ),
            ("COMMAND GETKEYS FOO a", "-ERR Invalid command specified"),
            (
                "COMMAND GETKEYS GET a b",
                "-ERR Invalid number of arguments specified for command",
            ),
            ("COMMAND GETKEYS EVAL s 1 a", "*1\r\n$1\r\na"),
            ("COMMAND GETKEYS EVAL s 9 a", "*0"),
            (
                "COMMAND GETKEYS ZUNION 9 a",
                "-ERR Invalid arguments specified for command",
            ),
            (
                "COMMAND GETKEYSANDFLAGS SORT a STORE b",
                "*2\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n*2\r\n$1\r\nb\r\n*2\r\n+OW\r\n+update",
            ),
        ];
        check(&mut client, &transcript).await;
    });
}

#[test]
fn client_says_and_hears_who_it_is() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        let bad = "-ERR Client names cannot contain spaces, newlines or special characters.";
        let transcript = [
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME 'a b'", bad),
            ("CLIENT SETNAME me", "+OK"),
            ("CLIENT GETNAME", "$2\r\nme"),
            ("CLIENT SETINFO LIB-NAME redis-x", "+OK"),
            ("CLIENT SETINFO lib-ver 1.0", "+OK"),
            ("CLIENT SETINFO who me", "-ERR Unrecognized option 'who'"),
            ("CLIENT NO-EVICT maybe", "-ERR syntax error"),
            ("CLIENT REPLY ON", "+OK"),
            ("CLIENT REPLY SKIP\r\nPING\r\nECHO a", "$1\r\na"),
            (
                "CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON",
                "+OK",
            ),
        ];
        check(&mut client, &transcript).await;
        let id = ask(&mut client, "CLIENT ID").await;
        let id: u64 = id[1..].trim_end().parse().unwrap();
        assert_eq!(id % 1024, 3, "the number names the worker");
        let info = ask(&mut client, "CLIENT INFO").await;
        for field in [
            format!("id={id} "),
            "name=me ".into(),
            "lib-name=redis-x lib-ver=1.0".into(),
        ] {
            assert!(info.contains(&field), "{field} in {info}");
        }
        check(
            &mut client,
            &[("RESET", "+RESET"), ("CLIENT GETNAME", "$-1")],
        )
        .await;
    });
}

#[test]
fn info_has_the_sections_asked_for() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        let all = ask(&mut client, "INFO").await;
        for field in [
            "redis_version:",
            "loading:0\r\n",
            "role:master\r\n",
            "connected_clients:1\r\n",
        ] {
            assert!(all.contains(field), "{field} in {all}");
        }
        let sections = |text: &str| text.matches("# ").count();
        let everything = ask(&mut client, "INFO everything").await;
        assert_eq!(sections(&everything), sections(&all));
        let refusal = "-ERR prism: 'info keyspace' is not supported by this version";
        check(&mut client, &[("INFO server KEYSPACE", refusal)]).await;
        let two = ask(&mut client, "INFO cluster PERSISTENCE").await;
        let text = "# Persistence\r\nloading:0\r\nasync_loading:0\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n";
        assert_eq!(two, format!("${}\r\n{text}\r\n", text.len()));
        check(&mut client, &[("INFO nothing", "$0\r\n")]).await;
    });
}

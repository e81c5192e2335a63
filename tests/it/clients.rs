//! Client libraries that people use connect and work.

use std::{
    path::Path,
    process::{Command, Output},
};

use prism_tests::{
    cluster::Cluster, definitions, memcached::Memcached, ports, programs::DataPlane, redis::Redis,
};
use redis::Commands;

use crate::{pool::Pool, redis_cluster::Front};

/// Python with redis-py, as `tests/run` prepares it.
pub(crate) fn python() -> Command {
    let test = std::env::current_exe().expect("a running program has a path");
    let python = test
        .ancestors()
        .map(|folder| folder.join("venv/bin/python"))
        .find(|path| path.is_file());
    Command::new(python.as_deref().unwrap_or(Path::new("python3")))
}

/// What a client that ended well said.
#[track_caller]
pub(crate) fn assert_success(output: &Output) -> String {
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{errors}");
    out.into_owned()
}

const REDIS_PY: &str = r#"
import sys, redis
for protocol in (2, 3, None):
    more = {} if protocol is None else {"protocol": protocol}
    r = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), password=sys.argv[2] or None, client_name="me", **more)
    assert r.ping()
    for i in range(100):
        assert r.set(f"key-{i}", i)
    assert [int(v) for v in r.mget([f"key-{i}" for i in range(100)])] == list(range(100))
    p = r.pipeline(transaction=False)
    for i in range(100):
        p.incr(f"key-{i}")
    assert p.execute() == [i + 1 for i in range(100)]
    assert r.hset("h", mapping={"a": 1, "b": 2}) in (0, 2)
    assert r.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert r.delete(*[f"key-{i}" for i in range(100)]) == 100
    p = r.pubsub()
    p.subscribe("news")
    p.psubscribe("ne*")
    told = lambda: sorted((m["type"], m["data"]) for m in (p.get_message(timeout=5) for _ in range(2)))
    assert told() == [("psubscribe", 2), ("subscribe", 1)]
    assert r.publish("news", "hi") >= 1
    assert told() == [("message", b"hi"), ("pmessage", b"hi")]
    p.close()
    assert "redis_version" in r.info()
    try:
        r.execute_command("NOSUCH")
        raise SystemExit("no error")
    except redis.ResponseError:
        pass
    assert r.ping()
    r.close()
"#;

#[test]
fn redis_py_works() {
    for password in ["", "open sesame"] {
        let more = if password.is_empty() {
            String::new()
        } else {
            format!("password = {password:?}")
        };
        let pool = Pool::start_with(Redis::start_many(2), &more);
        let port = ports::port_of(&pool.listen);
        let output = python()
            .args(["-c", REDIS_PY, port, password])
            .output()
            .expect("python runs");
        assert_success(&output);
    }
}

#[test]
fn redis_py_works_on_a_redis_cluster() {
    let front = Front::start(Cluster::start(3), "");
    let port = ports::port_of(&front.listen);
    let output = python()
        .args(["-c", REDIS_PY, port, ""])
        .output()
        .expect("python runs");
    assert_success(&output);
}

#[test]
fn redis_rs_works() -> redis::RedisResult<()> {
    let pool = Pool::start_with(Redis::start_many(2), "password = \"sesame\"");
    let client = redis::Client::open(format!("redis://:sesame@{}/", pool.listen))?;
    let mut connection = client.get_connection()?;
    for index in 0..50 {
        let () = connection.set(format!("key-{index}"), index)?;
    }
    let keys: Vec<_> = (0..50).map(|index| format!("key-{index}")).collect();
    let values: Vec<i32> = connection.mget(&keys)?;
    assert_eq!(values, (0..50).collect::<Vec<_>>());
    let (first, second): (i32, i32) = redis::pipe()
        .incr("key-1", 1)
        .incr("key-2", 1)
        .query(&mut connection)?;
    assert_eq!((first, second), (2, 3));
    let deleted: i32 = connection.del(&keys)?;
    assert_eq!(deleted, 50);
    let mut subscriber = client.get_connection()?;
    let mut channels = subscriber.as_pubsub();
    channels.subscribe(&["one", "two"])?;
    let () = connection.publish("two", "hi")?;
    let message = channels.get_message()?;
    assert_eq!(message.get_channel_name(), "two");
    assert_eq!(message.get_payload::<String>()?, "hi");
    Ok(())
}

#[test]
fn redis_cli_works() {
    let pool = Pool::start_with(Redis::start_many(2), "password = \"sesame\"");
    let port = ports::port_of(&pool.listen);
    let run = |arguments: &[&str]| {
        let output = Command::new("redis-cli")
            .args(["-p", port, "-a", "sesame", "--no-auth-warning"])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        assert_success(&output).trim_end().to_owned()
    };
    assert_eq!(run(&["SET", "a", "1"]), "OK");
    assert_eq!(run(&["INCR", "a"]), "2");
    assert_eq!(run(&["MGET", "a", "none"]), "2");
    assert!(run(&["NOSUCH"]).contains("ERR"));
    assert!(run(&["INFO"]).contains("redis_version"));
}

#[test]
fn memcache_crate_works() -> Result<(), memcache::MemcacheError> {
    let endpoints = Memcached::start_many(2);
    let servers: Vec<_> = endpoints
        .iter()
        .map(|one| format!("{}:1", one.addr()))
        .collect();
    let listen = ports::free_addr();
    let _data_plane = DataPlane::bootstrap(&definitions::cluster(
        "pool", "memcache", &listen, &servers, "",
    ));
    let client = memcache::connect(format!("memcache://{listen}?protocol=ascii&timeout=5"))?;
    for index in 0..50 {
        client.set(&format!("key-{index}"), index, 0)?;
    }
    let keys: Vec<_> = (0..50).map(|index| format!("key-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let values = client.gets::<i32>(&keys)?;
    assert_eq!(values.len(), 50);
    assert_eq!(client.increment("key-1", 5)?, 6);
    assert!(client.delete("key-1")?);
    assert_eq!(client.get::<i32>("key-1")?, None);
    Ok(())
}

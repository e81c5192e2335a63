//! The libraries most applications use, with their defaults and in either dialect: their ordinary groups of commands.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use prism_tests::{cluster::Cluster, ports, redis::Redis, wait};
use redis::{Commands, ConnectionLike};

use crate::{pool::Pool, redis_cluster::Front};

/// What the scripts take for a dialect: the library's default, RESP2, RESP3.
const DIALECTS: [&str; 3] = ["0", "2", "3"];

const DELETE_ALL: &str =
    "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', key) end";

/// A proxy with what stands behind it, which can be emptied.
trait Place {
    fn listen(&self) -> &str;
    fn endpoints(&self) -> &[Redis];

    fn empty(&self) {
        for endpoint in self.endpoints() {
            let reply = endpoint.client().call(&["EVAL", DELETE_ALL, "0"]);
            assert_eq!(reply, b"$-1\r\n", "{}", String::from_utf8_lossy(&reply));
        }
    }
}

impl Place for Pool {
    fn listen(&self) -> &str {
        &self.listen
    }

    fn endpoints(&self) -> &[Redis] {
        &self.endpoints
    }
}

impl Place for Front {
    fn listen(&self) -> &str {
        &self.listen
    }

    fn endpoints(&self) -> &[Redis] {
        &self.cluster.nodes
    }
}

fn pool() -> Pool {
    Pool::start_with(Redis::start_many(3), "hash_tag = \"{}\"")
}

fn slots() -> Front {
    Front::start(Cluster::start(3), "")
}

/// Where `tests/run` has put something for tests: in the folder the running test is built in.
pub(crate) fn installed(path: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let found = test
        .ancestors()
        .map(|folder| folder.join(path))
        .find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from(path))
}

/// What runs a script of `tests/clients`.
pub(crate) fn command(program: &Path, script: &str, arguments: [&str; 2]) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = Command::new(program);
    command
        .arg(folder.join(script))
        .args(arguments)
        .env("NODE_PATH", installed("clients/node_modules"));
    command
}

/// Runs a script of `tests/clients` in each dialect.
#[track_caller]
fn run(program: &Path, script: &str, place: &impl Place) {
    let port = ports::port_of(place.listen());
    for dialect in DIALECTS {
        place.empty();
        let output = command(program, script, [port, dialect]).output();
        let output = output.expect("the program runs: run tests/run once");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(output.status.success(), "dialect {dialect}: {told}");
    }
}

#[test]
fn redis_py_works_on_a_pool() {
    run(&installed("venv/bin/python"), "redis_py.py", &pool());
}

#[test]
fn redis_py_works_on_a_redis_cluster() {
    run(&installed("venv/bin/python"), "redis_py.py", &slots());
}

#[test]
fn ioredis_works_on_a_pool() {
    run(Path::new("node"), "ioredis.js", &pool());
}

#[test]
fn ioredis_works_on_a_redis_cluster() {
    run(Path::new("node"), "ioredis.js", &slots());
}

#[test]
fn node_redis_works_on_a_pool() {
    run(Path::new("node"), "node_redis.js", &pool());
}

#[test]
fn node_redis_works_on_a_redis_cluster() {
    run(Path::new("node"), "node_redis.js", &slots());
}

#[test]
fn redis_rs_works_on_a_pool() -> redis::RedisResult<()> {
    redis_rs(&pool())
}

#[test]
fn redis_rs_works_on_a_redis_cluster() -> redis::RedisResult<()> {
    redis_rs(&slots())
}

fn redis_rs(place: &impl Place) -> redis::RedisResult<()> {
    for dialect in ["", "?protocol=resp3"] {
        place.empty();
        let client = redis::Client::open(format!("redis://{}/{dialect}", place.listen()))?;
        let mut connection = client.get_connection()?;
        values(&mut connection)?;
        collections(&mut connection)?;
        whole(&mut connection)?;
        scripts_and_transactions(&mut connection)?;
        messages(&client, &mut connection)?;
        assert!(connection.check_connection());
    }
    Ok(())
}

fn values(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    let () = connection.set("s", "v")?;
    assert_eq!(connection.get::<_, String>("s")?, "v");
    assert_eq!(connection.append::<_, _, i64>("s", "w")?, 2);
    assert_eq!(connection.incr::<_, _, i64>("n", 5)?, 5);
    assert_eq!(connection.get_del::<_, Option<i64>>("n")?, Some(5));
    assert_eq!(connection.get::<_, Option<i64>>("n")?, None);
    let pairs: Vec<_> = (0..50)
        .map(|number| (format!("m{number}"), number))
        .collect();
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
    let () = connection.mset(&pairs)?;
    assert_eq!(
        connection.mget::<_, Vec<i64>>(&keys)?,
        (0..50).collect::<Vec<_>>()
    );
    assert_eq!(connection.exists::<_, i64>(&keys)?, 50);
    assert_eq!(connection.del::<_, i64>(&keys)?, 50);
    assert!(connection.expire::<_, bool>("s", 100)?);
    assert!(connection.ttl::<_, i64>("s")? > 90);
    assert!(!connection.setbit::<_, bool>("bits", 7, true)?);
    assert_eq!(connection.bitcount::<_, i64>("bits")?, 1);
    let mut pipe = redis::pipe();
    for number in 0..200 {
        pipe.set(format!("pipe{number}"), number).ignore();
        pipe.incr(format!("pipe{number}"), 1);
    }
    let replies: Vec<i64> = pipe.query(connection)?;
    assert_eq!(replies, (1..=200).collect::<Vec<_>>());
    Ok(())
}

fn collections(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    assert_eq!(
        connection.hset_multiple::<_, _, _, String>("h", &[("a", 1), ("b", 2)])?,
        "OK"
    );
    let all: std::collections::BTreeMap<String, i64> = connection.hgetall("h")?;
    assert_eq!(
        all.into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), 1), ("b".to_owned(), 2)]
    );
    assert_eq!(connection.rpush::<_, _, i64>("l", &[1, 2, 3])?, 3);
    assert_eq!(connection.lrange::<_, Vec<i64>>("l", 0, -1)?, [1, 2, 3]);
    assert_eq!(connection.sadd::<_, _, i64>("{s}1", &["a", "b"])?, 2);
    assert_eq!(connection.sadd::<_, _, i64>("{s}2", &["b", "c"])?, 2);
    assert_eq!(
        connection.sinter::<_, Vec<String>>(&["{s}1", "{s}2"])?,
        ["b"]
    );
    assert_eq!(
        connection.zadd_multiple::<_, _, _, i64>("z", &[(1.5, "a"), (2.5, "b")])?,
        2
    );
    let scored: Vec<(String, f64)> = connection.zrange_withscores("z", 0, -1)?;
    assert_eq!(scored, [("a".to_owned(), 1.5), ("b".to_owned(), 2.5)]);
    let mut fields: Vec<String> = connection.hkeys("h")?;
    fields.sort();
    assert_eq!(fields, ["a", "b"]);
    assert!(connection.pfadd::<_, _, bool>("p", &["a", "b"])?);
    assert_eq!(connection.pfcount::<_, i64>("p")?, 2);
    let scanned: Vec<(String, i64)> = connection.hscan("h")?.collect::<Result<_, _>>()?;
    assert_eq!(scanned.len(), 2);
    let wrong = connection
        .lpush::<_, _, i64>("h", 1)
        .expect_err("it is a hash");
    assert_eq!(wrong.code(), Some("WRONGTYPE"));
    Ok(())
}

fn whole(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    for number in 0..100 {
        let () = connection.set(format!("whole{number}"), number)?;
    }
    assert_eq!(connection.keys::<_, Vec<String>>("whole*")?.len(), 100);
    let scanned: BTreeSet<String> = connection.scan_match("whole*")?.collect::<Result<_, _>>()?;
    assert_eq!(scanned.len(), 100);
    assert!(redis::cmd("DBSIZE").query::<i64>(connection)? >= 100);
    Ok(())
}

fn scripts_and_transactions(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.atomic().set("{t}a", 1).ignore().incr("{t}a", 1);
    assert_eq!(pipe.query::<(i64,)>(connection)?, (2,));
    let script = "return {KEYS[1], ARGV[1]}";
    let mut eval = redis::cmd("EVAL");
    let replied: Vec<String> = eval
        .arg(script)
        .arg(1)
        .arg("{e}a")
        .arg("x")
        .query(connection)?;
    assert_eq!(replied, ["{e}a", "x"]);
    let load = ["LOAD", "return redis.call('INCRBY', KEYS[1], ARGV[1])"];
    let digest: String = redis::cmd("SCRIPT").arg(&load).query(connection)?;
    for key in ["{e}n", "{f}n", "{g}n"] {
        let mut call = redis::cmd("EVALSHA");
        let sum: i64 = call.arg(&digest).arg(1).arg(key).arg(5).query(connection)?;
        assert_eq!(sum, 5);
    }
    Ok(())
}

fn messages(client: &redis::Client, sender: &mut redis::Connection) -> redis::RedisResult<()> {
    let mut connection = client.get_connection()?;
    let mut listener = connection.as_pubsub();
    listener.set_read_timeout(Some(wait::LIMIT))?;
    listener.subscribe("{c}news")?;
    listener.psubscribe("{c}n*")?;
    let () = sender.publish("{c}news", "hello")?;
    for _ in 0..2 {
        let message = listener.get_message()?;
        assert_eq!(message.get_channel_name(), "{c}news");
        assert_eq!(message.get_payload::<String>()?, "hello");
    }
    Ok(())
}

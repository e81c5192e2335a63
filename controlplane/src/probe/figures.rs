//! What an endpoint says of itself: `stats` of Memcached, INFO of Redis.

use std::time::Duration;

use prism_proto::model::CacheType;

use super::{
    Figures, Target,
    check::{ask, field, within},
    memcached,
    reply::ReplyError,
};

/// What an endpoint said, or why it said nothing of use.
type Said = Result<Figures, String>;

/// Asks an endpoint for its figures.
pub(super) async fn figures(target: Target) -> Said {
    within(target.timeout, async {
        match target.cache_type {
            CacheType::Memcache => ask_memcached(&target).await,
            CacheType::Redis | CacheType::RedisCluster => ask_redis(&target).await,
        }
    })
    .await
}

async fn ask_memcached(target: &Target) -> Result<Said, ReplyError> {
    let mut link = match memcached::open(target).await? {
        Ok(link) => link,
        Err(refusal) => return Ok(Err(refusal.complaint().into())),
    };
    Ok(link.stats().await?.map(|stats| {
        let mut figures = Figures::default();
        for (name, value) in &stats {
            read_stat(&mut figures, name, value);
        }
        figures
    }))
}

fn read_stat(figures: &mut Figures, name: &str, value: &str) {
    let number = value.parse().ok();
    match name {
        "bytes" => figures.used_bytes = number,
        "curr_connections" => figures.connections = number,
        "curr_items" => figures.items = number,
        "evictions" => figures.evictions = number,
        "get_hits" => figures.hits = number,
        "get_misses" => figures.misses = number,
        "limit_maxbytes" => figures.limit_bytes = number.filter(|limit| *limit > 0),
        "uptime" => figures.uptime = number.map(Duration::from_secs),
        _ => {}
    }
}

async fn ask_redis(target: &Target) -> Result<Said, ReplyError> {
    let said = ask(target, b"INFO\r\n").await?;
    Ok(said.map(|info| read_info(&info)))
}

fn read_info(info: &str) -> Figures {
    let number = |name| field(info, name).and_then(|value| value.parse().ok());
    // Databases without keys are not listed: a whole INFO without any holds none.
    let databases = info.lines().filter_map(keys_of_database);
    let has_keyspace = info.contains("# Keyspace");
    Figures {
        uptime: number("uptime_in_seconds").map(Duration::from_secs),
        items: has_keyspace.then(|| databases.sum()),
        used_bytes: number("used_memory"),
        limit_bytes: number("maxmemory").filter(|limit| *limit > 0),
        hits: number("keyspace_hits"),
        misses: number("keyspace_misses"),
        evictions: number("evicted_keys"),
        connections: number("connected_clients"),
    }
}

/// Reads a line such as `db0:keys=12,expires=0,avg_ttl=0`.
fn keys_of_database(line: &str) -> Option<u64> {
    let (name, values) = line.trim_end().split_once(':')?;
    name.strip_prefix("db")?.parse::<u32>().ok()?;
    let keys = values
        .split(',')
        .find_map(|value| value.strip_prefix("keys="));
    keys?.parse().ok()
}

#[cfg(test)]
mod tests {
    use prism_proto::model::EndpointAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Returns what comes of it when an endpoint answers `answer` and then says no more.
    async fn read(cache_type: CacheType, answer: &'static [u8]) -> Said {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("asked");
            stream.write_all(answer).await.expect("sent");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let target = Target {
            addr: EndpointAddr::tcp("127.0.0.1", port),
            cache_type,
            credentials: None,
            timeout: Duration::from_millis(300),
        };
        figures(target).await
    }

    #[tokio::test]
    async fn stats_of_memcached_are_read() {
        let answer = b"VERSION 1\r\nVERSION 1\r\nVERSION 1\r\nSTAT pid 7\r\nSTAT uptime 65\r\nSTAT libevent 2.1.12-stable\r\nSTAT curr_connections 2\r\n\
            STAT get_hits 5\r\nSTAT get_misses 1\r\nSTAT limit_maxbytes 67108864\r\nSTAT bytes 90\r\nSTAT curr_items 3\r\n\
            STAT evictions 4\r\nEND\r\n";
        let expected = Figures {
            uptime: Some(Duration::from_secs(65)),
            items: Some(3),
            used_bytes: Some(90),
            limit_bytes: Some(64 << 20),
            hits: Some(5),
            misses: Some(1),
            evictions: Some(4),
            connections: Some(2),
        };
        assert_eq!(read(CacheType::Memcache, answer).await, Ok(expected));
    }

    #[tokio::test]
    async fn info_of_redis_is_read() {
        let info = "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:65\r\n# Clients\r\nconnected_clients:2\r\n\
            # Memory\r\nused_memory:90\r\nmaxmemory:0\r\n# Stats\r\nkeyspace_hits:5\r\nkeyspace_misses:1\r\nevicted_keys:4\r\n\
            # Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb3:keys=1,expires=1,avg_ttl=9\r\n";
        let expected = Figures {
            uptime: Some(Duration::from_secs(65)),
            items: Some(13),
            used_bytes: Some(90),
            limit_bytes: None,
            hits: Some(5),
            misses: Some(1),
            evictions: Some(4),
            connections: Some(2),
        };
        assert_eq!(read_info(info), expected);
        let empty = read_info("# Keyspace\r\n");
        assert_eq!((empty.items, empty.hits), (Some(0), None));
        assert_eq!(read_info("# Server\r\n").items, None);
    }

    #[tokio::test]
    async fn what_is_no_answer_says_why() {
        let cases: [(CacheType, &'static [u8], &str); 6] = [
            (CacheType::Memcache, b"ERROR\r\n", "ERROR"),
            (
                CacheType::Memcache,
                b"VERSION 1\r\nVERSION 1\r\nVERSION 1\r\nSTAT pid 7\r\n",
                "no answer within 300ms",
            ),
            (
                CacheType::Memcache,
                b"VERSION 1\r\nVERSION 1\r\nVERSION 1\r\nSERVER_ERROR no\r\n",
                "SERVER_ERROR no",
            ),
            (CacheType::Redis, b"-NOPERM no\r\n", "NOPERM no"),
            (
                CacheType::Redis,
                b"$99\r\n# Server\r\n",
                "no answer within 300ms",
            ),
            (CacheType::Redis, b"HTTP/1.1 400\r\n", "it sent something"),
        ];
        for (cache_type, answer, expected) in cases {
            let error = read(cache_type, answer).await.expect_err("no figures");
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

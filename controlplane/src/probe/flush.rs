//! Emptying an endpoint: `flush_all` of Memcached, FLUSHALL of Redis.

use prism_proto::model::CacheType;
use tokio::io::AsyncWriteExt;

use super::{
    Target,
    check::{authenticate, connect, shortened, within},
    memcached,
    reply::{Reply, ReplyError, read_reply},
};

/// What an endpoint said.
type Said = Result<(), String>;

/// Empties an endpoint and waits for its word that this was done.
pub(super) async fn flush(target: Target) -> Said {
    within(target.timeout, async {
        match target.cache_type {
            CacheType::Memcache => flush_memcached(&target).await,
            CacheType::Redis | CacheType::RedisCluster => flush_redis(&target).await,
        }
    })
    .await
}

async fn flush_memcached(target: &Target) -> Result<Said, ReplyError> {
    match memcached::open(target).await? {
        Ok(mut link) => link.flush().await,
        Err(refusal) => Ok(Err(refusal.complaint().into())),
    }
}

/// All databases go at once; their memory is freed afterwards, which does not hold up the answer.
async fn flush_redis(target: &Target) -> Result<Said, ReplyError> {
    let mut connection = connect(&target.addr).await?;
    if let Err(refusal) = authenticate(&mut connection, target.credentials.as_ref()).await? {
        return Ok(Err(refusal.complaint().into()));
    }
    let sent = connection.get_mut().write_all(b"FLUSHALL ASYNC\r\n");
    sent.await?;
    Ok(match read_reply(&mut connection).await? {
        Reply::Text(text) if text == "OK" => Ok(()),
        Reply::Text(text) | Reply::Error(text) => Err(shortened(&text)),
    })
}

//! Emptying an endpoint: `flush_all` of Memcached, FLUSHALL of Redis.

use prism_proto::model::CacheType;

use super::{
    Target,
    check::{ask, shortened, within},
    memcached,
    reply::ReplyError,
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
    let said = ask(target, b"FLUSHALL ASYNC\r\n").await?;
    Ok(said.and_then(|text| match text.as_str() {
        "OK" => Ok(()),
        _ => Err(shortened(&text)),
    }))
}

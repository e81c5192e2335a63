//! The names that rules about commands may use, so that a mistake is found where it is written.

use crate::model::CacheType;

/// The names of one protocol, all in lower case.
#[derive(Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Every command, separated by spaces; a subcommand as `container|name`.
    pub commands: &'static str,
    /// Every category of commands, separated by spaces.
    pub categories: &'static str,
    /// Commands that clients need to come in and out, and that can therefore not be denied.
    pub always: &'static [&'static str],
    /// Rules about channels and first arguments have a meaning.
    pub is_redis: bool,
}

/// The names of Redis.
pub static REDIS_WORDS: Vocabulary = Vocabulary {
    commands: COMMANDS,
    categories: CATEGORIES,
    always: &["auth", "hello", "quit", "reset"],
    is_redis: true,
};

/// The names of Memcached; operations of the binary protocol stand under those of text.
pub static MEMCACHE_WORDS: Vocabulary = Vocabulary {
    commands: "\
    add append cache_memlimit cas decr delete flush_all gat gats get gets incr lru lru_crawler ma md me mg mn ms \
    prepend quit refresh_certs replace set shutdown slabs stats touch verbosity version watch",
    categories: "all dangerous read write",
    always: &["mn", "quit", "version"],
    is_redis: false,
};

/// Every command of Redis 7.0 and the newer ones that data planes know, separated by spaces, in order.
pub const COMMANDS: &str = "\
    acl acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save \
    acl|setuser acl|users acl|whoami append asking auth bgrewriteaof bgsave bitcount bitfield bitfield_ro bitop \
    bitpos blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client client|caching client|getname \
    client|getredir client|help client|id client|info client|kill client|list client|no-evict client|no-touch \
    client|pause client|reply client|setinfo client|setname client|tracking client|trackinginfo client|unblock \
    client|unpause cluster cluster|addslots cluster|addslotsrange cluster|bumpepoch \
    cluster|count-failure-reports cluster|countkeysinslot cluster|delslots cluster|delslotsrange \
    cluster|failover cluster|flushslots cluster|forget cluster|getkeysinslot cluster|help cluster|info \
    cluster|keyslot cluster|links cluster|meet cluster|myid cluster|myshardid cluster|nodes cluster|replicas \
    cluster|replicate cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|shards \
    cluster|slaves cluster|slots command command|count command|docs command|getkeys command|getkeysandflags \
    command|help command|info command|list config config|get config|help config|resetstat config|rewrite \
    config|set copy dbsize debug decr decrby del discard dump echo eval eval_ro evalsha evalsha_ro exec exists \
    expire expireat expiretime failover fcall fcall_ro flushall flushdb function function|delete function|dump \
    function|flush function|help function|kill function|list function|load function|restore function|stats \
    geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch \
    geosearchstore get getbit getdel getex getrange getset hdel hello hexists hexpire hexpireat hexpiretime hget \
    hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime \
    hpttl hrandfield hscan hset hsetex hsetnx hstrlen httl hvals incr incrby incrbyfloat info keys lastsave \
    latency latency|doctor latency|graph latency|help latency|histogram latency|history latency|latest \
    latency|reset lcs lindex linsert llen lmove lmpop lolwut lpop lpos lpush lpushx lrange lrem lset ltrim \
    memory memory|doctor memory|help memory|malloc-stats memory|purge memory|stats memory|usage mget migrate \
    module module|help module|list module|load module|loadex module|unload monitor move mset msetnx multi object \
    object|encoding object|freq object|help object|idletime object|refcount persist pexpire pexpireat \
    pexpiretime pfadd pfcount pfdebug pfmerge pfselftest ping prism prism|explain psetex psubscribe psync pttl publish pubsub \
    pubsub|channels pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub punsubscribe \
    quit randomkey readonly readwrite rename renamenx replconf replicaof reset restore restore-asking role rpop \
    rpoplpush rpush rpushx sadd save scan scard script script|debug script|exists script|flush script|help \
    script|kill script|load sdiff sdiffstore select set setbit setex setnx setrange shutdown sinter sintercard \
    sinterstore sismember slaveof slowlog slowlog|get slowlog|help slowlog|len slowlog|reset smembers smismember \
    smove sort sort_ro spop spublish srandmember srem sscan ssubscribe strlen subscribe substr sunion \
    sunionstore sunsubscribe swapdb sync time touch ttl type unlink unsubscribe unwatch wait waitaof watch xack \
    xackdel xadd xautoclaim xclaim xdel xdelex xgroup xgroup|create xgroup|createconsumer xgroup|delconsumer \
    xgroup|destroy xgroup|help xgroup|setid xinfo xinfo|consumers xinfo|groups xinfo|help xinfo|stream xlen \
    xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore zincrby zinter \
    zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore \
    zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex \
    zrevrangebyscore zrevrank zscan zscore zunion zunionstore";

/// Every category of commands, separated by spaces.
pub const CATEGORIES: &str = "\
    admin all bitmap blocking connection dangerous fast geo hash hyperloglog keyspace list pubsub read scripting set \
    slow sortedset stream string transaction write";

impl Vocabulary {
    /// Returns the names of a cluster's protocol.
    pub fn of(cache_type: CacheType) -> &'static Self {
        match cache_type {
            CacheType::Memcache => &MEMCACHE_WORDS,
            CacheType::Redis | CacheType::RedisCluster => &REDIS_WORDS,
        }
    }

    /// Whether `name`, in lower case, is a command or a `container|subcommand`.
    pub(super) fn is_command(&self, name: &str) -> bool {
        self.commands.split(' ').any(|known| known == name)
    }

    /// Whether `name` is a command that has subcommands.
    pub(super) fn is_container(&self, name: &str) -> bool {
        let is_below = |known: &str| {
            let rest = known.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with('|'))
        };
        self.commands.split(' ').any(is_below)
    }

    /// Whether `name`, in lower case and without `@`, is a category.
    pub(super) fn is_category(&self, name: &str) -> bool {
        self.categories.split(' ').any(|known| known == name)
    }
}

//! Key specifications of Redis 7.0 by command; a command that is not here has no keys.

use std::borrow::Cow;

use super::spec::*;

/// The specifications of the command `name`.
pub(super) fn specs(name: &str) -> &'static [KeySpec] {
    let found = SPECS.binary_search_by(|(other, _)| (*other).cmp(name));
    let row = found.ok().and_then(|at| SPECS.get(at));
    row.map_or(&[], |(_, specs)| specs)
}

const fn key(at: u16, bits: u16) -> KeySpec {
    range(at, 0, 1, bits)
}

const fn range(at: u16, last: i16, step: u16, bits: u16) -> KeySpec {
    let limit = 0;
    KeySpec {
        flags: KeyFlags::new(bits),
        begin: Begin::Index(at),
        find: Find::Range { last, step, limit },
    }
}

const fn counted(at: u16, bits: u16) -> KeySpec {
    KeySpec {
        flags: KeyFlags::new(bits),
        begin: Begin::Index(at),
        find: Find::Counted {
            count: 0,
            first: 1,
            step: 1,
        },
    }
}

const fn behind(word: &'static str, from: i16, last: i16, limit: u16, bits: u16) -> KeySpec {
    KeySpec {
        flags: KeyFlags::new(bits),
        begin: Begin::Keyword(Cow::Borrowed(word), from),
        find: Find::Range {
            last,
            step: 1,
            limit,
        },
    }
}

const fn unknown(bits: u16) -> KeySpec {
    KeySpec {
        flags: KeyFlags::new(bits),
        begin: Begin::Unknown,
        find: Find::Unknown,
    }
}

macro_rules! rows {
    ($($name:literal, [$($spec:expr),*];)*) => {
        &[$(($name, &[$($spec),*])),*]
    };
}

/// In the order of names.
pub(super) static SPECS: &[(&str, &[KeySpec])] = rows! {
    "append", [key(1, RW | INSERT)];
    "bitcount", [key(1, RO | ACCESS)];
    "bitfield", [key(1, RW | ACCESS | UPDATE | VARIABLE)];
    "bitfield_ro", [key(1, RO | ACCESS)];
    "bitop", [key(2, OW | UPDATE), range(3, -1, 1, RO | ACCESS)];
    "bitpos", [key(1, RO | ACCESS)];
    "blmove", [key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)];
    "blmpop", [counted(2, RW | ACCESS | DELETE)];
    "blpop", [range(1, -2, 1, RW | ACCESS | DELETE)];
    "brpop", [range(1, -2, 1, RW | ACCESS | DELETE)];
    "brpoplpush", [key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)];
    "bzmpop", [counted(2, RW | ACCESS | DELETE)];
    "bzpopmax", [range(1, -2, 1, RW | ACCESS | DELETE)];
    "bzpopmin", [range(1, -2, 1, RW | ACCESS | DELETE)];
    "copy", [key(1, RO | ACCESS), key(2, OW | UPDATE)];
    "decr", [key(1, RW | ACCESS | UPDATE)];
    "decrby", [key(1, RW | ACCESS | UPDATE)];
    "del", [range(1, -1, 1, RM | DELETE)];
    "dump", [key(1, RO | ACCESS)];
    "eval", [counted(2, RW | ACCESS | UPDATE)];
    "eval_ro", [counted(2, RO | ACCESS)];
    "evalsha", [counted(2, RW | ACCESS | UPDATE)];
    "evalsha_ro", [counted(2, RO | ACCESS)];
    "exists", [range(1, -1, 1, RO)];
    "expire", [key(1, RW | UPDATE)];
    "expireat", [key(1, RW | UPDATE)];
    "expiretime", [key(1, RO | ACCESS)];
    "fcall", [counted(2, RW | ACCESS | UPDATE)];
    "fcall_ro", [counted(2, RO | ACCESS)];
    "geoadd", [key(1, RW | UPDATE)];
    "geodist", [key(1, RO | ACCESS)];
    "geohash", [key(1, RO | ACCESS)];
    "geopos", [key(1, RO | ACCESS)];
    "georadius", [key(1, RO | ACCESS), behind("STORE", 6, 0, 0, OW | UPDATE), behind("STOREDIST", 6, 0, 0, OW | UPDATE)];
    "georadius_ro", [key(1, RO | ACCESS)];
    "georadiusbymember", [key(1, RO | ACCESS), behind("STORE", 5, 0, 0, OW | UPDATE), behind("STOREDIST", 5, 0, 0, OW | UPDATE)];
    "georadiusbymember_ro", [key(1, RO | ACCESS)];
    "geosearch", [key(1, RO | ACCESS)];
    "geosearchstore", [key(1, OW | UPDATE), key(2, RO | ACCESS)];
    "get", [key(1, RO | ACCESS)];
    "getbit", [key(1, RO | ACCESS)];
    "getdel", [key(1, RW | ACCESS | DELETE)];
    "getex", [key(1, RW | ACCESS | UPDATE)];
    "getrange", [key(1, RO | ACCESS)];
    "getset", [key(1, RW | ACCESS | UPDATE)];
    "hdel", [key(1, RW | DELETE)];
    "hexists", [key(1, RO)];
    "hget", [key(1, RO | ACCESS)];
    "hgetall", [key(1, RO | ACCESS)];
    "hincrby", [key(1, RW | ACCESS | UPDATE)];
    "hincrbyfloat", [key(1, RW | ACCESS | UPDATE)];
    "hkeys", [key(1, RO | ACCESS)];
    "hlen", [key(1, RO)];
    "hmget", [key(1, RO | ACCESS)];
    "hmset", [key(1, RW | UPDATE)];
    "hrandfield", [key(1, RO | ACCESS)];
    "hscan", [key(1, RO | ACCESS)];
    "hset", [key(1, RW | UPDATE)];
    "hsetnx", [key(1, RW | INSERT)];
    "hstrlen", [key(1, RO)];
    "hvals", [key(1, RO | ACCESS)];
    "incr", [key(1, RW | ACCESS | UPDATE)];
    "incrby", [key(1, RW | ACCESS | UPDATE)];
    "incrbyfloat", [key(1, RW | ACCESS | UPDATE)];
    "lcs", [range(1, 1, 1, RO | ACCESS)];
    "lindex", [key(1, RO | ACCESS)];
    "linsert", [key(1, RW | INSERT)];
    "llen", [key(1, RO)];
    "lmove", [key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)];
    "lmpop", [counted(1, RW | ACCESS | DELETE)];
    "lpop", [key(1, RW | ACCESS | DELETE)];
    "lpos", [key(1, RO | ACCESS)];
    "lpush", [key(1, RW | INSERT)];
    "lpushx", [key(1, RW | INSERT)];
    "lrange", [key(1, RO | ACCESS)];
    "lrem", [key(1, RW | DELETE)];
    "lset", [key(1, RW | UPDATE)];
    "ltrim", [key(1, RW | DELETE)];
    "memory|usage", [key(2, RO)];
    "mget", [range(1, -1, 1, RO | ACCESS)];
    "migrate", [key(3, RW | ACCESS | DELETE), behind("KEYS", -2, -1, 0, RW | ACCESS | DELETE | INCOMPLETE)];
    "move", [key(1, RW | ACCESS | UPDATE)];
    "mset", [range(1, -1, 2, OW | UPDATE)];
    "msetnx", [range(1, -1, 2, OW | INSERT)];
    "object|encoding", [key(2, RO)];
    "object|freq", [key(2, RO)];
    "object|idletime", [key(2, RO)];
    "object|refcount", [key(2, RO)];
    "persist", [key(1, RW | UPDATE)];
    "pexpire", [key(1, RW | UPDATE)];
    "pexpireat", [key(1, RW | UPDATE)];
    "pexpiretime", [key(1, RO | ACCESS)];
    "pfadd", [key(1, RW | INSERT)];
    "pfcount", [range(1, -1, 1, RW | ACCESS)];
    "pfdebug", [key(2, RW | ACCESS)];
    "pfmerge", [key(1, RW | ACCESS | INSERT), range(2, -1, 1, RO | ACCESS)];
    "psetex", [key(1, OW | UPDATE)];
    "pttl", [key(1, RO | ACCESS)];
    "rename", [key(1, RW | ACCESS | DELETE), key(2, OW | UPDATE)];
    "renamenx", [key(1, RW | ACCESS | DELETE), key(2, OW | INSERT)];
    "restore", [key(1, OW | UPDATE)];
    "restore-asking", [key(1, OW | UPDATE)];
    "rpop", [key(1, RW | ACCESS | DELETE)];
    "rpoplpush", [key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)];
    "rpush", [key(1, RW | INSERT)];
    "rpushx", [key(1, RW | INSERT)];
    "sadd", [key(1, RW | INSERT)];
    "scard", [key(1, RO)];
    "sdiff", [range(1, -1, 1, RO | ACCESS)];
    "sdiffstore", [key(1, OW | UPDATE), range(2, -1, 1, RO | ACCESS)];
    "set", [key(1, RW | ACCESS | UPDATE | VARIABLE)];
    "setbit", [key(1, RW | ACCESS | UPDATE)];
    "setex", [key(1, OW | UPDATE)];
    "setnx", [key(1, OW | INSERT)];
    "setrange", [key(1, RW | UPDATE)];
    "sinter", [range(1, -1, 1, RO | ACCESS)];
    "sintercard", [counted(1, RO | ACCESS)];
    "sinterstore", [key(1, RW | UPDATE), range(2, -1, 1, RO | ACCESS)];
    "sismember", [key(1, RO)];
    "smembers", [key(1, RO | ACCESS)];
    "smismember", [key(1, RO | ACCESS)];
    "smove", [key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)];
    "sort", [key(1, RO | ACCESS), unknown(RO | ACCESS), unknown(OW | UPDATE)];
    "sort_ro", [key(1, RO | ACCESS), unknown(RO | ACCESS)];
    "spop", [key(1, RW | ACCESS | DELETE)];
    "spublish", [key(1, NOT_KEY)];
    "srandmember", [key(1, RO | ACCESS)];
    "srem", [key(1, RW | DELETE)];
    "sscan", [key(1, RO | ACCESS)];
    "ssubscribe", [range(1, -1, 1, NOT_KEY)];
    "strlen", [key(1, RO)];
    "substr", [key(1, RO | ACCESS)];
    "sunion", [range(1, -1, 1, RO | ACCESS)];
    "sunionstore", [key(1, OW | UPDATE), range(2, -1, 1, RO | ACCESS)];
    "sunsubscribe", [range(1, -1, 1, NOT_KEY)];
    "touch", [range(1, -1, 1, RO)];
    "ttl", [key(1, RO | ACCESS)];
    "type", [key(1, RO)];
    "unlink", [range(1, -1, 1, RM | DELETE)];
    "watch", [range(1, -1, 1, RO)];
    "xack", [key(1, RW | UPDATE)];
    "xadd", [key(1, RW | UPDATE)];
    "xautoclaim", [key(1, RW | DELETE)];
    "xclaim", [key(1, RW | UPDATE)];
    "xdel", [key(1, RW | DELETE)];
    "xgroup|create", [key(2, RW | INSERT)];
    "xgroup|createconsumer", [key(2, RW | INSERT)];
    "xgroup|delconsumer", [key(2, RW | DELETE)];
    "xgroup|destroy", [key(2, RW | DELETE)];
    "xgroup|setid", [key(2, RW | UPDATE)];
    "xinfo|consumers", [key(2, RO | ACCESS)];
    "xinfo|groups", [key(2, RO | ACCESS)];
    "xinfo|stream", [key(2, RO | ACCESS)];
    "xlen", [key(1, RO)];
    "xpending", [key(1, RO | ACCESS)];
    "xrange", [key(1, RO | ACCESS)];
    "xread", [behind("STREAMS", 1, -1, 2, RO | ACCESS)];
    "xreadgroup", [behind("STREAMS", 4, -1, 2, RO | ACCESS)];
    "xrevrange", [key(1, RO | ACCESS)];
    "xsetid", [key(1, RW | UPDATE)];
    "xtrim", [key(1, RW | DELETE)];
    "zadd", [key(1, RW | UPDATE)];
    "zcard", [key(1, RO)];
    "zcount", [key(1, RO | ACCESS)];
    "zdiff", [counted(1, RO | ACCESS)];
    "zdiffstore", [key(1, OW | UPDATE), counted(2, RO | ACCESS)];
    "zincrby", [key(1, RW | ACCESS | UPDATE)];
    "zinter", [counted(1, RO | ACCESS)];
    "zintercard", [counted(1, RO | ACCESS)];
    "zinterstore", [key(1, OW | UPDATE), counted(2, RO | ACCESS)];
    "zlexcount", [key(1, RO | ACCESS)];
    "zmpop", [counted(1, RW | ACCESS | DELETE)];
    "zmscore", [key(1, RO | ACCESS)];
    "zpopmax", [key(1, RW | ACCESS | DELETE)];
    "zpopmin", [key(1, RW | ACCESS | DELETE)];
    "zrandmember", [key(1, RO | ACCESS)];
    "zrange", [key(1, RO | ACCESS)];
    "zrangebylex", [key(1, RO | ACCESS)];
    "zrangebyscore", [key(1, RO | ACCESS)];
    "zrangestore", [key(1, OW | UPDATE), key(2, RO | ACCESS)];
    "zrank", [key(1, RO | ACCESS)];
    "zrem", [key(1, RW | DELETE)];
    "zremrangebylex", [key(1, RW | DELETE)];
    "zremrangebyrank", [key(1, RW | DELETE)];
    "zremrangebyscore", [key(1, RW | DELETE)];
    "zrevrange", [key(1, RO | ACCESS)];
    "zrevrangebylex", [key(1, RO | ACCESS)];
    "zrevrangebyscore", [key(1, RO | ACCESS)];
    "zrevrank", [key(1, RO | ACCESS)];
    "zscan", [key(1, RO | ACCESS)];
    "zscore", [key(1, RO | ACCESS)];
    "zunion", [counted(1, RO | ACCESS)];
    "zunionstore", [key(1, OW | UPDATE), counted(2, RO | ACCESS)];
};

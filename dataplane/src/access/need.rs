//! What commands do to their keys: read them, write them, both, or neither, as Redis counts it.

use std::sync::LazyLock;

use crate::protocol::{
    message::{Span, bytes_of},
    redis::command::{Command, rows},
};

/// What a command does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) read: bool,
    pub(super) write: bool,
}

const NOTHING: Need = need(false, false);
const READ: Need = need(true, false);
const WRITE: Need = need(false, true);
const BOTH: Need = need(true, true);

const fn need(read: bool, write: bool) -> Need {
    Need { read, write }
}

/// Commands that tell nothing of what a key holds and change nothing of it.
const NEITHER: &str = "exists hexists hlen hstrlen llen memory|usage object|encoding object|freq object|idletime \
    object|refcount scard sismember strlen touch type watch xlen zcard";

/// Commands that write without telling what was there.
const WRITERS: &str = "append bitfield del expire expireat geoadd hdel hexpire hexpireat hmset hpersist hpexpire \
    hpexpireat hset hsetex hsetnx linsert lpush lpushx lrem lset ltrim mset msetnx persist pexpire pexpireat pfadd \
    psetex restore restore-asking rpush rpushx sadd set setex setnx setrange srem unlink xack xackdel xadd \
    xautoclaim xclaim xdel xdelex xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy \
    xgroup|setid xsetid xtrim zadd zrem zremrangebylex zremrangebyrank zremrangebyscore";

/// Commands that take from their first key and write the others.
const MOVERS: &str = "blmove brpoplpush lmove rename renamenx rpoplpush smove";

/// Commands that write their first key and read the others.
const STORERS: &str = "bitop geosearchstore sdiffstore sinterstore sunionstore zdiffstore zinterstore zrangestore zunionstore";

/// Commands that read their first key and write the others.
const COPIERS: &str = "copy georadius georadiusbymember sort";

/// Commands that read although they may write elsewhere.
const READERS: &str = "pfcount pfdebug xreadgroup";

/// What a row's command does to its first key, and to the others.
static NEEDS: LazyLock<Vec<(Need, Need)>> = LazyLock::new(|| rows().map(of_command).collect());

fn of_command(command: &Command) -> (Need, Need) {
    let is_in = |words: &str| words.split_whitespace().any(|word| word == command.name);
    match command.name {
        "pfmerge" => (BOTH, READ),
        _ if is_in(NEITHER) => (NOTHING, NOTHING),
        _ if is_in(WRITERS) => (WRITE, WRITE),
        _ if is_in(MOVERS) => (BOTH, WRITE),
        _ if is_in(STORERS) => (WRITE, READ),
        _ if is_in(COPIERS) => (READ, WRITE),
        _ if is_in(READERS) || command.has_flag("readonly") => (READ, READ),
        _ => (BOTH, BOTH),
    }
}

/// Returns what a request does to one of its keys, counted from 0.
pub(super) fn of(command: &Command, key: usize, raw: &[u8], args: &[Span]) -> Need {
    let needs = command.row().and_then(|row| NEEDS.get(row)).copied();
    let (first, others) = needs.unwrap_or((BOTH, BOTH));
    match command.name {
        "bitfield" => of_bitfield(raw, args),
        "set" if has_word(raw, args, 3, "get") => BOTH,
        _ if key == 0 => first,
        _ => others,
    }
}

/// Only reads as long as every operation is a GET.
fn of_bitfield(raw: &[u8], args: &[Span]) -> Need {
    let mut words = args.iter().skip(2).map(|span| bytes_of(raw, span));
    while let Some(word) = words.next() {
        let behind = if word.eq_ignore_ascii_case(b"get") {
            2
        } else if word.eq_ignore_ascii_case(b"overflow") {
            1
        } else {
            return BOTH;
        };
        if words.nth(behind - 1).is_none() {
            return BOTH;
        }
    }
    READ
}

fn has_word(raw: &[u8], args: &[Span], from: usize, word: &str) -> bool {
    let mut words = args.iter().skip(from).map(|span| bytes_of(raw, span));
    words.any(|other| other.eq_ignore_ascii_case(word.as_bytes()))
}

//! Commands that came after Redis 7.0; endpoints that lack them say so themselves.

use super::Class::*;
use super::Command;

/// In the order of names. Where an endpoint checks the arguments, the arity is only as strict as routing needs.
pub(super) static NEWER: &[Command] = rows! {
    "client|no-touch", Local, 3, 0 0 0, "loading noscript stale", "connection slow";
    "client|setinfo", Local, 4, 0 0 0, "loading noscript stale", "connection slow";
    "cluster|myshardid", Emulate, 2, 0 0 0, "loading stale", "slow";
    "hexpire", SingleWrite, -2, 1 1 1, "denyoom fast write", "fast hash write";
    "hexpireat", SingleWrite, -2, 1 1 1, "denyoom fast write", "fast hash write";
    "hexpiretime", SingleRead, -2, 1 1 1, "fast readonly", "fast hash read";
    "hgetdel", SingleWrite, -2, 1 1 1, "fast write", "fast hash write";
    "hgetex", SingleWrite, -2, 1 1 1, "fast write", "fast hash write";
    "hpersist", SingleWrite, -2, 1 1 1, "fast write", "fast hash write";
    "hpexpire", SingleWrite, -2, 1 1 1, "denyoom fast write", "fast hash write";
    "hpexpireat", SingleWrite, -2, 1 1 1, "denyoom fast write", "fast hash write";
    "hpexpiretime", SingleRead, -2, 1 1 1, "fast readonly", "fast hash read";
    "hpttl", SingleRead, -2, 1 1 1, "fast readonly", "fast hash read";
    "hsetex", SingleWrite, -2, 1 1 1, "denyoom fast write", "fast hash write";
    "httl", SingleRead, -2, 1 1 1, "fast readonly", "fast hash read";
    "prism", Container, -2, 0 0 0, "", "slow";
    "prism|explain", Local, -3, 0 0 0, "admin loading stale", "admin dangerous slow";
    "waitaof", Broadcast, 4, 0 0 0, "blocking", "blocking connection slow";
    "xackdel", SingleWrite, -2, 1 1 1, "fast write", "fast stream write";
    "xdelex", SingleWrite, -2, 1 1 1, "fast write", "fast stream write";
};

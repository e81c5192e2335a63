//! SLOWLOG: requests that took long, of all workers, newest first.

use super::{
    Asked, Client, Words, clients,
    gather::{Plan, too_many},
    session::integer,
};
use crate::{
    downstream::session::Next,
    observe::{Answer, Question, SlowEntry},
    protocol::redis::reply::{write_array_header, write_bulk, write_integer},
};

/// Entries shown when no number is given.
const SHOWN: usize = 10;

pub(super) fn get(_: &Client, asked: &Asked<'_>) -> Result<Plan, Words> {
    let count = match asked.args.len() {
        2 => SHOWN,
        3 => match integer(asked.word(2)) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => return Err("ERR count should be greater than or equal to -1".into()),
        },
        _ => return Err(too_many(asked)),
    };
    let max_len = max_len(asked);
    Ok(Plan {
        question: Question::Slow,
        reply: Box::new(move |answers, _, out| {
            let entries = merge(answers, max_len.min(count));
            write_array_header(out, entries.len());
            entries.iter().for_each(|entry| write(out, entry));
        }),
        next: Next::Continue,
    })
}

pub(super) fn len(_: &Client, asked: &Asked<'_>) -> Result<Plan, Words> {
    let max_len = max_len(asked);
    Ok(Plan {
        question: Question::Slow,
        reply: Box::new(move |answers, _, out| {
            write_integer(out, merge(answers, max_len).len() as i64);
        }),
        next: Next::Continue,
    })
}

pub(super) fn reset(_: &Client, _: &Asked<'_>) -> Result<Plan, Words> {
    Ok(clients::ok(Question::SlowReset))
}

fn max_len(asked: &Asked<'_>) -> usize {
    let max_len = asked.cluster.runtime().cluster.slowlog().max_len;
    usize::try_from(max_len).unwrap_or(usize::MAX)
}

/// Returns the newest of what all workers keep.
fn merge(answers: Vec<Answer>, most: usize) -> Vec<SlowEntry> {
    let entries = answers.into_iter().flat_map(|answer| match answer {
        Answer::Slow(entries) => entries,
        Answer::Clients(_) | Answer::Count(_) => Vec::new(),
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(most);
    entries
}

fn write(out: &mut Vec<u8>, entry: &SlowEntry) {
    write_array_header(out, 6);
    write_integer(out, entry.id.cast_signed());
    write_integer(out, entry.time.cast_signed());
    write_integer(
        out,
        i64::try_from(entry.took.as_micros()).unwrap_or(i64::MAX),
    );
    write_array_header(out, entry.args.len());
    entry.args.iter().for_each(|arg| write_bulk(out, arg));
    write_bulk(out, entry.addr.as_bytes());
    write_bulk(out, &entry.name);
}

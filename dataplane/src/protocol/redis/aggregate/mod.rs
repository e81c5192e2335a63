//! The replies of all shards to one keyless command, as the one reply of one server.

use super::reply::{
    Dialect, array_elements, error_text, integer, is_error, write_array_header, write_error,
    write_integer, write_null,
};

/// What one shard answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// How people are told of the shard.
    pub shard: &'a str,
    /// The raw reply, complete.
    pub reply: &'a [u8],
}

/// How the replies of all shards become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// The reply that all of them gave.
    Alike,
    /// The elements of all of them.
    Concat {
        /// Bytes the whole may have.
        limit: usize,
    },
    /// Element by element, the smallest number.
    Each,
    /// The largest number.
    Largest,
    /// The first that is no error.
    OneSucceeded,
    /// The first that tells of something running, or else the first.
    Running,
    /// The smallest number.
    Smallest,
    /// The sum of numbers.
    Sum,
}

/// Appends the one reply that `answers` make.
///
/// An error of one shard is the whole answer and names the shard, unless all of them said the same.
pub fn gather(out: &mut Vec<u8>, how: Gather, answers: &[Answer<'_>]) {
    if let [only] = answers {
        return out.extend_from_slice(only.reply);
    }
    let is_settled = match how {
        Gather::OneSucceeded => one_succeeded(out, answers),
        _ => fail(out, how, answers),
    };
    if is_settled {
        return;
    }
    let start = out.len();
    let gathered = match how {
        Gather::Alike => alike(out, answers),
        Gather::Concat { limit } => concat(out, answers, limit),
        Gather::Each => each(out, answers),
        Gather::Largest => fold(out, answers, i64::max),
        Gather::OneSucceeded => None,
        Gather::Running => running(out, answers),
        Gather::Smallest => fold(out, answers, i64::min),
        Gather::Sum => fold(out, answers, i64::saturating_add),
    };
    if gathered.is_none() {
        out.truncate(start);
        write_error(out, UNEXPECTED);
    }
}

/// Appends one of the keys that shards named, each shard as likely as it has keys.
///
/// `answers` holds two of each shard: how many keys it has, and one of them.
pub fn choose(out: &mut Vec<u8>, answers: &[Answer<'_>], random: u64, dialect: Dialect) {
    if fail(out, Gather::Running, answers) {
        return;
    }
    let (shards, _) = answers.as_chunks::<2>();
    let named = shards.iter().filter(|[_, key]| !is_null(key.reply));
    let sized = named.map(|[size, key]| {
        let size = integer(size.reply).and_then(|size| u64::try_from(size).ok());
        // A shard that names a key has one, whatever it had a moment ago.
        (size.unwrap_or(1).max(1), key.reply)
    });
    let total = sized
        .clone()
        .fold(0, |total: u64, (size, _)| total.saturating_add(size));
    let mut left = random.checked_rem(total).unwrap_or(0);
    for (size, key) in sized {
        if left < size {
            return out.extend_from_slice(key);
        }
        left -= size;
    }
    write_null(out, dialect);
}

const UNEXPECTED: &str = "ERR prism: the endpoints' replies to this command do not fit together";

/// Returns whether a shard failed, and so the whole.
fn fail(out: &mut Vec<u8>, how: Gather, answers: &[Answer<'_>]) -> bool {
    let mut failed = answers.iter().filter(|answer| is_error(answer.reply));
    let Some(first) = failed.next() else {
        return false;
    };
    let others = failed.clone().count();
    let done = answers.len() - 1 - others;
    if done == 0 && failed.all(|answer| answer.reply == first.reply) {
        out.extend_from_slice(first.reply);
        return true;
    }
    let mut text = named(first);
    if how == Gather::Alike {
        let all = answers.len();
        text.extend_from_slice(format!(" (done by {done} of {all} endpoints)").as_bytes());
    }
    write_error(out, text);
    true
}

/// Returns the text of a shard's error, the shard named in it.
fn named(answer: &Answer<'_>) -> Vec<u8> {
    let text = error_text(answer.reply);
    if text.starts_with(b"ERR prism: ") {
        // The proxy's own words name the endpoint.
        return text.to_vec();
    }
    let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let rest = text.get(code.len()..).unwrap_or_default();
    [code, b" endpoint ", answer.shard.as_bytes(), b":", rest].concat()
}

/// Of the errors, the one tells most that is not merely that there was nothing to do.
fn one_succeeded(out: &mut Vec<u8>, answers: &[Answer<'_>]) -> bool {
    let succeeded = answers.iter().find(|answer| !is_error(answer.reply));
    if let Some(answer) = succeeded {
        out.extend_from_slice(answer.reply);
        return true;
    }
    let is_idle = |answer: &&Answer<'_>| error_text(answer.reply).starts_with(b"NOTBUSY");
    match answers.iter().find(|answer| !is_idle(answer)) {
        Some(answer) => write_error(out, named(answer)),
        None => out.extend_from_slice(answers.first().map_or(&[][..], |answer| answer.reply)),
    }
    true
}

fn alike(out: &mut Vec<u8>, answers: &[Answer<'_>]) -> Option<()> {
    let first = answers.first()?.reply;
    let is_alike = answers.iter().all(|answer| answer.reply == first);
    is_alike.then(|| out.extend_from_slice(first))
}

fn concat(out: &mut Vec<u8>, answers: &[Answer<'_>], limit: usize) -> Option<()> {
    let bytes: usize = answers.iter().map(|answer| answer.reply.len()).sum();
    if bytes > limit {
        let text = format!("ERR prism: the reply has {bytes} bytes, more than max_reply_bytes");
        write_error(out, text);
        return Some(());
    }
    let mut count = 0;
    for answer in answers {
        count += array_elements(answer.reply)?.size_hint().1?;
    }
    write_array_header(out, count);
    for answer in answers {
        let header = answer.reply.iter().position(|byte| *byte == b'\n')? + 1;
        out.extend_from_slice(answer.reply.get(header..)?);
    }
    Some(())
}

fn each(out: &mut Vec<u8>, answers: &[Answer<'_>]) -> Option<()> {
    let mut smallest: Option<Vec<i64>> = None;
    for answer in answers {
        let numbers = array_elements(answer.reply)?.map(integer);
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        smallest = Some(match smallest {
            None => numbers,
            Some(so_far) if so_far.len() == numbers.len() => so_far
                .into_iter()
                .zip(numbers)
                .map(|(a, b)| a.min(b))
                .collect(),
            Some(_) => return None,
        });
    }
    let smallest = smallest?;
    write_array_header(out, smallest.len());
    for number in smallest {
        write_integer(out, number);
    }
    Some(())
}

fn fold(out: &mut Vec<u8>, answers: &[Answer<'_>], join: fn(i64, i64) -> i64) -> Option<()> {
    let numbers = answers.iter().map(|answer| integer(answer.reply));
    let numbers = numbers.collect::<Option<Vec<_>>>()?;
    write_integer(out, numbers.into_iter().reduce(join)?);
    Some(())
}

fn running(out: &mut Vec<u8>, answers: &[Answer<'_>]) -> Option<()> {
    let is_running = |answer: &&Answer<'_>| {
        array_elements(answer.reply)
            .and_then(|mut elements| elements.nth(1))
            .is_some_and(|script| !is_null(script))
    };
    let answer = answers.iter().find(is_running).or(answers.first())?;
    out.extend_from_slice(answer.reply);
    Some(())
}

fn is_null(reply: &[u8]) -> bool {
    matches!(reply, b"$-1\r\n" | b"*-1\r\n" | b"_\r\n")
}

#[cfg(test)]
mod tests;

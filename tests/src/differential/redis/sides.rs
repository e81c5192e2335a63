//! The two that are compared: who is asked first, what counts as refused by design, what counts as equal.

use std::{collections::BTreeSet, io};

use super::{
    reply::Reply,
    rules,
    step::{Step, Words},
};
use crate::{cluster::SLOTS, dice::Dice, raw::Raw, resp};

/// What stands behind the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Redis Cluster.
    Cluster,
    /// Plain servers, each with a share of the keys.
    Pool,
}

/// What the proxy refuses by design, in any of its words' parts.
const REFUSALS: [&str; 8] = [
    "is not supported by this version",
    "is always refused",
    "managed; use prismctl apply",
    "belongs to one endpoint",
    "a script called without keys runs on one endpoint",
    "cannot be part of a transaction here",
    "in a transaction does not say where its keys are",
    "BY and GET of SORT name keys that may be on other endpoints",
];

/// What a Redis Cluster refuses by design, and so the proxy before it.
const CLUSTER_REFUSALS: [&str; 3] = [
    "-ERR SELECT is not allowed in cluster mode",
    "-ERR BY option of SORT denied in Cluster mode.",
    "-ERR GET option of SORT denied in Cluster mode.",
];

/// Commands a Redis Cluster answers and a single server does not.
const OF_CLUSTERS: [&[u8]; 4] = [b"CLUSTER", b"READONLY", b"READWRITE", b"ASKING"];

/// What came of one step.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The replies differ.
    Different(Unlike),
    /// They are equal, by the rules at these places.
    Equal(Vec<usize>),
    /// The proxy refused it by design, in these words; the server was not asked.
    Refused(String),
}

/// Two replies that differ, as they came.
#[derive(Clone, Debug)]
pub(super) struct Unlike {
    pub(super) command: Words,
    pub(super) proxy: Vec<u8>,
    pub(super) truth: Vec<u8>,
}

/// A connection to the proxy and one to the server.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) place: Place,
    proxy: Raw,
    truth: Raw,
    /// Slots of what has been watched.
    watched: BTreeSet<u16>,
}

impl Sides {
    pub(super) fn connect(place: Place, proxy: &str, truth: &str) -> Self {
        Self {
            place,
            proxy: Raw::connect(proxy),
            truth: Raw::connect(truth),
            watched: BTreeSet::new(),
        }
    }

    /// Asks the proxy alone.
    pub(super) fn ask_proxy(&mut self, words: &str) -> String {
        self.proxy.ask(words)
    }

    /// Asks both, and says what each answered.
    pub(super) fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> [Vec<u8>; 2] {
        [self.proxy.call(words), self.truth.call(words)]
    }

    /// The keys that the server holds.
    pub(super) fn keys(&mut self) -> Vec<Vec<u8>> {
        strings(&mut Reply::parse(&self.truth.call(&["KEYS", "*"])))
    }

    /// What both sides hold at a key, in an order that does not depend on them.
    pub(super) fn value(&mut self, key: &[u8]) -> [Vec<u8>; 2] {
        let kind = self.truth.call(&[b"TYPE", key]);
        let words: Vec<&[u8]> = match &kind[1..kind.len() - 2] {
            b"string" => vec![b"GET", key],
            b"list" => vec![b"LRANGE", key, b"0", b"-1"],
            b"set" => vec![b"SMEMBERS", key],
            b"zset" => vec![b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            b"hash" => vec![b"HGETALL", key],
            b"stream" => vec![b"XRANGE", key, b"-", b"+"],
            _ => vec![b"TYPE", key],
        };
        let owned: Words = words.iter().map(|word| word.to_vec()).collect();
        let [proxy, truth] = self.ask(&words);
        match rules::are_equal(&owned, &proxy, &truth) {
            Ok(_) => {
                let expires = [b"PTTL".to_vec(), key.to_vec()];
                let [proxy, truth] = self.ask(&expires);
                match rules::are_equal(&expires, &proxy, &truth) {
                    Ok(_) => [truth.clone(), truth],
                    Err(rules::Unequal) => [proxy, truth],
                }
            }
            Err(rules::Unequal) => [proxy, truth],
        }
    }

    /// Every key that a whole scan through the proxy finds; `None` when it does not scan.
    pub(super) fn scan(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let mut cursor = b"0".to_vec();
        loop {
            let mut reply = Reply::parse(&self.proxy.call(&[b"SCAN", &cursor[..], b"COUNT", b"7"]));
            let [next, keys] = reply.parts() else {
                return None;
            };
            found.extend(strings(keys));
            cursor = next.text()?.to_vec();
            if cursor == b"0" {
                return Some(found);
            }
        }
    }

    /// Sends steps in one go, cut anywhere, to the proxy, then those it took to the server; one outcome a step up to
    /// the first difference.
    ///
    /// # Errors
    /// When the proxy closes the connection or falls silent.
    pub(super) fn exchange(&mut self, steps: &[Step], dice: &mut Dice) -> io::Result<Vec<Outcome>> {
        let bytes: Vec<u8> = steps.iter().flat_map(Step::bytes).collect();
        let pieces = dice.below(3);
        self.proxy.send_cut(&bytes, pieces, dice);
        let mut outcomes = Vec::new();
        let mut asked = Vec::new();
        let mut bytes = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let replies: Vec<_> = step
                .commands()
                .iter()
                .map(|_| self.proxy.try_reply())
                .collect::<io::Result<_>>()
                .map_err(|error| {
                    let missing = format!("{error}, and no answer to {}", step.shown());
                    io::Error::new(error.kind(), missing)
                })?;
            match self.refusal(step, &replies) {
                Some(outcome) => {
                    outcomes.push(outcome);
                    // The end of a block, refused or not, ends what the client watches.
                    if matches!(step, Step::Block { .. }) {
                        bytes.extend_from_slice(&resp::command(&["UNWATCH"]));
                        asked.push((at, 1, Vec::new()));
                    }
                }
                None => {
                    let request = same_request(step, &replies);
                    bytes.extend_from_slice(&request.0);
                    asked.push((at, request.1, replies));
                    outcomes.push(Outcome::Equal(Vec::new()));
                }
            }
        }
        self.truth.send(&bytes);
        for (at, count, replies) in asked {
            let truths: Vec<_> = (0..count).map(|_| self.truth.reply()).collect();
            if replies.is_empty() {
                continue;
            }
            outcomes[at] = compare(&steps[at], &replies, &truths);
        }
        Ok(outcomes)
    }

    /// Says whether the proxy refused a step by design, or wrongly.
    fn refusal(&mut self, step: &Step, replies: &[Vec<u8>]) -> Option<Outcome> {
        let commands = step.commands();
        for (words, reply) in commands.iter().zip(replies) {
            let text = String::from_utf8_lossy(reply);
            let is_clusters = |name: &&[u8]| words[0].eq_ignore_ascii_case(name);
            if words[0].eq_ignore_ascii_case(b"WATCH") {
                self.watched.extend(words[1..].iter().map(|key| slot(key)));
            }
            if self.place == Place::Cluster && OF_CLUSTERS.iter().any(is_clusters) {
                return Some(Outcome::Refused("answered as a Redis Cluster".to_owned()));
            }
            let is_due = match text.starts_with("-CROSSSLOT") {
                true => self.are_apart(&commands),
                false => is_by_design(self.place, &text),
            };
            // Nothing of a block may have run when a part of it was refused.
            let is_whole = replies.len() > 1 && !replies[replies.len() - 1].starts_with(b"-");
            let is_half_run =
                is_whole && matches!(step, Step::Block { is_discarded, .. } if !is_discarded);
            if is_due && !is_half_run {
                return Some(Outcome::Refused(text.trim_end().to_owned()));
            }
            if is_half_run && is_due
                || text.starts_with("-CROSSSLOT")
                || text.starts_with("-ERR prism")
            {
                return Some(Outcome::Different(Unlike {
                    command: words.clone(),
                    proxy: reply.clone(),
                    truth: b"(not asked: no such refusal is due)".to_vec(),
                }));
            }
        }
        None
    }

    /// Whether the keys of these commands, as the server names them, are in different slots, or cannot be told.
    fn are_apart(&mut self, commands: &[Words]) -> bool {
        // What was watched counts as well, ended or not: too much leave is given here, but no wrong answer passes.
        let mut slots = self.watched.clone();
        for words in commands {
            let asked = [b"COMMAND".to_vec(), b"GETKEYS".to_vec()];
            let asked: Vec<_> = asked.iter().chain(words).collect();
            let mut reply = Reply::parse(&self.truth.call(&asked));
            // Which keys a malformed command has is for the proxy to say.
            if reply.is_error()
                && !matches!(&reply, Reply::One(_, Some(text)) if text.ends_with(b"no key arguments"))
            {
                return true;
            }
            slots.extend(named_keys(words).map(|key| slot(key)));
            slots.extend(
                reply
                    .parts()
                    .iter()
                    .filter_map(|key| Some(slot(key.text()?))),
            );
        }
        slots.len() > 1
    }
}

/// Keys that the server does not tell: patterns of SORT, and every STORE though the last one wins.
fn named_keys(words: &[Vec<u8>]) -> impl Iterator<Item = &Vec<u8>> {
    let name = words[0].to_ascii_uppercase();
    let marks: &[&[u8]] = match &name[..] {
        b"SORT" | b"SORT_RO" => &[b"BY", b"GET", b"STORE"],
        b"GEORADIUS" | b"GEORADIUSBYMEMBER" => &[b"STORE", b"STOREDIST"],
        _ => &[],
    };
    let is_mark = |word: &[u8]| marks.iter().any(|mark| word.eq_ignore_ascii_case(mark));
    let pairs = words.windows(2).filter(move |pair| is_mark(&pair[0]));
    pairs.map(|pair| &pair[1])
}

/// The slot of a key, its hash tag heeded.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(key)) % SLOTS
}

fn strings(reply: &mut Reply) -> Vec<Vec<u8>> {
    let parts = reply.parts().iter();
    parts
        .filter_map(|part| part.text().map(<[u8]>::to_vec))
        .collect()
}

/// What the server is asked, and how many replies it owes: the same, but for what the dice of one side decided.
fn same_request(step: &Step, replies: &[Vec<u8>]) -> (Vec<u8>, usize) {
    match step {
        Step::One(words) => (resp::command(&popped(words, &replies[0])), 1),
        Step::Block { .. } => (step.bytes(), replies.len()),
    }
}

/// For an SPOP that took members, their removal.
fn popped(words: &Words, reply: &[u8]) -> Words {
    let mut reply = Reply::parse(reply);
    let taken: Vec<_> = match &reply {
        Reply::One(b'$', Some(member)) => vec![member.clone()],
        _ => reply
            .parts()
            .iter()
            .filter_map(|part| part.text().map(<[u8]>::to_vec))
            .collect(),
    };
    if !words[0].eq_ignore_ascii_case(b"SPOP") || taken.is_empty() {
        return words.clone();
    }
    [b"SREM".to_vec(), words[1].clone()]
        .into_iter()
        .chain(taken)
        .collect()
}

/// Whether the proxy refuses with this reply by design.
fn is_by_design(place: Place, text: &str) -> bool {
    let is_own =
        text.starts_with("-ERR prism: ") && REFUSALS.iter().any(|part| text.contains(part));
    let is_of_clusters =
        place == Place::Cluster && CLUSTER_REFUSALS.iter().any(|start| text.starts_with(start));
    let is_other_database = text.starts_with("-ERR DB index is out of range");
    let is_other_dialect = text.starts_with("-EXECABORT") && text.contains("after WATCH");
    is_own || is_of_clusters || is_other_database || is_other_dialect
}

fn compare(step: &Step, replies: &[Vec<u8>], truths: &[Vec<u8>]) -> Outcome {
    let mut used = Vec::new();
    let commands = step.commands();
    let last = commands.len() - 1;
    for (at, words) in commands.iter().enumerate() {
        let (proxy, truth) = (&replies[at], &truths[at]);
        let found = match step {
            Step::One(words) if popped(words, proxy) != *words => popped_all(words, proxy, truth),
            Step::Block { queued, .. } if at == last => {
                rules::are_blocks_equal(queued, proxy, truth)
            }
            Step::Block { .. } | Step::One(_) => rules::are_equal(words, proxy, truth),
        };
        match found {
            Ok(rules) => used.extend(rules),
            Err(rules::Unequal) => {
                return Outcome::Different(Unlike {
                    command: words.clone(),
                    proxy: proxy.clone(),
                    truth: truth.clone(),
                });
            }
        }
    }
    Outcome::Equal(used)
}

/// Whether the server had every member that the proxy's side popped.
fn popped_all(words: &Words, proxy: &[u8], truth: &[u8]) -> Result<Vec<usize>, rules::Unequal> {
    let count = popped(words, proxy).len() - 2;
    match Reply::parse(truth).number() {
        Some(removed) if removed == count as i64 => Ok(Vec::new()),
        _ => Err(rules::Unequal),
    }
}

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
const REFUSALS: [&str; 5] = [
    "is not supported by this version",
    "is always refused",
    "managed; use prismctl apply",
    "belongs to one endpoint",
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
}

impl Sides {
    pub(super) fn connect(place: Place, proxy: &str, truth: &str) -> Self {
        Self {
            place,
            proxy: Raw::connect(proxy),
            truth: Raw::connect(truth),
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
                .collect::<io::Result<_>>()?;
            match self.refusal(step, &replies) {
                Some(outcome) => outcomes.push(outcome),
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
            if self.place == Place::Cluster && OF_CLUSTERS.iter().any(is_clusters) {
                return Some(Outcome::Refused("answered as a Redis Cluster".to_owned()));
            }
            let is_due = match text.starts_with("-CROSSSLOT") {
                true => self.are_apart(&commands),
                false => is_by_design(self.place, &text),
            };
            if is_due {
                return Some(Outcome::Refused(text.trim_end().to_owned()));
            }
            if text.starts_with("-CROSSSLOT") || text.starts_with("-ERR prism") {
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
        let mut slots = BTreeSet::new();
        for words in commands {
            let asked = [b"COMMAND".to_vec(), b"GETKEYS".to_vec()];
            let asked: Vec<_> = asked.iter().chain(words).collect();
            let mut reply = Reply::parse(&self.truth.call(&asked));
            if commands.len() == 1 && reply.is_error() {
                return true;
            }
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

/// The slot of a key, its hash tag heeded.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(key)) % SLOTS
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
    is_own || is_of_clusters || is_other_database
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

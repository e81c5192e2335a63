//! The two that are compared, with a connection each for every client.

use std::thread;

use super::{
    answer::{Answers, Dialect},
    learned::{Learned, Side},
    request::{Batch, Request},
    rules::{self, RULES},
};
use crate::{
    dice::Dice,
    raw::{Raw, write_cut},
    wait,
};

/// More bytes than this are written while answers are read.
const SOCKET_BYTES: usize = 64 * 1024;

/// What differs in the answers to one batch.
#[derive(Clone, Debug)]
pub(super) struct Unlike {
    pub(super) client: usize,
    /// The answer before, which was equal.
    pub(super) behind: Vec<u8>,
    pub(super) proxy: Vec<u8>,
    pub(super) truth: Vec<u8>,
}

/// How often each rule was needed, and what was compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    pub(super) rules: [usize; RULES.len()],
    pub(super) units: usize,
}

/// Connections to both sides.
#[derive(Debug)]
pub(super) struct Sides {
    addrs: [String; 2],
    /// As what the first of them is spoken to.
    first: Side,
    clients: Vec<(Dialect, [Raw; 2])>,
    learned: Learned,
}

impl Sides {
    /// Connects a client of each dialect to either address; the first is spoken to as `first`, and `endpoints` of them
    /// count changes for it.
    pub(super) fn connect(
        addrs: [&str; 2],
        first: Side,
        dialects: &[Dialect],
        endpoints: usize,
    ) -> Self {
        let addrs = addrs.map(str::to_owned);
        let clients = dialects
            .iter()
            .map(|dialect| (*dialect, addrs.each_ref().map(|addr| connect(addr))));
        Self {
            clients: clients.collect(),
            learned: Learned::new(endpoints),
            first,
            addrs,
        }
    }

    /// Sends batches, of one client each, all at once to both sides, and compares the answers.
    pub(super) fn exchange(&mut self, round: &[Batch], dice: &mut Dice) -> Result<Used, Unlike> {
        let mut talks = Vec::new();
        for batch in round {
            let bytes = [Side::Proxy, Side::Truth].map(|side| {
                let part = if side == Side::Proxy {
                    self.first
                } else {
                    side
                };
                let pieces = batch.requests.iter();
                let mut bytes: Vec<u8> = pieces
                    .flat_map(|request| request.bytes(side, part, &self.learned))
                    .collect();
                if !batch.requests.last().is_some_and(|last| last.is_last) {
                    bytes.extend(self.clients[batch.client].0.mark());
                }
                bytes
            });
            talks.push((batch.client, bytes, Dice::new(dice.below(1 << 30) as u64)));
        }
        let answers = thread::scope(|scope| {
            let mut running = Vec::new();
            for (client, (dialect, raws)) in self.clients.iter_mut().enumerate() {
                let Some((_, bytes, dice)) = talks.iter().find(|talk| talk.0 == client) else {
                    continue;
                };
                for (raw, bytes) in raws.iter_mut().zip(bytes) {
                    let dice = dice.clone();
                    running.push((client, scope.spawn(|| talk(raw, *dialect, bytes, dice))));
                }
            }
            let ended = running.into_iter().map(|(client, thread)| {
                let answers = thread.join().expect("a client does not panic");
                (client, answers)
            });
            ended.collect::<Vec<_>>()
        });
        let mut used = Used::default();
        let mut answers = answers.into_iter();
        while let (Some((client, proxy)), Some((_, truth))) = (answers.next(), answers.next()) {
            let batch = round.iter().find(|batch| batch.client == client);
            let requests = batch.map_or(&[][..], |batch| &batch.requests);
            self.compare(client, requests, proxy, truth, &mut used)?;
        }
        Ok(used)
    }

    fn compare(
        &mut self,
        client: usize,
        requests: &[Request],
        mut proxy: Answers,
        mut truth: Answers,
        used: &mut Used,
    ) -> Result<(), Unlike> {
        let dialect = self.clients[client].0;
        for answers in [&mut proxy, &mut truth] {
            if let Some(rule) = rules::without_figures(dialect, &mut answers.units) {
                used.rules[rule] += 1;
            }
        }
        if proxy.end.is_some()
            && proxy.end == truth.end
            && let Some(rule) = rules::without_last_words(dialect, &mut proxy.units, &truth.units)
        {
            used.rules[rule] += 1;
        }
        for answers in [&mut proxy, &mut truth] {
            let end = answers.end.clone().map(String::into_bytes);
            answers.units.extend(end);
        }
        for request in requests {
            if let Some(rule) = rules::of_request(request) {
                used.rules[rule] += 1;
            }
        }
        let behind = |at: usize| Some(truth.units.get(at.checked_sub(1)?)?.clone());
        let unlike = |at, proxy: Option<&Vec<u8>>, truth: Option<&Vec<u8>>| Unlike {
            client,
            behind: behind(at).unwrap_or_else(|| b"nothing".to_vec()),
            proxy: proxy.cloned().unwrap_or_else(|| b"(no more)".to_vec()),
            truth: truth.cloned().unwrap_or_else(|| b"(no more)".to_vec()),
        };
        let has_ended = proxy.end.is_some();
        for at in 0..proxy.units.len().max(truth.units.len()) {
            let (Some(left), Some(right)) = (proxy.units.get(at), truth.units.get(at)) else {
                return Err(unlike(at, proxy.units.get(at), truth.units.get(at)));
            };
            let is_end = has_ended && left == b"closed" && right == b"closed";
            match rules::are_equal(dialect, left, right, requests, &mut self.learned) {
                _ if is_end => {}
                Ok(rule) => {
                    used.units += 1;
                    if let Some(rule) = rule {
                        used.rules[rule] += 1;
                    }
                }
                Err(rules::Unequal) => return Err(unlike(at, Some(left), Some(right))),
            }
        }
        if has_ended {
            self.clients[client].1 = self.addrs.each_ref().map(|addr| connect(addr));
        }
        Ok(())
    }
}

fn connect(addr: &str) -> Raw {
    let mut raw = Raw::connect(addr);
    raw.set_read_limit(wait::LIMIT / 4);
    raw
}

/// Sends `bytes`, cut anywhere, and reads what comes of them.
fn talk(raw: &mut Raw, dialect: Dialect, bytes: &[u8], mut dice: Dice) -> Answers {
    let pieces = dice.below(6);
    let mut writer = raw.writer();
    // Where writing fails the connection has ended, and that is read.
    let mut write = move || write_cut(&mut writer, bytes, pieces, &mut dice).ok();
    if bytes.len() <= SOCKET_BYTES {
        write();
        return dialect.read(raw);
    }
    thread::scope(|scope| {
        scope.spawn(write);
        dialect.read(raw)
    })
}

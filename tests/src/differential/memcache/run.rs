//! World after world, until the time is up.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    super::{Pace, differences::End, text::start},
    answer::Dialect,
    draw::{self, Drawer, Key},
    history::told,
    learned::{Learned, Side},
    request::{Batch, Request},
    sides::{Sides, Unlike},
    tally::Tally,
};
use crate::{dice::Dice, memcached::Memcached, raw::Raw};

/// Rounds of one world.
const ROUNDS: usize = 60;

/// Most requests of one batch.
const BATCH: usize = 40;

/// A world takes no longer, so that no clock ends what shall live.
const LIFE: Duration = Duration::from_secs(20);

/// What servers are started with: room enough that none forgets what another keeps.
pub const OPTIONS: [&str; 2] = ["-m", "1024"];

/// What a run compares, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Where the proxy listens.
    pub proxy: &'a str,
    /// Another memcached stands in the proxy's place, and hears what a server hears.
    pub is_server: bool,
    /// Who holds its keys.
    pub endpoints: &'a [String],
    /// Where it begins, and how long it goes on.
    pub pace: Pace,
}

/// A world: what is fixed while it lasts.
#[derive(Clone, Debug)]
pub(super) struct World<'a> {
    plan: Plan<'a>,
    truth: &'a str,
    keys: Vec<Key>,
    /// What each client speaks.
    pub(super) dialects: Vec<Dialect>,
}

/// Runs worlds and compares; every difference is in the tally.
///
/// # Panics
/// When a server does not answer.
pub fn run(plan: Plan<'_>) -> Tally {
    let truth = Memcached::start_with(&OPTIONS);
    let addr = truth.addr();
    let mut tally = Tally::default();
    let live = |seed, tally: &mut Tally| {
        let mut dice = Dice::new(seed);
        let world = World::new(plan, &addr, &mut dice);
        live(&world, &mut dice, tally)
    };
    tally.worlds = plan
        .pace
        .worlds(&mut tally, |tally| &mut tally.differences, live);
    tally
}

impl<'a> World<'a> {
    fn new(plan: Plan<'a>, truth: &'a str, dice: &mut Dice) -> Self {
        let clients = 1 + dice.below(4);
        let dialects = (0..clients).map(|_| match dice.below(3) {
            0 => Dialect::Binary,
            _ => Dialect::Text,
        });
        let dialects: Vec<_> = dialects.collect();
        let each = 1 + dice.below(3);
        Self {
            plan,
            truth,
            keys: draw::keys(dice, clients * each),
            dialects,
        }
    }

    /// The keys that are one client's own while all send at once.
    fn own_keys(&self, client: usize) -> Vec<Key> {
        // There are four kinds of keys, of which each client has as many.
        let groups = self.keys.chunks(4).enumerate();
        let own = groups.filter(|(at, _)| at % self.dialects.len() == client);
        own.flat_map(|(_, keys)| keys.to_vec()).collect()
    }

    /// A meta request for every key.
    fn lines(&self, name: &str, flags: &str) -> Vec<Request> {
        let lines = self.keys.iter().map(|key| {
            let (word, more) = match key.is_word {
                true => (key.bytes.clone(), ""),
                false => (key.encoded(), " b"),
            };
            let end = format!("{more}{flags}\r\n");
            [name.as_bytes(), b" ", &word, end.as_bytes()].concat()
        });
        lines.map(|line| Request::new("(audit)", line)).collect()
    }
}

/// Connects to both sides and leaves nothing of earlier worlds.
pub(super) fn enter(world: &World<'_>) -> Sides {
    let endpoints = world.plan.endpoints.iter().map(String::as_str);
    for addr in endpoints.chain([world.truth]) {
        let learned = Learned::new(1);
        let requests = world.lines("md", "");
        let mut bytes: Vec<u8> = requests
            .iter()
            .flat_map(|request| request.bytes(Side::Truth, Side::Truth, &learned))
            .collect();
        bytes.extend(Dialect::Text.mark());
        let mut server = Raw::connect(addr);
        server.send(&bytes);
        let answers = Dialect::Text.read(&mut server);
        assert!(answers.end.is_none(), "{answers:?}");
    }
    connect(world, &world.dialects)
}

fn connect(world: &World<'_>, dialects: &[Dialect]) -> Sides {
    let plan = world.plan;
    let first = if plan.is_server {
        Side::Truth
    } else {
        Side::Proxy
    };
    let addrs = [plan.proxy, world.truth];
    Sides::connect(addrs, first, dialects, plan.endpoints.len())
}

/// Lives through one world.
fn live<'a>(world: &World<'a>, dice: &mut Dice, tally: &mut Tally) -> Result<(), End<'a>> {
    let mut sides = enter(world);
    let mut opaque = 0;
    let mut rounds = Vec::new();
    let begun = Instant::now();
    while rounds.len() < ROUNDS && begun.elapsed() < LIFE {
        let round = round(world, dice, &mut opaque);
        for request in round.iter().flat_map(|batch| &batch.requests) {
            *tally.sent.entry(request.name.clone()).or_default() += 1;
        }
        rounds.push(round.clone());
        match sides.exchange(&round, dice) {
            Ok(used) => tally.note(&used),
            Err(unlike) => return Err(end(world, &rounds, unlike)),
        }
    }
    audit(world, tally).map_err(|unlike| End {
        signature: "audit".to_owned(),
        tell: Box::new({
            let world = world.clone();
            move || told(&world, &rounds, unlike)
        }),
    })
}

/// What is sent in the long run, by name.
pub fn names() -> BTreeSet<String> {
    let mut dice = Dice::new(1);
    let keys = draw::keys(&mut dice, 4);
    let mut drawer = Drawer {
        dice: &mut dice,
        keys: &keys,
        is_alone: true,
        opaque: &mut 0,
    };
    let mut names = BTreeSet::new();
    for _ in 0..2000 {
        for dialect in [Dialect::Binary, Dialect::Text] {
            names.extend([drawer.request(dialect).name, drawer.lone(dialect).name]);
        }
    }
    names
}

/// Draws the next round: all clients at once, each over keys of its own, or one over all.
fn round(world: &World<'_>, dice: &mut Dice, opaque: &mut u32) -> Vec<Batch> {
    let clients = world.dialects.len();
    let chosen: Vec<_> = match dice.below(2) {
        0 => (0..clients).collect(),
        _ => vec![dice.below(clients)],
    };
    let is_alone = chosen.len() == 1;
    let batches = chosen.into_iter().map(|client| {
        let own = world.own_keys(client);
        let mut drawer = Drawer {
            keys: if is_alone { &world.keys } else { &own },
            dice: &mut *dice,
            is_alone,
            opaque: &mut *opaque,
        };
        let dialect = world.dialects[client];
        let mut requests = Vec::new();
        if drawer.once_in(30) {
            requests.push(drawer.lone(dialect));
        } else {
            let count = 1 + drawer.dice.below(BATCH);
            requests.resize_with(count, || drawer.request(dialect));
        }
        Batch { client, requests }
    });
    batches.collect()
}

fn end<'a>(world: &World<'a>, rounds: &[Vec<Batch>], unlike: Unlike) -> End<'a> {
    let dialect = world.dialects[unlike.client];
    let signature = match dialect {
        Dialect::Binary => format!("{:?} {:?}", unlike.proxy.get(..8), unlike.truth.get(..8)),
        Dialect::Text => format!("{} {}", start(&unlike.proxy), start(&unlike.truth)),
    };
    let (world, rounds) = (world.clone(), rounds.to_vec());
    End {
        signature,
        tell: Box::new(move || told(&world, &rounds, unlike)),
    }
}

/// Compares everything that is there at a world's end.
fn audit(world: &World<'_>, tally: &mut Tally) -> Result<(), Unlike> {
    let mut sides = connect(world, &[Dialect::Text]);
    let words = world.keys.iter().filter(|key| key.is_word);
    let words: Vec<_> = words.map(|key| [b" ", &key.bytes[..]].concat()).collect();
    let mut requests = world.lines("mg", " v f s t h");
    for name in ["get", "gets"] {
        let line = [name.as_bytes(), &words.concat(), b"\r\n"].concat();
        requests.push(Request::new("(audit)", line));
    }
    let batch = Batch {
        client: 0,
        requests,
    };
    let used = sides.exchange(&[batch], &mut Dice::new(1))?;
    tally.note(&used);
    tally.audited += world.keys.len();
    Ok(())
}

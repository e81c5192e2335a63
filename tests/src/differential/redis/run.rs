//! World after world, until the time is up.

use std::{io, time::Instant};

use super::{
    super::{
        Pace,
        differences::End,
        text::{start, text},
    },
    draw::{self, Drawer},
    form::{Form, Forms},
    history::shown,
    reply::Reply,
    sides::{Outcome, Place, Sides, Unlike},
    step::{Step, Words},
    tally::Tally,
};
use crate::{dice::Dice, raw::Raw, redis::Redis, wait};

/// What is sent.
const FORMS: &str = include_str!("../../../vectors/redis/forms.txt");

/// Steps of one world.
const STEPS: usize = 400;

const DELETE_ALL: &str =
    "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', key) end";

/// Tags a world's keys begin with, one of these rows.
const TAGS: [&[&str]; 5] = [
    &["{a}"],
    &["{b}"],
    &["{c}"],
    &["{a}", "{b}", "{c}", ""],
    &["{a}", "{b}"],
];

/// What DUMP has answered is remembered so many times.
const PAYLOADS: usize = 8;

/// What a run compares, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// What stands behind the proxy.
    pub place: Place,
    /// Where the proxy listens.
    pub proxy: &'a str,
    /// Who holds its keys; they are emptied between worlds.
    pub endpoints: &'a [String],
    /// Where it begins, and how long it goes on.
    pub pace: Pace,
}

/// A world: what is fixed while it lasts.
#[derive(Clone, Debug)]
pub(super) struct World<'a> {
    place: Place,
    proxy: &'a str,
    endpoints: &'a [String],
    truth: &'a str,
    pub(super) tags: &'static [&'static str],
    is_resp3: bool,
    has_blocks: bool,
}

/// What of the newer features the proxy has.
#[derive(Clone, Copy, Debug)]
struct Abilities {
    resp3: bool,
    blocks: bool,
}

/// Runs worlds and compares; every difference is in the tally.
///
/// # Panics
/// When the server does not answer.
pub fn run(plan: Plan<'_>) -> Tally {
    let truth = Redis::start();
    let addr = truth.addr();
    let forms = Forms::parse(FORMS);
    let mut tally = Tally::new();
    let abilities = abilities(plan, &addr);
    let live = |seed, tally: &mut Tally| {
        let mut dice = Dice::new(seed);
        let world = World::new(plan, &addr, abilities, &mut dice);
        live(&world, &forms, &mut dice, tally).map_err(|end| End {
            signature: end.signature,
            tell: Box::new(move || format!("{world:?}:\n{}", (end.tell)())),
        })
    };
    tally.worlds = plan
        .pace
        .worlds(&mut tally, |tally| &mut tally.differences, live);
    tally
}

fn abilities(plan: Plan<'_>, truth: &str) -> Abilities {
    let mut sides = Sides::connect(plan.place, plan.proxy, truth);
    let blocks = sides.ask_proxy("MULTI") == "+OK";
    let mut sides = Sides::connect(plan.place, plan.proxy, truth);
    let resp3 = sides.ask_proxy("HELLO 3").starts_with('%');
    Abilities { resp3, blocks }
}

impl<'a> World<'a> {
    fn new(plan: Plan<'a>, truth: &'a str, abilities: Abilities, dice: &mut Dice) -> Self {
        Self {
            place: plan.place,
            proxy: plan.proxy,
            endpoints: plan.endpoints,
            truth,
            tags: *dice.pick(&TAGS),
            is_resp3: abilities.resp3 && dice.below(2) == 0,
            has_blocks: abilities.blocks && dice.below(2) == 0,
        }
    }
}

/// Connects to both sides and leaves nothing of earlier worlds.
pub(super) fn enter(world: &World<'_>) -> Sides {
    let truth = world.truth.to_owned();
    for addr in world.endpoints.iter().chain([&truth]) {
        empty(addr);
    }
    let mut sides = Sides::connect(world.place, world.proxy, world.truth);
    for library in ["one", "two", "three"] {
        sides.ask(&["FUNCTION", "DELETE", library]);
    }
    if world.is_resp3 {
        sides.ask(&["HELLO", "3"]);
    }
    sides
}

/// Deletes every key of a server, in every database that it has.
fn empty(addr: &str) {
    let mut server = Raw::connect(addr);
    for database in 0..16 {
        let selected = server.call(&["SELECT".to_owned(), database.to_string()]);
        if database == 0 || selected == b"+OK\r\n" {
            server.call(&["EVAL", DELETE_ALL, "0"]);
        }
    }
}

/// Lives through one world.
fn live<'a>(
    world: &World<'a>,
    forms: &Forms,
    dice: &mut Dice,
    tally: &mut Tally,
) -> Result<(), End<'a>> {
    let mut sides = enter(world);
    let mut payloads = Vec::new();
    let digests: Vec<_> = draw::scripts()
        .iter()
        .filter_map(|script| digest(&mut sides, script))
        .collect();
    let mut history = Vec::new();
    let deadline = Instant::now() + wait::LIMIT;
    while history.len() < STEPS && Instant::now() < deadline {
        let steps: Vec<_> = (0..=dice.below(32))
            .map(|_| {
                let mut drawer = Drawer {
                    dice: &mut *dice,
                    tags: world.tags,
                    payloads: &payloads,
                    digests: &digests,
                };
                step(world, forms, &mut drawer)
            })
            .collect();
        let outcomes = sides
            .exchange(&steps, dice)
            .map_err(|error| gone(&error, &steps))?;
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            let words = step.commands()[0].clone();
            match outcome {
                Outcome::Equal(rules) => {
                    for words in step.commands() {
                        tally.note_equal(tally.name(&words), &[]);
                    }
                    for rule in rules {
                        tally.rules[rule] += 1;
                    }
                    history.push(step);
                }
                Outcome::Refused(refusal) => tally.note_refused(tally.name(&words), refusal),
                Outcome::Different(unlike) => {
                    history.push(step);
                    let world = world.clone();
                    return Err(End {
                        signature: signature(&tally.name(&unlike.command), &unlike),
                        tell: Box::new(move || told(&world, &history, unlike)),
                    });
                }
            }
        }
        if payloads.len() < PAYLOADS {
            let keys = draw::all_keys(world.tags);
            let key = dice.pick(&keys).clone();
            payloads.extend(payload(&mut sides, &key));
        }
    }
    audit(&mut sides, tally).map_err(|told| End {
        signature: "audit".to_owned(),
        tell: Box::new(move || {
            let steps: Vec<_> = history.iter().map(Step::shown).collect();
            format!("{told}\nafter:\n  {}", steps.join("\n  "))
        }),
    })
}

/// Compares everything that is there at a world's end, and what a scan finds of it.
fn audit(sides: &mut Sides, tally: &mut Tally) -> Result<(), String> {
    let mut held = sides.keys();
    for key in &held {
        let [proxy, truth] = sides.value(key);
        if proxy != truth {
            return Err(format!(
                "{} holds other than it should:\n  proxy:  {}\n  server: {}",
                text(key),
                text(&proxy),
                text(&truth)
            ));
        }
        tally.audited += 1;
    }
    let Some(mut found) = sides.scan() else {
        return Ok(());
    };
    tally.scans += 1;
    found.sort();
    found.dedup();
    held.sort();
    if found != held {
        let told = |keys: &[Vec<u8>]| keys.iter().map(|key| text(key)).collect::<Vec<_>>();
        return Err(format!(
            "a scan found other keys:\n  proxy:  {:?}\n  server: {:?}",
            told(&found),
            told(&held)
        ));
    }
    Ok(())
}

/// Draws the next step.
fn step(world: &World<'_>, forms: &Forms, drawer: &mut Drawer<'_>) -> Step {
    // In worlds of several tags half of the commands keep to one of them.
    let tags = drawer.tags;
    if drawer.dice.below(2) == 0 {
        let at = drawer.dice.below(tags.len());
        drawer.tags = &tags[at..=at];
    }
    if world.has_blocks && drawer.dice.below(8) == 0 {
        let queued = (0..drawer.dice.below(5)).map(|_| command(forms, drawer, true));
        return Step::Block {
            queued: queued.collect(),
            is_discarded: drawer.dice.below(10) == 0,
        };
    }
    Step::One(command(forms, drawer, false))
}

fn command(forms: &Forms, drawer: &mut Drawer<'_>, is_queued: bool) -> Words {
    let wants_maker = drawer.dice.below(3) == 0;
    let is_fit =
        |form: &&Form| (form.is_maker || !wants_maker) && (form.is_queueable || !is_queued);
    let fit: Vec<_> = forms.sent.iter().filter(is_fit).collect();
    let form = *drawer.dice.pick(&fit);
    let mut words = form.fill(drawer);
    if !form.is_fixed && drawer.dice.below(6) == 0 {
        drawer.spoil(&mut words);
    }
    words
}

/// The digest of a script, and both sides know it.
fn digest(sides: &mut Sides, script: &str) -> Option<String> {
    let [proxy, truth] = sides.ask(&["SCRIPT", "LOAD", script]);
    let digest = Reply::parse(&truth).text().map(<[u8]>::to_vec)?;
    (proxy == truth).then(|| String::from_utf8_lossy(&digest).into_owned())
}

/// What the server answers to DUMP.
fn payload(sides: &mut Sides, key: &[u8]) -> Option<Vec<u8>> {
    let [_, truth] = sides.ask(&[b"DUMP", key]);
    Reply::parse(&truth).text().map(<[u8]>::to_vec)
}

fn gone(error: &io::Error, steps: &[Step]) -> End<'static> {
    let steps: Vec<_> = steps.iter().map(Step::shown).collect();
    let told = format!(
        "the proxy's connection ended: {error}; sent in one go:\n  {}",
        steps.join("\n  ")
    );
    End {
        signature: "the connection ended".to_owned(),
        tell: Box::new(|| told),
    }
}

/// What is alike in differences that have one cause.
fn signature(name: &str, unlike: &Unlike) -> String {
    format!("{name} {} {}", start(&unlike.proxy), start(&unlike.truth))
}

fn told(world: &World<'_>, history: &[Step], unlike: Unlike) -> String {
    let shown = shown(world, history, unlike);
    let steps: Vec<_> = shown.steps.iter().map(Step::shown).collect();
    let kept = &steps[steps.len().saturating_sub(30)..];
    let repeated = match shown.is_repeated {
        true => "",
        false => " (not shown again by these one by one)",
    };
    let words: Vec<_> = shown.unlike.command.iter().map(|word| text(word)).collect();
    format!(
        "history{repeated}:\n  {}\ndiffers: {}\n  proxy:  {}\n  server: {}",
        kept.join("\n  "),
        words.join(" "),
        text(&shown.unlike.proxy),
        text(&shown.unlike.truth)
    )
}

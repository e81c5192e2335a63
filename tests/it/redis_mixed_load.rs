//! Many clients, pipelined mixed commands, values up to 8 MiB, cut at random bytes: every reply is a single server's.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use prism_tests::{dice::Dice, is_long, raw::Raw, redis::Redis, resp};

use crate::pool::Pool;

const CLIENTS: usize = 200;
const THREADS: usize = 20;

/// Sizes of values: mostly small, at every edge, few large.
const SIZES: [usize; 14] = [
    0, 1, 2, 3, 10, 64, 100, 500, 1_000, 4_000, 16_383, 16_384, 70_000, 300_000,
];
const LARGE: [usize; 3] = [1 << 20, (1 << 20) + 1, 8 << 20];

/// Requests of one client, whose keys are its own.
struct Script<'a> {
    dice: Dice,
    prefix: String,
    large_left: &'a AtomicUsize,
}

impl Script<'_> {
    fn key(&mut self) -> String {
        format!("{}:{}", self.prefix, self.dice.below(12))
    }

    fn value(&mut self) -> Vec<u8> {
        let is_large = self.dice.below(200) == 0
            && self
                .large_left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        let bound = if self.dice.below(20) == 0 {
            SIZES.len()
        } else {
            9
        };
        let len = if is_large {
            *self.dice.pick(&LARGE)
        } else {
            SIZES[self.dice.below(bound)]
        };
        let seed = self.dice.bytes(16);
        seed.iter().copied().cycle().take(len).collect()
    }

    fn next(&mut self) -> Vec<u8> {
        let key = self.key();
        match self.dice.below(14) {
            0..4 => resp::command(&["GET", &key]),
            4..7 => resp::command(&[b"SET", key.as_bytes(), &self.value()]),
            7 => resp::command(&["MGET", &key, &self.key(), &self.key(), &key]),
            8 => {
                let (other, value) = (self.key(), self.value());
                resp::command(&[b"MSET", key.as_bytes(), b"1", other.as_bytes(), &value])
            }
            9 => resp::command(&["DEL", &key, &self.key(), &key]),
            10 => resp::command(&["EXISTS", &key, &key, &self.key()]),
            11 => resp::command(&["APPEND", &key, "tail"]),
            12 => format!("STRLEN {key}\r\n").into_bytes(),
            _ => resp::command(&["INCR", &key]),
        }
    }
}

/// One client's connections to both sides.
struct Pair {
    proxy: Raw,
    truth: Raw,
}

impl Pair {
    /// Sends a batch to both, cut anywhere, and compares every reply.
    fn batch(&mut self, script: &mut Script<'_>) {
        let count = 1 + script.dice.below(32);
        let requests: Vec<_> = (0..count).map(|_| script.next()).collect();
        let bytes = requests.concat();
        let pieces = script.dice.below(6);
        let mut writer = self.proxy.writer();
        let mut dice = script.dice.clone();
        thread::scope(|scope| {
            scope.spawn(|| write_cut(&mut writer, &bytes, pieces, &mut dice));
            for request in &requests {
                self.truth.send(request);
                let (truth, reply) = (self.truth.reply(), self.proxy.reply());
                assert!(
                    reply == truth,
                    "{}: {} answered {}, a server {}",
                    script.prefix,
                    start(request),
                    start(&reply),
                    start(&truth)
                );
            }
        });
    }
}

fn write_cut(writer: &mut impl std::io::Write, bytes: &[u8], pieces: usize, dice: &mut Dice) {
    let mut at = 0;
    for _ in 0..pieces {
        let cut = at + dice.below(bytes.len() - at + 1);
        writer.write_all(&bytes[at..cut]).expect("the proxy reads");
        at = cut;
        thread::yield_now();
    }
    writer.write_all(&bytes[at..]).expect("the proxy reads");
}

fn start(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    format!("{} bytes {shown:?}", bytes.len())
}

#[test]
fn every_reply_equals_a_single_servers() {
    let pool = Pool::start_with(
        Redis::start_many(3),
        "read_timeout = 15000\nwrite_timeout = 15000",
    );
    let truth = Redis::start();
    let limit = Duration::from_secs(if is_long() { 120 } else { 12 });
    let large_left = AtomicUsize::new(if is_long() { 400 } else { 40 });
    let (deadline, batches) = (Instant::now() + limit, AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (pool, truth, large_left, batches) = (&pool, &truth, &large_left, &batches);
            scope.spawn(move || {
                let mut clients: Vec<_> = (0..CLIENTS / THREADS)
                    .map(|client| {
                        let number = thread * CLIENTS / THREADS + client;
                        let script = Script {
                            dice: Dice::new(number as u64 + 1),
                            prefix: format!("client-{number}"),
                            large_left,
                        };
                        (
                            Pair {
                                proxy: pool.client(),
                                truth: truth.client(),
                            },
                            script,
                        )
                    })
                    .collect();
                while Instant::now() < deadline {
                    for (pair, script) in &mut clients {
                        pair.batch(script);
                        batches.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(
        batches.load(Ordering::Relaxed) > CLIENTS,
        "every client sent batches"
    );
}

//! Golden values: every hash and mapping that twemproxy is known to give.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::{Ring, Shard, hash};
use crate::model::{Distribution, Hash, HashBytes, KetamaFloat, Sharding};

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/vectors/hashing.toml"
));

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<String>,
    signed: BTreeMap<String, Vec<String>>,
    unsigned: BTreeMap<String, toml::Value>,
    signed_only: BTreeMap<String, toml::Value>,
    xxh3: BTreeMap<String, toml::Value>,
    pools: Vec<Pool>,
}

#[derive(Deserialize)]
struct Pool {
    name: String,
    distribution: String,
    shards: Vec<String>,
    keys: BTreeMap<String, String>,
}

impl Pool {
    fn sharding(&self) -> Sharding {
        let distribution = match self.distribution.as_str() {
            "ketama" => Distribution::Ketama,
            "modula" => Distribution::Modula,
            other => panic!("unknown distribution {other}"),
        };
        Sharding {
            distribution,
            ..Sharding::default()
        }
    }
}

fn vectors() -> Vectors {
    toml::from_str(VECTORS).expect("the vectors parse")
}

fn function(name: &str) -> Hash {
    match name {
        "crc16" => Hash::Crc16,
        "crc32" => Hash::Crc32,
        "crc32a" => Hash::Crc32a,
        "fnv1_32" => Hash::Fnv1_32,
        "fnv1_64" => Hash::Fnv1_64,
        "fnv1a_32" => Hash::Fnv1a32,
        "fnv1a_64" => Hash::Fnv1a64,
        "hsieh" => Hash::Hsieh,
        "jenkins" => Hash::Jenkins,
        "md5" => Hash::Md5,
        "murmur" => Hash::Murmur,
        "one_at_a_time" => Hash::OneAtATime,
        "xxh3" => Hash::Xxh3,
        other => panic!("unknown hash {other}"),
    }
}

/// Reads `host:port:weight [alias]`.
fn shard(line: &str) -> Shard {
    let (address, alias) = line
        .split_once(' ')
        .map_or((line, None), |(address, alias)| (address, Some(alias)));
    let (host, weight) = address.rsplit_once(':').expect("a shard has a weight");
    Shard {
        host: host.to_owned(),
        alias: alias.map(str::to_owned),
        weight: weight.parse().expect("a weight is a number"),
        live: true,
    }
}

fn shards(lines: &[impl AsRef<str>]) -> Vec<Shard> {
    lines.iter().map(|line| shard(line.as_ref())).collect()
}

fn place<'a>(ring: &Ring, shards: &'a [Shard], key: &str) -> &'a str {
    let found = &shards[ring.locate(key.as_bytes()).expect("a shard is live")];
    found.alias.as_deref().unwrap_or(&found.host)
}

fn check_hash(name: &str, bytes: HashBytes, key: &str, expected: &str) {
    let found = format!("{:08x}", hash(function(name), bytes, key.as_bytes()));
    assert_eq!(found, expected, "{name} of {key}, {bytes:?}");
}

/// Checks a table of function -> (key -> value); strings beside it are remarks.
fn check_table(table: &BTreeMap<String, toml::Value>, bytes: HashBytes) -> usize {
    let rows = table
        .iter()
        .filter_map(|(name, row)| Some((name, row.as_table()?)));
    let cells = rows.flat_map(|(name, row)| row.iter().map(move |(key, value)| (name, key, value)));
    cells
        .map(|(name, key, value)| check_hash(name, bytes, key, value.as_str().expect("text")))
        .count()
}

/// Asserts that each key of `pool` is where it is said to be.
#[track_caller]
fn assert_placed(pool: &Pool, shards: &[Shard]) {
    let ring = Ring::new(pool.sharding(), shards);
    for (key, expected) in &pool.keys {
        let found = place(&ring, shards, key);
        assert_eq!(found, expected, "{key} in {}", pool.name);
    }
}

#[test]
fn twelve_hashes_of_seven_keys_are_twemproxys() {
    let vectors = vectors();
    assert_eq!((vectors.signed.len(), vectors.keys.len()), (12, 7));
    for (name, values) in &vectors.signed {
        assert_eq!(values.len(), vectors.keys.len(), "{name}");
        for (key, value) in vectors.keys.iter().zip(values) {
            check_hash(name, HashBytes::Signed, key, value);
            if key.is_ascii() {
                check_hash(name, HashBytes::Unsigned, key, value);
            }
        }
    }
}

#[test]
fn bytes_from_0x80_hash_by_the_signedness_of_char() {
    let vectors = vectors();
    assert_eq!(check_table(&vectors.unsigned, HashBytes::Unsigned), 11);
    assert_eq!(check_table(&vectors.signed_only, HashBytes::Signed), 1);
}

#[test]
fn signedness_of_char_changes_five_hashes_and_hsieh_only() {
    let vectors = vectors();
    for (name, values) in &vectors.signed {
        if vectors.unsigned.contains_key(name) {
            continue;
        }
        for (key, value) in vectors.keys.iter().zip(values) {
            check_hash(name, HashBytes::Unsigned, key, value);
        }
    }
}

#[test]
fn xxh3_is_the_low_half_of_xxh3_64() {
    let vectors = vectors();
    let values = vectors.xxh3["xxh3"].as_array().expect("a row of values");
    for (key, value) in vectors.keys.iter().zip(values) {
        check_hash(
            "xxh3",
            HashBytes::Signed,
            key,
            value.as_str().expect("text"),
        );
    }
}

#[test]
fn pools_place_keys_where_twemproxy_does() {
    let vectors = vectors();
    assert_eq!(vectors.pools.len(), 7);
    for pool in &vectors.pools {
        let shards = shards(&pool.shards);
        assert_placed(pool, &shards);
    }
}

#[test]
fn order_of_definition_does_not_move_keys() {
    for pool in &vectors().pools {
        let mut shards = shards(&pool.shards);
        shards.reverse();
        assert_placed(pool, &shards);
    }
}

#[test]
fn ejected_shards_count_for_nothing() {
    let lines = [
        "h:1:10 redis-1",
        "h:2:20 redis-2",
        "h:3:30 redis-3",
        "h:4:1 redis-4",
    ];
    for distribution in [Distribution::Ketama, Distribution::Modula] {
        for ejected in 0..lines.len() {
            let sharding = Sharding {
                distribution,
                ..Sharding::default()
            };
            let mut all = shards(&lines);
            all[ejected].live = false;
            let mut rest = shards(&lines);
            rest.remove(ejected);
            let (with_ejected, without) = (Ring::new(sharding, &all), Ring::new(sharding, &rest));
            for number in 0..2000 {
                let key = format!("key:{number}:x");
                assert_eq!(
                    place(&with_ejected, &all, &key),
                    place(&without, &rest, &key),
                    "{key}"
                );
            }
        }
    }
}

#[test]
fn key_has_no_place_when_no_shard_is_live() {
    for distribution in [
        Distribution::Ketama,
        Distribution::Modula,
        Distribution::Random,
    ] {
        let sharding = Sharding {
            distribution,
            ..Sharding::default()
        };
        let mut dead = shards(&["h:1:1", "h:2:1"]);
        for shard in &mut dead {
            shard.live = false;
        }
        assert_eq!(Ring::new(sharding, &dead).locate(b"foo"), None);
        assert_eq!(Ring::new(sharding, &dead[..1]).locate(b"foo"), None);
        assert_eq!(Ring::new(sharding, &[]).locate(b"foo"), None);
    }
}

#[test]
fn only_live_shard_takes_every_key() {
    for distribution in [
        Distribution::Ketama,
        Distribution::Modula,
        Distribution::Random,
    ] {
        let sharding = Sharding {
            distribution,
            ..Sharding::default()
        };
        let mut two = shards(&["h:1:1", "h:2:1"]);
        two[0].live = false;
        let ring = Ring::new(sharding, &two);
        assert!((0..100).all(|number| ring.locate(format!("k{number}").as_bytes()) == Some(1)));
    }
}

#[test]
fn empty_key_hashes_to_zero() {
    let modula = Sharding {
        distribution: Distribution::Modula,
        ..Sharding::default()
    };
    let two = shards(&["h:1:1 b", "h:2:1 a"]);
    assert_eq!(Ring::new(modula, &two).locate(b""), Some(1));
    assert_eq!(
        place(&Ring::new(Sharding::default(), &servers()), &servers(), ""),
        "server3"
    );
}

fn servers() -> Vec<Shard> {
    shards(&[
        "h:1:1 server1",
        "h:2:1 server2",
        "h:3:1 server3",
        "h:4:1 server4",
    ])
}

#[test]
fn keys_with_one_tag_share_a_shard() {
    let servers = servers();
    let plain = Ring::new(Sharding::default(), &servers);
    for (tag, tagged) in [
        (*b"{}", "user:{foobar}:1"),
        (*b"$$", "user:$foobar$:1"),
        (*b"{}", "{foobar}{x}"),
    ] {
        let ring = Ring::new(
            Sharding {
                hash_tag: Some(tag),
                ..Sharding::default()
            },
            &servers,
        );
        assert_eq!(place(&ring, &servers, tagged), "server2");
        for number in 0..50 {
            let [empty, open] = [format!("{{}}user:{number}:x"), format!("{{user:{number}:x")];
            assert_eq!(
                ring.locate(empty.as_bytes()),
                plain.locate(empty.as_bytes())
            );
            assert_eq!(ring.locate(open.as_bytes()), plain.locate(open.as_bytes()));
        }
    }
}

#[test]
fn ketama_float_moves_keys_of_25_shards() {
    let lines: Vec<String> = (0..25)
        .map(|index| format!("h:{}:1 s{index}", 6000 + index))
        .collect();
    let shards = shards(&lines);
    let in_float = |ketama_float| {
        let ring = Ring::new(
            Sharding {
                ketama_float,
                hash: Hash::Murmur,
                ..Sharding::default()
            },
            &shards,
        );
        (0..4000)
            .map(|number| ring.locate(format!("key:{number}").as_bytes()))
            .collect::<Vec<_>>()
    };
    let (single, double) = (in_float(KetamaFloat::F32), in_float(KetamaFloat::F64));
    let moved = single.iter().zip(&double).filter(|(a, b)| a != b).count();
    assert!((1..400).contains(&moved), "{moved} of 4000 keys moved");
}

#[test]
fn random_spreads_one_key_over_live_shards() {
    let mut servers = servers();
    servers[2].live = false;
    let ring = Ring::new(
        Sharding {
            distribution: Distribution::Random,
            ..Sharding::default()
        },
        &servers,
    );
    let mut counts = HashMap::new();
    for _ in 0..6000 {
        *counts
            .entry(ring.locate(b"foo").expect("shards are live"))
            .or_insert(0) += 1;
    }
    let mut found: Vec<usize> = counts.keys().copied().collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 3]);
    assert!(
        counts.values().all(|count| (1600..2400).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn ring_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Ring::new(Sharding::default(), &servers()));
}

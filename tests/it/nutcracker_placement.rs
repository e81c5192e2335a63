//! Keys lie where a running nutcracker puts them: real servers are asked which keys they hold.

use std::{collections::HashSet, ffi::c_char};

use prism_proto::{
    model::{Distribution, Hash, HashBytes, KetamaFloat, Sharding},
    placement::{Ring, Shard},
};
use prism_tests::{dice::Dice, nutcracker::Nutcracker, raw::Raw, redis::Redis, resp};
use tempfile::TempDir;

/// Keys that each pool is asked to place.
const KEYS: usize = 10_000;
/// Requests that are sent before their replies are read.
const BATCH: usize = 500;

/// Redis servers, and the shards that a pool makes of them.
struct Pool {
    backends: Vec<Redis>,
    shards: Vec<Shard>,
    /// Holds unix sockets.
    _folder: Option<TempDir>,
}

impl Pool {
    /// A server for each weight and alias.
    fn named(names: &[(u32, &str)]) -> Self {
        let mut pool = Self::unnamed(names.len());
        for (shard, (weight, alias)) in pool.shards.iter_mut().zip(names) {
            shard.weight = *weight;
            shard.alias = Some((*alias).to_owned());
        }
        pool
    }

    /// Servers that are known by their addresses.
    fn unnamed(count: usize) -> Self {
        let backends = Redis::start_many(count);
        let shards = backends.iter().map(|redis| shard(redis.addr())).collect();
        Self {
            backends,
            shards,
            _folder: None,
        }
    }

    /// Servers that are known by the paths of their unix sockets.
    fn unix(count: usize) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let paths: Vec<_> = (0..count)
            .map(|index| format!("{}/{index}.sock", folder.path().display()))
            .collect();
        Self {
            backends: paths
                .iter()
                .map(|path| Redis::start_with(&["--unixsocket", path]))
                .collect(),
            shards: paths
                .iter()
                .map(|path| shard(format!("unix:{path}")))
                .collect(),
            _folder: Some(folder),
        }
    }

    /// Starts a nutcracker, writes every key through it and compares where each lies with our ring.
    fn check(&self, hash: &str, sharding: Sharding) {
        let sharding = Sharding {
            hash: function(hash),
            hash_bytes: char_of_this_machine(),
            ..sharding
        };
        let settings = lines(hash, sharding);
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        let nutcracker = Nutcracker::start(&settings, &self.lines());
        let keys = keys();
        write(&mut nutcracker.client(), &keys);

        let ring = Ring::new(sharding, &self.shards);
        let mut placed = 0;
        for (index, backend) in self.backends.iter().enumerate() {
            let mut client = backend.client();
            for key in held(&mut client) {
                let text = key.escape_ascii();
                assert_eq!(
                    ring.locate(&key),
                    Some(index),
                    "{hash}, {sharding:?}: {text}"
                );
                placed += 1;
            }
            assert_eq!(client.ask("FLUSHALL"), "+OK");
        }
        assert_eq!(placed, KEYS);
    }

    fn lines(&self) -> Vec<String> {
        self.shards
            .iter()
            .map(|shard| {
                let addr = shard.host.strip_prefix("unix:").unwrap_or(&shard.host);
                let alias = shard.alias.as_ref().map(|alias| format!(" {alias}"));
                format!("{addr}:{}{}", shard.weight, alias.unwrap_or_default())
            })
            .collect()
    }
}

fn shard(host: String) -> Shard {
    Shard {
        host,
        alias: None,
        weight: 1,
        live: true,
    }
}

fn lines(hash: &str, sharding: Sharding) -> Vec<String> {
    let distribution = match sharding.distribution {
        Distribution::Ketama => "ketama",
        Distribution::Modula => "modula",
        Distribution::Random => "random",
    };
    let mut lines = vec![
        "redis: true".to_owned(),
        format!("hash: {hash}"),
        format!("distribution: {distribution}"),
    ];
    if let Some([open, close]) = sharding.hash_tag {
        lines.push(format!(
            "hash_tag: \"{}{}\"",
            char::from(open),
            char::from(close)
        ));
    }
    lines
}

/// How the C compiler of this machine reads a `char`.
fn char_of_this_machine() -> HashBytes {
    if c_char::MIN == 0 {
        HashBytes::Unsigned
    } else {
        HashBytes::Signed
    }
}

/// Keys of many shapes: numbered, tagged, with empty and open tags, not ASCII, any bytes, of all lengths to 60.
fn keys() -> Vec<Vec<u8>> {
    let mut dice = Dice::new(1);
    let mut keys = HashSet::new();
    let mut number = 0;
    while keys.len() < KEYS {
        let key = match number % 10 {
            0 => format!("key:{number:012}").into_bytes(),
            1 => format!("user:{number}:profile").into_bytes(),
            2 => format!("user:{{{}}}:{number}", number % 700).into_bytes(),
            3 => format!("{{}}:{number}:{{x}}").into_bytes(),
            4 => format!("$$:{number}").into_bytes(),
            5 => format!("cart$${number}$open{{").into_bytes(),
            6 => format!("$item{}$:{number}", number % 900).into_bytes(),
            7 => format!("clé:{number}:é").into_bytes(),
            8 => format!("日本語:{number}:ключ").into_bytes(),
            _ => {
                let length = 1 + dice.below(60);
                dice.bytes(length)
            }
        };
        keys.insert(key);
        number += 1;
    }
    keys.into_iter().collect()
}

fn write(client: &mut Raw, keys: &[Vec<u8>]) {
    for batch in keys.chunks(BATCH) {
        let requests: Vec<u8> = batch
            .iter()
            .flat_map(|key| resp::command(&[b"SET".as_slice(), key, b"x"]))
            .collect();
        client.send(&requests);
        for _ in batch {
            assert_eq!(client.line(), "+OK\r\n");
        }
    }
}

/// Every key that a server holds.
fn held(client: &mut Raw) -> Vec<Vec<u8>> {
    client.send(&resp::command(&["KEYS", "*"]));
    let count = length(&client.line(), '*');
    (0..count)
        .map(|_| {
            let bytes = length(&client.line(), '$');
            let mut key = client.bytes(bytes + 2);
            key.truncate(bytes);
            key
        })
        .collect()
}

fn length(line: &str, kind: char) -> usize {
    let number = line.strip_prefix(kind).expect("the reply is of that kind");
    number.trim_end().parse().expect("a length is a number")
}

const HASHES: [(&str, Hash); 12] = [
    ("crc16", Hash::Crc16),
    ("crc32", Hash::Crc32),
    ("crc32a", Hash::Crc32a),
    ("fnv1_32", Hash::Fnv1_32),
    ("fnv1_64", Hash::Fnv1_64),
    ("fnv1a_32", Hash::Fnv1a32),
    ("fnv1a_64", Hash::Fnv1a64),
    ("hsieh", Hash::Hsieh),
    ("jenkins", Hash::Jenkins),
    ("md5", Hash::Md5),
    ("murmur", Hash::Murmur),
    ("one_at_a_time", Hash::OneAtATime),
];

fn function(name: &str) -> Hash {
    let (_, hash) = HASHES
        .iter()
        .find(|(known, _)| *known == name)
        .expect("the name is known");
    *hash
}

fn tagged(tag: [u8; 2]) -> Sharding {
    Sharding {
        hash_tag: Some(tag),
        ..Sharding::default()
    }
}

fn modula() -> Sharding {
    Sharding {
        distribution: Distribution::Modula,
        ..Sharding::default()
    }
}

#[test]
fn every_hash_places_keys_as_nutcracker_does() {
    let pool = Pool::named(&[
        (1, "server1"),
        (1, "server2"),
        (1, "server3"),
        (1, "server4"),
    ]);
    for (name, _) in HASHES {
        pool.check(name, Sharding::default());
    }
}

#[test]
fn weights_place_keys_as_in_nutcracker() {
    let pool = Pool::named(&[(30, "redis-1"), (1, "redis-2"), (20, "redis-10"), (10, "b")]);
    pool.check("fnv1a_64", Sharding::default());
    pool.check("murmur", Sharding::default());
}

#[test]
fn shares_round_as_in_nutcracker_where_f32_and_f64_differ() {
    let pool = Pool::named(&[(1, "a"), (6, "b"), (6, "c"), (6, "d"), (6, "e")]);
    let keys = keys();
    let placed = |ketama_float| {
        let sharding = Sharding {
            ketama_float,
            hash: Hash::Md5,
            ..Sharding::default()
        };
        let ring = Ring::new(sharding, &pool.shards);
        keys.iter().map(|key| ring.locate(key)).collect::<Vec<_>>()
    };
    assert!(placed(KetamaFloat::F32) != placed(KetamaFloat::F64));
    pool.check("md5", Sharding::default());
}

#[test]
fn addresses_name_shards_as_in_nutcracker() {
    let pool = Pool::unnamed(3);
    pool.check("fnv1a_64", Sharding::default());
    pool.check("crc32a", modula());
}

#[test]
fn unix_sockets_name_shards_as_in_nutcracker() {
    Pool::unix(2).check("jenkins", Sharding::default());
}

#[test]
fn modula_places_keys_as_nutcracker_does() {
    let pool = Pool::named(&[
        (1, "redis-2"),
        (3, "redis-10"),
        (2, "redis-1"),
        (1, "c"),
        (2, "aa"),
    ]);
    pool.check("fnv1a_64", modula());
    pool.check("one_at_a_time", modula());
}

#[test]
fn hash_tags_place_keys_as_in_nutcracker() {
    let pool = Pool::named(&[(1, "one"), (2, "two"), (1, "three")]);
    pool.check("fnv1a_64", tagged(*b"{}"));
    pool.check("hsieh", tagged(*b"{}"));
    pool.check("fnv1_64", tagged(*b"$$"));
    pool.check(
        "murmur",
        Sharding {
            hash_tag: Some(*b"{}"),
            ..modula()
        },
    );
}

#[test]
fn single_server_takes_every_key_as_in_nutcracker() {
    Pool::unnamed(1).check("fnv1a_64", Sharding::default());
}

//! Choices and the words they are written with.

use crate::model::{Distribution, Hash, HashBytes, KetamaFloat};

/// A choice that definitions write as a word.
pub trait Word: Copy + PartialEq + 'static {
    /// Every word; the first word of a choice is the one it is shown with, later ones are accepted too.
    const WORDS: &'static [(&'static str, Self)];

    /// Reads a word; `None` when it is not one of [`Word::WORDS`].
    fn from_word(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, choice)| *choice)
    }

    /// Returns the word this choice is shown with.
    fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(_, choice)| *choice == self);
        known.map_or("", |(word, _)| word)
    }
}

macro_rules! words {
    ($choice:ident: $($word:literal => $variant:ident),+ $(,)?) => {
        impl Word for $choice {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

/// The protocol of a cluster and how it places keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CacheType {
    /// A pool of Memcached servers behind a hash.
    Memcache,
    /// A pool of Redis servers behind a hash.
    Redis,
    /// A Redis Cluster: slots, redirects followed.
    RedisCluster,
}

/// Which endpoints of a shard answer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadPolicy {
    /// The same zone first, then by latency.
    Nearest,
    /// A replica only when the primary is away.
    PreferPrimary,
    /// The primary only when no replica is there.
    PreferReplica,
    /// The primary only.
    #[default]
    Primary,
    /// Replicas only.
    Replica,
}

/// What the keys of an ejected shard do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEjection {
    /// They answer an error.
    Fail,
    /// They move to the other shards.
    #[default]
    Rehash,
}

/// What happens to the content of a shard that returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReadmit {
    /// It is emptied first.
    Flush,
    /// It is kept.
    #[default]
    Trust,
}

/// What a multi-key read answers for a shard that is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiKeyPolicy {
    /// An error in each element of that shard.
    Error,
    /// An error for the whole command.
    #[default]
    Fail,
    /// As if the keys were not there.
    Nil,
}

/// How a change reaches the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RolloutMode {
    /// At once.
    Instant,
    /// In stages.
    #[default]
    Staged,
}

words!(CacheType: "redis" => Redis, "memcache" => Memcache, "redis_cluster" => RedisCluster, "memcache_binary" => Memcache);
words!(ReadPolicy: "primary" => Primary, "prefer_primary" => PreferPrimary, "replica" => Replica, "prefer_replica" => PreferReplica, "nearest" => Nearest);
words!(OnEjection: "rehash" => Rehash, "fail" => Fail);
words!(OnReadmit: "trust" => Trust, "flush" => Flush);
words!(MultiKeyPolicy: "fail" => Fail, "nil" => Nil, "error" => Error, "miss" => Nil);
words!(RolloutMode: "staged" => Staged, "instant" => Instant);
words!(Hash:
    "fnv1a_64" => Fnv1a64, "fnv1_64" => Fnv1_64, "fnv1_32" => Fnv1_32, "fnv1a_32" => Fnv1a32,
    "one_at_a_time" => OneAtATime, "md5" => Md5, "crc16" => Crc16, "crc32" => Crc32, "crc32a" => Crc32a,
    "hsieh" => Hsieh, "murmur" => Murmur, "jenkins" => Jenkins, "xxh3" => Xxh3,
);
words!(Distribution: "ketama" => Ketama, "modula" => Modula, "random" => Random);
words!(HashBytes: "signed" => Signed, "unsigned" => Unsigned);
words!(KetamaFloat: "f32" => F32, "f64" => F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_other_spellings_are_accepted() {
        for (_, hash) in Hash::WORDS {
            assert_eq!(Hash::from_word(hash.word()), Some(*hash));
        }
        assert_eq!(Hash::WORDS.len(), 13);
        assert_eq!(
            CacheType::from_word("memcache_binary"),
            Some(CacheType::Memcache)
        );
        assert_eq!(CacheType::Memcache.to_string(), "memcache");
        assert_eq!(MultiKeyPolicy::from_word("miss"), Some(MultiKeyPolicy::Nil));
        assert_eq!(Hash::from_word("FNV1A_64"), None);
    }
}

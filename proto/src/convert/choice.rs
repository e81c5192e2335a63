//! Choices and their numbers in messages.

use crate::{
    model::{
        CacheType, Distribution, Hash, HashBytes, KetamaFloat, MultiKeyPolicy, OnEjection,
        OnReadmit, ReadPolicy, RolloutMode,
    },
    pb::config::v1 as pb,
};

/// A choice that messages carry as a number; 0 is "not written".
pub(super) trait Numbered: Copy + PartialEq + 'static {
    /// Every choice with its number.
    const NUMBERS: &'static [(i32, Self)];

    /// Returns the number of what was written.
    fn number(choice: Option<Self>) -> i32 {
        let known = |known: &&(i32, Self)| Some(known.1) == choice;
        Self::NUMBERS.iter().find(known).map_or(0, |known| known.0)
    }

    /// Reads a number other than 0; `None` when this version does not know it.
    fn from_number(number: i32) -> Option<Self> {
        let known = Self::NUMBERS.iter().find(|known| known.0 == number);
        known.map(|known| known.1)
    }
}

macro_rules! numbers {
    ($choice:ident: $($variant:ident),+ $(,)?) => {
        impl Numbered for $choice {
            const NUMBERS: &'static [(i32, Self)] =
                &[$((pb::$choice::$variant as i32, Self::$variant)),+];
        }
    };
}

numbers!(CacheType: Redis, Memcache, RedisCluster);
numbers!(Distribution: Ketama, Modula, Random);
numbers!(HashBytes: Signed, Unsigned);
numbers!(KetamaFloat: F32, F64);
numbers!(MultiKeyPolicy: Fail, Nil, Error);
numbers!(OnEjection: Rehash, Fail);
numbers!(OnReadmit: Trust, Flush);
numbers!(ReadPolicy: Primary, PreferPrimary, Replica, PreferReplica, Nearest);
numbers!(RolloutMode: Staged, Instant);

impl Numbered for Hash {
    const NUMBERS: &'static [(i32, Self)] = &[
        (pb::Hash::Fnv1a64 as i32, Self::Fnv1a64),
        (pb::Hash::Fnv164 as i32, Self::Fnv1_64),
        (pb::Hash::Fnv132 as i32, Self::Fnv1_32),
        (pb::Hash::Fnv1a32 as i32, Self::Fnv1a32),
        (pb::Hash::OneAtATime as i32, Self::OneAtATime),
        (pb::Hash::Md5 as i32, Self::Md5),
        (pb::Hash::Crc16 as i32, Self::Crc16),
        (pb::Hash::Crc32 as i32, Self::Crc32),
        (pb::Hash::Crc32a as i32, Self::Crc32a),
        (pb::Hash::Hsieh as i32, Self::Hsieh),
        (pb::Hash::Murmur as i32, Self::Murmur),
        (pb::Hash::Jenkins as i32, Self::Jenkins),
        (pb::Hash::Xxh3 as i32, Self::Xxh3),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Word;

    fn every_word_has_a_number<T: Numbered + Word>() {
        for (word, choice) in T::WORDS {
            let number = T::number(Some(*choice));
            assert_ne!(number, 0, "{word}");
            assert!(T::from_number(number) == Some(*choice), "{word}");
        }
        assert_eq!(T::number(None), 0);
        assert!(T::from_number(99).is_none());
    }

    #[test]
    fn words_and_numbers_name_the_same_choices() {
        every_word_has_a_number::<CacheType>();
        every_word_has_a_number::<Distribution>();
        every_word_has_a_number::<Hash>();
        every_word_has_a_number::<HashBytes>();
        every_word_has_a_number::<KetamaFloat>();
        every_word_has_a_number::<MultiKeyPolicy>();
        every_word_has_a_number::<OnEjection>();
        every_word_has_a_number::<OnReadmit>();
        every_word_has_a_number::<ReadPolicy>();
        every_word_has_a_number::<RolloutMode>();
    }
}

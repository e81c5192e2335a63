//! How keys choose shards, as a pool's definition says it.

/// The function that turns a key into 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hash {
    /// CRC-16 with an accumulator that is not masked to 16 bits.
    Crc16,
    /// 15 bits of CRC-32.
    Crc32,
    /// Plain IEEE CRC-32.
    Crc32a,
    /// Standard 32-bit FNV-1a.
    Fnv1a32,
    /// twemproxy's `fnv1a_64`: 32 bits of state.
    #[default]
    Fnv1a64,
    /// Standard 32-bit FNV-1.
    Fnv1_32,
    /// 64-bit FNV-1, truncated.
    Fnv1_64,
    /// SuperFastHash.
    Hsieh,
    /// lookup3.
    Jenkins,
    /// First four bytes of MD5, little-endian.
    Md5,
    /// MurmurHash2.
    Murmur,
    /// Jenkins' one-at-a-time.
    OneAtATime,
    /// Low 32 bits of XXH3-64.
    Xxh3,
}

/// How a hash chooses a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// A consistent ring of 160 points a share.
    #[default]
    Ketama,
    /// Hash mod total weight.
    Modula,
    /// Ignores the key.
    Random,
}

/// How bytes from 0x80 enter the hashes that C code reads through `char`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashBytes {
    /// As x86 twemproxy.
    #[default]
    Signed,
    /// As aster, overlord and ARM twemproxy.
    Unsigned,
}

/// Precision of the ring's shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KetamaFloat {
    /// As twemproxy.
    #[default]
    F32,
    /// As aster and overlord.
    F64,
}

/// Everything that decides where a pool places a key, but for the endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharding {
    /// Turns keys into numbers.
    pub hash: Hash,
    /// Turns numbers into shards.
    pub distribution: Distribution,
    /// First and last character of the part of a key that is hashed.
    pub hash_tag: Option<[u8; 2]>,
    /// Reading of bytes from 0x80.
    pub hash_bytes: HashBytes,
    /// Precision of shares.
    pub ketama_float: KetamaFloat,
}

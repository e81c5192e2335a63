//! Hashes that mix by shifts and additions: one-at-a-time, SuperFastHash, MurmurHash2, lookup3.

/// Jenkins' one-at-a-time.
/// Spec: <https://www.burtleburtle.net/bob/hash/doobs.html>
pub(super) fn one_at_a_time(key: &[u8], widen: impl Fn(u8) -> u32) -> u32 {
    let mut state = 0u32;
    for byte in key {
        state = state.wrapping_add(widen(*byte));
        state = state.wrapping_add(state << 10);
        state ^= state >> 6;
    }
    state = state.wrapping_add(state << 3);
    state ^= state >> 11;
    state.wrapping_add(state << 15)
}

/// Hsieh's SuperFastHash, started from 0.
///
/// Only the third byte of a tail of three is read through a `char`.
/// Spec: <http://www.azillionmonkeys.com/qed/hash.html>
pub(super) fn hsieh(key: &[u8], widen: impl Fn(u8) -> u32) -> u32 {
    let (blocks, tail) = key.as_chunks::<4>();
    let mut state = 0u32;
    for [a, b, c, d] in blocks {
        state = state.wrapping_add(pair(*a, *b));
        state = (state << 16) ^ (pair(*c, *d) << 11) ^ state;
        state = state.wrapping_add(state >> 11);
    }
    match *tail {
        [a, b, c] => {
            state = state.wrapping_add(pair(a, b));
            state ^= state << 16;
            state ^= widen(c) << 18;
            state = state.wrapping_add(state >> 11);
        }
        [a, b] => {
            state = state.wrapping_add(pair(a, b));
            state ^= state << 11;
            state = state.wrapping_add(state >> 17);
        }
        [a] => {
            state = state.wrapping_add(u32::from(a));
            state ^= state << 10;
            state = state.wrapping_add(state >> 1);
        }
        _ => {}
    }
    state ^= state << 3;
    state = state.wrapping_add(state >> 5);
    state ^= state << 4;
    state = state.wrapping_add(state >> 17);
    state ^= state << 25;
    state.wrapping_add(state >> 6)
}

fn pair(low: u8, high: u8) -> u32 {
    u32::from(u16::from_le_bytes([low, high]))
}

/// MurmurHash2 with a seed made of the length.
/// Spec: <https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp>
pub(super) fn murmur(key: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    let length = low_length(key);
    let (blocks, tail) = key.as_chunks::<4>();
    let mut state = 0xdead_beef_u32.wrapping_mul(length) ^ length;
    for block in blocks {
        let mut word = u32::from_le_bytes(*block).wrapping_mul(FACTOR);
        word ^= word >> 24;
        state = state.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    if !tail.is_empty() {
        state = (state ^ partial_word(tail)).wrapping_mul(FACTOR);
    }
    state ^= state >> 13;
    state = state.wrapping_mul(FACTOR);
    state ^ (state >> 15)
}

/// Jenkins' lookup3 (`hashlittle`), started from 13.
/// Spec: <https://www.burtleburtle.net/bob/c/lookup3.c>
pub(super) fn jenkins(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32
        .wrapping_add(low_length(key))
        .wrapping_add(13);
    let mut state = [start; 3];
    let mut rest = key;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        take_block(&mut state, block);
        jenkins_mix(&mut state);
        rest = after;
    }
    if rest.is_empty() {
        return state[2];
    }
    take_block(&mut state, rest);
    jenkins_final(state)
}

/// Adds up to twelve bytes to the state, one word to each part.
fn take_block(state: &mut [u32; 3], block: &[u8]) {
    for (part, bytes) in state.iter_mut().zip(block.chunks(4)) {
        *part = part.wrapping_add(partial_word(bytes));
    }
}

fn jenkins_mix(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    let step = |x: &mut u32, y: &mut u32, z: u32, bits: u32| {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(bits);
        *y = y.wrapping_add(z);
    };
    step(&mut a, &mut c, b, 4);
    step(&mut b, &mut a, c, 6);
    step(&mut c, &mut b, a, 8);
    step(&mut a, &mut c, b, 16);
    step(&mut b, &mut a, c, 19);
    step(&mut c, &mut b, a, 4);
    *state = [a, b, c];
}

fn jenkins_final([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    let step = |x: u32, y: u32, bits: u32| (x ^ y).wrapping_sub(y.rotate_left(bits));
    c = step(c, b, 14);
    a = step(a, c, 11);
    b = step(b, a, 25);
    c = step(c, b, 16);
    a = step(a, c, 4);
    b = step(b, a, 14);
    step(c, b, 24)
}

/// Up to four bytes, little-endian, the missing ones 0.
fn partial_word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

fn low_length(key: &[u8]) -> u32 {
    key.len() as u32
}

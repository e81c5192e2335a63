//! FNV-1 and FNV-1a, kept to the low 32 bits of their state.

/// Start value and prime of one size of FNV.
#[derive(Clone, Copy)]
pub(super) struct Parameters {
    offset: u32,
    prime: u32,
}

/// The 32-bit function.
pub(super) const FNV_32: Parameters = Parameters {
    offset: 0x811c_9dc5,
    prime: 0x0100_0193,
};

/// The low half of the 64-bit function: its prime is 2^40 + 0x1b3, so that no bit comes down from the high half.
pub(super) const FNV_64: Parameters = Parameters {
    offset: 0x8422_2325,
    prime: 0x1b3,
};

/// Multiplies, then takes a byte in.
#[inline]
pub(super) fn fnv1(parameters: Parameters, key: &[u8], widen: impl Fn(u8) -> u32) -> u32 {
    key.iter().fold(parameters.offset, |state, byte| {
        state.wrapping_mul(parameters.prime) ^ widen(*byte)
    })
}

/// Takes a byte in, then multiplies.
#[inline]
pub(super) fn fnv1a(parameters: Parameters, key: &[u8], widen: impl Fn(u8) -> u32) -> u32 {
    key.iter().fold(parameters.offset, |state, byte| {
        (state ^ widen(*byte)).wrapping_mul(parameters.prime)
    })
}

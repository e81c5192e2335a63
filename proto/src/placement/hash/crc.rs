//! CRC hashes with the peculiarities of libmemcached and twemproxy.

const CRC16: [u32; 256] = crc16_table();
const CRC32: [u32; 256] = crc32_table();

/// CRC-16 (0x1021) whose accumulator is never masked to 16 bits.
pub(super) fn crc16(key: &[u8]) -> u32 {
    key.iter().fold(0, |crc, byte| {
        (crc << 8) ^ CRC16[low_byte((crc >> 8) ^ u32::from(*byte))]
    })
}

/// Fifteen bits from the middle of CRC-32.
pub(super) fn crc32(key: &[u8]) -> u32 {
    (crc32a(key) >> 16) & 0x7fff
}

/// CRC-32 of IEEE 802.3.
pub(super) fn crc32a(key: &[u8]) -> u32 {
    !key.iter().fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ CRC32[low_byte(crc ^ u32::from(*byte))]
    })
}

#[inline]
fn low_byte(word: u32) -> usize {
    (word & 0xff) as usize
}

const fn crc16_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        table[byte] = crc & 0xffff;
        byte += 1;
    }
    table
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                (crc >> 1) ^ 0xedb8_8320
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

//! The hash that tells whether two holders have the same resource.

use sha2::{Digest, Sha256};

/// Returns the first 8 bytes, big-endian, of SHA-256(kind, 0, name, 0, body).
pub fn resource_hash(kind: &str, name: &str, body: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(name)
        .chain_update([0])
        .chain_update(body)
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_hash_is_the_head_of_a_sha256() {
        // printf 'clusters\0a\0body' | sha256sum
        assert_eq!(
            resource_hash("clusters", "a", b"body"),
            0x7f18_1f3f_d7ce_c590
        );
        assert_ne!(
            resource_hash("clusters", "a", b"body"),
            resource_hash("slotmaps", "a", b"body")
        );
    }
}

//! The hashes that place servers and keys on the ring. Not for values that an attacker may choose: all of them are
//! known functions, because other clients must compute the same places.

use md5::{Digest, Md5};

/// The four points of one MD5 digest: its four little-endian words.
pub(crate) fn md5_points(text: &[u8]) -> [u32; 4] {
    let digest: [u8; 16] = Md5::digest(text).into();
    let mut words = digest.chunks_exact(4).map(|word| {
        word.iter()
            .rev()
            .fold(0, |number: u32, byte| number << 8 | u32::from(*byte))
    });
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// The place of a key by MD5: the first word of its digest.
pub(crate) fn md5_key(key: &[u8]) -> u32 {
    md5_points(key)[0]
}

/// The place of a key by the hash that twemproxy calls `fnv1a_64`: the lower half of that hash, of bytes that are
/// sign-extended as its `char` is on most machines. Keys of plain ASCII come out as by the textbook.
pub(crate) fn fnv1a_64_key(key: &[u8]) -> u32 {
    const OFFSET: u32 = 0x8422_2325; // the lower half of 14695981039346656037
    const PRIME: u32 = 0x0000_01b3; // the lower half of 1099511628211
    key.iter().fold(OFFSET, |hash, &byte| {
        let extended = i32::from(byte as i8) as u32;
        (hash ^ extended).wrapping_mul(PRIME)
    })
}

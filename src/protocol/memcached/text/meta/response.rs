//! The parts of replies to meta commands: ` k…`, ` t…` and the like.

use crate::protocol::memcached::text::meta::base64;

/// ` k<key>`; with `base64` the key in base64, and ` b`.
pub(crate) fn key(out: &mut Vec<u8>, key: &[u8], base64: bool) {
    out.extend_from_slice(b" k");
    if base64 {
        base64::encode(key, out);
        out.extend_from_slice(b" b");
    } else {
        out.extend_from_slice(key);
    }
}

/// A letter with a number: ` s5`.
pub(crate) fn number(out: &mut Vec<u8>, letter: u8, number: u64) {
    out.extend_from_slice(&[b' ', letter]);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// ` t<seconds>`; ` t-1` for an item that never expires.
pub(crate) fn time_to_live(out: &mut Vec<u8>, seconds: Option<u64>) {
    match seconds {
        Some(seconds) => number(out, b't', seconds),
        None => out.extend_from_slice(b" t-1"),
    }
}

/// A flag of the command, repeated: ` Oopaque`.
pub(crate) fn repeated(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(word);
}

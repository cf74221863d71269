//! Keys in base64, read as memcached reads them: bytes that are no digits of base64 are skipped, and the rest must be
//! groups of four, the last one padded. memcached reads nothing behind the padding.

use crate::protocol::memcached::text::KEY_LIMIT;

/// Bytes of the longest key that fits into a command in base64.
pub(crate) const LONGEST_KEY: usize = KEY_LIMIT / 4 * 3;

/// Appends the bytes that `text` stands for. `false` if it is no base64.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let count = text.iter().filter(|byte| digit(**byte).is_some()).count();
    if count == 0 || !count.is_multiple_of(4) {
        return false;
    }
    let digits = text
        .iter()
        .filter_map(|byte| digit(*byte).map(|digit| (*byte, digit)));
    let (mut bits, mut length, mut padding) = (0u32, 0, 0);
    for (byte, digit) in digits {
        bits = bits << 6 | u32::from(digit);
        length += 1;
        padding += usize::from(byte == b'=');
        if length < 4 {
            continue;
        }
        if padding > 2 {
            return false;
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
        if padding > 0 {
            break;
        }
        (bits, length) = (0, 0);
    }
    true
}

/// Appends `bytes` in base64, padded.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut wide = [0; 4];
        wide[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(wide);
        for at in 0..4 {
            out.push(match at <= group.len() {
                true => DIGITS[(bits >> (18 - 6 * at) & 0x3f) as usize],
                false => b'=',
            });
        }
    }
}

/// The value of a digit of base64; padding counts as one.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        b'=' => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The right column is what memcached 1.6.45 makes of the left one.
    #[test]
    fn base64_is_decoded_as_memcached_decodes_it() {
        for (text, bytes) in [
            (&b"Zm9vYg=="[..], &b"foob"[..]),
            (b"Zm9vYmE=", b"fooba"),
            (b"Zm9v", b"foo"),
            (b"AAEC", b"\0\x01\x02"),
            (b"+/+/", b"\xfb\xff\xbf"),
            // The unused bits may have any value.
            (b"Zm9vYh==", b"foob"),
            (b"Zm!9v", b"foo"),
            (b"Zm8=Zm9v", b"fo"),
        ] {
            let mut out = Vec::new();
            assert!(decode(text, &mut out), "{}", text.escape_ascii());
            assert_eq!(out, bytes, "{}", text.escape_ascii());
        }
        for text in [
            &b""[..],
            b"!",
            b"Zm9vYg",
            b"Zm9vYg=",
            b"=",
            b"====",
            b"Z===",
            b"Zm9vY===",
        ] {
            let mut out = Vec::new();
            assert!(!decode(text, &mut out), "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let (mut text, mut back) = (Vec::new(), Vec::new());
            encode(&bytes, &mut text);
            prop_assert!(decode(&text, &mut back));
            prop_assert_eq!(back, bytes);
        }
    }
}

//! Numbers as memcached reads them, in its two ways.
//!
//! [`signed`] and [`unsigned`] read the flags and expiration times of storage commands and the numbers in
//! values that `incr` and `decr` change, as C's functions do: blank space may stand before the digits, a
//! sign is taken, and the rest is ignored from the first blank or NUL on. `+1`, `01` and `1\r` are all
//! the number 1, `1x` is not a number. All other numbers of command lines are read strictly.

/// A signed number, or `None` for a text that is none or doesn't fit into 64 bits.
pub(super) fn signed(text: &[u8]) -> Option<i64> {
    let (negative, magnitude) = read(text)?;
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// An unsigned number, or `None` for a text that is none or doesn't fit into 64 bits.
///
/// As in memcached a negative number is refused only if its value modulo 2^64 has the topmost bit
/// set, which is so for every number that a person would write: `-0` is 0.
pub fn unsigned(text: &[u8]) -> Option<u64> {
    let (negative, magnitude) = read(text)?;
    if !negative {
        return Some(magnitude);
    }
    let wrapped = magnitude.wrapping_neg();
    (wrapped >> 63 == 0).then_some(wrapped)
}

/// A signed number of 32 bits, read strictly: see [`strict_u64`].
pub(super) fn strict_i32(text: &[u8]) -> Option<i32> {
    if text.len() > STRICT_32 {
        return None;
    }
    match text.strip_prefix(b"-") {
        Some(digits) => 0i32.checked_sub_unsigned(u32::try_from(digits_only(digits)?).ok()?),
        None => i32::try_from(digits_only(text)?).ok(),
    }
}

/// An unsigned number of 32 bits, read strictly: see [`strict_u64`].
pub fn strict_u32(text: &[u8]) -> Option<u32> {
    if text.len() > STRICT_32 {
        return None;
    }
    u32::try_from(digits_only(text)?).ok()
}

/// An unsigned number of 64 bits, read strictly: digits and nothing else, and not too many of them, as
/// memcached 1.6.45 reads every number of a line but the flags and the expiration time of storage
/// commands. (1.6.18 takes a plus sign, and any number of zeros before the digits.)
pub(super) fn strict_u64(text: &[u8]) -> Option<u64> {
    if text.len() > STRICT_64 {
        return None;
    }
    digits_only(text)
}

/// Characters of a number of 32 bits, at most, leading zeros included; memcached's `MCMC_TOKTO32_MAX`.
const STRICT_32: usize = 11;
/// The same for 64 bits, `MCMC_TOKTO64_MAX`.
const STRICT_64: usize = 22;

fn digits_only(text: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!text.is_empty()).then_some(number)
}

/// Sign and magnitude.
fn read(text: &[u8]) -> Option<(bool, u64)> {
    let start = text.iter().position(|&byte| !is_space(byte))?;
    let text = &text[start..];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut magnitude = 0u64;
    let mut length = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
        length += 1;
    }
    let ends_well = match digits.get(length) {
        None | Some(0) => true,
        Some(&byte) => is_space(byte),
    };
    (length > 0 && ends_well).then_some((negative, magnitude))
}

/// C's `isspace` in the C locale.
fn is_space(byte: u8) -> bool {
    byte == b' ' || (9..=13).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_reads_the_texts_that_strtol_reads() {
        let table: &[(&[u8], Option<i64>)] = &[
            (b"0", Some(0)),
            (b"-0", Some(0)),
            (b"+5", Some(5)),
            (b"00000000000000000000000000000000017", Some(17)),
            (b"-1", Some(-1)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"9223372036854775808", None),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"-9223372036854775809", None),
            (b"99999999999999999999", None),
            (b"", None),
            (b"-", None),
            (b"x", None),
            (b"1x", None),
            (b"--1", None),
            (b"\t1", Some(1)),
            (b"1\tx", Some(1)),
            (b"1\r", Some(1)),
            (b"1\0x", Some(1)),
            (b"\t", None),
        ];
        for (text, expected) in table {
            assert_eq!(
                signed(text),
                *expected,
                "{:?}",
                text.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn strict_numbers_are_digits_of_a_limited_count() {
        assert_eq!(strict_i32(b"00000000017"), Some(17));
        assert_eq!(strict_i32(b"000000000017"), None);
        assert_eq!(strict_i32(b"2147483647"), Some(i32::MAX));
        assert_eq!(strict_i32(b"2147483648"), None);
        assert_eq!(strict_i32(b"-2147483648"), Some(i32::MIN));
        assert_eq!(strict_u32(b"4294967295"), Some(u32::MAX));
        assert_eq!(strict_u32(b"4294967296"), None);
        assert_eq!(strict_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(strict_u64(b"18446744073709551616"), None);
        for text in [&b""[..], b"-", b"+1", b"1x", b" 1", b"1\t", b"1\0", b"--1"] {
            assert_eq!(strict_i32(text), None, "{}", text.escape_ascii());
            assert_eq!(strict_u64(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn unsigned_reads_the_texts_that_strtoull_reads() {
        let table: &[(&[u8], Option<u64>)] = &[
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"-1", None),
            (b"-0", Some(0)),
            (b"-18446744073709551615", Some(1)),
            (b" 12 34", Some(12)),
            (b"12.5", None),
            (b"", None),
            (b" ", None),
        ];
        for (text, expected) in table {
            assert_eq!(
                unsigned(text),
                *expected,
                "{:?}",
                text.escape_ascii().to_string()
            );
        }
    }
}

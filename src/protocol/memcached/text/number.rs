//! Numbers as memcached reads them: C's `strtol` and `strtoull`, with its rules for what may follow.
//!
//! One pair of functions reads the numbers of command lines and the numbers in values that `incr`
//! and `decr` change, as in memcached. Blank space may stand before the digits, a sign is taken,
//! and what follows the digits is ignored from the first blank or NUL on: `+1`, `01` and `1\r` are
//! all the number 1, `1x` is not a number.

/// A signed number, or `None` for what is not one or doesn't fit into 64 bits.
pub(super) fn signed(text: &[u8]) -> Option<i64> {
    let (negative, magnitude) = read(text)?;
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// An unsigned number, or `None` for what is not one or doesn't fit into 64 bits.
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
    fn signed_reads_what_strtol_reads() {
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
    fn unsigned_reads_what_strtoull_reads() {
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

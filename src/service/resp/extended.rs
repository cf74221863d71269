//! The floating point of INCRBYFLOAT: the 80-bit `long double` with which Redis adds on x86.
//!
//! Redis reads both numbers with `strtold`, adds them, and prints the sum with `%.17Lf`, trailing zeros cut off. With
//! 64 bits of mantissa `0.1` + `0.2` prints as `0.3`; with Rust's `f64` it would be `0.30000000000000004`. The crate
//! `rustc_apfloat` reads and adds in this format as the x87 unit does. The rest is Redis's own and done here: which
//! texts are numbers, and how a number is printed.
//!
//! Cost: about a microsecond for ordinary numbers. The longest text that Redis takes (5,119 bytes) or the largest
//! exponent (10^4932) takes some milliseconds. Where `long double` is another type (Redis on ARM has 113 bits), Redis
//! itself prints more digits than this.

use std::borrow::Cow;

pub(super) use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};

/// The longest text that Redis reads as a float, in bytes.
const LONGEST_TEXT: usize = 5 * 1024 - 1;
/// Digits of the largest finite number.
const MOST_DIGITS: usize = 4_932;

/// Reads a text that `strtold` takes whole: decimal or hexadecimal, `inf` too; not `nan`, and no number that
/// over- or underflows.
pub(super) fn parse(text: &[u8]) -> Option<X87DoubleExtended> {
    if text.len() > LONGEST_TEXT {
        return None;
    }
    let mut text = Cow::from(std::str::from_utf8(text).ok()?);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        // Of either sign: no sum with it is finite.
        return Some(X87DoubleExtended::INFINITY);
    }
    // The crate takes more, such as `nan1` and an exponent without digits …
    if !unsigned.starts_with(|first: char| first == '.' || first.is_ascii_digit()) {
        return None;
    }
    // … but no hexadecimal number without an exponent.
    let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    if hexadecimal && !unsigned.contains(['p', 'P']) {
        text += "p0";
    }
    if !text.ends_with(|last: char| last == '.' || last.is_ascii_digit()) {
        return None;
    }
    let read = X87DoubleExtended::from_str_r(&text, Round::NearestTiesToEven).ok()?;
    let underflow = read.value.is_zero() && read.status != Status::OK;
    (read.value.is_finite() && !underflow).then_some(read.value)
}

/// The sum, rounded half to even; `None` if it is not finite.
pub(super) fn add(a: X87DoubleExtended, b: X87DoubleExtended) -> Option<X87DoubleExtended> {
    Some((a + b).value).filter(|sum| sum.is_finite())
}

/// A finite number as Redis prints it: 17 decimals, rounded half to even, then without trailing zeros.
pub(super) fn print(number: X87DoubleExtended) -> String {
    // The format: a sign, 15 bits of exponent, 64 bits of mantissa.
    let bits = number.to_bits();
    let mantissa = bits & u128::from(u64::MAX);
    let exponent = (bits >> 64 & 0x7fff) as i32 - 16_383 - 63;
    if exponent >= 0 {
        // An integer; so many digits show it whole.
        return format!("{number:MOST_DIGITS$.MOST_DIGITS$}");
    }
    // A mantissa of 64 bits times 10^17 fits in 121 bits.
    let scaled = mantissa * 10u128.pow(17);
    let below = exponent.unsigned_abs();
    let mut units = scaled.checked_shr(below).unwrap_or(0);
    if below <= 127 {
        let rest = scaled - (units << below);
        let half = 1u128 << (below - 1);
        if rest > half || (rest == half && units & 1 == 1) {
            units += 1;
        }
    }
    let mut digits = format!("{units:018}");
    digits.insert(digits.len() - 17, '.');
    digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    if number.is_negative() && units != 0 {
        digits.insert(0, '-');
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        add(parse(a.as_bytes())?, parse(b.as_bytes())?).map(print)
    }

    #[test]
    fn sums_print_as_redis_prints_them() {
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3.0", "1.00000000000000001", "4.00000000000000001"),
            ("0", "5.0e-18", "0"),
            ("0", "-1e-30", "0"),
            ("0", "-0", "0"),
            ("1", "-1", "0"),
            ("0", "0x10", "16"),
            ("0", "0x.8", "0.5"),
            ("0", "-0x0p5", "0"),
            ("0", "0x1p3", "8"),
            ("0", "+5.", "5"),
            (
                "0",
                "123456789012345678901234567890",
                "123456789012345678899921813504",
            ),
            ("1e17", "1e-5", "100000000000000000"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
    }

    #[test]
    fn a_half_of_the_last_decimal_is_rounded_to_the_even_one() {
        for (hexadecimal, expected) in [
            ("0x1p-18", "0.00000381469726562"),
            ("0x3p-18", "0.00001144409179688"),
            ("-0x1p-18", "-0.00000381469726562"),
            ("0x1p-57", "0.00000000000000001"),
            ("0x1p-58", "0"),
            ("-0x1p-16445", "0"),
        ] {
            assert_eq!(sum("0", hexadecimal).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_largest_power_of_ten_is_exact_to_64_bits() {
        let text = sum("0", "1e4931").expect("is finite");
        assert_eq!(text.len(), 4932);
        assert!(text.starts_with("1000000000000000000006018949387963891323837774254533"));
    }

    #[test]
    fn texts_that_strtold_does_not_take_whole_are_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "1e",
            "0x",
            ".",
            "e5",
            "nan",
            "1_0",
            "1e5000",
            "1e-5000",
            "1e-4951",
            "1e99999999999999999999",
            "--1",
            "0x1g",
            "1.2.3",
            "infi",
            "nan1",
            "snan",
            "1e+",
            "0x1p",
            "0x1p+",
            "0x.p1",
            "0x1p99999999999999999999",
            "0x1p-99999999999999999999",
            "1e-99999999999999999999",
            "\u{664}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert!(parse(b"1e-4940").is_some());
        assert!(
            parse(&b"1".repeat(LONGEST_TEXT)).is_none(),
            "it is over the range"
        );
        assert!(parse(&b"0".repeat(LONGEST_TEXT)).is_some());
        assert!(parse(&b"0".repeat(LONGEST_TEXT + 1)).is_none());
    }

    #[test]
    fn infinity_is_read_but_never_a_sum() {
        assert!(parse(b"-Infinity").is_some());
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(sum("1e4932", "1e4932"), None);
    }

    proptest! {
        #[test]
        fn integers_add_exactly(a: i64, b: i64) {
            let expected = i128::from(a) + i128::from(b);
            prop_assume!(expected.unsigned_abs() <= u128::from(u64::MAX));
            prop_assert_eq!(sum(&a.to_string(), &b.to_string()), Some(expected.to_string()));
        }

        #[test]
        fn short_decimals_read_back(value in -100_000i64..100_000) {
            let text = format!("{}.{:09}", value / 1_000, (value % 1_000).abs() * 1_000_000 + 1);
            let text = if value < 0 && value > -1_000 { format!("-{text}") } else { text };
            prop_assert_eq!(sum(&text, "0"), Some(text.clone()));
        }
    }
}

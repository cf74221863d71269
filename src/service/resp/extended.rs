//! The floating point of INCRBYFLOAT: the 80-bit `long double` with which Redis adds on x86.
//!
//! Redis reads both numbers with `strtold`, adds them, and prints the sum with `%.17Lf`, trailing zeros cut off. With
//! 64 bits of mantissa `0.1` + `0.2` prints as `0.3`; with Rust's `f64` it would be `0.30000000000000004`. So the
//! three steps are done here as the x87 unit and the C library do them, exactly and with one rounding each:
//! a [`Extended`] is a 64-bit mantissa and a power of two, reading and printing go through integers of any size.
//!
//! Cost: ordinary numbers stay within a few words; the longest text that Redis takes (5,119 bytes) or the largest
//! exponent (10^4932) work on some 16,000 bits, well under a millisecond. Where `long double` is another type (Redis
//! on ARM has 113 bits), Redis itself prints more digits than this.

use super::natural::Natural;

/// The longest text that Redis reads as a float, in bytes.
const LONGEST_TEXT: usize = 5 * 1024 - 1;
/// Finite values are below 2^16384.
const TOP: i32 = 16_384;
/// Values that round to zero: below 2^-16446, half of the smallest subnormal.
const BOTTOM: i32 = -16_446;

/// A number as x87 holds it: `mantissa` × 2^`exponent`, the highest bit of the mantissa set unless it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
    infinite: bool,
}

impl Extended {
    pub(super) const ZERO: Extended = Extended {
        negative: false,
        mantissa: 0,
        exponent: 0,
        infinite: false,
    };

    /// Reads what `strtold` takes whole: decimal or hexadecimal, `inf` too; not `nan`, not what over- or underflows.
    pub(super) fn parse(text: &[u8]) -> Option<Extended> {
        if text.len() > LONGEST_TEXT {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude = if unsigned.eq_ignore_ascii_case(b"inf")
            || unsigned.eq_ignore_ascii_case(b"infinity")
        {
            Extended {
                infinite: true,
                ..Extended::ZERO
            }
        } else if let [b'0', b'x' | b'X', digits @ ..] = unsigned {
            let (digits, scale, power) = split(digits, 16, b'p')?;
            let number = Natural::from_digits(&digits, 16);
            rounded(&number, power.saturating_sub(4 * scale), false)?
        } else {
            let (digits, scale, power) = split(unsigned, 10, b'e')?;
            decimal(&digits, power.saturating_sub(scale))?
        };
        Some(Extended {
            negative,
            ..magnitude
        })
    }

    /// Whether it was read from `inf`; no sum is.
    pub(super) fn is_infinite(self) -> bool {
        self.infinite
    }

    /// The sum, rounded half to even; `None` where it is not finite.
    pub(super) fn plus(self, other: Extended) -> Option<Extended> {
        if self.infinite || other.infinite {
            return None;
        }
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let order = |number: &Extended| (number.exponent, number.mantissa);
        let (large, small) = if order(&self) >= order(&other) {
            (self, other)
        } else {
            (other, self)
        };
        // 62 bits below the mantissa hold what the smaller one has there; all beyond is one bit that says `not zero`.
        let distance = (large.exponent - small.exponent) as u32;
        let aligned = u128::from(small.mantissa) << 62;
        let addend = match aligned.checked_shr(distance) {
            Some(shifted) => shifted | u128::from(shifted << distance != aligned),
            None => 1,
        };
        let wide = u128::from(large.mantissa) << 62;
        let sum = if large.negative == small.negative {
            wide + addend
        } else {
            wide - addend
        };
        if sum == 0 {
            return Some(Extended::ZERO);
        }
        let magnitude = round(sum, large.exponent - 62, false)?;
        Some(Extended {
            negative: large.negative,
            ..magnitude
        })
    }

    /// The number as Redis prints it: 17 decimals, rounded half to even, then without trailing zeros.
    pub(super) fn print(self) -> String {
        let mut digits = if self.exponent >= 0 {
            let mut whole = Natural::from_u64(self.mantissa);
            whole.shift_left(self.exponent as u32);
            whole.to_decimal()
        } else {
            // A mantissa of 64 bits times 10^17 fits in 121 bits.
            let scaled = u128::from(self.mantissa) * 10u128.pow(17);
            let below = self.exponent.unsigned_abs();
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
            digits
        };
        if self.negative && digits != "0" {
            digits.insert(0, '-');
        }
        digits
    }
}

/// Splits a number without its sign into its digits (values, leading zeros gone), how many of them are decimals, and
/// the exponent behind `mark`.
fn split(text: &[u8], base: u32, mark: u8) -> Option<(Vec<u8>, i32, i32)> {
    let mut digits = Vec::with_capacity(text.len());
    let (mut seen, mut point, mut scale) = (false, false, 0);
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        if let Some(digit) = char::from(*byte).to_digit(base) {
            seen = true;
            scale += i32::from(point);
            if digit != 0 || !digits.is_empty() {
                digits.push(digit as u8);
            }
        } else if *byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        rest = behind;
    }
    if !seen {
        return None;
    }
    let power = match rest {
        [] => 0,
        [byte, power @ ..] if byte.eq_ignore_ascii_case(&mark) => exponent(power)?,
        _ => return None,
    };
    Some((digits, scale, power))
}

/// A decimal exponent with its sign; one that is out of any range is cut to ±1,000,000.
fn exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i32, |value, digit| {
        (value * 10 + i32::from(digit - b'0')).min(1_000_000)
    });
    Some(sign * value)
}

/// The number `digits` × 10^`power`.
fn decimal(digits: &[u8], power: i32) -> Option<Extended> {
    if digits.is_empty() {
        return Some(Extended::ZERO);
    }
    // Where the first digit stands decides before any large number is built.
    if !(-4_960..=4_940).contains(&(power + digits.len() as i32)) {
        return None;
    }
    let mut number = Natural::from_digits(digits, 10);
    if power >= 0 {
        number.multiply_by_ten_to(power as u32);
        return rounded(&number, 0, false);
    }
    // Shifted up so far that 66 bits or more remain when 10^-power (under 3.33 bits a digit) is divided out.
    let shift = (power.unsigned_abs() * 10 / 3 + 70).saturating_sub(number.bits());
    number.shift_left(shift);
    let inexact = number.divide_by_ten_to(power.unsigned_abs());
    rounded(&number, -(shift as i32), inexact)
}

/// `number` × 2^`exponent` rounded half to even to 64 bits; `sticky` as in [`round`].
fn rounded(number: &Natural, exponent: i32, sticky: bool) -> Option<Extended> {
    let (value, below, rest) = number.top();
    round(
        value,
        exponent.saturating_add(below as i32 * 32),
        sticky || rest,
    )
}

/// `value` × 2^`exponent` rounded half to even to 64 bits; `sticky`: there was more below the last bit.
fn round(value: u128, exponent: i32, sticky: bool) -> Option<Extended> {
    if value == 0 {
        return Some(Extended::ZERO);
    }
    let bits = 128 - value.leading_zeros() as i32;
    let mut exponent = exponent + bits - 64;
    let mantissa = if bits <= 64 {
        (value as u64) << (64 - bits)
    } else {
        let below = bits - 64;
        let rest = value & ((1 << below) - 1);
        let half = 1u128 << (below - 1);
        let mantissa = (value >> below) as u64;
        let up = rest > half || (rest == half && (sticky || mantissa & 1 == 1));
        match mantissa.checked_add(u64::from(up)) {
            Some(mantissa) => mantissa,
            None => {
                exponent += 1;
                1 << 63
            }
        }
    };
    if exponent + 64 > TOP || exponent + 63 < BOTTOM {
        return None;
    }
    Some(Extended {
        negative: false,
        mantissa,
        exponent,
        infinite: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let (a, b) = (
            Extended::parse(a.as_bytes())?,
            Extended::parse(b.as_bytes())?,
        );
        a.plus(b).map(Extended::print)
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
    fn the_largest_power_of_ten_is_exact_to_64_bits() {
        let text = sum("0", "1e4931").expect("is finite");
        assert_eq!(text.len(), 4932);
        assert!(text.starts_with("1000000000000000000006018949387963891323837774254533"));
    }

    #[test]
    fn what_strtold_does_not_take_whole_is_refused() {
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
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        assert!(Extended::parse(b"1e-4940").is_some());
        assert!(
            Extended::parse(&b"1".repeat(LONGEST_TEXT)).is_none(),
            "it is over the range"
        );
        assert!(Extended::parse(&b"0".repeat(LONGEST_TEXT)).is_some());
        assert!(Extended::parse(&b"0".repeat(LONGEST_TEXT + 1)).is_none());
    }

    #[test]
    fn infinity_is_read_but_never_a_sum() {
        assert!(Extended::parse(b"-Infinity").is_some());
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

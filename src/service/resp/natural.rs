//! Natural numbers of any size, as far as reading and printing floating point needs them.
//!
//! Multiplying and dividing by one word at a time is enough, because powers of ten are taken in steps of 10^9. A number
//! of n words costs n steps for each of these; [`extended`](super::extended) bounds n before it begins.

/// A natural number of any size: base 2^32, lowest word first, no zero word on top.
pub(super) struct Natural(Vec<u32>);

impl Natural {
    pub(super) fn from_u64(value: u64) -> Natural {
        let mut number = Natural(vec![value as u32, (value >> 32) as u32]);
        number.trim();
        number
    }

    pub(super) fn from_digits(digits: &[u8], base: u32) -> Natural {
        let mut number = Natural(Vec::new());
        for chunk in digits.chunks(7) {
            let value = chunk
                .iter()
                .fold(0, |value, &digit| value * base + u32::from(digit));
            number.multiply_add(base.pow(chunk.len() as u32), value);
        }
        number
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(super) fn bits(&self) -> u32 {
        self.0
            .last()
            .map_or(0, |top| self.0.len() as u32 * 32 - top.leading_zeros())
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    /// Divides by `divisor` and returns the remainder.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for word in self.0.iter_mut().rev() {
            let value = rest << 32 | u64::from(*word);
            *word = (value / u64::from(divisor)) as u32;
            rest = value % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    pub(super) fn multiply_by_ten_to(&mut self, power: u32) {
        for step in steps(power) {
            self.multiply_add(step, 0);
        }
    }

    /// Divides by 10^`power`, rounding down; true if that lost something.
    pub(super) fn divide_by_ten_to(&mut self, power: u32) -> bool {
        let mut inexact = false;
        for step in steps(power) {
            inexact |= self.divide(step) != 0;
        }
        inexact
    }

    pub(super) fn shift_left(&mut self, by: u32) {
        self.multiply_add(1 << (by % 32), 0);
        self.0
            .splice(0..0, std::iter::repeat_n(0, by as usize / 32));
    }

    /// The highest 97 bits or more (all, if there are fewer), how many words lie below them, and whether any of those
    /// is not zero.
    pub(super) fn top(&self) -> (u128, usize, bool) {
        let below = self.0.len().saturating_sub(4);
        let (rest, top) = self.0.split_at(below);
        let value = top
            .iter()
            .rev()
            .fold(0, |value, &word| value << 32 | u128::from(word));
        (value, below, rest.iter().any(|&word| word != 0))
    }

    pub(super) fn to_decimal(mut self: Natural) -> String {
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            chunks.push(self.divide(1_000_000_000));
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:09}"));
        }
        text
    }
}

/// 10^`power` as factors of at most 10^9.
fn steps(power: u32) -> impl Iterator<Item = u32> {
    std::iter::repeat_n(1_000_000_000, power as usize / 9)
        .chain(std::iter::once(10u32.pow(power % 9)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_go_in_and_come_out(digits in "[1-9][0-9]{0,200}") {
            let values: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
            prop_assert_eq!(Natural::from_digits(&values, 10).to_decimal(), digits);
        }

        #[test]
        fn a_power_of_ten_goes_in_and_comes_out(value in 1u64..u64::MAX, power in 0u32..300, rest: bool) {
            let mut number = Natural::from_u64(value);
            number.multiply_by_ten_to(power);
            if rest {
                number.multiply_add(1, 1);
            }
            prop_assert_eq!(number.divide_by_ten_to(power), rest && power > 0);
            prop_assert_eq!(number.to_decimal(), (value + u64::from(rest && power == 0)).to_string());
        }

        #[test]
        fn shifts_are_powers_of_two(value: u32, shift in 0u32..96) {
            let mut number = Natural::from_u64(value.into());
            number.shift_left(shift);
            prop_assert_eq!(number.to_decimal(), (u128::from(value) << shift).to_string());
        }
    }
}

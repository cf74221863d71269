//! Addition and subtraction, for `incr`, `decr` and `ma`.

use super::model::{Item, Model};

impl Model {
    /// Adds to a number or subtracts from it, and returns the sum; an error if the value is no number, and `None` if there
    /// is no item.
    pub(crate) fn add(&mut self, path: &str, amount: u64, adds: bool) -> Option<Result<u64, ()>> {
        let item = self.items.get(path)?;
        let Some(number) = number(&item.value) else {
            return Some(Err(()));
        };
        let sum = match adds {
            true => number.wrapping_add(amount),
            false => number.saturating_sub(amount),
        };
        let unique = self.next_unique();
        let item = self.items.get_mut(path)?;
        let mut digits = sum.to_string().into_bytes();
        if digits.len() <= item.value.len() {
            // The value keeps its length, with spaces behind the digits.
            digits.resize(item.value.len(), b' ');
            (item.value, item.unique) = (digits, unique);
        } else {
            *item = Item {
                value: digits,
                flags: item.flags,
                expires: item.expires,
                unique,
                ..Item::default()
            };
        }
        self.change_above(path);
        Some(Ok(sum))
    }
}

/// The reply if a value is no number.
pub(crate) const NO_NUMBER: &[u8] =
    b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

/// The number at the start of a value, as C's `strtoull` reads it. Blanks may be in front of it, and it ends at the next blank or at
/// the end of the value.
fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_start();
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (digits, rest) = text.split_at(digits.unwrap_or(text.len()));
    let ends = rest.is_empty() || rest.starts_with(|letter: char| letter.is_ascii_whitespace());
    digits.parse().ok().filter(|_| ends)
}

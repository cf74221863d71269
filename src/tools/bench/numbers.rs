//! Numbers, formatted for a person.

/// Nanoseconds as microseconds, with a decimal if they are few.
pub(super) fn micros(nanos: u64) -> String {
    match nanos {
        0..100_000 => format!("{:.1}", nanos as f64 / 1e3),
        _ => grouped((nanos + 500) / 1000),
    }
}

/// A number with a comma before each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_to_be_read() {
        let written = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
        let written = [0, 1_234, 99_960, 1_234_567].map(micros);
        assert_eq!(written, ["0.0", "1.2", "100.0", "1,235"]);
    }
}

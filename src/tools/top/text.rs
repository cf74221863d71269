//! Figures and names as short text for a table.
//!
//! Invariant: text of a server has no control characters behind [`printable`], so that it can't move the cursor or change the
//! terminal.

use std::time::Duration;

/// A number in at most five characters: `7`, `7.3`, `999`, `12.3k`, `4.56M`.
pub(super) fn count(value: f64) -> String {
    scaled(value, 1000.0, ["", "k", "M", "G", "T", "P", "E"])
}

/// Bytes in at most five characters: `512B`, `48.0M`, `1.50G`, in powers of 1,024.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, 1024.0, ["B", "K", "M", "G", "T", "P", "E"])
}

fn scaled(value: f64, base: f64, units: [&str; 7]) -> String {
    let mut value = value;
    let mut unit = 0;
    // A number that would be rounded up to the next unit has that unit.
    while value >= base - 0.5 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 && value.fract() == 0.0 => 0,
        _ if value >= 99.95 => 0,
        _ if unit > 0 && value < 9.995 => 2,
        _ => 1,
    };
    format!("{value:.decimals$}{}", units[unit])
}

/// A part of 1 as a percentage. It is rounded down, so that 100 means all.
pub(super) fn percent(part: f64) -> String {
    let tenths = (part * 1000.0 + 1e-9).floor();
    match tenths {
        1000.0 => "100".into(),
        tenths => format!("{:.1}", tenths / 10.0),
    }
}

/// Milliseconds, with more decimals for less time.
pub(super) fn milliseconds(time: Duration) -> String {
    let value = time.as_secs_f64() * 1000.0;
    let decimals = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A median and a 99th percentile in seconds, as milliseconds.
pub(super) fn both_times(seconds: [f64; 2]) -> String {
    let [median, p99] = seconds
        .map(|seconds| milliseconds(Duration::try_from_secs_f64(seconds).unwrap_or_default()));
    format!("{median}/{p99}")
}

/// A long time in its two largest units: `3d 4h`, `5m 10s`.
pub(super) fn long_time(seconds: u64) -> String {
    let (unit, name, next, next_name) = match seconds {
        86_400.. => (86_400, "d", 3600, "h"),
        3600.. => (3600, "h", 60, "m"),
        60.. => (60, "m", 1, "s"),
        _ => return format!("{seconds}s"),
    };
    match (seconds / unit, seconds % unit / next) {
        (whole, 0) => format!("{whole}{name}"),
        (whole, rest) => format!("{whole}{name} {rest}{next_name}"),
    }
}

/// A name in at most so many characters, at least one. The end of a long one is what distinguishes it from others.
pub(super) fn end_of(name: &str, wide: usize) -> String {
    let letters = name.chars().count();
    if letters <= wide {
        return name.to_owned();
    }
    let end = name.chars().skip(letters - wide.saturating_sub(1));
    format!("…{}", end.collect::<String>())
}

/// Text of a server with its control characters escaped, and at most so many of its characters.
pub(super) fn printable(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(longest) {
        match letter {
            '\'' | '"' | '\\' => shown.push(letter),
            // It escapes characters without a form as well, such as those that turn the direction of writing.
            _ => shown.extend(letter.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_five_characters_at_most() {
        for (value, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (7.0, "7"),
            (7.31, "7.3"),
            (99.96, "100"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (999_999.0, "1.00M"),
            (1e30, "1000000000000E"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
        for (value, text) in [
            (512.0, "512B"),
            (1023.0, "1023B"),
            (1_572_864.0, "1.50M"),
            (67_108_864.0, "64.0M"),
            (1_073_741_823.0, "1.00G"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
        }
    }

    #[test]
    fn only_all_is_a_hundred_percent() {
        for (part, text) in [
            (0.0, "0.0"),
            (0.5, "50.0"),
            (0.9996, "99.9"),
            (1.0, "100"),
            (0.987, "98.7"),
        ] {
            assert_eq!(percent(part), text, "{part}");
        }
    }

    #[test]
    fn a_long_name_has_its_end() {
        for (wide, text) in [
            (20, "cache-2"),
            (7, "cache-2"),
            (6, "…che-2"),
            (1, "…"),
            (0, "…"),
        ] {
            assert_eq!(end_of("cache-2", wide), text);
        }
    }

    #[test]
    fn times_have_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (61, "1m 1s"),
            (180, "3m"),
            (7_260, "2h 1m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(long_time(seconds), text);
        }
        for (micros, text) in [(123, "0.12"), (12_345, "12.3"), (1_234_000, "1234")] {
            assert_eq!(milliseconds(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn text_of_a_server_cannot_move_the_cursor() {
        assert_eq!(printable("1.6.45", 20), "1.6.45");
        assert_eq!(
            printable("\x1b[2J\r\n\u{202e}x'y", 20),
            r"\u{1b}[2J\r\n\u{202e}x'y"
        );
        assert_eq!(printable("Zürich", 3), "Zür");
    }
}

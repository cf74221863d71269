//! The sizes of values: fixed, a range, or a recorded distribution.

use std::fs;
use std::str::FromStr;

use crate::tools::size::parse_size;

/// The largest value that can be asked for. Redis's own limit is 512 MiB.
const LARGEST: u64 = 512 * 1024 * 1024;

/// The sizes of values, from `--value-size`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSizes {
    /// All have this many bytes.
    Fixed(usize),
    /// Between these, both included, all with the same probability.
    Range(usize, usize),
    /// Recorded: each size, and the sum of the counts up to it.
    Recorded(Vec<(usize, u64)>),
}

impl ValueSizes {
    /// The size that belongs to this hash. The same hash has the same size.
    pub(super) fn of(&self, hash: u64) -> usize {
        match self {
            ValueSizes::Fixed(size) => *size,
            ValueSizes::Range(least, most) => {
                let span = (most - least) as u64 + 1;
                least + scaled(hash, span) as usize
            }
            ValueSizes::Recorded(sizes) => {
                let all = sizes.last().map_or(1, |(_, sum)| *sum);
                let at = scaled(hash, all);
                let place = sizes.partition_point(|(_, sum)| *sum <= at);
                sizes[place].0
            }
        }
    }

    /// The largest size that can come.
    pub(super) fn largest(&self) -> usize {
        match self {
            ValueSizes::Fixed(size) => *size,
            ValueSizes::Range(_, most) => *most,
            ValueSizes::Recorded(sizes) => sizes.iter().map(|(size, _)| *size).max().unwrap_or(0),
        }
    }

    /// Reads a recorded distribution: a line `SIZE,COUNT` for each size, a blank or a tab may stand for the comma.
    fn recorded(text: &str) -> Result<ValueSizes, String> {
        let mut sizes = Vec::new();
        let mut sum = 0u64;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("line {}: `{line}` is not SIZE,COUNT", number + 1);
            let (size, count) = line.split_once([',', ' ', '\t']).ok_or_else(wrong)?;
            let size = size_of(size.trim()).map_err(|_| wrong())?;
            let count: u64 = count.trim().parse().map_err(|_| wrong())?;
            if count > 0 {
                sum = sum.checked_add(count).ok_or_else(wrong)?;
                sizes.push((size, sum));
            }
        }
        if sizes.is_empty() {
            return Err("it has no line SIZE,COUNT with a count above 0".into());
        }
        Ok(ValueSizes::Recorded(sizes))
    }
}

impl FromStr for ValueSizes {
    type Err = String;

    fn from_str(text: &str) -> Result<ValueSizes, String> {
        if let Some(path) = text.strip_prefix('@') {
            let recorded = fs::read_to_string(path).map_err(|error| error.to_string());
            return recorded
                .and_then(|text| ValueSizes::recorded(&text))
                .map_err(|error| format!("{path}: {error}"));
        }
        let Some((least, most)) = text.split_once('-') else {
            return Ok(ValueSizes::Fixed(size_of(text)?));
        };
        let (least, most) = (size_of(least)?, size_of(most)?);
        if least > most {
            return Err(format!("the range {text} ends below its start"));
        }
        Ok(ValueSizes::Range(least, most))
    }
}

fn size_of(text: &str) -> Result<usize, String> {
    match parse_size(text) {
        Some(size) if size <= LARGEST => Ok(size as usize),
        _ => Err(format!(
            "`{text}` is not a size up to 512MiB; write 100, 16KiB, a range like 100-2000, or @FILE with lines SIZE,COUNT"
        )),
    }
}

/// A number below `span`, in proportion to the hash.
fn scaled(hash: u64, span: u64) -> u64 {
    ((u128::from(hash) * u128::from(span)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_command_line() {
        for (text, sizes) in [
            ("100", ValueSizes::Fixed(100)),
            ("16KiB", ValueSizes::Fixed(16384)),
            ("0", ValueSizes::Fixed(0)),
            ("100-2k", ValueSizes::Range(100, 2048)),
        ] {
            assert_eq!(text.parse(), Ok(sizes));
        }
        for text in ["", "x", "5-", "9-3", "513MiB", "-5", "@/nowhere/at/all"] {
            assert!(text.parse::<ValueSizes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_has_both_its_ends_and_nothing_else() {
        let sizes = ValueSizes::Range(10, 12);
        assert_eq!(sizes.of(0), 10);
        assert_eq!(sizes.of(u64::MAX / 2), 11);
        assert_eq!(sizes.of(u64::MAX), 12);
    }

    #[test]
    fn recorded_sizes_come_in_proportion_to_their_counts() {
        let sizes =
            ValueSizes::recorded("# size,count\n10,1\n\n1KiB 3\n5\t0\n").expect("it is right");
        let quarter = u64::MAX / 4;
        let found = [0, quarter, quarter + 2, u64::MAX].map(|hash| sizes.of(hash));
        assert_eq!(found, [10, 10, 1024, 1024]);
        assert_eq!(sizes.largest(), 1024);
        for text in ["", "10", "10,x", "x,1", "10,0"] {
            assert!(ValueSizes::recorded(text).is_err(), "{text}");
        }
    }
}

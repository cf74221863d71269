//! LATENCY GRAPH: the samples of an event as a picture of characters, as Redis draws it.
//!
//! Each sample is a column of [`ROWS`] rows with three levels in each, from the lowest sample to the highest. The letters of its age
//! are below the column, from top to bottom. After [`COLUMNS`] samples another picture follows.

use std::fmt::Write;

use crate::service::latency_monitor::{EventSamples, LatencySample};

/// Samples of a picture, and the length of the line above it.
const COLUMNS: usize = 80;

const ROWS: u64 = 4;

/// The levels in a row, the lowest first. A row below the top of its column is full.
const LEVELS: [char; 3] = ['_', 'o', '#'];
const FULL: char = '|';

/// The picture of an event at this time in Unix seconds.
pub(super) fn graph(event: &str, series: &EventSamples, now: u64) -> String {
    let samples: Vec<LatencySample> = series.samples.iter().copied().collect();
    let times = || samples.iter().map(|sample| sample.milliseconds);
    let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}",
        series.longest,
        "-".repeat(COLUMNS)
    );
    for (number, part) in samples.chunks(COLUMNS).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        draw(part, low, high, now, &mut text);
    }
    text
}

fn draw(samples: &[LatencySample], low: u64, high: u64, now: u64, text: &mut String) {
    let levels = LEVELS.len() as u64;
    let steps = u128::from(levels * ROWS);
    let range = u128::from((high - low).max(1));
    let level = |sample: &LatencySample| {
        let level = u128::from(sample.milliseconds - low) * steps / range;
        level.min(steps - 1) as u64
    };
    for row in (0..ROWS).rev() {
        let column = |sample| match level(sample).checked_sub(row * levels) {
            None => ' ',
            Some(above) => LEVELS.get(above as usize).copied().unwrap_or(FULL),
        };
        text.extend(samples.iter().map(column));
        text.push('\n');
    }
    text.extend(samples.iter().map(|_| ' '));
    text.push('\n');
    let ages: Vec<String> = samples
        .iter()
        .map(|sample| age(now.saturating_sub(sample.at)))
        .collect();
    let longest = ages.iter().map(String::len).max().unwrap_or(0);
    for place in 0..longest {
        text.extend(ages.iter().map(|age| age.chars().nth(place).unwrap_or(' ')));
        text.push('\n');
    }
}

/// The time since a sample, in the largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: impl IntoIterator<Item = (u64, u64)>, longest: u64) -> EventSamples {
        let sample = |(at, milliseconds)| LatencySample { at, milliseconds };
        EventSamples {
            samples: samples.into_iter().map(sample).collect(),
            longest,
        }
    }

    /// The graph is the one that redis-server 7.0.15 draws of these samples.
    #[test]
    fn a_graph_looks_like_that_of_redis() {
        let samples = [(1029, 2), (1031, 20), (1033, 50), (1034, 4), (1036, 300)];
        let expected = format!(
            "command - high 300 ms, low 2 ms (all time high 300 ms)\n{}\n    #\n    |\n    |\n__o_|\n     \n97542\nsssss\n",
            "-".repeat(80)
        );
        assert_eq!(graph("command", &series(samples, 300), 1038), expected);
        let expected = format!(
            "command - high 22 ms, low 22 ms (all time high 25 ms)\n{}\n \n \n \n_\n \n1\ns\n",
            "-".repeat(80)
        );
        assert_eq!(graph("command", &series([(7, 22)], 25), 8), expected);
    }

    #[test]
    fn a_long_history_has_several_pictures_and_ages_in_larger_units() {
        let samples = (0..160).map(|at| (at * 1000, at));
        let drawn = graph("command", &series(samples, 159), 159_000);
        let lines: Vec<&str> = drawn.lines().collect();
        // A title and a line; four rows, an empty one and three of ages; a gap, and the same once more.
        assert_eq!(lines.len(), 2 + 8 + 1 + 8);
        assert!(
            lines[7].starts_with("1111") && lines[9].ends_with('h'),
            "{drawn}"
        );
        assert!(
            lines[16].ends_with('0') && lines[17].ends_with('s'),
            "{drawn}"
        );
        assert_eq!(age(59), "59s");
        assert_eq!(age(60), "1m");
        assert_eq!(age(86_399), "23h");
        assert_eq!(age(86_400), "1d");
    }
}

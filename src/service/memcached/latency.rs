//! The time from the bytes of a request to its reply, for pages of metrics.
//!
//! One turn of [`TIMED`] of each connection is timed, its first one included. A look at the clock costs about as much as the
//! store's part of a `get`, so two for each turn would be noticed; a sample shows the same quantiles.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::service::latency_histogram::LatencyHistogram;

use super::counters::TurnCounts;

/// Turns of a connection of which one is timed.
const TIMED: u8 = 16;

/// The latencies of the commands of timed turns.
#[derive(Debug, Default)]
pub(super) struct TurnLatency {
    histogram: LatencyHistogram,
    nanoseconds: AtomicU64,
}

/// The figures of the timed turns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TurnLatencyFigures {
    /// The commands within each of the bounds that were asked for.
    pub(crate) within: Vec<u64>,
    pub(crate) commands: u64,
    /// The time of all of them together.
    pub(crate) seconds: f64,
}

/// Counts the turns of a connection.
#[derive(Debug, Default)]
pub(super) struct TurnTimer(u8);

impl TurnTimer {
    /// The start of a turn, if it is to be timed.
    #[inline]
    pub(super) fn begin_turn(&mut self) -> Option<Instant> {
        let is_timed = self.0 == 0;
        self.0 = (self.0 + 1) % TIMED;
        is_timed.then(Instant::now)
    }
}

impl TurnLatency {
    /// Adds a turn that has ended. Its commands count with the mean of their times; a turn without any counts as nothing.
    #[inline]
    pub(super) fn add(&self, began: Option<Instant>, counts: &TurnCounts) {
        if let Some(began) = began {
            let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.add_turn(nanoseconds, counts.commands());
        }
    }

    fn add_turn(&self, nanoseconds: u64, commands: u64) {
        if let Some(mean) = nanoseconds.checked_div(commands) {
            self.histogram.add(mean, commands);
            self.nanoseconds.fetch_add(nanoseconds, Relaxed);
        }
    }

    /// The figures so far, by these upper bounds in nanoseconds.
    pub(super) fn figures(&self, bounds: &[u64]) -> TurnLatencyFigures {
        TurnLatencyFigures {
            within: self.histogram.calls_within_each(bounds),
            commands: self.histogram.calls(),
            seconds: self.nanoseconds.load(Relaxed) as f64 / 1e9,
        }
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        self.histogram.reset();
        self.nanoseconds.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_of_a_connection_is_timed_and_then_one_of_sixteen() {
        let mut timer = TurnTimer::default();
        let timed = (0..40).filter(|_| timer.begin_turn().is_some()).count();
        assert_eq!(timed, 3);
        assert!(TurnTimer::default().begin_turn().is_some());
    }

    #[test]
    fn the_commands_of_a_turn_count_with_the_mean_of_their_times() {
        let latency = TurnLatency::default();
        latency.add_turn(8_000, 4);
        latency.add_turn(50_000, 1);
        latency.add_turn(1_000_000, 0);
        let figures = latency.figures(&[1_000, 10_000, 1_000_000]);
        assert_eq!((figures.within, figures.commands), (vec![0, 4, 5], 5));
        assert_eq!(figures.seconds, 58e-6);
        latency.reset();
        let figures = latency.figures(&[]);
        assert_eq!((figures.commands, figures.seconds), (0, 0.0));
    }
}

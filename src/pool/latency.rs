//! The latencies of answers, as quantiles over all since the start, in constant memory.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;

/// The longest time recorded, in microseconds: a minute. Longer times count as this.
const LONGEST: u64 = 60_000_000;

/// Times of answers, to two digits.
pub(crate) struct Latency(Mutex<Histogram<u32>>);

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 2).expect("the bounds are in order");
        Latency(Mutex::new(histogram))
    }
}

/// The number of answers by their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LatencyCounts {
    /// For each bound, the answers within it.
    pub(crate) within: Vec<u64>,
    pub(crate) all: u64,
    /// Microseconds of all answers together, to two digits.
    pub(crate) sum: u64,
}

impl Latency {
    /// Records an answer after this many microseconds.
    pub(crate) fn record(&self, micros: u64) {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.saturating_record(micros);
    }

    /// Microseconds within which this part of the answers came, 0 before the first.
    pub(crate) fn quantile(&self, part: f64) -> u64 {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.value_at_quantile(part)
    }

    /// The answers so far, by these upper bounds in microseconds.
    pub(crate) fn counts(&self, bounds: &[u64]) -> LatencyCounts {
        // Copied, so that no worker waits while they are counted.
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = histogram.clone();
        let mut counts = LatencyCounts {
            within: vec![0; bounds.len()],
            all: 0,
            sum: 0,
        };
        for step in histogram.iter_recorded() {
            let (time, count) = (step.value_iterated_to(), step.count_at_value());
            let count = u64::from(count);
            let fitting = bounds.iter().zip(&mut counts.within);
            fitting
                .filter(|(bound, _)| time <= **bound)
                .for_each(|(_, within)| *within += count);
            counts.all += count;
            counts.sum += histogram.median_equivalent(time) * count;
        }
        counts
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_within_each_bound() {
        let latency = Latency::default();
        for micros in [1, 90, 99, 5_000, 2 * LONGEST] {
            latency.record(micros);
        }
        let counts = latency.counts(&[1, 100, 10_000]);
        assert_eq!((counts.within, counts.all), (vec![1, 3, 4], 5));
        let exact = 1 + 90 + 99 + 5_000 + LONGEST;
        assert!(counts.sum.abs_diff(exact) < exact / 50, "{}", counts.sum);
        let none = Latency::default().counts(&[1]);
        assert_eq!((none.within, none.all, none.sum), (vec![0], 0, 0));
    }
}

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
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}

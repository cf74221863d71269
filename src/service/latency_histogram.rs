//! The latencies of one command: how many calls took how long, to two significant digits, from a nanosecond to a second.
//!
//! The buckets are those of the HdrHistogram that Redis uses, so percentiles and the steps of LATENCY HISTOGRAM are in the
//! same units. Values up to 255 have a bucket each; above, each power of two has 128.
//!
//! Cost: a call is one atomic addition, which several workers can do at once (the crate of the same name needs a lock).
//! The 24 KiB of buckets are allocated with a command's first call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Nanoseconds of the longest call that has a bucket; longer ones are counted there.
const LONGEST: u64 = 1_000_000_000;

/// Buckets of each power of two.
const HALF: usize = 128;

/// Buckets up to that of [`LONGEST`].
const BUCKETS: usize = index(LONGEST) + 1;

/// Nanoseconds of the first step of [`LatencyHistogram::steps`].
const FIRST_STEP: u64 = 1024;

/// Calls by their latency.
#[derive(Debug, Default)]
pub(crate) struct LatencyHistogram {
    buckets: OnceLock<Box<[AtomicU64]>>,
}

/// The bucket of a latency.
const fn index(nanoseconds: u64) -> usize {
    let bits = 64 - (nanoseconds | 255).leading_zeros();
    let shift = bits - 8;
    shift as usize * HALF + (nanoseconds >> shift) as usize
}

/// The least and the greatest latency of a bucket.
fn range(index: usize) -> (u64, u64) {
    let shift = (index / HALF).saturating_sub(1);
    let least = ((index - shift * HALF) as u64) << shift;
    (least, least + (1 << shift) - 1)
}

impl LatencyHistogram {
    /// Adds calls that took so long each.
    #[inline]
    pub(crate) fn add(&self, nanoseconds: u64, calls: u64) {
        let buckets = self.buckets.get_or_init(|| {
            let empty = (0..BUCKETS).map(|_| AtomicU64::new(0));
            empty.collect()
        });
        // A call takes some time, as in Redis.
        buckets[index(nanoseconds.clamp(1, LONGEST))].fetch_add(calls, Relaxed);
    }

    /// The calls of each bucket that has some: its position and number.
    fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let buckets = self.buckets.get().map_or(&[][..], |buckets| buckets);
        let counts = buckets.iter().map(|bucket| bucket.load(Relaxed));
        counts.enumerate().filter(|(_, count)| *count > 0)
    }

    /// The number of all calls.
    pub(crate) fn calls(&self) -> u64 {
        self.counts().map(|(_, count)| count).sum()
    }

    /// The calls that took at most so long, to the precision of the buckets.
    pub(crate) fn calls_within(&self, nanoseconds: u64) -> u64 {
        let last = index(nanoseconds.min(LONGEST));
        let within = self.counts().take_while(|(index, _)| *index <= last);
        within.map(|(_, count)| count).sum()
    }

    /// The same for several bounds.
    pub(crate) fn calls_within_each(&self, bounds: &[u64]) -> Vec<u64> {
        let within = bounds.iter().map(|bound| self.calls_within(*bound));
        within.collect()
    }

    /// The nanoseconds that so many percent of the calls took at most; `None` without calls.
    pub(crate) fn percentile(&self, percentile: f64) -> Option<u64> {
        let counts: Vec<_> = self.counts().collect();
        let all: u64 = counts.iter().map(|(_, count)| count).sum();
        let wanted = (percentile / 100.0 * all as f64 + 0.5) as u64;
        let mut seen = 0;
        let found = counts.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        let (least, greatest) = range(found?.0);
        Some(if percentile == 0.0 { least } else { greatest })
    }

    /// Steps of powers of two with the calls up to each: its greatest latency in nanoseconds, and the number. A step without
    /// calls of its own is left out.
    pub(crate) fn steps(&self) -> Vec<(u64, u64)> {
        let counts: Vec<_> = self.counts().collect();
        let mut steps: Vec<(u64, u64)> = Vec::new();
        let (mut step, mut seen) = (FIRST_STEP, 0);
        for (at, count) in counts {
            if at > index(step) {
                push_step(&mut steps, step, seen);
                while at > index(step) {
                    step *= 2;
                }
            }
            seen += count;
        }
        push_step(&mut steps, step, seen);
        steps
    }

    /// Sets all counts to zero.
    pub(crate) fn reset(&self) {
        for bucket in self.buckets.get().into_iter().flatten() {
            bucket.store(0, Relaxed);
        }
    }
}

fn push_step(steps: &mut Vec<(u64, u64)>, step: u64, seen: u64) {
    if steps.last().map_or(0, |(_, before)| *before) < seen {
        steps.push((range(index(step)).1, seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_found_by_its_least_and_its_greatest_latency() {
        for at in 0..BUCKETS {
            let (least, greatest) = range(at);
            assert_eq!((index(least), index(greatest)), (at, at), "{least}");
            assert!(greatest - least <= least / 128, "{least} to {greatest}");
        }
    }

    #[test]
    fn percentiles_and_steps_are_those_of_redis() {
        // Redis 7.0.15 showed these for calls of 33 and 66 microseconds (33,000 and 66,000 ns).
        let histogram = LatencyHistogram::default();
        assert_eq!((histogram.percentile(50.0), histogram.calls()), (None, 0));
        assert_eq!(histogram.steps(), []);
        histogram.add(19_000, 1);
        assert_eq!(histogram.percentile(50.0), Some(19_071));
        assert_eq!(histogram.percentile(0.0), Some(18_944));
        assert_eq!(histogram.steps(), [(33_023, 1)]);
        histogram.add(72_000, 2);
        assert_eq!(histogram.percentile(99.0), Some(72_191));
        assert_eq!(histogram.steps(), [(33_023, 1), (132_095, 3)]);
        assert_eq!(histogram.calls_within(50_000), 1);
        assert_eq!(histogram.calls_within(u64::MAX), 3);
        histogram.reset();
        assert_eq!((histogram.percentile(50.0), histogram.calls()), (None, 0));
    }

    #[test]
    fn calls_of_no_time_and_of_minutes_are_counted() {
        let histogram = LatencyHistogram::default();
        histogram.add(0, 1);
        histogram.add(u64::MAX, 1);
        assert_eq!(histogram.percentile(50.0), Some(1));
        assert_eq!(histogram.percentile(100.0), Some(range(index(LONGEST)).1));
        assert_eq!(histogram.steps().last().unwrap().1, 2);
    }
}

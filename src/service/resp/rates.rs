//! The rates of INFO: commands and bytes in a second.
//!
//! Redis takes samples ten times a second. larder has no such timer: a rate is the mean since the last INFO that was at least
//! a second earlier. So a program that asks every 15 seconds sees the mean of these 15 seconds.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The shortest span of a rate, in milliseconds.
const LEAST_SPAN_MS: u64 = 1000;

/// Numbers in a second.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) commands: f64,
    pub(super) read: f64,
    pub(super) written: f64,
}

/// The totals of the last sample, and the rates up to it.
#[derive(Debug, Default)]
struct Sample {
    at_ms: u64,
    totals: [u64; 3],
    rates: Rates,
}

/// The last sample.
#[derive(Debug)]
pub(super) struct RateSampler {
    last: Mutex<Sample>,
}

impl RateSampler {
    /// A sampler that starts now, with totals of zero.
    pub(super) fn new(now_ms: u64) -> RateSampler {
        let sampler = RateSampler {
            last: Mutex::default(),
        };
        sampler.reset(now_ms);
        sampler
    }

    /// Starts again, because the totals are zero from now on.
    pub(super) fn reset(&self, now_ms: u64) {
        *self.locked() = Sample {
            at_ms: now_ms,
            ..Sample::default()
        };
    }

    /// The rates up to now, of totals of commands, bytes read and bytes written.
    pub(super) fn sample(&self, now_ms: u64, totals: [u64; 3]) -> Rates {
        let mut last = self.locked();
        let span_ms = now_ms.saturating_sub(last.at_ms);
        if span_ms >= LEAST_SPAN_MS {
            let seconds = span_ms as f64 / 1000.0;
            // memcached's `stats reset` sets some of the totals to zero.
            let rate = |at: usize| totals[at].saturating_sub(last.totals[at]) as f64 / seconds;
            let rates = Rates {
                commands: rate(0),
                read: rate(1),
                written: rate(2),
            };
            *last = Sample {
                at_ms: now_ms,
                totals,
                rates,
            };
        }
        last.rates
    }

    fn locked(&self) -> MutexGuard<'_, Sample> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_since_the_sample_before() {
        let sampler = RateSampler::new(10_000);
        assert_eq!(sampler.sample(10_999, [9, 9, 9]), Rates::default());
        let first = Rates {
            commands: 10.0,
            read: 100.0,
            written: 0.0,
        };
        assert_eq!(sampler.sample(12_000, [20, 200, 0]), first);
        assert_eq!(sampler.sample(12_500, [900, 900, 900]), first);
        // `stats reset` came between.
        assert_eq!(sampler.sample(13_000, [5, 201, 3]).commands, 0.0);
        sampler.reset(13_100);
        assert_eq!(sampler.sample(13_200, [1, 1, 1]), Rates::default());
        assert_eq!(sampler.sample(14_100, [30, 2, 1]).commands, 30.0);
    }
}

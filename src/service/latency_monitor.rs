//! The latency monitor: the events that took long, second by second, as Redis's `LATENCY` shows them.
//!
//! ```text
//!   session ─▶ SlowLog::is_notable? ─▶ LatencyMonitor::note("command", …) ─┐
//!   sweeper ───────────────────────▶ note("expire-cycle", …) ──────────────┴▶ LATENCY LATEST, HISTORY, GRAPH, DOCTOR
//! ```
//!
//! It is off until a threshold is set. The events have Redis's names, as far as larder has such events:
//!
//! | event | time of |
//! |---|---|
//! | `command` | a command of RESP, a transaction, or a request of memcached's protocols |
//! | `fast-command` | a command of RESP that is quick by its nature; a long one shows that larder got no processor time |
//! | `expire-cycle` | the sweeper's work in one part of the store; commands for that part wait meanwhile |
//!
//! Evictions have no event, because their time is a part of the command that needs the room. Snapshots have none either: a thread of
//! its own writes them, and commands don't wait for it.
//!
//! Cost: an event at or over the threshold takes the lock. Others cost a comparison, which the slow log makes anyway.
//!
//! Bounds: an event has [`SAMPLES`] samples, and there are as many events as the table above has.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Samples of an event, as in Redis: one of each second in which it took long.
const SAMPLES: usize = 160;

pub(crate) const COMMAND: &str = "command";
pub(crate) const FAST_COMMAND: &str = "fast-command";
pub(crate) const EXPIRE_CYCLE: &str = "expire-cycle";

/// The longest time of an event within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LatencySample {
    /// Unix seconds.
    pub(crate) at: u64,
    pub(crate) milliseconds: u64,
}

/// The samples of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventSamples {
    /// The oldest first; never empty.
    pub(crate) samples: VecDeque<LatencySample>,
    /// Milliseconds of the longest one since the last reset, which may be gone from `samples`.
    pub(crate) longest: u64,
}

/// The monitor.
#[derive(Debug, Default)]
pub(crate) struct LatencyMonitor {
    /// Milliseconds of an event that took long; 0 if the monitor is off.
    threshold: AtomicI64,
    events: Mutex<BTreeMap<&'static str, EventSamples>>,
}

impl LatencyMonitor {
    /// Milliseconds of an event that took long; 0 if the monitor is off.
    pub(crate) fn threshold(&self) -> i64 {
        self.threshold.load(Relaxed)
    }

    pub(super) fn set_threshold(&self, milliseconds: i64) {
        self.threshold.store(milliseconds, Relaxed);
    }

    /// Notes the time of an event at this Unix time in seconds, if it was long.
    #[inline]
    pub(crate) fn note(&self, event: &'static str, time: Duration, now: u64) {
        let threshold = self.threshold();
        if threshold > 0 && time.as_millis() >= threshold.unsigned_abs().into() {
            self.add(event, time, now);
        }
    }

    #[cold]
    fn add(&self, event: &'static str, time: Duration, now: u64) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut events = self.locked();
        let series = events.entry(event).or_default();
        series.longest = series.longest.max(milliseconds);
        match series.samples.back_mut() {
            Some(last) if last.at == now => last.milliseconds = last.milliseconds.max(milliseconds),
            _ => {
                if series.samples.len() == SAMPLES {
                    series.samples.pop_front();
                }
                series.samples.push_back(LatencySample {
                    at: now,
                    milliseconds,
                });
            }
        }
    }

    /// All events that have samples, by name.
    pub(crate) fn events(&self) -> Vec<(&'static str, EventSamples)> {
        let events = self.locked();
        events
            .iter()
            .map(|(name, series)| (*name, series.clone()))
            .collect()
    }

    /// The event of this name, if it has samples.
    pub(crate) fn event(&self, name: &[u8]) -> Option<(&'static str, EventSamples)> {
        let mut events = self.events().into_iter();
        events.find(|(event, _)| event.as_bytes() == name)
    }

    /// Forgets the samples of the events whose names `is_named` accepts; returns their number.
    pub(crate) fn reset(&self, is_named: impl Fn(&str) -> bool) -> usize {
        let mut events = self.locked();
        let before = events.len();
        events.retain(|name, _| !is_named(name));
        before - events.len()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, EventSamples>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, milliseconds: u64) -> LatencySample {
        LatencySample { at, milliseconds }
    }

    #[test]
    fn a_second_has_its_longest_time_and_short_times_have_none() {
        let monitor = LatencyMonitor::default();
        monitor.note(COMMAND, Duration::from_secs(9), 1);
        assert_eq!(monitor.events(), [], "it is off");
        monitor.set_threshold(10);
        for (microseconds, now) in [
            (9_999, 1),
            (10_000, 2),
            (30_999, 2),
            (20_000, 2),
            (15_000, 4),
        ] {
            monitor.note(COMMAND, Duration::from_micros(microseconds), now);
        }
        let expected = EventSamples {
            samples: [sample(2, 30), sample(4, 15)].into(),
            longest: 30,
        };
        assert_eq!(monitor.events(), [(COMMAND, expected.clone())]);
        assert_eq!(monitor.event(b"command"), Some((COMMAND, expected)));
        assert_eq!(monitor.event(b"COMMAND"), None);
    }

    #[test]
    fn the_newest_samples_stay_and_the_longest_time_is_remembered() {
        let monitor = LatencyMonitor::default();
        monitor.set_threshold(1);
        monitor.note(COMMAND, Duration::from_secs(5), 0);
        for now in 1..=SAMPLES as u64 {
            monitor.note(COMMAND, Duration::from_millis(now), now);
        }
        let (_, series) = monitor.event(b"command").expect("it has samples");
        assert_eq!((series.samples.len(), series.longest), (SAMPLES, 5000));
        assert_eq!(series.samples.front(), Some(&sample(1, 1)));
        monitor.note(EXPIRE_CYCLE, Duration::from_millis(1), 1);
        assert_eq!(monitor.reset(|name| name == FAST_COMMAND), 0);
        assert_eq!(monitor.reset(|name| name == COMMAND), 1);
        assert_eq!(monitor.events().len(), 1);
        assert_eq!(monitor.reset(|_| true), 1);
        assert_eq!(monitor.events(), []);
    }
}

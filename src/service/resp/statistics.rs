//! Counts for INFO: calls of each command, their time, and the errors that were answered.
//!
//! Cost: a session counts calls of the same command in a row and adds them here with three atomic additions, when another
//! command comes, its turn ends or there are several. Refused commands and errors take a lock; they are rare.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::service::latency_histogram::LatencyHistogram;

/// The percentiles of INFO latencystats by default.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// Counts of one command, by its number in the table.
#[derive(Debug, Default)]
pub(crate) struct CommandCounters {
    pub calls: AtomicU64,
    pub nanoseconds: AtomicU64,
    /// Not run: wrong number of arguments, no password.
    pub rejected: AtomicU64,
    /// Run, and answered with an error.
    pub failed: AtomicU64,
    /// The calls by the time that they took.
    pub latency: LatencyHistogram,
}

/// The counts of a service.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub commands: Box<[CommandCounters]>,
    /// The number of answers of each error, by its first word. The words are larder's own, so there are
    /// few.
    errors: Mutex<BTreeMap<Vec<u8>, u64>>,
    /// Whether calls are counted by their time: Redis's `latency-tracking`.
    pub tracks_latency: AtomicBool,
    /// The percentiles of INFO latencystats.
    percentiles: Mutex<Vec<f64>>,
}

impl Statistics {
    /// Counts for a number of commands.
    pub(crate) fn new(commands: usize) -> Statistics {
        Statistics {
            commands: (0..commands).map(|_| CommandCounters::default()).collect(),
            errors: Mutex::default(),
            tracks_latency: AtomicBool::new(true),
            percentiles: Mutex::new(PERCENTILES.to_vec()),
        }
    }

    /// The percentiles of INFO latencystats.
    pub(crate) fn percentiles(&self) -> Vec<f64> {
        let percentiles = self.percentiles.lock();
        percentiles.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the percentiles of INFO latencystats.
    pub(crate) fn set_percentiles(&self, percentiles: Vec<f64>) {
        let old = self.percentiles.lock();
        *old.unwrap_or_else(PoisonError::into_inner) = percentiles;
    }

    /// Adds calls of one command and the time that they took together.
    pub(crate) fn add_calls(&self, command: u16, calls: u64, time: Duration) {
        let counters = &self.commands[usize::from(command)];
        counters.calls.fetch_add(calls, Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        counters.nanoseconds.fetch_add(nanoseconds, Relaxed);
        if self.tracks_latency.load(Relaxed) {
            counters.latency.add(nanoseconds / calls.max(1), calls);
        }
    }

    /// Adds a command that was refused before it ran.
    pub(crate) fn add_rejected(&self, command: u16) {
        let counters = &self.commands[usize::from(command)];
        counters.rejected.fetch_add(1, Relaxed);
    }

    /// Adds the reply of a command that may have failed: a reply that is an error, not one that contains some.
    pub(crate) fn add_failure(&self, command: u16, reply: &[u8]) {
        if let [b'-', error @ ..] = reply {
            let counters = &self.commands[usize::from(command)];
            counters.failed.fetch_add(1, Relaxed);
            self.add_error(error);
        }
    }

    /// Adds an error, named by its first word.
    pub(crate) fn add_error(&self, error: &[u8]) {
        let word = error.split(|byte| b" \r".contains(byte)).next();
        *self
            .locked()
            .entry(word.unwrap_or_default().to_vec())
            .or_default() += 1;
    }

    /// Calls of all commands.
    pub(crate) fn calls(&self) -> u64 {
        let calls = |counters: &CommandCounters| counters.calls.load(Relaxed);
        self.commands.iter().map(calls).sum()
    }

    /// The number of answers of each error, by its first word.
    pub(crate) fn errors(&self) -> Vec<(Vec<u8>, u64)> {
        self.locked().clone().into_iter().collect()
    }

    /// Sets all counts to zero.
    pub(crate) fn reset(&self) {
        for counters in &self.commands {
            let CommandCounters {
                calls,
                nanoseconds,
                rejected,
                failed,
                latency,
            } = counters;
            for counter in [calls, nanoseconds, rejected, failed] {
                counter.store(0, Relaxed);
            }
            latency.reset();
        }
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, u64>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

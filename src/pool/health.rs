//! The health of an upstream: it is ejected after a number of errors in a row, probed with growing
//! pauses, and used again when it answers.
//!
//! ```text
//!            error, error, … `failures` of them in a row
//!    up ───────────────────────────────────────────────────▶ ejected ◀─┐ the probe fails: the
//!    ▲                                                          │      │ pause doubles
//!    └────────────────── the probe is answered ─────────── probe ──────┘
//! ```
//!
//! All workers share one record for each upstream. The time is given by the caller, so tests need
//! no clock. Cost: one relaxed load for a request that is sent, and one for a reply.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Milliseconds until an ejected upstream is probed for the first time; each probe that fails
/// doubles them.
const PROBE_FIRST_MS: u64 = 250;

/// Milliseconds between two probes at most, before the jitter of a quarter.
const PROBE_MOST_MS: u64 = 4000;

/// One upstream's health.
#[derive(Debug)]
pub(crate) struct Health {
    /// Errors since the last answer.
    failures: AtomicU32,
    /// The time at which the next probe is due, in the caller's milliseconds; 0 while it is not
    /// ejected.
    probe_at: AtomicU64,
    /// Probes since the ejection.
    probes: AtomicU32,
    ejections: AtomicU64,
    /// Decides the jitter of the pauses between probes.
    jitter: AtomicU64,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            failures: AtomicU32::new(0),
            probe_at: AtomicU64::new(0),
            probes: AtomicU32::new(0),
            ejections: AtomicU64::new(0),
            jitter: AtomicU64::new(RandomState::new().hash_one(0)),
        }
    }
}

/// The change of health that an error or an answer caused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HealthChange {
    Nothing,
    Ejected,
    Back,
}

impl Health {
    /// Has the pauses between probes follow from a seed.
    #[cfg(test)]
    pub(crate) fn seed_jitter(&self, seed: u64) {
        self.jitter.store(seed, Relaxed);
    }

    /// Whether it gets no requests.
    pub(crate) fn is_ejected(&self) -> bool {
        self.probe_at.load(Relaxed) != 0
    }

    /// The number of its ejections.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// The number of probes since its ejection.
    pub(crate) fn probes(&self) -> u32 {
        self.probes.load(Relaxed)
    }

    /// Records an answer, which ends an ejection.
    pub(crate) fn succeeded(&self) -> HealthChange {
        if self.failures.load(Relaxed) == 0 && !self.is_ejected() {
            return HealthChange::Nothing;
        }
        self.failures.store(0, Relaxed);
        self.probes.store(0, Relaxed);
        match self.probe_at.swap(0, Relaxed) {
            0 => HealthChange::Nothing,
            _ => HealthChange::Back,
        }
    }

    /// Records an answer that doesn't end an ejection.
    pub(crate) fn answered(&self) {
        if !self.is_ejected() && self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A connection could not be made, or broke while an answer was due. `limit` in a row eject.
    pub(crate) fn failed(&self, now: u64, limit: u32) -> HealthChange {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures < limit || self.is_ejected() {
            return HealthChange::Nothing;
        }
        let at = now + self.pause(0);
        match self.probe_at.compare_exchange(0, at, Relaxed, Relaxed) {
            Ok(_) => {
                self.ejections.fetch_add(1, Relaxed);
                HealthChange::Ejected
            }
            Err(_) => HealthChange::Nothing,
        }
    }

    /// Whether a probe is due. Only one of the workers that ask gets `true`. The next probe is put
    /// off by a longer pause at once, so that a probe that hangs doesn't cause another.
    pub(crate) fn take_probe(&self, now: u64) -> bool {
        let due = self.probe_at.load(Relaxed);
        if due == 0 || now < due {
            return false;
        }
        let probes = self.probes.load(Relaxed).saturating_add(1);
        let next = now + self.pause(probes);
        let taken = self
            .probe_at
            .compare_exchange(due, next, Relaxed, Relaxed)
            .is_ok();
        if taken {
            self.probes.store(probes, Relaxed);
        }
        taken
    }

    /// Milliseconds until the probe after this many, give or take a quarter, so that proxies that ejected the same
    /// upstream don't probe it at the same times.
    fn pause(&self, probes: u32) -> u64 {
        let pause = (PROBE_FIRST_MS << probes.min(16)).min(PROBE_MOST_MS);
        let quarter = pause / 4;
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let jitter = hasher.hash_one((self.jitter.load(Relaxed), probes));
        pause - quarter + jitter % (2 * quarter + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_errors_in_a_row_eject_and_an_answer_restarts_the_count() {
        let health = Health::default();
        assert_eq!(health.failed(1, 3), HealthChange::Nothing);
        assert_eq!(health.failed(1, 3), HealthChange::Nothing);
        assert_eq!(health.succeeded(), HealthChange::Nothing);
        assert_eq!(health.failed(1, 3), HealthChange::Nothing);
        assert_eq!(health.failed(1, 3), HealthChange::Nothing);
        assert!(!health.is_ejected());
        assert_eq!(health.failed(1, 3), HealthChange::Ejected);
        assert!(health.is_ejected());
        assert_eq!(health.failed(1, 3), HealthChange::Nothing);
        assert_eq!(health.ejections(), 1);
        assert_eq!(health.succeeded(), HealthChange::Back);
        assert!(!health.is_ejected());
    }

    #[test]
    fn an_answer_that_does_not_end_an_ejection_starts_the_count_anew_only_without_one() {
        let health = Health::default();
        health.failed(1, 2);
        health.answered();
        assert_eq!(health.failed(1, 2), HealthChange::Nothing);
        assert_eq!(health.failed(1, 2), HealthChange::Ejected);
        health.answered();
        assert!(health.is_ejected());
        assert_eq!(health.succeeded(), HealthChange::Back);
    }

    #[test]
    fn probes_are_due_after_growing_pauses_up_to_a_bound() {
        let health = Health::default();
        health.failed(1, 1);
        let mut now = 1;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let before = now;
            while !health.take_probe(now) {
                now += 1;
            }
            assert!(!health.take_probe(now), "one worker probes");
            pauses.push(now - before);
        }
        for (number, pause) in pauses.iter().enumerate() {
            let middle = (PROBE_FIRST_MS << number).min(PROBE_MOST_MS);
            assert!(
                (middle * 3 / 4..=middle * 5 / 4 + 1).contains(pause),
                "{pauses:?}"
            );
        }
    }
}

//! Wakes the sweeper when an item expires earlier than it expects, and when a tree is [detached](super::shard::detached).
//!
//! The sweeper sleeps until the first item expires, so that a server without work needs no processor time. A write with
//! an earlier expiry rings. While the sweeper works, and when its next item expires first anyway, nothing rings.
//!
//! Cost: one atomic load for each write of an item that expires.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Between the shards and the sweeper of a store.
#[derive(Debug, Default)]
pub(super) struct SweepBell {
    /// Unix time in milliseconds at which the sweeper wakes; 0 while it is awake.
    asleep_until: AtomicU64,
    /// Detached trees of all shards, databases with hidden items, and shards with emptied memory.
    detached: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    stopped: bool,
}

/// The function that gets the time for which a sweep has locked a shard, and the Unix time in milliseconds.
type Observer = Box<dyn Fn(Duration, u64) + Send + Sync>;

/// The observer of a store's sweeps, if there is one.
#[derive(Default)]
pub(super) struct SweepObserver(OnceLock<Observer>);

impl SweepObserver {
    /// Names the function that is called. Only the first one counts.
    pub(super) fn set(&self, observer: Observer) {
        let _ = self.0.set(observer);
    }

    /// Calls it. Not under the lock of a shard.
    pub(super) fn report(&self, time: Duration, now_ms: u64) {
        if let Some(observer) = self.0.get() {
            observer(time, now_ms);
        }
    }
}

impl fmt::Debug for SweepObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SweepObserver").finish_non_exhaustive()
    }
}

/// The reason why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Time,
    Rung,
    Stopped,
}

impl SweepBell {
    /// An item that expires at this time was stored.
    #[inline]
    pub(super) fn note_expiry(&self, expires_ms: u64) {
        if expires_ms < self.asleep_until.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// A tree was detached.
    pub(super) fn note_detached(&self) {
        self.detached.fetch_add(1, Ordering::SeqCst);
        self.note_expiry(0);
    }

    /// So many detached trees were freed.
    pub(super) fn note_freed(&self, trees: usize) {
        self.detached.fetch_sub(trees, Ordering::SeqCst);
    }

    /// Whether a shard has a detached tree.
    pub(super) fn has_detached(&self) -> bool {
        self.detached.load(Ordering::SeqCst) > 0
    }

    #[cold]
    fn ring(&self) {
        self.asleep_until.store(0, Ordering::Relaxed);
        self.change(|state| state.rung = true);
    }

    /// Ends the sweeper.
    pub(super) fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// Lets an earlier expiry than this one ring. Called with the latest time before the sweeper looks for the first
    /// expiry, and with that one afterwards, so that an item stored meanwhile rings.
    pub(super) fn ring_before(&self, expires_ms: u64) {
        self.asleep_until.store(expires_ms, Ordering::Relaxed);
    }

    /// Waits for this time, or without end; ends earlier when it rings.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Wake {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut State| !state.rung && !state.stopped;
        let mut state = match limit {
            None => self
                .changed
                .wait_while(state, quiet)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.changed
                    .wait_timeout_while(state, limit, quiet)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if state.stopped {
            return Wake::Stopped;
        }
        match std::mem::take(&mut state.rung) {
            true => Wake::Rung,
            false => Wake::Time,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

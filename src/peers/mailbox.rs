//! The changes for one peer, behind a lock, and the wait of the thread that sends them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pending::{ChangeBatch, PendingChanges};

/// The time between two requests to a peer for which there are no changes, so that one that has died or hangs is noticed.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The time before the next try after a failure. Only a few tries are sent: the client probes an ejected server with growing pauses.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: PendingChanges,
    closed: bool,
}

impl Mailbox {
    /// Adds a key, and returns the number of keys that are given up for it.
    pub(super) fn add(&self, key: &[u8], is_up: bool) -> usize {
        let lost = self.lock().pending.add(key, is_up);
        self.changed.notify_one();
        lost
    }

    /// Adds the removal of all keys.
    pub(super) fn flush(&self) {
        self.lock().pending.flush();
        self.changed.notify_one();
    }

    /// The next changes to be sent, possibly none, when it is time for a request; `None` at the end.
    pub(super) fn next(&self) -> Option<ChangeBatch> {
        let due = Instant::now() + HEARTBEAT;
        let mut state = self.wait_until(due, |state| !state.pending.is_empty());
        (!state.closed).then(|| state.pending.take())
    }

    /// Puts changes back that could not be sent, and waits a moment.
    pub(super) fn put_back(&self, batch: ChangeBatch) {
        self.lock().pending.put_back(batch);
        drop(self.wait_until(Instant::now() + PAUSE, |_| false));
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The number of changes that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().pending.len()
    }

    fn wait_until(&self, due: Instant, is_time: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() || is_time(&state) {
                return state;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

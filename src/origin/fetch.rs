//! One fetch, and the commands that wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::server::Waiter;
use crate::store::Lease;

use super::item_path::ItemPath;

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchOutcome {
    /// The item is in the store.
    Stored,
    /// The origin doesn't have it.
    Missing,
    /// There is no answer, or none that can be used.
    Failed,
    /// A client has changed the path meanwhile, so the answer was dropped.
    Overtaken,
}

/// A fetch of one path, from the request for it to its end.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) path: Arc<ItemPath>,
    pub(super) deadline: Instant,
    /// Taken before the origin is asked.
    lease: OnceLock<Lease>,
    state: Mutex<FetchState>,
}

#[derive(Debug, Default)]
struct FetchState {
    outcome: Option<FetchOutcome>,
    waiting: Vec<Arc<Countdown>>,
}

impl Fetch {
    pub(super) fn new(path: Arc<ItemPath>, deadline: Instant) -> Arc<Fetch> {
        Arc::new(Fetch {
            path,
            deadline,
            lease: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// Notes the lease under which the origin is asked.
    pub(super) fn begin(&self, lease: Lease) -> &Lease {
        self.lease.get_or_init(|| lease)
    }

    /// Whether its answer will be of use to a reader who comes now: no client has changed the path since the origin was
    /// asked.
    pub(super) fn is_current(&self) -> bool {
        !self.lease.get().is_some_and(Lease::is_revoked)
    }

    /// How it ended; `None` if it has not.
    pub(super) fn outcome(&self) -> Option<FetchOutcome> {
        self.lock().outcome
    }

    /// Has a command wait for it, unless it has ended.
    pub(super) fn add(&self, waiting: &Arc<Countdown>) {
        let mut state = self.lock();
        if state.outcome.is_none() {
            waiting.add();
            state.waiting.push(Arc::clone(waiting));
        }
    }

    /// Ends it, and wakes the commands that waited for nothing else.
    pub(super) fn end(&self, outcome: FetchOutcome) {
        let mut state = self.lock();
        state.outcome = Some(outcome);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for countdown in waiting {
            countdown.count();
        }
    }

    fn lock(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fetches that one command waits for. When the last has ended, the command's connection is woken.
#[derive(Debug)]
pub(crate) struct Countdown {
    /// The fetches, and one more until all are added.
    left: AtomicUsize,
    pub(crate) waiter: Arc<Waiter>,
}

impl Countdown {
    /// No fetch yet. The wait can't end before [`count`](Countdown::count) is called for the command itself.
    pub(crate) fn new() -> Arc<Countdown> {
        Arc::new(Countdown {
            left: AtomicUsize::new(1),
            waiter: Waiter::new(),
        })
    }

    /// Counts one thing more for which the command waits.
    pub(crate) fn add(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of one fetch, or that all fetches of the command are added.
    pub(crate) fn count(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiter.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(name: &[u8]) -> Arc<Fetch> {
        let path = ItemPath::new(0, &[name]).unwrap();
        Fetch::new(Arc::new(path), Instant::now())
    }

    #[test]
    fn a_command_is_woken_when_its_last_fetch_has_ended() {
        let (first, second) = (fetch(b"a"), fetch(b"b"));
        let countdown = Countdown::new();
        first.add(&countdown);
        first.end(FetchOutcome::Stored);
        assert!(!countdown.waiter.is_woken(), "not all are added");
        second.add(&countdown);
        countdown.count();
        assert!(!countdown.waiter.is_woken());
        second.end(FetchOutcome::Missing);
        assert!(countdown.waiter.is_woken());
        assert_eq!(second.outcome(), Some(FetchOutcome::Missing));
    }

    #[test]
    fn a_fetch_that_has_ended_is_not_waited_for() {
        let ended = fetch(b"a");
        ended.end(FetchOutcome::Failed);
        let countdown = Countdown::new();
        ended.add(&countdown);
        countdown.count();
        assert!(countdown.waiter.is_woken());
    }
}

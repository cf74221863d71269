//! A connection that waits for another thread: parked, without a worker, until it is woken.
//!
//! ```text
//!   session ── Next::Wait ──▶ its worker parks the connection ─┐            turns: a place in the worker's WokenConnections
//!      │                                                       ▼            threads: the thread of the connection sleeps
//!      └─ Arc<Waiter> ──▶ the thread that does the work ── wake ──▶ the connection's next turn, on the rest of its input
//! ```
//!
//! A session that can't answer before another thread has done something makes a [`Waiter`], gives it to that thread, and
//! answers [`Next::Wait`](super::Next::Wait). Nothing is read from its client until the waiter is woken, so the input of a
//! waiting connection is bounded by what had arrived. The thread that has the waiter has to wake it, at a time that it
//! bounds itself: the server sets no deadline.
//!
//! Cost: none for connections that don't wait. A wait is an allocation, a lock or two without contention, and, if the worker
//! sleeps, one system call for all connections that are woken together.
//!
//! Invariants: a wake before the connection is parked is not lost. A wake after the connection has ended, or has moved to
//! another worker, does nothing there.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The wait of one connection. It ends once, with [`wake`](Waiter::wake).
#[derive(Debug, Default)]
pub struct Waiter {
    state: Mutex<WaitState>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct WaitState {
    is_woken: bool,
    /// Where the connection is parked, under turns.
    parked: Option<Parked>,
}

/// A connection that is parked, as its worker knows it.
#[derive(Debug)]
struct Parked {
    worker: Arc<WokenConnections>,
    key: usize,
    id: u64,
}

impl Waiter {
    /// A wait that has not ended.
    pub fn new() -> Arc<Waiter> {
        Arc::default()
    }

    /// Ends the wait, from any thread.
    pub fn wake(&self) {
        let mut state = self.lock();
        state.is_woken = true;
        let parked = state.parked.take();
        drop(state);
        self.woken.notify_all();
        if let Some(Parked { worker, key, id }) = parked {
            worker.add(key, id);
        }
    }

    /// Whether the wait has ended.
    pub fn is_woken(&self) -> bool {
        self.lock().is_woken
    }

    /// Blocks the thread until the wait has ended.
    pub fn block(&self) {
        let mut state = self.lock();
        while !state.is_woken {
            state = self
                .woken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes where the connection is parked, in place of an earlier worker. `false` if the wait has ended: then it is not
    /// parked.
    pub(super) fn park(&self, worker: &Arc<WokenConnections>, key: usize, id: u64) -> bool {
        let mut state = self.lock();
        if !state.is_woken {
            let worker = Arc::clone(worker);
            state.parked = Some(Parked { worker, key, id });
        }
        !state.is_woken
    }

    fn lock(&self) -> MutexGuard<'_, WaitState> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of one worker that were woken and have not had their turn: keys, and ids because a key may have gone to
/// another connection.
#[derive(Debug)]
pub(super) struct WokenConnections {
    woken: Mutex<Vec<(usize, u64)>>,
    worker: Arc<mio::Waker>,
}

impl WokenConnections {
    pub(super) fn new(worker: &Arc<mio::Waker>) -> Arc<WokenConnections> {
        Arc::new(WokenConnections {
            woken: Mutex::default(),
            worker: Arc::clone(worker),
        })
    }

    fn add(&self, key: usize, id: u64) {
        let mut woken = self.lock();
        woken.push((key, id));
        let is_first = woken.len() == 1;
        drop(woken);
        // The worker takes all of them at once.
        if is_first {
            wake(&self.worker);
        }
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> Vec<(usize, u64)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, u64)>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a worker that sleeps.
pub(super) fn wake(waker: &mio::Waker) {
    if let Err(error) = waker.wake() {
        log::error!("could not wake a worker: {error}; it continues with its next event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> (mio::Poll, Arc<WokenConnections>) {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        (poll, WokenConnections::new(&Arc::new(waker)))
    }

    #[test]
    fn a_wake_reaches_the_worker_where_the_connection_was_parked_last() {
        let ((_first_poll, first), (_second_poll, second)) = (worker(), worker());
        let waiter = Waiter::new();
        assert!(waiter.park(&first, 3, 7));
        assert!(waiter.park(&second, 5, 7));
        assert!(!waiter.is_woken());
        waiter.wake();
        assert!(waiter.is_woken());
        assert_eq!((first.take(), second.take()), (vec![], vec![(5, 7)]));
        waiter.wake();
        assert_eq!(second.take(), vec![], "a wait ends once");
    }

    #[test]
    fn a_wake_before_the_connection_is_parked_is_not_lost() {
        let (_poll, worker) = worker();
        let waiter = Waiter::new();
        waiter.wake();
        assert!(!waiter.park(&worker, 1, 1));
        waiter.block();
        assert_eq!(worker.take(), vec![]);
    }

    #[test]
    fn a_blocked_thread_goes_on_when_it_is_woken() {
        let waiter = Waiter::new();
        let other = Arc::clone(&waiter);
        let thread = std::thread::spawn(move || other.block());
        waiter.wake();
        thread.join().unwrap();
    }
}

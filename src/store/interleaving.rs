//! For tests: threads that take turns at the store's locks, in an order that follows from a number.
//!
//! ```text
//!   thread 0  ──▶ lock ·········▶ lock ──▶ …      one runs at a time; before each lock of a shard and of the gate
//!   thread 1       └──▶ lock ──▶ …  ▲             the number chooses which thread runs next
//!   thread 2              └─────────┘
//! ```
//!
//! So a race between two locks of one command is found in some order of a few thousand, and found again from the same
//! number. No other lock may be held at these points: a thread that waits for such a lock would wait forever, and after a
//! minute it panics. Debug builds with the feature `internals` have this; in others a lock is only a lock.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

/// The longest wait of a thread for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static CURRENT: RefCell<Option<Turns>> = const { RefCell::new(None) };
}

/// The threads of one run.
#[derive(Debug)]
struct Schedule {
    state: Mutex<ScheduleState>,
    changed: Condvar,
}

#[derive(Debug)]
struct ScheduleState {
    /// The thread that runs.
    running: usize,
    /// The threads that have not ended.
    live: Vec<usize>,
    random: u64,
}

impl ScheduleState {
    /// Chooses the next thread, another one than `not` if there is another.
    fn choose(&mut self, not: Option<usize>) {
        // xorshift64*: any seed but 0.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let drawn = (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize;
        let others = self.live.iter().filter(|thread| Some(**thread) != not);
        let others: Vec<usize> = others.copied().collect();
        let from = if others.is_empty() {
            &self.live
        } else {
            &others
        };
        if !from.is_empty() {
            self.running = from[drawn % from.len()];
        }
    }
}

impl Schedule {
    fn locked(&self) -> MutexGuard<'_, ScheduleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's part of a run. Its end lets the others go on, also after a panic.
#[derive(Debug)]
struct Turns {
    schedule: Arc<Schedule>,
    thread: usize,
}

impl Turns {
    fn await_turn(&self, mut state: MutexGuard<'_, ScheduleState>) {
        while state.running != self.thread {
            let waited = self.schedule.changed.wait_timeout(state, PATIENCE);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            assert!(
                !timeout.timed_out(),
                "the thread that runs does not come to a lock"
            );
            state = next;
        }
    }

    /// Lets the next thread run, and waits for this one's turn.
    fn give_way(&self, is_blocked: bool) {
        let mut state = self.schedule.locked();
        state.choose(is_blocked.then_some(self.thread));
        self.schedule.changed.notify_all();
        self.await_turn(state);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let mut state = self.schedule.locked();
        state.live.retain(|thread| *thread != self.thread);
        state.choose(None);
        self.schedule.changed.notify_all();
    }
}

/// Runs the threads, one at a time, in an order that follows from `seed`.
pub fn run(seed: u64, threads: Vec<Box<dyn FnOnce() + Send + '_>>) {
    let mut state = ScheduleState {
        running: 0,
        live: (0..threads.len()).collect(),
        random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
    };
    state.choose(None);
    let schedule = Arc::new(Schedule {
        state: Mutex::new(state),
        changed: Condvar::new(),
    });
    std::thread::scope(|scope| {
        for (thread, work) in threads.into_iter().enumerate() {
            let turns = Turns {
                schedule: Arc::clone(&schedule),
                thread,
            };
            scope.spawn(move || {
                turns.await_turn(turns.schedule.locked());
                CURRENT.set(Some(turns));
                work();
                CURRENT.set(None);
            });
        }
    });
}

/// Takes a lock: by `wait`, or by `attempt` between the turns of other threads if this thread takes turns.
pub(super) fn acquire<G>(attempt: impl Fn() -> TryLockResult<G>, wait: impl FnOnce() -> G) -> G {
    CURRENT.with_borrow(|current| {
        let Some(turns) = current else {
            return wait();
        };
        let mut is_blocked = false;
        loop {
            turns.give_way(is_blocked);
            match attempt() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => is_blocked = true,
            }
        }
    })
}

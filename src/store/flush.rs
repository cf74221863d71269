//! Emptying the store: now, or at a set time.
//!
//! memcached's `flush_all 30` removes, in 30 seconds, everything that was stored before then. The
//! time is kept per database, the earliest of them in one atomic that every lock reads. The first
//! thread that wants a lock at or after that time does the flush before it gets the lock, and the
//! others wait for it. So nothing stored before the time is ever seen after it, and nothing stored
//! after is lost.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::config::DATABASES;
use super::flush_schedule::NEVER;
use super::pending_removals::PER_FLUSH;
use super::shards::{Store, locked};

impl Store {
    /// Removes everything from one database, now. A flush that was set for later is cancelled.
    pub fn flush(&self, db: u8) {
        let db = self.inner_db(db);
        let mut due = self
            .flushes
            .due
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        due[usize::from(db)] = NEVER;
        self.flushes.next_ms.store(
            due.iter().copied().min().unwrap_or(NEVER),
            Ordering::Release,
        );
        drop(due);
        self.empty(db);
    }

    /// Removes everything from every database, now.
    pub fn flush_all(&self) {
        for db in 0..DATABASES {
            self.flush(db);
        }
    }

    /// Sets a flush of one database at `when_ms` (Unix time in milliseconds). Replaces a flush that
    /// was set earlier.
    pub fn flush_at(&self, db: u8, when_ms: u64) {
        // An earlier flush that is due is performed before this one replaces it.
        if when_ms <= self.now() {
            return self.flush(db);
        }
        let db = self.inner_db(db);
        let mut due = self
            .flushes
            .due
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        due[usize::from(db)] = when_ms;
        self.flushes.next_ms.store(
            due.iter().copied().min().unwrap_or(NEVER),
            Ordering::Release,
        );
    }

    /// Performs the flushes that are due. Threads that arrive meanwhile wait here until they are
    /// done.
    #[cold]
    pub(super) fn flush_due(&self, now_ms: u64) {
        let mut due = self
            .flushes
            .due
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for db in 0..DATABASES {
            if due[usize::from(db)] <= now_ms {
                due[usize::from(db)] = NEVER;
                self.empty(db);
            }
        }
        self.flushes.next_ms.store(
            due.iter().copied().min().unwrap_or(NEVER),
            Ordering::Release,
        );
    }

    /// Removes a database's items, of one shard after the other; a large part of their memory is [freed
    /// later](super::shard::flushed).
    fn empty(&self, db: u8) {
        let mut steps = PER_FLUSH;
        for shard in &self.shards {
            let mut shard = locked(shard);
            let (left, gone) = shard.flush(db, steps);
            steps = left;
            self.settle(&mut shard);
            drop(shard);
            drop(gone);
        }
        self.send_all_home();
        self.trim_after_removals();
    }
}

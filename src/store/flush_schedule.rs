//! The times at which databases are to be flushed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::DATABASES;

pub(super) const NEVER: u64 = u64::MAX;

/// The flushes that are to come.
#[derive(Debug)]
pub(super) struct FlushSchedule {
    /// The earliest of `due`.
    pub(super) next_ms: AtomicU64,
    /// When each database is to be flushed.
    pub(super) due: Mutex<[u64; DATABASES as usize]>,
}

impl FlushSchedule {
    pub(super) fn new() -> FlushSchedule {
        FlushSchedule {
            next_ms: AtomicU64::new(NEVER),
            due: Mutex::new([NEVER; DATABASES as usize]),
        }
    }

    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.next_ms.load(Ordering::Acquire)
    }
}

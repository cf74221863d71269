//! The counts of the memory that replies and unfinished requests take: of all connections, and of each.
//! [`replies`](super::replies) has the rules.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Condvar, Mutex};

use super::limits::{COUNTED_REQUEST, MAX_REPLY_MEMORY, REPLY_PATIENCE};

/// The memory that the replies and unfinished requests of all connections take.
#[derive(Debug)]
pub(super) struct ReplyMemory {
    pub(super) most: AtomicUsize,
    pub(super) patience_ms: AtomicU64,
    /// The sum of the counts of all connections.
    pub(super) held: AtomicUsize,
    pub(super) waits: AtomicU64,
    pub(super) closed: AtomicU64,
    /// Notified when replies were written while a thread waits.
    pub(super) freed: Condvar,
    pub(super) waiting: Mutex<usize>,
}

impl Default for ReplyMemory {
    fn default() -> ReplyMemory {
        ReplyMemory {
            most: AtomicUsize::new(MAX_REPLY_MEMORY),
            patience_ms: AtomicU64::new(REPLY_PATIENCE.as_millis() as u64),
            held: AtomicUsize::new(0),
            waits: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            freed: Condvar::new(),
            waiting: Mutex::new(0),
        }
    }
}

/// Bytes of an unfinished request, as far as they count for the bound.
pub(super) fn counted(arrived: usize) -> usize {
    if arrived < COUNTED_REQUEST {
        0
    } else {
        arrived
    }
}

/// The memory of one connection's replies and of its unfinished request.
#[derive(Debug, Default)]
pub(super) struct ReplyShare {
    pub(super) bytes: AtomicUsize,
    /// Those of them that the session keeps.
    pub(super) kept: AtomicUsize,
    /// Bytes of a request that has not arrived whole.
    pub(super) request: AtomicUsize,
    /// The memory in which `request` is.
    pub(super) request_room: AtomicUsize,
    /// When `bytes` and the counted part of `request` were last 0, in ticks.
    pub(super) since: AtomicU64,
    /// Bytes for which the connection waits; 0 if it doesn't.
    pub(super) wanted: AtomicUsize,
    pub(super) wanted_since: AtomicU64,
}

impl ReplyShare {
    /// Bytes of the unfinished request, as far as they count for the bound.
    pub(super) fn counted_request(&self) -> usize {
        counted(self.request.load(Relaxed))
    }

    /// Counts this many further bytes, at this time in ticks.
    pub(super) fn add(&self, bytes: usize, now: u64) {
        if self.bytes.fetch_add(bytes, Relaxed) == 0 {
            self.since.store(now, Relaxed);
        }
    }
}

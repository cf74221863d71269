//! The bytes that clients sent and received.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes that passed through one worker. On a cache line of its own, so that workers don't slow
/// each other down.
#[repr(align(64))]
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
}

impl Traffic {
    pub(crate) fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }
}

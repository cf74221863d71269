//! A shard's notes of items that are removed and not freed yet: [detached trees](super::shard::detached) and
//! [flushed items](super::shard::flushed); and how much of them is freed at a time.

use std::collections::HashSet;

use ahash::RandomState;

/// Steps of a removal: a removed item takes two, one to it and one that frees it.
pub(super) const AT_ONCE: usize = 512;
/// Steps of a flush in all shards together.
pub(super) const PER_FLUSH: usize = 2048;
/// Bytes of a record, or of a buffer, that take a step.
pub(super) const STEP_BYTES: usize = 4096;
/// Steps of the sweeper, and of a write that needs memory, under one lock.
pub(super) const PIECE: usize = 256;
/// Steps in place of one eviction.
pub(super) const PER_EVICTION: usize = 64;
/// Steps of a write that needs no memory: two items are freed for each that comes. A command that writes many takes so many
/// steps for each of them under one lock.
pub(super) const PER_WRITE: usize = 4;

/// A tree that no path leads to.
#[derive(Debug)]
pub(super) struct DetachedTree {
    pub(super) top: u32,
    /// The item from which the next piece goes on: the top, or one below it.
    pub(super) rest: u32,
    pub(super) has_expired: bool,
}

/// The items that a flush has hidden.
#[derive(Debug)]
pub(super) struct HiddenItems {
    pub(super) db: u8,
    /// Below this slot, all are removed.
    pub(super) position: usize,
    /// Slots from there on with items that were stored after the flush, or have been.
    pub(super) newer: HashSet<u32, RandomState>,
}

impl HiddenItems {
    /// Whether an item at the top, of this database and in this slot, is one of them.
    pub(super) fn contain(&self, db: u8, index: u32) -> bool {
        self.db == db && index as usize >= self.position && !self.newer.contains(&index)
    }
}

//! The behaviour of a full store: it evicts, or it refuses writes that would grow it, as [`WhenFull`] says.
//!
//! ```text
//!   write ─▶ set_aside: the most that it may grow by ─▶ used ≤ limit? ─▶ the write ─▶ settle: what it really took
//!                                                            └ no ─▶ Refused::OutOfMemory, nothing changes
//! ```
//!
//! A store that refuses loses no item to others. What a write may need is counted before the write begins, so the limit holds
//! although many threads write. A write that takes no more room than the item had is not refused, and neither is a removal. A new
//! expiry or other flags may need a few bytes and are never refused; Redis does the same. RENAME and MOVE also need no more than
//! they free.
//!
//! The room of removed items is free for their shard only: other shards can use a segment when it is empty. So before a write is
//! refused, [`Store::has_room_for`] frees [detached trees](super::shard::detached), then moves the items of all shards together.
//!
//! Cost: while the store evicts, one look at a flag for each write. In a store that refuses, two additions for each write; when it
//! is full, a look at all shards, and copies of up to all items of those that have room to gain.

use std::sync::atomic::Ordering;

use super::config::WhenFull;
use super::record::MOST_HEAD;
use super::record_log::HEADER;
use super::shards::{Store, locked};
use super::slot::ItemSlot;

impl Store {
    /// The policy for writes when the store is full.
    pub fn when_full(&self) -> WhenFull {
        match self.refuses() {
            true => WhenFull::Refuse,
            false => WhenFull::Evict,
        }
    }

    /// Sets what the store does when it is full. If it is so already and evicts from now on, it begins at once.
    pub fn set_when_full(&self, when_full: WhenFull) {
        let refuses = when_full == WhenFull::Refuse;
        self.refuses.store(refuses, Ordering::Relaxed);
        if !refuses {
            self.trim(None);
        }
    }

    /// Whether it refuses writes when it is full.
    #[inline]
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Whether so many items, with keys and values of so many bytes together, may be stored without an eviction; always,
    /// if the store evicts. Room that removed items have left is gathered for them. No lock of the store is held by the caller.
    ///
    /// Another thread may take the memory before they are stored.
    #[inline]
    pub(crate) fn has_room_for(&self, items: usize, bytes: usize) -> bool {
        !self.refuses() || self.finds_room_for(items, bytes)
    }

    fn finds_room_for(&self, items: usize, bytes: usize) -> bool {
        const BUCKET: usize = 16;
        let head = MOST_HEAD + HEADER + size_of::<ItemSlot>() + BUCKET;
        let length = bytes.saturating_add(items.saturating_mul(head));
        // The table may need new pages, and an evacuation a segment.
        let most = self.least_for(length) + 2 * self.pool.segment() as u64;
        let is_there = || self.used().saturating_add(most) <= self.limit();
        is_there()
            || {
                self.free_detached(|| !is_there());
                is_there()
            }
            || {
                self.gather();
                is_there()
            }
    }

    /// Gives back the segments that shards can empty without an eviction.
    pub(super) fn gather(&self) {
        for shard in &self.shards {
            let mut pieces = {
                let shard = locked(shard);
                let log = &shard.slab.log;
                if log.has_segments_to_gain() {
                    log.pieces()
                } else {
                    0
                }
            };
            // Others may lock the shard between two pieces.
            while pieces > 0 {
                let mut shard = locked(shard);
                pieces = if shard.slab.gather_piece() {
                    pieces - 1
                } else {
                    0
                };
                self.settle(&mut shard);
            }
        }
    }

    /// Counts this much memory as used, if the limit allows it.
    pub(super) fn set_aside(&self, bytes: usize) -> bool {
        let used = self.count(0, bytes);
        let fits = used <= self.limit();
        if !fits {
            self.count(bytes, 0);
        }
        fits
    }
}

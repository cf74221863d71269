//! Room in a full store that evicts: which shard gives it.
//!
//! ```text
//!   write ─▶ its shard has half of its part of the memory? ──yes──▶ it evicts, as long as it finds something
//!                 └ no ─▶ later, when its lock is released: ◀──────────────────── and found too little
//!                         shards that have, by turns ─▶ all shards ─▶ the newest items, too
//! ```
//!
//! A shard that evicts its own items needs no other lock, and keys are spread evenly, so that is the rule. But deletes and
//! large values leave some shards with few items. If such a shard evicted for each write, it would stay small for ever, and
//! a value that was stored a moment ago would be the only one that can go. So it grows first.
//!
//! The items that were stored last, as [`EvictionOrder`](super::eviction::EvictionOrder) knows them, go when nothing else is
//! left, and the one that the write stored goes last.
//!
//! Cost: two atomic reads for each write while the store is full. The limit may be exceeded until the lock is released, by
//! the memory that is set apart for free buffers or by a single item.

use std::sync::atomic::Ordering;

use super::eviction::Spared;
use super::shards::{Store, locked};
use super::slot::NONE;

/// Evictions of a shard in a turn.
const TURN: usize = 16;

/// An item that was stored just now.
#[derive(Debug, Clone, Copy)]
pub(super) struct JustStored {
    /// The number of its shard.
    pub(super) shard: usize,
    pub(super) index: u32,
}

impl Store {
    /// Whether a shard that takes so many bytes has at least half of its part of the memory.
    pub(super) fn is_grown(&self, footprint: usize) -> bool {
        footprint as u64 >= self.limit() / (2 * self.shards.len() as u64)
    }

    /// Holds the limit after removals. They can take a segment: a parent without its list of children is a new record, and
    /// live records of a segment that is being emptied go to another one.
    pub(super) fn trim_after_removals(&self) {
        if self.exceeds_limit() {
            self.trim(None);
        }
    }

    fn exceeds_limit(&self) -> bool {
        self.used() > self.limit()
    }

    /// Frees what is [detached](super::shard::detached), then evicts until the limit holds or nothing is left. A store that
    /// refuses only moves its items together.
    pub(super) fn trim(&self, just_stored: Option<JustStored>) {
        if self.exceeds_limit() {
            self.free_detached(|| self.exceeds_limit());
        }
        if self.refuses() {
            return self.gather();
        }
        let all = |_| true;
        self.evict_by_turns(|footprint| self.is_grown(footprint), true, just_stored);
        self.evict_by_turns(all, true, just_stored);
        self.evict_by_turns(all, false, just_stored);
        self.evict_by_turns(all, false, None);
    }

    /// Evicts from shards by turns, some items at a time, until the limit holds or nothing is left in those that `gives` names
    /// by their footprint.
    fn evict_by_turns(
        &self,
        gives: impl Fn(usize) -> bool,
        newest: bool,
        just_stored: Option<JustStored>,
    ) {
        let now_ms = self.clock.now_ms();
        let mut idle = 0;
        while self.exceeds_limit() && idle < self.shards.len() {
            let number = self.trimmed.fetch_add(1, Ordering::Relaxed) & (self.shards.len() - 1);
            let mut shard = locked(&self.shards[number]);
            let stored = just_stored.filter(|stored| stored.shard == number);
            let index = stored.map_or(NONE, |stored| stored.index);
            idle += 1;
            for _ in 0..TURN {
                if !self.exceeds_limit() || !gives(shard.footprint()) {
                    break;
                }
                if !shard.evict(now_ms, Spared { index, newest }) {
                    shard.slab.evacuate_all();
                    self.settle(&mut shard);
                    break;
                }
                idle = 0;
                self.settle(&mut shard);
            }
        }
    }
}

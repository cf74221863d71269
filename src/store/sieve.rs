//! The order of eviction: SIEVE.
//!
//! Items stand in a list from newest to oldest. A *hand* walks it from the old end to the new one
//! and then starts over. It spares an item once that was visited since the hand last passed it, and
//! evicts the others. New items enter at the new end and no item ever moves, so a hit writes one
//! bit. Used items keep their position, and the hand soon evicts new items that aren't read again:
//! therefore the hit ratio is better than LRU's on most traces (Zhang et al., "SIEVE is simpler
//! than LRU", NSDI 2024).
//!
//! The list is threaded through the slots (`prev` is newer, `next` older). The hand's rule is in
//! [`Shard::evict`](super::shard::Shard::evict); here is only the list.

use super::slab::ItemSlab;
use super::slot::{ItemSlot, NONE};

/// The ends of the list and the hand.
#[derive(Debug)]
pub(super) struct Sieve {
    newest: u32,
    oldest: u32,
    /// The item that is looked at next; [`NONE`]: begin at the oldest.
    hand: u32,
}

impl Sieve {
    pub(super) const fn new() -> Sieve {
        Sieve {
            newest: NONE,
            oldest: NONE,
            hand: NONE,
        }
    }

    /// Enters a new item.
    pub(super) fn insert(&mut self, slab: &mut ItemSlab, index: u32) {
        let slot = slab.slot_mut(index);
        (slot.prev, slot.next) = (NONE, self.newest);
        if self.newest == NONE {
            self.oldest = index;
        } else {
            slab.slot_mut(self.newest).prev = index;
        }
        self.newest = index;
    }

    /// Takes an item out. A hand that pointed at it points at the next newer one.
    pub(super) fn remove(&mut self, slab: &mut ItemSlab, index: u32) {
        let &ItemSlot { prev, next, .. } = slab.slot(index);
        match prev {
            NONE => self.newest = next,
            _ => slab.slot_mut(prev).next = next,
        }
        match next {
            NONE => self.oldest = prev,
            _ => slab.slot_mut(next).prev = prev,
        }
        if self.hand == index {
            self.hand = prev;
        }
    }

    /// The item under the hand; none if the list is empty.
    pub(super) fn hand(&mut self) -> Option<u32> {
        if self.hand == NONE {
            self.hand = self.oldest;
        }
        (self.hand != NONE).then_some(self.hand)
    }

    /// Moves the hand on to the next newer item.
    pub(super) fn advance(&mut self, slab: &ItemSlab) {
        if self.hand != NONE {
            self.hand = slab.slot(self.hand).prev;
        }
    }

    /// For tests: walks the list both ways and returns its length.
    #[cfg(test)]
    pub(super) fn check(&self, slab: &ItemSlab) -> usize {
        let (mut index, mut before, mut length) = (self.newest, NONE, 0);
        while index != NONE {
            assert_eq!(slab.slot(index).prev, before);
            (before, index) = (index, slab.slot(index).next);
            length += 1;
        }
        assert_eq!(self.oldest, before);
        length
    }
}

//! The order of eviction.
//!
//! ```text
//!                       probation: a tenth of the memory                  all items
//!   new item ─────────▶ │ newest … oldest │ ──read again?──yes──▶ stays ──▶ the hand turns over them:
//!      │                                         │ no                       a mark is cleared,
//!      │ evicted not long ago                    ▼                          an item without one is evicted
//!      └──────────────▶ no probation         evicted, and a ghost
//! ```
//!
//! A new item is on *probation*: its index waits in a queue. When room is needed and the items in the queue take more than
//! a tenth of the memory, the oldest of them is *judged*. If the item was read or written since it was stored, it stays and only loses
//! its mark. Otherwise it is evicted and leaves a [*ghost*](super::ghost). So items that come once are gone soon, and push
//! out nothing. An item that is stored again while its ghost is there has no probation: it was evicted too early.
//!
//! The newest items of the queue are spared while the shard, or another, has others: a value that was stored a moment ago
//! must be there when it is read, even if it takes more than a tenth of the memory.
//!
//! When the queue is short, the *hand* judges the items by their index, round and round, as the algorithm CLOCK does.
//!
//! This is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023) with three changes. Its main
//! queue is the order of the slots, so that items need no links. It has one bit for each item, as SIEVE has, where S3-FIFO
//! counts to three. And sizes matter, because the memory of one large item has room for many small ones, which answer more
//! requests: see [`EvictionOrder::hand_evicts`]. `benches/hits.py` compares it with other algorithms.
//!
//! Cost: a hit writes one bit. The queue takes 8 bytes for each item in it, at most an eighth of the items. A slot on
//! probation may be freed by a delete and taken by another item: that item then is judged earlier than it should be, and
//! nothing else is wrong. So a delete doesn't search the queue.

use std::collections::VecDeque;
use std::sync::Arc;

use super::emptied_memory::EmptiedMemory;
use super::ghost::GhostTable;
use super::memory::allocated_bytes;
use super::pages::PagePool;
use super::slots::Slots;

/// The part of the memory that items on probation may take when room is needed.
const PART_ON_PROBATION: usize = 10;
/// The part of the items that may be on probation. Older ones stay without being judged.
const MOST_ON_PROBATION: usize = 8;
/// Items that may be on probation in a shard of few items.
const FEW: usize = 16;
/// The newest items on probation, which stay while others can go: clients often read a value soon after they have stored it.
const NEWEST: usize = 4;
/// An item is small if it takes less than this part of the mean, which counts memory that isn't in use, too.
const SMALL: (usize, usize) = (3, 4);
/// An item is large if it takes more than this many times the mean.
const LARGE: usize = 2;
/// The hand passes an unused item at most this many times because it is small.
const MOST_PASSES: usize = 16;
/// The whole of a chance.
const CERTAIN: usize = 1 << 10;

/// Why an item is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    EndOfProbation,
    UnderHand,
    /// The hand went round twice and found nothing to evict.
    LastRound,
}

/// The items of a shard that an eviction leaves, with their ancestors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spared {
    /// The slot of an item, [`NONE`](super::slot::NONE) for none.
    pub(super) index: u32,
    /// Whether the items that were stored last are spared, too.
    pub(super) newest: bool,
}

/// An item on probation, unless it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NewItem {
    index: u32,
    /// Bytes that it took when it was stored.
    size: u32,
}

/// The choice of the item of a shard that is judged next.
#[derive(Debug)]
pub(super) struct EvictionOrder {
    /// The oldest in front.
    probation: VecDeque<NewItem>,
    /// Bytes that they take together.
    probation_bytes: usize,
    ghosts: GhostTable,
    /// The index at which the hand looks for the next item.
    hand: usize,
    /// The chances of small unused items to be evicted, and of large used ones, since one was: at [`CERTAIN`] one is. So
    /// chances come true in their proportion without random numbers.
    small: usize,
    large: usize,
}

impl EvictionOrder {
    pub(super) fn new(pool: Arc<PagePool>) -> EvictionOrder {
        EvictionOrder {
            probation: VecDeque::new(),
            probation_bytes: 0,
            ghosts: GhostTable::new(pool),
            hand: 0,
            small: 0,
            large: 0,
        }
    }

    /// An order for a shard without items.
    pub(super) fn fresh(&self) -> EvictionOrder {
        EvictionOrder::new(self.ghosts.pool())
    }

    /// Gives the memory of the ghosts away. It must be replaced afterwards.
    pub(super) fn empty_into(&mut self, emptied: &mut EmptiedMemory) {
        emptied.push(self.ghosts.take_memory());
    }

    /// Bytes of memory taken.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        allocated_bytes(self.probation.capacity() * size_of::<NewItem>()) + self.ghosts.bytes()
    }

    /// The most bytes that one more item may add: a queue of twice the length.
    pub(super) fn most_growth(&self) -> usize {
        const SHORTEST: usize = 1 << 8;
        let length = self.probation.capacity();
        if self.probation.len() < length {
            return 0;
        }
        SHORTEST + allocated_bytes(length * size_of::<NewItem>())
    }

    /// Enters a new item that takes `size` bytes; `items` is the number of items with it.
    pub(super) fn insert(&mut self, index: u32, hash: u64, size: usize, items: usize) {
        if self.ghosts.take(hash) {
            return;
        }
        while self.probation.len() >= items / MOST_ON_PROBATION + FEW {
            self.end_probation();
        }
        if self.probation.capacity() > 4 * (self.probation.len() + FEW) {
            self.probation.shrink_to(2 * (self.probation.len() + FEW));
        }
        let size = size as u32;
        self.probation.push_back(NewItem { index, size });
        self.probation_bytes += size as usize;
    }

    /// Notes that the item that was just stored takes another number of bytes.
    pub(super) fn note_size(&mut self, index: u32, size: usize) {
        if let Some(newest) = self.probation.back_mut().filter(|new| new.index == index) {
            self.probation_bytes -= newest.size as usize;
            newest.size = size as u32;
            self.probation_bytes += size;
        }
    }

    fn end_probation(&mut self) -> Option<u32> {
        let oldest = self.probation.pop_front()?;
        self.probation_bytes -= oldest.size as usize;
        Some(oldest.index)
    }

    /// The index that ends its probation next, if enough of the `memory` is on probation. There may be no item any more.
    pub(super) fn next_on_probation(&mut self, memory: usize) -> Option<u32> {
        let is_long = self.probation.len() > NEWEST;
        if is_long && self.probation_bytes > memory / PART_ON_PROBATION {
            self.end_probation()
        } else {
            None
        }
    }

    /// Whether an item is one of the newest on probation.
    pub(super) fn is_newest(&self, index: u32) -> bool {
        let mut newest = self.probation.iter().rev().take(NEWEST);
        newest.any(|new| new.index == index)
    }

    /// Whether an item is evicted that takes `size` bytes, where an item takes `mean` bytes on average.
    pub(super) fn evicts(
        &mut self,
        why: Judgement,
        visited: bool,
        size: usize,
        mean: usize,
    ) -> bool {
        match why {
            Judgement::EndOfProbation | Judgement::LastRound => !visited,
            Judgement::UnderHand => self.hand_evicts(visited, size, mean),
        }
    }

    /// Under the hand, an unused item that is small is evicted with the chance size / small, and a used item that is
    /// large with the chance 1 - large / size. So an item of half the size stays for twice as many rounds without a hit.
    /// If all items are alike, those that are unused are evicted.
    fn hand_evicts(&mut self, visited: bool, size: usize, mean: usize) -> bool {
        let (chances, chance) = if visited {
            let large = LARGE * mean;
            (
                &mut self.large,
                CERTAIN.saturating_sub(CERTAIN * large / size.max(1)),
            )
        } else {
            let small = mean * SMALL.0 / SMALL.1;
            let chance = (CERTAIN * size / small.max(1)).max(CERTAIN / MOST_PASSES);
            (&mut self.small, chance.min(CERTAIN))
        };
        *chances += chance;
        let evicts = *chances >= CERTAIN;
        *chances %= CERTAIN;
        evicts
    }

    /// Notes that an item was evicted at the end of its probation; `items` is the number of items with it. A large item
    /// leaves no ghost, because it would need another reason to stay than to be stored again.
    pub(super) fn note_evicted(&mut self, hash: u64, size: usize, mean: usize, items: usize) {
        self.ghosts.fit(items);
        if size <= LARGE * mean {
            self.ghosts.insert(hash);
        }
    }

    /// Moves the hand to the next item, and returns it; none if there are no items.
    pub(super) fn next_under_hand(&mut self, slots: &Slots) -> Option<u32> {
        let next = slots.item_from(self.hand).or_else(|| slots.item_from(0))?;
        self.hand = next + 1;
        Some(next as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> EvictionOrder {
        EvictionOrder::new(Arc::new(PagePool::new(1 << 20, 1)))
    }

    #[test]
    fn the_oldest_items_of_more_than_a_tenth_of_the_memory_end_their_probation() {
        let mut order = order();
        (0..160).for_each(|index| order.insert(index, u64::from(index), 50, index as usize + 1));
        let (first, memory) = (160 - (160 / 8 + 16), 160 * 50);
        for oldest in first..160 - 16 {
            assert_eq!(order.next_on_probation(memory), Some(oldest));
        }
        assert_eq!(order.next_on_probation(memory), None);
        // A large value takes the memory of many.
        order.note_size(159, 50 * 16);
        assert_eq!(order.next_on_probation(memory), Some(144));
    }

    #[test]
    fn the_newest_items_stay_on_probation_however_large_they_are() {
        let mut order = order();
        (0..5).for_each(|index| order.insert(index, u64::from(index), 1_000, 5));
        assert_eq!(order.next_on_probation(5_000), Some(0));
        assert_eq!(order.next_on_probation(5_000), None);
        order.insert(5, 5, 1_000, 5);
        let newest: Vec<u32> = (0..6).filter(|&index| order.is_newest(index)).collect();
        assert_eq!(newest, [2, 3, 4, 5]);
    }

    #[test]
    fn an_item_that_was_evicted_too_early_has_no_probation() {
        let mut order = order();
        order.note_evicted(7, 50, 50, 100);
        order.note_evicted(8, 101, 50, 100);
        order.insert(1, 7, 50, 100);
        assert!(order.probation.is_empty());
        // The ghost is gone.
        order.insert(2, 7, 50, 100);
        order.insert(3, 8, 101, 100);
        let indices: Vec<u32> = order.probation.iter().map(|new| new.index).collect();
        assert_eq!(indices, [2, 3], "a large item leaves no ghost");
    }

    #[test]
    fn the_queue_takes_little_memory_when_most_items_have_gone() {
        let mut order = order();
        (0..100_000).for_each(|index| order.insert(index, u64::from(index), 50, 100_000));
        assert!(order.bytes() >= 100_000);
        order.insert(0, 0, 50, 10);
        assert!(order.bytes() < 1_000);
    }

    /// Evictions of 1,600 judgements of an item of such a size, where an item is small below 75 bytes.
    fn evicted(visited: bool, size: usize) -> usize {
        let mut order = order();
        let judged = (0..1_600).filter(|_| order.evicts(Judgement::UnderHand, visited, size, 100));
        judged.count()
    }

    #[test]
    fn the_hand_evicts_unused_items_and_passes_small_ones_more_often() {
        assert_eq!(evicted(false, 75), 1_600);
        assert_eq!(evicted(false, 5_000), 1_600);
        assert!((750..=800).contains(&evicted(false, 75 / 2)));
        assert_eq!(evicted(false, 0), 100, "one in sixteen at least");
    }

    #[test]
    fn the_hand_passes_used_items_except_for_large_ones() {
        assert_eq!(evicted(true, 1), 0);
        assert_eq!(evicted(true, 200), 0);
        assert_eq!(evicted(true, 400), 800);
        assert_eq!(evicted(true, 800), 1_200);
    }

    #[test]
    fn an_unused_item_is_evicted_whatever_its_size_when_its_probation_ends_and_in_the_last_round() {
        for why in [Judgement::EndOfProbation, Judgement::LastRound] {
            assert!(order().evicts(why, false, 1, 1_000));
            assert!(!order().evicts(why, true, 1_000, 1));
        }
    }
}

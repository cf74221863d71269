//! Top-level keys that live in another shard than the one that their hash names.
//!
//! ```text
//!   RENAME big other     big's hash names shard 3,     the tree stays in shard 3, and for other's hash
//!                        other's hash names shard 8    there is a placement: 8 ─▶ 3
//! ```
//!
//! A large tree is renamed within its shard, see `tree/rename`, so keys with the hash of its new name live there from then
//! on. Nearly always there are no placements. A look-up then reads one word and tests a bit; only a key whose bit is set is
//! searched for in the map. When nothing lives under a hash any more, its placement is removed.
//!
//! Invariant: the placement of a hash changes only while the locks of the shard that it names and of the shard in
//! which its keys live are held, before and after the change. So a thread that has locked a shard and then finds that keys with
//! a hash live in it may rely on that until it releases the lock.
//!
//! Bound: one placement for each [`MEMORY`] bytes of the store's memory, which is less than the smallest tree takes for
//! which there is one. When there are as many, large trees are copied.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Bytes of the store's memory for each placement.
const MEMORY: u64 = 8 << 10;
/// Words of the filter: those of a cache line.
const WORDS: usize = 8;
/// Bits of the filter, as a power of two.
const FILTER_BITS: u32 = (WORDS * u64::BITS as usize).ilog2();

/// The placements of a store.
#[derive(Debug)]
pub(super) struct Placements {
    /// Has the bit of every hash with a placement, and of other hashes.
    filter: [AtomicU64; WORDS],
    placed: RwLock<Placed>,
}

#[derive(Debug)]
struct Placed {
    /// The number of the shard, by hash.
    shards: BTreeMap<u64, usize>,
    /// How many of the hashes have each bit of the filter.
    with_bit: [u32; 1 << FILTER_BITS],
    /// The hash after which [`Placements::next`] continues.
    last: u64,
}

/// The position of a hash's bit: bits of the hash that choose no shard, unless there are very many.
fn bit_of(hash: u64) -> usize {
    (hash >> 24) as usize & ((1 << FILTER_BITS) - 1)
}

impl Placements {
    pub(super) fn new() -> Placements {
        Placements {
            filter: std::array::from_fn(|_| AtomicU64::new(0)),
            placed: RwLock::new(Placed {
                shards: BTreeMap::new(),
                with_bit: [0; 1 << FILTER_BITS],
                last: 0,
            }),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Placed> {
        self.placed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a hash may have a placement.
    ///
    /// Relaxed, because the result counts only after a shard was locked, and the lock orders the changes that concern it.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let bit = bit_of(hash);
        self.filter[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 != 0
    }

    /// The shard in which keys with this hash live, if there is a placement.
    pub(super) fn get(&self, hash: u64) -> Option<usize> {
        if !self.may_have(hash) {
            return None;
        }
        self.read().shards.get(&hash).copied()
    }

    /// Sets or removes the placement of a hash. The caller holds the locks that the invariant names.
    pub(super) fn set(&self, hash: u64, shard: Option<usize>) {
        let mut placed = self.placed.write().unwrap_or_else(PoisonError::into_inner);
        let before = match shard {
            Some(shard) => placed.shards.insert(hash, shard),
            None => placed.shards.remove(&hash),
        };
        let bit = bit_of(hash);
        placed.with_bit[bit] += u32::from(shard.is_some());
        placed.with_bit[bit] -= u32::from(before.is_some());
        let mask = 1 << (bit % 64);
        match placed.with_bit[bit] {
            0 => self.filter[bit / 64].fetch_and(!mask, Ordering::Relaxed),
            _ => self.filter[bit / 64].fetch_or(mask, Ordering::Relaxed),
        };
    }

    /// Whether there may be one more, in a store with so much memory.
    pub(super) fn has_room(&self, memory: u64) -> bool {
        (self.read().shards.len() as u64) < memory / MEMORY
    }

    /// Some hashes with placements, at most `count`: those after the hashes of the last call, round and round.
    pub(super) fn next(&self, count: usize) -> Vec<u64> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut placed = self.placed.write().unwrap_or_else(PoisonError::into_inner);
        let after = (Bound::Excluded(placed.last), Bound::Unbounded);
        let (shards, last) = (&placed.shards, placed.last);
        let hashes = shards.range(after).chain(shards.range(..=last));
        let hashes: Vec<u64> = hashes.take(count).map(|(hash, _)| *hash).collect();
        placed.last = hashes.last().copied().unwrap_or_default();
        hashes
    }

    /// All hashes with placements.
    pub(super) fn hashes(&self) -> Vec<u64> {
        if self.is_empty() {
            return Vec::new();
        }
        self.read().shards.keys().copied().collect()
    }

    fn is_empty(&self) -> bool {
        let mut words = self.filter.iter();
        words.all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placement_is_found_until_it_is_removed_and_the_filter_is_empty_again() {
        let placements = Placements::new();
        let hashes: Vec<u64> = (1..2_000u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        assert_eq!(placements.get(hashes[0]), None);
        for (shard, hash) in hashes.iter().enumerate() {
            placements.set(*hash, Some(7));
            placements.set(*hash, Some(shard));
        }
        for (shard, hash) in hashes.iter().enumerate() {
            assert_eq!(placements.get(*hash), Some(shard));
            placements.set(*hash, None);
            placements.set(*hash, None);
            assert_eq!(placements.get(*hash), None);
        }
        assert!(placements.is_empty());
    }

    #[test]
    fn all_hashes_come_by_turns() {
        let placements = Placements::new();
        assert!(placements.next(4).is_empty());
        (0..10).for_each(|hash| placements.set(hash, Some(1)));
        let turns: Vec<Vec<u64>> = (0..4).map(|_| placements.next(4)).collect();
        let expected = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 1, 2], [3, 4, 5, 6]];
        assert_eq!(turns, expected);
        placements.set(7, None);
        assert_eq!(placements.next(4), [8, 9, 0, 1]);
        assert_eq!(placements.next(20).len(), 9, "none comes twice");
    }

    #[test]
    fn the_memory_bounds_their_number() {
        let placements = Placements::new();
        let memory = 1 << 20;
        (0..127).for_each(|hash| placements.set(hash, Some(1)));
        assert!(placements.has_room(memory));
        placements.set(127, Some(1));
        assert!(!placements.has_room(memory));
        assert!(placements.has_room(2 * memory));
    }
}

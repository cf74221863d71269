//! Top-level keys that live in another shard than the one that their hash names.
//!
//! ```text
//!   RENAME big other     big's hash names shard 3,     the tree stays in shard 3, and for other's hash
//!   in database 0        other's hash names shard 8    in database 0 there is a placement: 8 ─▶ 3
//! ```
//!
//! A large tree is renamed within its shard, see `tree/rename`, so its new name in its database lives there from then
//! on. The same name in other databases stays in its shard, which may hold a large tree, too. Nearly always there are no placements.
//! A look-up then reads one word and tests a bit; only a key whose bit is set is
//! searched for in the map. When nothing is stored under a key any more, its placement is removed.
//!
//! A key is known by its hash and its database: [`HashedKey`]. Keys that have both in common live in one shard.
//!
//! Invariant: the placement of a key changes only while the locks of the two shards are held in which it lives before and after the
//! change. So a thread that has locked a shard and then finds that a key lives in it may rely on that until it releases the lock.
//!
//! Bound: one placement for each [`MEMORY`] bytes of the store's memory, which is less than the smallest tree takes for
//! which there is one. When there are as many, most of the trees have become smaller, and such a tree goes back to the shard that
//! its hash names.

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

/// A top-level key, as far as the choice of its shard goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HashedKey {
    /// The same in every database.
    pub(super) hash: u64,
    /// The database as the shards number it.
    pub(super) db: u8,
}

/// The placements of a store.
#[derive(Debug)]
pub(super) struct Placements {
    /// Has the bit of every hash with a placement in any database, and of other hashes.
    filter: [AtomicU64; WORDS],
    placed: RwLock<Placed>,
}

#[derive(Debug)]
struct Placed {
    /// The number of the shard of each key.
    shards: BTreeMap<HashedKey, usize>,
    /// How many of the keys have each bit of the filter.
    with_bit: [u32; 1 << FILTER_BITS],
    /// The key after which [`Placements::next`] continues.
    last: HashedKey,
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
                last: HashedKey::default(),
            }),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Placed> {
        self.placed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a key with this hash may have a placement.
    ///
    /// Relaxed, because the result counts only after a shard was locked, and the lock orders the changes that concern it.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let bit = bit_of(hash);
        self.filter[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 != 0
    }

    /// The shard in which a key lives, if it has a placement.
    pub(super) fn get(&self, key: HashedKey) -> Option<usize> {
        if !self.may_have(key.hash) {
            return None;
        }
        self.read().shards.get(&key).copied()
    }

    /// Sets or removes the placement of a key. The caller holds the locks that the invariant names.
    pub(super) fn set(&self, key: HashedKey, shard: Option<usize>) {
        let mut placed = self.placed.write().unwrap_or_else(PoisonError::into_inner);
        let before = match shard {
            Some(shard) => placed.shards.insert(key, shard),
            None => placed.shards.remove(&key),
        };
        let bit = bit_of(key.hash);
        placed.with_bit[bit] += u32::from(shard.is_some());
        placed.with_bit[bit] -= u32::from(before.is_some());
        let mask = 1 << (bit % 64);
        match placed.with_bit[bit] {
            0 => self.filter[bit / 64].fetch_and(!mask, Ordering::Relaxed),
            _ => self.filter[bit / 64].fetch_or(mask, Ordering::Relaxed),
        };
    }

    pub(super) fn len(&self) -> usize {
        self.read().shards.len()
    }

    /// Whether there may be one more, in a store with so much memory.
    pub(super) fn has_room(&self, memory: u64) -> bool {
        (self.len() as u64) < memory / MEMORY
    }

    /// Some keys with placements, at most `count`: those after the keys of the last call, round and round. Their order, by
    /// hashes, follows from no choice of a client.
    pub(super) fn next(&self, count: usize) -> Vec<HashedKey> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut placed = self.placed.write().unwrap_or_else(PoisonError::into_inner);
        let after = (Bound::Excluded(placed.last), Bound::Unbounded);
        let (shards, last) = (&placed.shards, placed.last);
        let keys = shards.range(after).chain(shards.range(..=last));
        let keys: Vec<HashedKey> = keys.take(count).map(|(key, _)| *key).collect();
        placed.last = keys.last().copied().unwrap_or_default();
        keys
    }

    /// All keys with placements.
    pub(super) fn keys(&self) -> Vec<HashedKey> {
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
        let keys: Vec<HashedKey> = (1..2_000u64)
            .map(|n| HashedKey {
                hash: (n / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                db: (n % 2) as u8,
            })
            .collect();
        assert_eq!(placements.get(keys[0]), None);
        for (shard, key) in keys.iter().enumerate() {
            placements.set(*key, Some(7));
            placements.set(*key, Some(shard));
        }
        for (shard, key) in keys.iter().enumerate() {
            assert_eq!(placements.get(*key), Some(shard));
            placements.set(*key, None);
            placements.set(*key, None);
            assert_eq!(placements.get(*key), None);
        }
        assert!(placements.is_empty());
    }

    fn key(hash: u64) -> HashedKey {
        HashedKey { hash, db: 3 }
    }

    #[test]
    fn all_keys_come_by_turns() {
        let placements = Placements::new();
        assert!(placements.next(4).is_empty());
        (0..10).for_each(|hash| placements.set(key(hash), Some(1)));
        let turns: Vec<Vec<HashedKey>> = (0..4).map(|_| placements.next(4)).collect();
        let expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1], [2, 3, 4, 5]];
        assert_eq!(turns, expected.map(|hashes| hashes.map(key)));
        placements.set(key(6), None);
        assert_eq!(placements.next(4), [7, 8, 9, 0].map(key));
        assert_eq!(placements.next(20).len(), 9, "none comes twice");
    }

    #[test]
    fn the_memory_bounds_their_number() {
        let placements = Placements::new();
        let memory = 1 << 20;
        (0..127).for_each(|hash| placements.set(key(hash), Some(1)));
        assert!(placements.has_room(memory));
        placements.set(key(127), Some(1));
        assert!(!placements.has_room(memory));
        assert!(placements.has_room(2 * memory));
    }
}

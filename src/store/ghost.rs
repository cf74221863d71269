//! Ghosts: a memory of keys that were evicted not long ago.
//!
//! A table of bytes. The lower bits of a key's hash choose the byte, and the byte is the hash's upper eight bits, its
//! fingerprint. A key that falls on the same byte later replaces it, so old ghosts fade by themselves: in a table of
//! four bytes for each item, a ghost lasts about as long as four times as many other items are evicted. One in 256 of the keys without a ghost
//! seems to have one; such an item only is evicted later than it should be.
//!
//! Cost: four to eight bytes for each item, from the first eviction on; a byte read for each new item.

use std::sync::Arc;

use super::pages::{PageBuffer, PagePool};

/// Bytes of the table for each item, before they are rounded up to a power of two.
const EACH: usize = 4;
/// Bytes of the smallest table.
const LEAST: usize = 64;

/// The ghosts of one shard.
#[derive(Debug)]
pub(super) struct GhostTable {
    /// A power of two of fingerprints, 0 for none; or nothing while there are no ghosts.
    fingerprints: PageBuffer,
    pool: Arc<PagePool>,
}

impl GhostTable {
    pub(super) fn new(pool: Arc<PagePool>) -> GhostTable {
        GhostTable {
            fingerprints: PageBuffer::default(),
            pool,
        }
    }

    pub(super) fn pool(&self) -> Arc<PagePool> {
        Arc::clone(&self.pool)
    }

    /// The memory of all ghosts, which are forgotten.
    pub(super) fn take_memory(&mut self) -> PageBuffer {
        std::mem::take(&mut self.fingerprints)
    }

    /// Bytes of memory taken.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.fingerprints.taken()
    }

    /// Makes the table anew, empty, if it doesn't suit the number of items.
    pub(super) fn fit(&mut self, items: usize) {
        let length = (EACH * items).next_power_of_two().max(LEAST);
        let suits = self.fingerprints.len() >= length && self.fingerprints.len() <= 4 * length;
        if !suits {
            self.pool.give(std::mem::take(&mut self.fingerprints));
            self.fingerprints = self.pool.take(length);
            self.fingerprints.fill(0);
        }
    }

    /// Notes a key by its hash, in a table that [`fit`](GhostTable::fit) made.
    pub(super) fn insert(&mut self, hash: u64) {
        let at = self.position(hash);
        self.fingerprints[at] = fingerprint(hash);
    }

    /// Whether a key has a ghost, which then is gone.
    #[inline]
    pub(super) fn take(&mut self, hash: u64) -> bool {
        if self.fingerprints.is_empty() {
            return false;
        }
        let at = self.position(hash);
        let found = self.fingerprints[at] == fingerprint(hash);
        if found {
            self.fingerprints[at] = 0;
        }
        found
    }

    fn position(&self, hash: u64) -> usize {
        hash as usize & (self.fingerprints.len() - 1)
    }
}

fn fingerprint(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> GhostTable {
        GhostTable::new(Arc::new(PagePool::new(1 << 20, 1)))
    }

    /// A hash that looks random, the same in every run.
    fn hash(number: u64) -> u64 {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn a_ghost_is_found_once_and_most_other_keys_have_none() {
        let mut table = table();
        assert!(!table.take(hash(1)));
        table.fit(250);
        (0..1000).for_each(|number| table.insert(hash(number)));
        let wrong = (1000..11_000).filter(|number| table.take(hash(*number)));
        assert!(wrong.count() < 100, "one in 256 of 10,000 is 39");
        let found = (0..1000).filter(|number| table.take(hash(*number)));
        assert!((550..800).contains(&found.count()), "about two thirds");
        assert!((0..1000).all(|number| !table.take(hash(number))));
    }

    #[test]
    fn the_table_follows_the_number_of_items() {
        let mut table = table();
        assert_eq!(table.bytes(), 0);
        table.fit(10);
        table.insert(1);
        assert_eq!(table.fingerprints.len(), 64);
        table.fit(10_000);
        table.insert(2);
        assert_eq!(table.fingerprints.len(), 1 << 16);
        table.fit(5_000);
        table.insert(3);
        assert!(table.take(2), "it is not made anew for half as many");
        table.fit(250);
        table.insert(4);
        assert_eq!(table.fingerprints.len(), 1 << 10);
        assert!(table.take(4));
        assert!(!table.take(3));
    }
}

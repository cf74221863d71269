//! Walking the whole store: SCAN, KEYS, RANDOMKEY, and lists of all items.
//!
//! A cursor is a shard's number and a slot's index, and a slot keeps its index while its item
//! lives. So a walk from cursor 0 until it comes back sees every item that is stored throughout,
//! whatever other items are added and removed; a walk may or may not see those. The cost of a step
//! is proportional to the slots that it looks at, free ones and other databases included.

use std::sync::atomic::Ordering;

use super::entry::Item;
use super::shard::Shard;
use super::shards::{Store, locked};
use super::slot::NONE;
use super::stored_item::StoredItem;

/// Slots tried by chance before a shard is walked from one of them to find a random key.
const GUESSES: u64 = 64;

/// Free slots that a step passes at least, in some ten microseconds: a shard has a thousand for its first item. A step
/// for many items passes sixteen for each.
const FREE_SLOTS: usize = 16_384;

impl Store {
    /// Shows `each` the live top-level items of a database in the next `count` slots or so after
    /// the cursor, and returns the cursor to go on with: 0 when all has been seen. A walk begins
    /// with 0.
    ///
    /// `each` runs under a shard's lock: it must not come back to the store.
    pub fn scan(&self, db: u8, cursor: u64, count: usize, mut each: impl FnMut(&Item<'_>)) -> u64 {
        let now_ms = self.now();
        let inner_db = self.inner_db(db);
        self.scan_slots(inner_db, cursor, count, |shard, index, stored| {
            if is_live_top(&stored, inner_db, now_ms) && !shard.hides(index) {
                each(&self.item(stored));
            }
        })
    }

    /// Shows `each` the live items of a database at any depth, each with its path; otherwise as
    /// [`scan`](Store::scan).
    pub fn scan_paths(
        &self,
        db: u8,
        cursor: u64,
        count: usize,
        mut each: impl FnMut(&[&[u8]], &Item<'_>),
    ) -> u64 {
        let now_ms = self.now();
        let inner_db = self.inner_db(db);
        self.scan_slots(inner_db, cursor, count, |shard, index, stored| {
            let mut path = vec![stored.key()];
            let mut node = stored;
            let mut alive = !node.is_expired(now_ms) && !shard.is_detached(index);
            while alive && node.parent() != NONE {
                node = shard.slab.item(node.parent());
                path.push(node.key());
                alive &= !node.is_expired(now_ms);
            }
            if alive && node.db() == inner_db {
                path.reverse();
                each(&path, &self.item(stored));
            }
        })
    }

    fn item<'a>(&self, stored: StoredItem<'a>) -> Item<'a> {
        Item {
            stored,
            started_ms: self.started_ms(),
        }
    }

    /// Passes the next `count` items to `each`; shards without items of the database
    /// are skipped. No lock is held from one call to the next.
    fn scan_slots(
        &self,
        inner_db: u8,
        cursor: u64,
        count: usize,
        mut each: impl FnMut(&Shard, u32, StoredItem<'_>),
    ) -> u64 {
        let mut left = count.max(1);
        let mut free_left = count.saturating_mul(16).max(FREE_SLOTS);
        let mut number = (cursor >> 32) as usize;
        let mut index = (cursor & u64::from(u32::MAX)) as usize;
        while let Some(shard) = self.shards.get(number) {
            let shard = locked(shard);
            let end = shard.slab.end();
            if shard.items[usize::from(inner_db)] > 0 {
                while index < end && left > 0 && free_left > 0 {
                    match shard.slab.get(index) {
                        Some(stored) => {
                            each(&shard, index as u32, stored);
                            left -= 1;
                        }
                        None => free_left -= 1,
                    }
                    index += 1;
                }
                if index < end {
                    return (number as u64) << 32 | index as u64;
                }
            }
            number += 1;
            index = 0;
            if left == 0 && number < self.shards.len() {
                return (number as u64) << 32;
            }
        }
        0
    }

    /// A live top-level key of a database, each with about the same chance; `None` if there is
    /// none.
    pub(crate) fn random_key(&self, db: u8) -> Option<Vec<u8>> {
        let now_ms = self.now();
        let inner_db = self.inner_db(db);
        let mut draw = self.draws.fetch_add(2 * GUESSES, Ordering::Relaxed);
        let mut random = |below: usize| {
            draw = draw.wrapping_add(1);
            (self.hasher.hash_one(draw) % below.max(1) as u64) as usize
        };
        let counts: Vec<usize> = self
            .shards
            .iter()
            .map(|shard| locked(shard).items[usize::from(inner_db)])
            .collect();
        // Each shard with the chance of its share of the keys.
        let mut place = random(counts.iter().sum());
        let first = counts.iter().position(|count| {
            let here = place < *count;
            place = place.saturating_sub(*count);
            here
        })?;
        for number in (first..counts.len()).chain(0..first) {
            let shard = locked(&self.shards[number]);
            let end = shard.slab.end();
            if shard.items[usize::from(inner_db)] == 0 {
                continue;
            }
            let key = |index: usize| {
                let slot = shard
                    .slab
                    .get(index)
                    .filter(|slot| is_live_top(slot, inner_db, now_ms))
                    .filter(|_| !shard.hides(index as u32));
                slot.map(|slot| slot.key().to_vec())
            };
            if let Some(found) = (0..GUESSES).find_map(|_| key(random(end))) {
                return Some(found);
            }
            let start = random(end);
            if let Some(found) = (start..end).chain(0..start).find_map(key) {
                return Some(found);
            }
        }
        None
    }
}

fn is_live_top(slot: &StoredItem<'_>, db: u8, now_ms: u64) -> bool {
    slot.parent() == NONE && slot.db() == db && !slot.is_expired(now_ms)
}

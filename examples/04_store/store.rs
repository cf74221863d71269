//! The cache: items under keys, each with an expiry, all together bounded in bytes.
//!
//! Time is an argument, in Unix milliseconds: the caller has a clock, the store has none.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

/// An item, which is stored under a key.
#[derive(Default)]
pub(crate) struct Item {
    key: Arc<[u8]>,
    pub(crate) value: Vec<u8>,
    /// The client's; the store only keeps them.
    pub(crate) flags: u32,
    /// Unix time in milliseconds at which the item expires.
    pub(crate) expires: Option<u64>,
    /// A number that no other state of any item has.
    pub(crate) unique: u64,
    /// Read since the hand last passed it.
    visited: bool,
    /// The neighbours in the queue, by their slots.
    newer: usize,
    older: usize,
}

/// The cache itself. An item stays in its slot of `items` until it is removed.
pub(crate) struct Store {
    slots: HashMap<Arc<[u8]>, usize>,
    items: Vec<Item>,
    /// Slots that are free again.
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
    /// The start of the next eviction.
    hand: usize,
    used: usize,
    limit: usize,
    changes: u64,
    flush_at: Option<u64>,
    pub(crate) counts: Counts,
}

/// The events so far.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) evictions: u64,
    pub(crate) expired: u64,
}

/// No slot.
const NONE: usize = usize::MAX;

/// Bytes that an item takes beside its key and value: the `Item`, its entry in the map, the overhead of the allocator.
const OVERHEAD: usize = 208;

fn cost(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}

/// The expiry of an item that is stored now with this exptime; `None` is never.
pub(crate) fn expires(exptime: i32, now: u64) -> Option<u64> {
    const MONTH: u32 = 30 * 24 * 60 * 60;
    match u32::try_from(exptime) {
        Ok(0) => None,
        Ok(seconds) if seconds <= MONTH => Some(now + u64::from(seconds) * 1000),
        Ok(date) => Some(u64::from(date) * 1000),
        Err(_) => Some(now),
    }
}

impl Store {
    pub(crate) fn new(limit: usize) -> Store {
        Store {
            slots: HashMap::new(),
            items: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            hand: NONE,
            used: 0,
            limit,
            changes: 0,
            flush_at: None,
            counts: Counts::default(),
        }
    }

    /// Reads an item for a client: it counts, and eviction will spare it once.
    pub(crate) fn get(&mut self, key: &[u8], now: u64) -> Option<&Item> {
        let Some(slot) = self.find(key, now) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        self.items[slot].visited = true;
        Some(&self.items[slot])
    }

    /// Reads an item for a command that is about to write.
    pub(crate) fn peek(&mut self, key: &[u8], now: u64) -> Option<&mut Item> {
        let slot = self.find(key, now)?;
        Some(&mut self.items[slot])
    }

    fn find(&mut self, key: &[u8], now: u64) -> Option<usize> {
        if self.flush_at.is_some_and(|when| when <= now) {
            self.flush();
        }
        let slot = *self.slots.get(key)?;
        if self.items[slot].is_expired(now) {
            self.counts.expired += 1;
            self.take(slot);
            return None;
        }
        Some(slot)
    }

    /// Stores a value in place of the old one, and evicts until it fits. False if it never will.
    pub(crate) fn put(
        &mut self,
        key: &[u8],
        value: Vec<u8>,
        flags: u32,
        expires: Option<u64>,
        now: u64,
    ) -> bool {
        self.remove(key, now);
        let cost = cost(key, &value);
        if cost > self.limit {
            return false;
        }
        while self.used + cost > self.limit {
            self.evict(now);
        }
        self.used += cost;
        self.changes += 1;
        let key: Arc<[u8]> = key.into();
        let item = Item {
            key: Arc::clone(&key),
            value,
            flags,
            expires,
            unique: self.changes,
            visited: false,
            newer: NONE,
            older: self.newest,
        };
        let slot = self.free.pop().unwrap_or(self.items.len());
        if slot == self.items.len() {
            self.items.push(item);
        } else {
            self.items[slot] = item;
        }
        self.slots.insert(key, slot);
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.items[newest].newer = slot,
        }
        self.newest = slot;
        true
    }

    /// Removes an item; false if there was none.
    pub(crate) fn remove(&mut self, key: &[u8], now: u64) -> bool {
        let found = self.find(key, now);
        found.map(|slot| self.take(slot)).is_some()
    }

    /// Evicts one item: the first under the hand that was not read since the hand last passed it.
    fn evict(&mut self, now: u64) {
        loop {
            let slot = match self.hand {
                NONE => self.oldest,
                hand => hand,
            };
            let Some(item) = self.items.get_mut(slot) else {
                return;
            };
            self.hand = item.newer;
            if item.is_expired(now) {
                self.counts.expired += 1;
            } else if mem::take(&mut item.visited) {
                continue;
            } else {
                self.counts.evictions += 1;
            }
            self.take(slot);
            return;
        }
    }

    /// Takes an item out of the map and the queue; its slot is free again.
    fn take(&mut self, slot: usize) {
        let item = mem::take(&mut self.items[slot]);
        match item.newer {
            NONE => self.newest = item.older,
            newer => self.items[newer].older = item.older,
        }
        match item.older {
            NONE => self.oldest = item.newer,
            older => self.items[older].newer = item.newer,
        }
        if self.hand == slot {
            self.hand = item.newer;
        }
        self.used -= cost(&item.key, &item.value);
        self.slots.remove(&item.key);
        self.free.push(slot);
    }

    /// Removes all items.
    pub(crate) fn flush(&mut self) {
        let empty = Store::new(self.limit);
        let before = mem::replace(self, empty);
        self.changes = before.changes;
        self.counts = before.counts;
    }

    /// Removes all items that are stored at that time, when it has come.
    pub(crate) fn flush_at(&mut self, when: u64) {
        self.flush_at = Some(when);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl Item {
    fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|when| when <= now)
    }
}

//! The cache: items under keys, each with an end of its own, all together bounded in bytes.
//!
//! Time is an argument, in Unix milliseconds: who calls has looked at a clock, and the store has none.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

/// What is stored under a key.
#[derive(Default)]
pub(crate) struct Item {
    key: Arc<[u8]>,
    pub(crate) value: Vec<u8>,
    /// The client's; a store has no opinion on them.
    pub(crate) flags: u32,
    /// Unix time in milliseconds from which on the item is no longer there.
    pub(crate) expires: Option<u64>,
    /// A number that no other state of any item has had.
    pub(crate) unique: u64,
    /// Asked for since the hand last came by.
    visited: bool,
    /// The neighbours in the queue, by their place.
    newer: usize,
    older: usize,
}

/// The cache itself. Items stay at their place in `items` from their first to their last moment.
pub(crate) struct Store {
    places: HashMap<Arc<[u8]>, usize>,
    items: Vec<Item>,
    /// Places that are free again.
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
    /// Where eviction goes on.
    hand: usize,
    used: usize,
    limit: usize,
    changes: u64,
    flush_at: Option<u64>,
    pub(crate) counts: Counts,
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) evictions: u64,
    pub(crate) expired: u64,
}

/// No place.
const NONE: usize = usize::MAX;

/// Bytes that an item takes beside its key and value: the `Item`, its entry in the map, what the allocator adds.
const OVERHEAD: usize = 208;

fn cost(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}

/// When an item ends that is stored now with this expiration time; `None` is never.
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
            places: HashMap::new(),
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
        let Some(place) = self.find(key, now) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        self.items[place].visited = true;
        Some(&self.items[place])
    }

    /// Looks at an item for a command that is about to write.
    pub(crate) fn peek(&mut self, key: &[u8], now: u64) -> Option<&mut Item> {
        let place = self.find(key, now)?;
        Some(&mut self.items[place])
    }

    fn find(&mut self, key: &[u8], now: u64) -> Option<usize> {
        if self.flush_at.is_some_and(|when| when <= now) {
            self.flush();
        }
        let place = *self.places.get(key)?;
        if self.items[place].is_over(now) {
            self.counts.expired += 1;
            self.take(place);
            return None;
        }
        Some(place)
    }

    /// Stores a value in place of what was there, and evicts until it fits. False if it never will.
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
        let place = self.free.pop().unwrap_or(self.items.len());
        if place == self.items.len() {
            self.items.push(item);
        } else {
            self.items[place] = item;
        }
        self.places.insert(key, place);
        match self.newest {
            NONE => self.oldest = place,
            newest => self.items[newest].newer = place,
        }
        self.newest = place;
        true
    }

    /// Removes an item; false if there was none.
    pub(crate) fn remove(&mut self, key: &[u8], now: u64) -> bool {
        let found = self.find(key, now);
        found.map(|place| self.take(place)).is_some()
    }

    /// Gives up one item: the first under the hand that nobody has asked for since the hand was last there.
    fn evict(&mut self, now: u64) {
        loop {
            let place = match self.hand {
                NONE => self.oldest,
                hand => hand,
            };
            let Some(item) = self.items.get_mut(place) else {
                return;
            };
            self.hand = item.newer;
            if item.is_over(now) {
                self.counts.expired += 1;
            } else if mem::take(&mut item.visited) {
                continue;
            } else {
                self.counts.evictions += 1;
            }
            self.take(place);
            return;
        }
    }

    /// Takes an item out of the map and the queue; its place is free again.
    fn take(&mut self, place: usize) {
        let item = mem::take(&mut self.items[place]);
        match item.newer {
            NONE => self.newest = item.older,
            newer => self.items[newer].older = item.older,
        }
        match item.older {
            NONE => self.oldest = item.newer,
            older => self.items[older].newer = item.newer,
        }
        if self.hand == place {
            self.hand = item.newer;
        }
        self.used -= cost(&item.key, &item.value);
        self.places.remove(&item.key);
        self.free.push(place);
    }

    /// Removes everything.
    pub(crate) fn flush(&mut self) {
        let empty = Store::new(self.limit);
        let before = mem::replace(self, empty);
        self.changes = before.changes;
        self.counts = before.counts;
    }

    /// Removes, when the time has come, everything that is stored by then.
    pub(crate) fn flush_at(&mut self, when: u64) {
        self.flush_at = Some(when);
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl Item {
    fn is_over(&self, now: u64) -> bool {
        self.expires.is_some_and(|when| when <= now)
    }
}

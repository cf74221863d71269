//! The cache: a tree of items under paths of keys, each with an expiry, all together bounded in bytes.
//!
//! An item is removed or expires together with the item above it.
//!
//! Time is an argument, in Unix milliseconds: the caller has a clock, the store has none.

use std::collections::BTreeMap;
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
    /// A number that rises with every change of the item or of items below it.
    pub(crate) unique: u64,
    /// Read since the hand last passed it.
    visited: bool,
    /// The slot of its parent, and the slots of its children.
    parent: usize,
    children: BTreeMap<Arc<[u8]>, usize>,
    /// The neighbours in the queue, by their slots.
    newer: usize,
    older: usize,
}

/// The cache itself. An item stays in its slot of `items` until it is removed.
pub(crate) struct Store {
    /// The first is the root: it has no key and no value, and is in no queue.
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

/// The reason why a write was refused.
pub(crate) enum Refused {
    /// The parent does not exist.
    NoParent,
    /// It would not fit into an empty store.
    TooLarge,
}

/// The slot of the item above all others.
const ROOT: usize = 0;

/// No slot.
const NONE: usize = usize::MAX;

/// Bytes that an item takes beside its key and value: the `Item`, its entry in the map, the overhead of the allocator.
const OVERHEAD: usize = 240;

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
            items: vec![Item::default()],
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
    pub(crate) fn get(&mut self, path: &[&[u8]], now: u64) -> Option<&Item> {
        let Some(slot) = self.find(path, now) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        self.items[slot].visited = true;
        Some(&self.items[slot])
    }

    /// Reads an item for a command that is about to write.
    pub(crate) fn peek(&mut self, path: &[&[u8]], now: u64) -> Option<&mut Item> {
        let slot = self.find(path, now)?;
        Some(&mut self.items[slot])
    }

    /// Walks down from the root. An expired item is removed, and all items below it.
    fn find(&mut self, path: &[&[u8]], now: u64) -> Option<usize> {
        if self.flush_at.is_some_and(|when| when <= now) {
            self.flush();
        }
        let mut slot = ROOT;
        for &key in path {
            slot = *self.items[slot].children.get(key)?;
            if self.items[slot].is_expired(now) {
                self.counts.expired += 1;
                self.take(slot);
                return None;
            }
        }
        Some(slot)
    }

    /// Stores a value in place of the old one, and evicts until it fits.
    pub(crate) fn put(
        &mut self,
        path: &[&[u8]],
        value: Vec<u8>,
        flags: u32,
        expires: Option<u64>,
        now: u64,
    ) -> Result<(), Refused> {
        let (key, above) = path.split_last().ok_or(Refused::NoParent)?;
        let parent = self.find(above, now).ok_or(Refused::NoParent)?;
        self.remove(path, now);
        let cost = cost(key, &value);
        while self.used + cost > self.limit {
            if !self.evict(parent, now) {
                return Err(Refused::TooLarge);
            }
        }
        self.used += cost;
        let key: Arc<[u8]> = (*key).into();
        let item = Item {
            key: Arc::clone(&key),
            value,
            flags,
            expires,
            unique: 0,
            visited: false,
            parent,
            children: BTreeMap::new(),
            newer: NONE,
            older: self.newest,
        };
        let slot = self.free.pop().unwrap_or(self.items.len());
        if slot == self.items.len() {
            self.items.push(item);
        } else {
            self.items[slot] = item;
        }
        self.items[parent].children.insert(key, slot);
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.items[newest].newer = slot,
        }
        self.newest = slot;
        self.changed(slot);
        Ok(())
    }

    /// Changes an item's value. Its flags, its expiry and its children stay.
    pub(crate) fn set_value(
        &mut self,
        path: &[&[u8]],
        value: Vec<u8>,
        now: u64,
    ) -> Result<(), Refused> {
        let slot = self.find(path, now).ok_or(Refused::NoParent)?;
        let before = self.items[slot].value.len();
        while self.used - before + value.len() > self.limit {
            if !self.evict(slot, now) {
                return Err(Refused::TooLarge);
            }
        }
        self.used = self.used - before + value.len();
        self.items[slot].value = value;
        self.changed(slot);
        Ok(())
    }

    /// Gives an item, and all above it, a new number: a comparison of an item sees changes below it.
    fn changed(&mut self, mut slot: usize) {
        self.changes += 1;
        while slot != ROOT {
            self.items[slot].unique = self.changes;
            slot = self.items[slot].parent;
        }
    }

    /// Removes an item and all items below it; false if there was none.
    pub(crate) fn remove(&mut self, path: &[&[u8]], now: u64) -> bool {
        let Some(slot) = self.find(path, now) else {
            return false;
        };
        self.changed(slot);
        self.take(slot);
        true
    }

    /// The names of an item's children, in order.
    pub(crate) fn children(&mut self, path: &[&[u8]], now: u64) -> Option<Vec<Arc<[u8]>>> {
        let slot = self.find(path, now)?;
        let live = |&(_, child): &(&Arc<[u8]>, &usize)| !self.items[*child].is_expired(now);
        let children = self.items[slot].children.iter().filter(live);
        Some(children.map(|(name, _)| Arc::clone(name)).collect())
    }

    /// Evicts one item: the first leaf under the hand that was not read since the hand last passed it, but
    /// not `parent`, which is about to get a child. False if there is none.
    fn evict(&mut self, parent: usize, now: u64) -> bool {
        // Twice around: the first time may only clear marks.
        for _ in 0..2 * self.items.len() {
            let slot = match self.hand {
                NONE => self.oldest,
                hand => hand,
            };
            let Some(item) = self.items.get_mut(slot) else {
                return false;
            };
            self.hand = item.newer;
            if slot == parent || !item.children.is_empty() && !item.is_expired(now) {
                continue;
            } else if item.is_expired(now) {
                self.counts.expired += 1;
            } else if mem::take(&mut item.visited) {
                continue;
            } else {
                self.counts.evictions += 1;
            }
            self.take(slot);
            return true;
        }
        false
    }

    /// Takes an item and all items below it out of the tree and the queue. Their slots are free again.
    fn take(&mut self, slot: usize) {
        let (key, parent) = (Arc::clone(&self.items[slot].key), self.items[slot].parent);
        self.items[parent].children.remove(&key);
        let mut left = vec![slot];
        while let Some(slot) = left.pop() {
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
            self.free.push(slot);
            left.extend(item.children.values());
        }
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
        self.items.len() - 1 - self.free.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl Item {
    /// To Redis's clients an item with children is a hash, and any other a string.
    pub(crate) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|when| when <= now)
    }
}

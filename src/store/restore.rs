//! Items of a snapshot back into the store, and what the store has beside its items.
//!
//! ```text
//!   SavedItem, in the order of a walk ─▶ Restorer: the path from the depth ─▶ Tree::restore, under its shard's lock
//! ```
//!
//! An item goes in like any other write: it may evict others, and it is refused if it is too large. Items that have
//! expired are left out, with all below them. An item without a value is stored with its first child, so none is left
//! without children.
//!
//! CAS numbers are kept, so that a client's `cas` with a number from before the restart is answered as if there
//! had been none. A child's write gives those above it new numbers; they get their own back when the last of their children
//! is stored.
//!
//! Cost: that of a write, and an allocation for the path of an item below another. If the number of items is known beforehand,
//! no bucket of the hash tables is split on the way, which would be half of the time.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::config::DATABASES;
use super::entry::Refused;
use super::flush_schedule::NEVER;
use super::saved_item::SavedItem;
use super::shards::{Store, locked};
use super::tree::Tree;

/// Bytes of memory for each item that is expected. So the number in a file, whatever it is, has the tables take a twentieth of the
/// memory at most.
const LEAST_MEMORY: u64 = 128;

/// The state of a store beside its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreState {
    /// No change of an item had this CAS number or a higher one, unless a client chose it.
    pub(crate) next_cas: u64,
    /// The database of the items behind each number that clients use.
    pub(crate) databases: [u8; DATABASES as usize],
    /// Unix time in milliseconds at which the items of a database are to be flushed.
    pub(crate) flushes: [Option<u64>; DATABASES as usize],
}

impl Store {
    /// The state of the store beside its items.
    pub(crate) fn state(&self) -> StoreState {
        let due = self.flushes.due.lock();
        let due = due.unwrap_or_else(PoisonError::into_inner);
        StoreState {
            next_cas: locked(&self.shards[0]).next_cas_block(),
            databases: std::array::from_fn(|db| self.databases[db].load(Ordering::Acquire)),
            flushes: due.map(|when_ms| (when_ms != NEVER).then_some(when_ms)),
        }
    }

    fn set_state(&self, state: &StoreState) {
        for shard in &self.shards {
            locked(shard).continue_cas(state.next_cas);
        }
        for (db, inner) in self.databases.iter().zip(state.databases) {
            db.store(inner, Ordering::Release);
        }
        for (db, when_ms) in (0..DATABASES).zip(state.databases.map(usize::from)) {
            if let Some(when_ms) = state.flushes[when_ms] {
                self.flush_at(db, when_ms);
            }
        }
    }
}

/// Numbers of items that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RestoreCounts {
    /// Items with a value that were stored, at any depth.
    pub(crate) stored: u64,
    /// Items that had expired, and those below them.
    pub(crate) expired: u64,
    /// Items that did not fit into this store, and those below them.
    pub(crate) refused: u64,
}

/// Puts items into an empty store, in the order in which a [walk](super::Walk) showed them.
#[derive(Debug)]
pub(crate) struct Restorer<'a> {
    store: &'a Store,
    now_ms: u64,
    /// The last item and those above it are the first `depth` of these; the others are kept for their memory.
    path: Vec<RestoredNode>,
    depth: usize,
    pub(crate) counts: RestoreCounts,
}

/// An item that others may follow below.
#[derive(Debug, Default)]
struct RestoredNode {
    key: Vec<u8>,
    /// The item, without key and value.
    item: SavedItem<'static>,
    has_value: bool,
    presence: Presence,
    has_children: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Presence {
    #[default]
    Stored,
    /// It has no value, and is stored with its first child.
    Waiting,
    Expired,
    Refused,
}

impl<'a> Restorer<'a> {
    pub(crate) fn new(store: &'a Store) -> Restorer<'a> {
        Restorer {
            store,
            now_ms: store.now_ms(),
            path: Vec::new(),
            depth: 0,
            counts: RestoreCounts::default(),
        }
    }

    /// Prepares the store, which is empty, for so many items. A store that refuses writes counts the memory of each before it is
    /// taken, so it is not prepared.
    pub(crate) fn expect(&mut self, items: u64) {
        if self.store.refuses() {
            return;
        }
        let items = items.min(self.store.limit() / LEAST_MEMORY) as usize;
        for shard in &self.store.shards {
            locked(shard).expect(items / self.store.shards.len());
        }
    }

    /// Stores the next item. One without a parent among the items before it is refused, and so is one
    /// in another database than its parent.
    pub(crate) fn put(&mut self, item: &SavedItem<'_>) {
        if item.depth > self.depth {
            self.counts.refused += 1;
            return;
        }
        self.close(item.depth);
        let presence = self.presence(item);
        self.open(item, presence);
        match presence {
            Presence::Waiting => {}
            Presence::Stored => {
                self.counts.stored += 1;
                for above in &mut self.path[..item.depth] {
                    above.has_children = true;
                }
            }
            Presence::Expired => self.counts.expired += 1,
            Presence::Refused => self.counts.refused += 1,
        }
    }

    /// Stores the item, if it is to be stored.
    fn presence(&self, item: &SavedItem<'_>) -> Presence {
        let above = &self.path[..self.depth];
        if above.first().is_some_and(|top| top.item.db != item.db) {
            return Presence::Refused;
        }
        if let Some(missing @ (Presence::Expired | Presence::Refused)) =
            above.last().map(|parent| parent.presence)
        {
            return missing;
        }
        if above.is_empty() {
            return self.store_at(&[item.key], item);
        }
        let keys = above.iter().map(|node| &node.key[..]);
        let path: Vec<&[u8]> = keys.chain([item.key]).collect();
        self.store_at(&path, item)
    }

    fn store_at(&self, path: &[&[u8]], item: &SavedItem<'_>) -> Presence {
        if item
            .expires_ms
            .is_some_and(|when_ms| when_ms <= self.now_ms)
        {
            // It may have been shown before, when it had another expiry.
            let mut tree = self.lock(item.db, path[0]);
            if let Some(node) = tree.peek(path) {
                tree.remove(node);
            }
            return Presence::Expired;
        }
        match self.restore(path, item) {
            Ok(true) => Presence::Stored,
            Ok(false) => Presence::Waiting,
            Err(_) => Presence::Refused,
        }
    }

    /// Locks the shard of a top-level key of a database, at the time at which the restore began.
    fn lock(&self, db: u8, key: &[u8]) -> Tree<'_> {
        let key = self.store.hashed(db, key);
        self.store.lock_hashed(key, self.now_ms)
    }

    /// Stores an item, and those above it that have waited for it. Returns false if it has to wait itself.
    fn restore(&self, path: &[&[u8]], item: &SavedItem<'_>) -> Result<bool, Refused> {
        let mut tree = self.lock(item.db, path[0]);
        if item.value.is_none() && tree.peek(path).is_none() {
            return Ok(false);
        }
        match tree.restore(path, item) {
            Err(Refused::NoParent) => {}
            stored => return stored.map(|_| true),
        }
        for (above, node) in self.path[..self.depth].iter().enumerate() {
            let path = &path[..=above];
            let is_there = tree.peek(path).is_some();
            if !is_there && !node.has_value {
                tree.restore(path, &node.item)?;
            }
        }
        tree.restore(path, item).map(|_| true)
    }

    fn open(&mut self, item: &SavedItem<'_>, presence: Presence) {
        if self.depth == self.path.len() {
            self.path.push(RestoredNode::default());
        }
        let node = &mut self.path[self.depth];
        node.key.clear();
        node.key.extend_from_slice(item.key);
        node.item = SavedItem {
            key: &[],
            value: None,
            ..*item
        };
        node.has_value = item.value.is_some();
        (node.presence, node.has_children) = (presence, false);
        self.depth += 1;
    }

    /// Ends the items at this depth and below: none comes below them.
    fn close(&mut self, depth: usize) {
        while self.depth > depth {
            let path = &self.path[..self.depth];
            self.depth -= 1;
            if path[self.depth].has_children {
                let keys: Vec<&[u8]> = path.iter().map(|node| &node.key[..]).collect();
                let item = &path[self.depth].item;
                let mut tree = self.lock(item.db, keys[0]);
                if let Some(node) = tree.peek(&keys) {
                    tree.set_cas(node, item.cas);
                }
            }
        }
    }

    /// Ends the restore.
    pub(crate) fn finish(mut self, state: &StoreState) -> RestoreCounts {
        self.close(0);
        self.store.set_state(state);
        self.counts
    }
}
